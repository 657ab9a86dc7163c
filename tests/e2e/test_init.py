"""`fpplm init` and `fpplm update`: a project with its own copies of the thin stages and flows."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

from fpplm.project.template import template_files, template_lock
from fpplm_core.params import load
from fpplm_core.settings import read_yaml
from tests.project import ROOT, SIZES, Project, head, write_guard


class Installed(Project):
    """A project without the core's code: that is installed."""

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
    assert said == "taggers/mine is ready; next: cd taggers/mine && fpplm retrain\n"
    shutil.copytree(folder / "guard", folder / "taggers/guard", dirs_exist_ok=True)
    return Installed(folder / "taggers/mine")


def test_everything_is_there_and_committed(project: Installed) -> None:
    assert project.ok("git", "status", "--porcelain") == ""
    kept = set(project.ok("git", "ls-files").splitlines())
    copied = template_files()
    assert {*copied, "template.lock", "README.md", "data/corpus.dvc", ".dvc/config"} <= kept
    for name in copied.keys() - {"params.yaml"}:
        assert (project.path / name).read_bytes() == (ROOT / name).read_bytes(), name
    assert not [name for name in kept if name.endswith((".txt", ".conll"))], "the data are DVC's"
    assert not [name for name in kept if name.startswith("fpplm")], "the core is installed"
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
    assert theirs["gate"].keys() == ours["gate"].keys()
    assert "# peak learning rate of the head" in (project.path / "params.yaml").read_text()


def test_its_own_stages_run_and_then_have_nothing_to_do(project: Installed, tmp_path: Path) -> None:
    copied = Installed(project.copy(tmp_path / "mine").path)
    shutil.copytree(project.path.parent / "guard", tmp_path / "guard")
    own = copied.path / "tasks/read.py"
    own.write_text(own.read_text().replace("def read(", 'print("read by my own stage")\n\n\ndef read('))
    output = copied.ok("dvc", "repro", "read")
    assert "read by my own stage" in output and "train: 76 sentences" in output
    assert "Stage 'read' didn't change, skipping" in copied.ok("dvc", "repro", "read")
    assert copied.ok("fpplm", "why", "read").startswith("nothing changed")
    own.write_text(own.read_text().replace("my own", "my other"))
    assert "code: tasks.read" in copied.ok("fpplm", "why", "read")


def test_unlabelled_text_is_copied_and_a_change_of_it_is_seen(folder: Path) -> None:
    somewhere = Installed(folder / ".")
    (folder / "texts").mkdir()
    (folder / "texts/a.txt").write_text(
        "Mira met Otto in Bonn yesterday morning\nMira met Otto in Bonn yesterday morning\n"
    )
    (folder / "texts/b.jsonl").write_text('{"text": "Nobody has annotated this sentence so far"}\n')
    (folder / "texts/c.csv").write_text("no text\n")
    files = ("my train.txt", "--dev", "my dev.txt", "--test", "my test.txt", "--unlabelled", "texts")
    somewhere.ok("fpplm", "init", "taggers/texts", *files, PYTHONPATH=f"{folder / 'guard'}:{ROOT}")
    shutil.copytree(folder / "guard", folder / "taggers/guard", dirs_exist_ok=True)
    made = Installed(folder / "taggers/texts")
    assert load(made.path / "params.yaml").data.unlabelled == "data/unlabelled"
    assert sorted(path.name for path in (made.path / "data/unlabelled").iterdir()) == ["a.txt", "b.jsonl"]
    assert "data/unlabelled.dvc" in made.ok("git", "ls-files") and made.ok("git", "status", "--porcelain") == ""
    assert "unlabelled: 2 sentences, drawn from 2 file(s)" in made.ok("dvc", "repro", "read")
    assert made.ok("fpplm", "why", "read").startswith("nothing changed")
    (made.path / "data/unlabelled/a.txt").write_text("Other text\n")
    assert "input: unlabelled/a.txt" in made.ok("fpplm", "why", "read")
    assert "unlabelled: 2 sentences" in made.ok("dvc", "repro", "read")


def test_an_update_has_nothing_to_do_until_the_template_is_another(project: Installed, tmp_path: Path) -> None:
    copied = Installed(project.copy(tmp_path / "mine").path)
    shutil.copytree(project.path.parent / "guard", tmp_path / "guard")
    version = template_lock().fpplm
    assert copied.ok("fpplm", "--version") == f"fpplm {version}\n"
    assert copied.ok("fpplm", "update") == f"up to date with fpplm {version}\n"
    assert "MISS project" not in copied.run("fpplm", "doctor").stdout
    lock = copied.path / "template.lock"
    lock.write_text(lock.read_text().replace(template_lock().files["dvc.yaml"], "0" * 64))
    output = copied.run("fpplm", "doctor").stdout
    assert "MISS project" in output and "fpplm update" in output
    output = copied.ok("fpplm", "update")
    assert "dvc.yaml" not in output, "it is the new one already"
    assert copied.ok("git", "status", "--porcelain") == ""


