"""The code blocks of the pages: shell and Python run in a project, YAML and INI are validated.

The blocks of a page run in order, in a folder with a bundle and the files that the pages name. A block that
cannot run here has a comment above it: `<!-- not run: why; tested by tests/... -->`. Without a language, it is output.
"""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
import typer
import yaml
from markdown_it import MarkdownIt

from fpplm.cli.main import app
from fpplm_core.evaluation.slices import read_slices
from fpplm_core.params import Params, load
from fpplm_core.settings import read_yaml
from tests.conftest import ROOT
from tests.project import SETTINGS, Project, write_guard

# Not the decisions and the changelog: they record what was true on their day.
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "benchmarks/README.md", "clients/README.md")),
    *sorted(ROOT.glob("docs/*.md")),
]
CHEAP = {"docs/deploy.md", "docs/predictor.md"}  # the others run in `make test-faults`
NOT_RUN = re.compile(r"<!-- not run: (.+) -->")
OTHER = ("", "mermaid")  # output; drawings, which test_architecture compares with the code
KUBERNETES = {"batch/v1": "Job", "apps/v1": "Deployment", "kubeflow.org/v1": "PyTorchJob"}

# What `fpplm init` creates would train a real encoder for minutes; here, a tiny one for seconds.
PRELUDE = """set -euo pipefail
fpplm() {
    command fpplm "$@"
    if [ "$1" = init ]; then python -c 'from tests.e2e.test_docs import shrink; shrink("'$2'", "ENCODER")'; fi
}
"""


