"""dvc.yaml names, for every stage, what the stage reads and makes."""

import re
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import Any

import pytest
import yaml

from fpplm.pipeline.fingerprint import fingerprint, modules_of
from fpplm.pipeline.inputs import INPUT
from fpplm_core.params import Params, load
from tests.conftest import ROOT

GRAPH: dict[str, Any] = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))
STAGES: dict[str, dict[str, Any]] = GRAPH["stages"]
SETTINGS = load(ROOT / "params.yaml")
SECTIONS = [name for name in Params.model_fields if name != "promotion"]  # it judges a finished model
# Who reads the pretrained encoder or its tokenizer; evaluate and export build the model from its configuration.
ENCODER_READERS = {"check", "encode", "train", "evaluate", "export"}


def filled(text: str) -> str:
    """${data.path} as params.yaml has it."""
    return re.sub(r"\$\{(\w+)\.(\w+)\}", lambda match: getattr(getattr(SETTINGS, match[1]), match[2]), text)


def names(entries: list[Any]) -> list[str]:
    """The paths of deps, outs or metrics, with or without options."""
    return [filled(entry if isinstance(entry, str) else next(iter(entry))) for entry in entries]


def deps(stage: str) -> list[str]:
    return names(STAGES[stage].get("deps", []))


def products(stage: str) -> list[str]:
    return [name for kind in ("outs", "metrics", "plots") for name in names(STAGES[stage].get(kind, []))]


def covers(entry: str, path: Path | str) -> bool:
    return Path(path).is_relative_to(entry)


def test_every_module_of_tasks_is_a_stage_and_each_stage_starts_its_own():
    assert sorted(f"tasks.{stage}" for stage in STAGES) == modules_of("tasks")
    assert all(STAGES[stage]["cmd"] == f"python -m tasks.{stage}" for stage in STAGES)


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_declares_the_sections_of_its_signature(stage):
    function = getattr(import_module(f"tasks.{stage}"), stage)
    wanted = list(signature(function).parameters)
    if wanted == ["params"]:  # environment validates params.yaml and depends on nothing
        wanted = [] if stage == "environment" else SECTIONS
    assert sorted(STAGES[stage].get("params", [])) == sorted(wanted)


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_its_own_code_alone(stage):
    code = [entry for entry in deps(stage) if entry.endswith(".py") or entry.startswith("build/code")]
    assert code == ([f"build/code/{stage}.json"] if stage != "environment" else [])


@pytest.mark.parametrize("stage", STAGES)
def test_who_reads_the_encoder_depends_on_its_content(stage):
    inputs = [Path(entry) for entry in deps(stage) if entry.startswith("build/inputs")]
    assert {path.stem for path in inputs} <= set(INPUT)
    assert (Path("build/inputs/encoder.json") in inputs) == (stage in ENCODER_READERS)
    if stage not in ENCODER_READERS | {"environment"}:
        assert "fpplm_core.model.pretrained" not in fingerprint(f"tasks.{stage}").modules


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


def test_no_two_stages_make_the_same():
    made = [(stage, name) for stage in STAGES for name in products(stage)]
    for stage, name in made:
        assert not [other for other, entry in made if other != stage and (covers(entry, name) or covers(name, entry))]
    assert all(STAGES[stage]["desc"] for stage in STAGES)


def test_environment_alone_runs_always():
    assert [stage for stage in STAGES if STAGES[stage].get("always_changed")] == ["environment"]


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
