"""What the pages name exists: files, modules, sections of pages, parameters, commands and their options."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer

from fpplm.cli.main import app
from fpplm_core.settings import read_yaml
from tests.conftest import ROOT

# Not the decisions: they record the names of their day.
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "benchmarks/README.md", *sorted(ROOT.glob("docs/*.md"))]
TOPS = ("fpplm", "fpplm_core", "tasks", "flows", "tests", "benchmarks", "docs", "examples")
EXAMPLES = {"tasks/NAME.py"}  # files that a reader would write
SUFFIXES = r"py|md|json|yaml|svg|csv|conll|txt|safetensors"


def options_of(command) -> set[str]:
    """The options of a command, or of all commands of a group."""
    inner = getattr(command, "commands", {}).values()
    return {option for parameter in command.params for option in parameter.opts}.union(*map(options_of, inner))


COMMANDS = {name: options_of(command) for name, command in typer.main.get_command(app).commands.items()}
PARAMS = read_yaml(ROOT / "params.yaml")
FREE = {"check.severity", "data.second", "gate.type_f1", "gate.slice_f1"}  # mappings whose keys a project chooses

page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())


def quoted(page: Path) -> list[str]:
    return re.findall(r"`([^`\n]+)`", page.read_text(encoding="utf-8"))


def anchors(page: Path) -> set[str]:
    """The sections of a page as links name them."""
    titles = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def is_known(key: str) -> bool:
    """Whether params.yaml has a dotted key."""
    values, path = PARAMS, ""
    for name in key.split("."):
        if path in FREE:
            return True
        path = f"{path}.{name}".lstrip(".")
        if not isinstance(values, dict) or name not in values:
            return False
        values = values[name]
    return True


@page
def test_links_lead_somewhere(page):
    links = re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", page.read_text(encoding="utf-8"))
    for file, anchor in links:
        target = page.parent / file if file else page
        assert target.exists(), file
        assert not anchor or anchor in anchors(target), f"{file}#{anchor}"


@page
def test_files_and_modules_exist(page):
    for name in quoted(page):
        if re.fullmatch(rf"({'|'.join(TOPS)})/[\w./-]+", name) and name not in EXAMPLES:
            assert (ROOT / name).exists(), name
        elif re.fullmatch(r"fpplm(_core)?(\.\w+)+", name):
            path = ROOT.joinpath(*name.split("."))
            assert any(p.is_dir() or p.with_suffix(".py").is_file() for p in (path, path.parent)), name


@page
def test_parameters_exist(page):
    for name in quoted(page):
        key = re.match(r"[\w.]+", name)
        if key and "." in key[0] and key[0].split(".")[0] in PARAMS and not re.search(rf"\.({SUFFIXES})$", key[0]):
            assert is_known(key[0]), name


@page
def test_commands_and_options_exist(page):
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"^```(?:bash)?\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()] + quoted(page)
    for line in lines:
        for name, rest in re.findall(r"(?:^|[|;&] |bin/)fpplm ([a-z]+)([^#|]*)", line):
            assert name in COMMANDS, line
            options = set(re.findall(r"(?<!\S)(--?[A-Za-z][a-z-]*)", rest))
            assert name == "bench" or options <= COMMANDS[name], line  # bench hands its options on