@dataclass(frozen=True)
class Block:
    line: int  # of the opening fence, 1-based
    language: str
    code: str
    not_run: str | None  # why


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page. The marker of a block is the HTML comment directly above it."""
    found, comment = [], None
    for token in MarkdownIt().parse(page.read_text(encoding="utf-8")):
        assert token.type != "code_block", f"{page}: fence it: {token.content}"
        if token.type == "fence":
            assert token.map
            found.append(Block(token.map[0] + 1, token.info.strip(), token.content, comment))
        marker = NOT_RUN.fullmatch(token.content.strip()) if token.type == "html_block" else None
        comment = marker[1] if marker else None
    return found


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


ALL = [pytest.param(page, block, id=f"{name(page)}:{block.line}") for page in PAGES for block in blocks(page)]
RUN = {page: [b for b in blocks(page) if b.language in ("bash", "python") and not b.not_run] for page in PAGES}


def shrink(folder: str, encoder: str) -> None:
    """Sets the encoder and the parameters of the tests in a project."""
    file = Path(folder) / "params.yaml"
    values = read_yaml(file)
    for section in ("encode", "train", "verify", "promotion"):
        values[section].update(SETTINGS[section])
    values["model"].update(encoder=encoder, shapes="on")
    file.write_text(yaml.safe_dump(values, sort_keys=False))


@pytest.fixture
def place(trained: Project, tmp_path: Path) -> Project:
    """A folder with a bundle, and with the files that the pages name."""
    write_guard(tmp_path)
    shutil.copytree(trained.path / "bundle", tmp_path / "bundle")
    for split in ("train", "dev", "test"):
        shutil.copyfile(trained.path / f"data/wikigold/{split}.conll", tmp_path / f"{split}.conll")
    shutil.copyfile(tmp_path / "train.conll", tmp_path / "mine.conll")
    shutil.copyfile(ROOT / "examples/label-studio.json", tmp_path / "export.json")
    (tmp_path / "texts").mkdir()
    for file in ("texts.txt", "texts/new.txt"):
        (tmp_path / file).write_text("Angela Merkel visited Paris .\nThe Beatles played in Hamburg .\n" * 20)
    (tmp_path / "fpplm-source").symlink_to(ROOT)
    return Project(tmp_path)


@pytest.mark.parametrize(("page", "block"), ALL)
def test_a_block_has_a_known_language_and_shell_parses(page: Path, block: Block) -> None:
    assert block.language in ("bash", "python", "yaml", "ini", *OTHER), block.language
    if block.language == "bash":
        done = subprocess.run(["bash", "-n"], input=block.code, capture_output=True, text=True, check=False)
        assert done.returncode == 0 and not done.stderr, done.stderr
    if block.language == "python":
        compile(block.code, f"{name(page)}:{block.line}", "exec")


@pytest.mark.parametrize(("page", "block"), [case for case in ALL if case.values[1].not_run])
def test_a_block_that_is_not_run_says_why_and_what_tests_its_commands(page: Path, block: Block) -> None:
    """The files that it names exist, and the name of each fpplm command of the block stands in one of them."""
    why, _, files = str(block.not_run).partition("; tested by ")
    assert len(why.split()) >= 3, why
    if files:
        tests = "".join((ROOT / file).read_text(encoding="utf-8") for file in files.split(", "))
        for command in re.findall(r"^fpplm (\w+)", block.code, re.MULTILINE):
            assert f'"{command}"' in tests or f"fpplm {command}" in tests, f"fpplm {command}: not in {files}"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_the_tests_that_a_page_names_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for file in re.findall(r"\b(?:contracts|e2e|faults|unit)/[\w/]+\.py\b", text):
        assert (ROOT / "tests" / file).is_file(), file


CASES = [
    pytest.param(page, id=name(page), marks=[] if name(page) in CHEAP else [pytest.mark.full])
    for page in PAGES
    if RUN[page]
]


@pytest.mark.parametrize("page", CASES)
def test_the_blocks_of_a_page_run(page: Path, place: Project, tiny_encoder: Path) -> None:
    """Each block begins in the same folder; in the tutorial, which is one session, where the block before has ended."""
    folder, prelude = place.path, PRELUDE.replace("ENCODER", str(tiny_encoder))
    for block in RUN[page]:
        script = f"{prelude}{block.code}\npwd > {place.path}/last"
        command = ("bash", "-c", script) if block.language == "bash" else ("python", "-c", block.code)
        done = Project(folder).run(*command, PYTHONPATH=f"{place.path / 'guard'}:{ROOT}")
        assert done.returncode == 0, f"{name(page)}:{block.line}\n{done.stdout}\n{done.stderr}"
        if name(page) == "docs/tutorial.md" and block.language == "bash":
            folder = Path((place.path / "last").read_text().strip())


@pytest.mark.parametrize(("page", "block"), [case for case in ALL if case.values[1].language == "yaml"])
def test_yaml_is_what_its_reader_accepts(
    page: Path, block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "block.yaml").write_text(block.code, encoding="utf-8")
    values = read_yaml(tmp_path / "block.yaml")
    if "apiVersion" in values:  # no schema of Kubernetes is here: the parts that every job has
        assert values["kind"] == KUBERNETES[values["apiVersion"]] and values["metadata"]["name"]
        assert not set(values) - {"apiVersion", "kind", "metadata", "spec"}
    elif "trigger" in values:
        from prefect.events.schemas.automations import AutomationCore

        AutomationCore.model_validate(values)
    elif "dataset" in values:
        from fpplm_core.data.formats import POINTER, detect

        pointer = tmp_path / f"train{POINTER}"
        pointer.write_text(block.code, encoding="utf-8")
        assert detect(pointer)[0] == "hugging_face" and set(values) <= {"dataset", "revision", "split"}
    elif "slices" in values:
        (tmp_path / "block.yaml").rename("slices.yaml")
        assert read_slices().slices.keys() == values["slices"].keys()
    elif values.keys() <= (params := read_yaml(ROOT / "params.yaml")).keys():
        Params.parse({name: {**section, **values.get(name, {})} for name, section in params.items()}, name(page))
    else:
        from fpplm.studies.tuning import write_plan

        write_plan(load(ROOT / "params.yaml"), 1, values)


def test_the_systemd_unit_runs_a_command_of_fpplm() -> None:
    (unit,) = [case.values[1].code for case in ALL if case.values[1].language == "ini"]
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(unit)
    assert parser.sections() == ["Unit", "Service", "Install"]
    command = parser["Service"]["ExecStart"].partition("/bin/fpplm ")[2]
    assert command in typer.main.get_command(app).commands
