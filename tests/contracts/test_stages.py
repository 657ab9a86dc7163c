"""dvc.yaml names, for every stage, all that the stage depends on."""

import ast
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from fpplm_core.params import Params, load
from tests.contracts import graph
from tests.contracts.graph import ROOT

GRAPH: dict[str, Any] = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))
STAGES: dict[str, dict[str, Any]] = GRAPH["stages"]
SETTINGS = load(ROOT / "params.yaml")
# Modules by computed name: the folder that a stage loads them from, and how.
REGISTRIES = {
    ("read",): ("fpplm_core/formats", "formats.read_sentences("),
    ("train", "export"): ("fpplm_core/techniques", "techniques.build("),
}
closure = cache(graph.closure)
DUMPS = ("model_dump", "model_dump_json")


def filled(text: str) -> str:
    """${data.path} as params.yaml has it."""
    return re.sub(r"\$\{(\w+)\.(\w+)\}", lambda match: getattr(getattr(SETTINGS, match[1]), match[2]), text)


def names(entries: list[Any]) -> list[str]:
    """The paths of deps, outs or metrics, with or without options."""
    return [filled(entry if isinstance(entry, str) else next(iter(entry))) for entry in entries]


def deps(stage: str) -> list[str]:
    return names(STAGES[stage]["deps"])


def products(stage: str) -> list[str]:
    return [name for kind in ("outs", "metrics", "plots") for name in names(STAGES[stage].get(kind, []))]


def declared(stage: str) -> set[str]:
    """The sections of params.yaml that a stage declares."""
    return {entry.split(".")[0] for entry in STAGES[stage].get("params", [])}


def source(stage: str) -> Path:
    return Path(STAGES[stage]["cmd"].removeprefix("python -m ").replace(".", "/") + ".py")


def covers(entry: str, path: Path | str) -> bool:
    return Path(path).is_relative_to(entry)


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_all_code_that_it_imports(stage):
    assert source(stage) == Path(f"tasks/{stage}.py")
    needed = {str(file) for file in closure(source(stage))}
    missing = {file for file in needed if not any(covers(entry, file) for entry in deps(stage))}
    assert not missing


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_no_code_that_it_does_not_import(stage):
    """It would run again for nothing."""
    needed = closure(source(stage))
    code = [entry for entry in deps(stage) if entry.endswith(".py")]
    assert [entry for entry in code if Path(entry) not in needed] == []


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_that_loads_modules_by_name_depends_on_their_folder(stage):
    code = (ROOT / source(stage)).read_text(encoding="utf-8")
    for owners, (folder, call) in REGISTRIES.items():
        assert (call in code) == (stage in owners)
        assert folder in deps(stage) or stage not in owners


@pytest.mark.parametrize("stage", STAGES)
def test_every_dependency_is_in_the_repository_or_made_by_an_earlier_stage(stage):
    earlier = []
    for name in STAGES:
        if name == stage:
            break
        earlier += products(name)
    for entry in deps(stage):
        assert any(covers(made, entry) for made in earlier) or (ROOT / entry).exists(), entry
    assert len(set(deps(stage))) == len(deps(stage))


def test_no_two_stages_make_the_same_and_each_is_named_after_its_module():
    made = [(stage, name) for stage in STAGES for name in products(stage)]
    for stage, name in made:
        assert not [other for other, entry in made if other != stage and (covers(entry, name) or covers(name, entry))]
    assert all(STAGES[stage]["desc"] for stage in STAGES)


def whole_settings(function: ast.FunctionDef) -> set[str]:
    """The names that stand for all parameters in a function."""
    arguments = function.args.posonlyargs + function.args.args + function.args.kwonlyargs
    found = {a.arg for a in arguments if isinstance(a.annotation, ast.Name) and a.annotation.id == "Params"}
    for node in ast.walk(function):
        if isinstance(node, ast.Assign) and is_load(node.value):
            found |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return found


def is_load(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and ast.unparse(node.func) == "params.load"


def sections_read(tree: ast.AST) -> set[str]:
    """The sections of params.yaml that code reads; all of them where it dumps the whole without saying which."""
    found: set[str] = set()
    for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
        whole = whole_settings(function)
        for node in ast.walk(function):
            if isinstance(node, ast.Attribute) and (is_load(node.value) or ast.unparse(node.value) in whole):
                found.add(node.attr)
            elif isinstance(node, ast.Call) and ast.unparse(node.func) in {
                f"{name}.{dump}" for name in whole for dump in DUMPS
            }:
                chosen = {word.arg: set(ast.literal_eval(word.value)) for word in node.keywords}
                found |= chosen.get("include", set(Params.model_fields)) - chosen.get("exclude", set())
    return found & set(Params.model_fields)


def test_the_reader_of_sections_sees_what_it_should():
    code = """
def main():
    settings = params.load()
    settings.data, params.load().gate, other.train
    settings.model_dump(include={"check", "encode"})
def helper(settings: TrainParams, everything: Params):
    settings.verify, everything.model.encoder
"""
    assert sections_read(ast.parse(code)) == {"data", "gate", "check", "encode", "model"}
    assert sections_read(ast.parse("def f(s: Params):\n    s.model_dump()")) == set(Params.model_fields)
    rest = sections_read(ast.parse("def f(s: Params):\n    s.model_dump(exclude={'gate'})"))
    assert rest == set(Params.model_fields) - {"gate"}


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_declares_the_sections_that_it_reads(stage):
    own = sections_read(ast.parse((ROOT / source(stage)).read_text(encoding="utf-8")))
    assert own <= declared(stage) <= set(Params.model_fields)
    assert bool(own) == (stage != "environment")


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_declares_no_section_that_it_does_not_read(stage):
    """It would run again for nothing."""
    own = sections_read(ast.parse((ROOT / source(stage)).read_text(encoding="utf-8")))
    assert set(STAGES[stage].get("params", [])) == own


def test_every_section_is_read_by_some_stage_but_what_decides_on_a_finished_model():
    compared = sections_read(ast.parse((ROOT / "tasks/compare.py").read_text(encoding="utf-8")))
    assert compared == {"promotion"}
    assert set().union(*map(declared, STAGES)) == set(Params.model_fields) - compared


@pytest.mark.parametrize("stage", STAGES)
def test_what_depends_on_the_lock_depends_on_what_is_installed(stage):
    """And the stage that looks at it runs always."""
    assert ("requirements.lock" in deps(stage)) == ("build/environment.json" in deps(stage))
    assert STAGES[stage].get("always_changed", False) == (stage == "environment")


@pytest.mark.parametrize("stage", STAGES)
def test_what_a_stage_makes_is_ignored_by_git_or_kept_by_it(stage):
    """Outputs are DVC's, metrics are small and Git's."""
    ignored = [line.strip("/") for line in (ROOT / ".gitignore").read_text().splitlines() if line.startswith("/")]
    for name in names(STAGES[stage].get("outs", [])):
        assert any(covers(entry, name) for entry in ignored), name
    for entry in STAGES[stage].get("metrics", []):
        ((name, options),) = entry.items()
        assert options == {"cache": False}
        assert not any(covers(folder, name) for folder in ignored)


def test_plots_show_what_stages_make():
    made = [name for stage in STAGES for name in products(stage)]
    shown = [path for plot in GRAPH["plots"] for axes in plot.values() for path in axes["y"]]
    assert shown
    assert all(any(covers(entry, path) for entry in made) for path in shown)
