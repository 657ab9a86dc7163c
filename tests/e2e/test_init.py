"""`fpplm init`: a project whose code is the installed package's."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
import yaml

from fpplm.project.template import with_installed_code
from fpplm_core.params import load
from fpplm_core.settings import read_yaml
from tests.project import ROOT, SETTINGS, SIZES, Project, head, write_guard


class Installed(Project):
    """A project without code of its own."""

    def environment(self, **variables: str) -> dict[str, str]:
        guard = self.path.with_name("guard")
        return super().environment(**{"PYTHONPATH": f"{guard}:{ROOT}", **variables})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Somewhere, with three little files and what keeps every Python off the network."""
    folder = tmp_path_factory.mktemp("somewhere")
    write_guard(folder)
    for split, sentences in SIZES.items():
        head(ROOT / f"data/wikigold/{split}.conll", folder / f"my {split}.txt", sentences)
    return folder


@pytest.fixture(scope="module")
def project(folder: Path) -> Installed:
    somewhere = Installed(folder / ".")
    files = ("my train.txt", "--dev", "my dev.txt", "--test", "my test.txt")
    said = somewhere.ok("fpplm", "init", "taggers/mine", *files, PYTHONPATH=f"{folder / 'guard'}:{ROOT}")
    assert said == "taggers/mine is ready; go on with: cd taggers/mine && fpplm retrain\n"
    shutil.copytree(folder / "guard", folder / "taggers/guard")
    return Installed(folder / "taggers/mine")


def test_everything_is_there_and_committed(project: Installed) -> None:
    assert project.ok("git", "status", "--porcelain") == ""
    kept = set(project.ok("git", "ls-files").splitlines())
    assert {"params.yaml", "dvc.yaml", "expectations.yaml", "README.md", "data/corpus.dvc", ".dvc/config"} <= kept
    assert (project.path / "expectations.yaml").read_bytes() == (ROOT / "expectations.yaml").read_bytes()
    assert not [name for name in kept if name.endswith((".py", ".txt", ".conll"))], "no code, and the data are DVC's"
    assert "corpus" not in project.ok("dvc", "status", "data/corpus.dvc")
    settings = load(project.path / "params.yaml")
    assert (settings.data.path, settings.data.format, settings.data.dev) == ("data/corpus", "auto", "dev.txt")
    assert settings.gate.min_f1 == settings.gate.min_type_f1 == 0
    for split in SIZES:
        copy = project.path / "data/corpus" / getattr(settings.data, split)
        assert copy.read_bytes() == (project.path.parents[1] / f"my {split}.txt").read_bytes()


def test_all_other_settings_are_the_repository_s_with_their_comments(project: Installed) -> None:
    ours, theirs = read_yaml(ROOT / "params.yaml"), read_yaml(project.path / "params.yaml")
    for section in ours:
        if section not in ("data", "gate"):
            assert theirs[section] == ours[section]
    assert "# peak learning rate of the head" in (project.path / "params.yaml").read_text()


def test_every_stage_depends_on_the_environment_and_on_no_code(project: Installed) -> None:
    ours = yaml.safe_load((ROOT / "dvc.yaml").read_text())
    theirs = yaml.safe_load((project.path / "dvc.yaml").read_text())
    assert list(theirs["stages"]) == list(ours["stages"])
    for name, stage in theirs["stages"].items():
        before, after = ours["stages"][name].pop("deps"), stage.pop("deps", [])
        data = [entry for entry in before if not entry.startswith(("fpplm_core/", "tasks/"))]
        assert set(after) == set(data) | ({"build/environment.json"} if name != "environment" else set())
        assert len(after) == len(set(after))
        assert stage == ours["stages"][name]
    assert theirs.keys() == ours.keys() and theirs["plots"] == ours["plots"]
    text = (project.path / "dvc.yaml").read_text()
    assert "tests/" not in text and with_installed_code(text) == text


@pytest.mark.full
def test_it_runs_at_once_and_then_has_nothing_to_do(project: Installed, tiny_encoder: Path) -> None:
    shutil.copytree(tiny_encoder, project.path / "encoder")
    project.set(**SETTINGS)
    project.ok("fpplm", "retrain")
    manifest = json.loads((project.path / "bundle/manifest.json").read_text())
    assert set(manifest["data"]) == {f"data/corpus/{split}.txt" for split in SIZES}
    assert "0 of 9 stages ran" in project.ok("fpplm", "retrain")
    file = project.path / "build/environment.json"
    file.write_text(file.read_text().replace('"torch": "', '"torch": "0'))
    assert "Running stage 'read'" in project.ok("dvc", "repro", "--dry", "read"), "another version runs all again"