@pytest.mark.parametrize(
    "arguments, said",
    [
        (("taggers/mine", "my train.txt"), "taggers/mine: not empty"),
        (("my dev.txt", "my train.txt"), "my dev.txt: not empty"),
        (("new", "nowhere.txt"), "nowhere.txt: no such file"),
        (("new", "guard"), "guard: a folder without .ann files or a saved dataset"),
        (("new", "my train.txt", "--dev", "guard/sitecustomize.py"), "sitecustomize.py: unknown format"),
        (("new", "one.ann"), "one.ann: half of a pair of files"),
        (("own", "my train.txt"), "own/tasks.py: the project's package tasks would hide it"),
        (("new", "my train.txt", "--unlabelled", "guard"), "--unlabelled: no file of text in it, got"),
        (("new", "my train.txt", "--unlabelled", "nowhere"), "--unlabelled: no such folder, got"),
        (("new", "my train.txt", "--unlabelled", "blank"), "--unlabelled: no text in its files, got 'blank'"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(
    project: Installed, folder: Path, arguments: tuple[str, ...], said: str
) -> None:
    (folder / "own").mkdir(exist_ok=True)
    (folder / "own/tasks.py").write_text("from invoke import task\n")
    (folder / "blank").mkdir(exist_ok=True)
    (folder / "blank/a.txt").write_text(" \n\n")
    (folder / "one.txt").write_text("Ann")
    (folder / "one.ann").write_text("T1\tPER 0 3\tAnn\n")
    before = sorted((folder / "taggers/mine").iterdir())
    done = Installed(folder / ".").run("fpplm", "init", *arguments, PYTHONPATH=f"{folder / 'guard'}:{ROOT}")
    said_first, error = done.stderr.splitlines()
    assert done.returncode == 3 and said in error and said_first == f"creating {arguments[0]} …"
    assert not (folder / "new").exists()
    assert sorted((folder / "taggers/mine").iterdir()) == before


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("given", [False, True])
def test_a_failure_leaves_nothing_behind(folder: Path, tmp_path: Path, inside: bool, given: bool) -> None:
    """A hook refuses the commit; the folder is new, or an empty one of the user's."""
    place = Installed(tmp_path)
    hooks, guarded = tmp_path / "hooks", f"{folder / 'guard'}:{ROOT}"
    hooks.mkdir()
    (hooks / "pre-commit").write_text("#!/bin/sh\necho no commits today >&2\nexit 1\n")
    (hooks / "pre-commit").chmod(0o755)
    config = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "core.hooksPath", "GIT_CONFIG_VALUE_0": str(hooks)}
    if inside:
        place.ok("git", "init", "-q")
    if given:
        (tmp_path / "new/deep").mkdir(parents=True)
    done = place.run("fpplm", "init", "new/deep", str(folder / "my train.txt"), PYTHONPATH=guarded, **config)
    said_first, error = done.stderr.splitlines()
    assert done.returncode == 12 and "no commits today" in error and said_first == "creating new/deep …"
    assert [path.relative_to(tmp_path) for path in tmp_path.glob("new/**/*")] == ([Path("new/deep")] if given else [])
    assert (tmp_path / "new").exists() == given
    assert not inside or place.ok("git", "status", "--porcelain", "--", "new") == ""
    place.ok("fpplm", "init", "new/deep", str(folder / "my train.txt"), PYTHONPATH=guarded)


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
    rows = (json.dumps({"tokens": [f"Ann{number}", "slept"], "tags": ["B-PER", "O"]}) for number in range(10))
    (tmp_path / "mine.jsonl").write_text("\n".join(rows))
    guarded = {"PYTHONPATH": f"{folder / 'guard'}:{ROOT}"}
    Installed(tmp_path).ok("fpplm", "init", "made", "mine.jsonl", "--dev", str(folder / "my dev.txt"), **guarded)
    made = Installed(tmp_path / "made")
    assert load(made.path / "params.yaml").data.train == "train.jsonl"
    assert "train.jsonl" in (made.path / "README.md").read_text()
    said = made.ok("python", "-m", "tasks.read", **guarded)
    assert "train: 8 sentences" in said and "dev: 27 sentences" in said
    assert "read as jsonl" in said and "read as conll" in said


@pytest.mark.full
def test_the_wheel_holds_two_packages_and_the_whole_template(folder: Path, tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with ZipFile(wheel) as archive:
        tops = {name.split("/")[0] for name in archive.namelist()}
        assert {top for top in tops if not top.endswith(".dist-info")} == {"fpplm", "fpplm_core"}
    install = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index"]
    subprocess.run([*install, "--target", str(tmp_path / "installed"), str(wheel)], check=True)
    template = tmp_path / "installed/fpplm/template"
    there = {str(p.relative_to(template)) for p in template.rglob("*") if p.is_file() and p.suffix != ".pyc"}  # pip's
    assert there == set(template_files())
    code = "from fpplm.project import creation, template as t; import pathlib as l; assert str(t.INSTALLED) == {0!r}; "
    code += "creation.create(l.Path('made'), l.Path({1!r}), None, None)"
    # The other packages are this Python's; its own fpplm, an editable one, comes behind PYTHONPATH.
    code = code.format(str(template), str(folder / "my train.txt"))
    Installed(tmp_path).ok("python", "-c", code, PYTHONPATH=str(tmp_path / "installed"))
    for name in template_files().keys() - {"params.yaml"}:
        assert (tmp_path / "made" / name).read_bytes() == (ROOT / name).read_bytes(), name