@pytest.mark.parametrize(
    "arguments, said",
    [
        (("taggers/mine", "my train.txt"), "taggers/mine: not empty"),
        (("my dev.txt", "my train.txt"), "my dev.txt: not empty"),
        (("new", "nowhere.txt"), "nowhere.txt: no such file"),
        (("new", "guard"), "guard: of no known format"),
        (("new", "my train.txt", "--dev", "guard/sitecustomize.py"), "sitecustomize.py: of no known format"),
        (("new", "one.ann"), "one.ann: one of two files"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(
    project: Installed, folder: Path, arguments: tuple[str, ...], said: str
) -> None:
    (folder / "one.txt").write_text("Ann")
    (folder / "one.ann").write_text("T1\tPER 0 3\tAnn\n")
    before = sorted((folder / "taggers/mine").iterdir())
    done = Installed(folder / ".").run("fpplm", "init", *arguments, PYTHONPATH=f"{folder / 'guard'}:{ROOT}")
    assert done.returncode == 3 and said in done.stderr and "Traceback" not in done.stderr
    assert not (folder / "new").exists()
    assert sorted((folder / "taggers/mine").iterdir()) == before


def test_inside_a_repository_it_becomes_a_part_of_it(folder: Path, tmp_path: Path) -> None:
    """And without a name that Git would know, and with something of the user's own about to be committed."""
    alone = {"HOME": str(tmp_path), "GIT_CONFIG_NOSYSTEM": "1", "PYTHONPATH": f"{folder / 'guard'}:{ROOT}"}
    outer = Installed(tmp_path)
    outer.ok("git", "init", "-q", **alone)
    (tmp_path / "own.txt").write_text("not yet")
    outer.ok("git", "add", "own.txt", **alone)
    outer.ok("fpplm", "init", "team/tagger", str(folder / "my train.txt"), **alone)
    kept = outer.ok("git", "show", "--name-only", "--format=", "HEAD", **alone).splitlines()
    assert kept and all(name.startswith("team/tagger/") for name in kept)
    assert not (tmp_path / "team/tagger/.git").exists()
    settings = load(tmp_path / "team/tagger/params.yaml")
    assert settings.data.dev is None and settings.data.test is None
    inner = Installed(tmp_path / "team/tagger")
    assert "read" in inner.ok("dvc", "dag", **alone)


def test_every_file_is_read_in_its_own_format(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.jsonl").write_text('{"tokens": ["Ann", "slept"], "tags": ["B-PER", "O"]}\n' * 10)
    guarded = {"PYTHONPATH": f"{folder / 'guard'}:{ROOT}"}
    Installed(tmp_path).ok("fpplm", "init", "made", "mine.jsonl", "--dev", str(folder / "my dev.txt"), **guarded)
    made = Installed(tmp_path / "made")
    assert load(made.path / "params.yaml").data.train == "train.jsonl"
    assert "train.jsonl" in (made.path / "README.md").read_text()
    said = made.ok("python", "-m", "tasks.read", **guarded)
    assert "train: 8 sentences" in said and "dev: 27 sentences" in said
    assert "read as jsonl" in said and "read as conll" in said


@pytest.mark.full
def test_an_installed_wheel_brings_what_it_copies(folder: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    for name in ("fpplm_core", "fpplm", "tasks", "flows"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE", "params.yaml", "dvc.yaml", "requirements.lock"):
        shutil.copyfile(ROOT / name, source / name)
    for name in ("expectations.yaml", ".gitignore", ".dvcignore", "prefect.yaml"):
        shutil.copyfile(ROOT / name, source / name)
    pip = (sys.executable, "-m", "pip")
    offline = ("--no-deps", "--no-index", "--quiet")
    python = tmp_path / "venv/bin/python"
    subprocess.run([*pip, "wheel", *offline, "--no-build-isolation", "-w", tmp_path, source], check=True)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    subprocess.run([*pip, "--python", python, "install", *offline, *tmp_path.glob("*.whl")], check=True)
    code = (
        "import flows.project as p, pathlib as l; assert str(p.TEMPLATES) == {place!r}, p.TEMPLATES; "
        "p.create(l.Path('made'), l.Path({train!r}), None, None)"
    ).format(place=str(tmp_path / "venv/share/fpplm"), train=str(folder / "my train.txt"))
    # The other packages are this Python's; its own fpplm, an editable one, is found only through a .pth file there.
    others = {"PYTHONPATH": sysconfig.get_path("purelib")}
    Installed(tmp_path).ok(str(python), "-c", code, **others)
    assert (tmp_path / "made/expectations.yaml").read_bytes() == (ROOT / "expectations.yaml").read_bytes()
    assert (tmp_path / "made/dvc.yaml").read_text() == with_installed_code((ROOT / "dvc.yaml").read_text())
