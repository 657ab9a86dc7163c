"""Imports run one way, flows to tasks to fpplm_core, and what serves needs little."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.contracts.graph import PACKAGES, ROOT, closure, imports

FILES = {name: sorted(p.relative_to(ROOT) for p in (ROOT / name).rglob("*.py")) for name in PACKAGES}
CORE, TASKS = FILES["fpplm_core"], FILES["tasks"]
SERVING = closure(Path("fpplm_core/serving/__init__.py"))
# Above the standard library: what a service has to install.
SERVE = {"numpy", "onnxruntime", "tokenizers"}


def outside(file: Path) -> set[str]:
    """The top-level packages that a file imports."""
    return {name.split(".")[0] for name in imports(file)}


def under(path: str) -> list[Path]:
    return [file for file in CORE if file.is_relative_to(path)]


def plugins(folder: str) -> set[str]:
    """The modules of a folder that is a registry."""
    return {".".join(file.with_suffix("").parts) for file in under(f"fpplm_core/{folder}") if file.stem[0] != "_"}


def test_there_is_something_to_look_at():
    assert len(CORE) > 15 and len(TASKS) > 8 and len(SERVING) > 5
    assert plugins("formats")
    assert "great_expectations" in outside(Path("tasks/check.py"))
    assert "onnxruntime" in outside(Path("fpplm_core/serving/sessions.py"))


@pytest.mark.parametrize("file", CORE, ids=str)
def test_the_core_knows_nobody_above_it(file):
    forbidden = {"tasks", "flows", "prefect", "dvc", "dvclive", "great_expectations", "typer", "rich"}
    assert not outside(file) & forbidden


@pytest.mark.parametrize("file", CORE, ids=str)
def test_the_core_knows_no_network_clock_or_environment(file):
    forbidden = {"time", "datetime", "os", "socket", "urllib", "http", "requests", "httpx", "subprocess", "random"}
    allowed = {"os"} if file.name == "sessions.py" else set()  # it asks what cores and devices there are
    assert not outside(file) & forbidden - allowed


@pytest.mark.parametrize("file", TASKS, ids=str)
def test_stages_know_no_flow(file):
    assert not outside(file) & {"flows", "prefect"}


def test_great_expectations_is_imported_by_the_check_alone():
    assert {file for files in FILES.values() for file in files if "great_expectations" in outside(file)} == {
        Path("tasks/check.py"),
        Path("tasks/expectations.py"),
    }


@pytest.mark.parametrize("file", [file for files in FILES.values() for file in files], ids=str)
def test_every_import_can_be_seen_in_the_source(file):
    """No relative import, which the graph does not follow; modules by computed name in the two registries alone.

    text.py loads the segmenter that a user names.
    """
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    assert not [node.lineno for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level]
    registries = {Path(f"fpplm_core/{name}") for name in ("formats/__init__.py", "techniques/__init__.py", "text.py")}
    called = {ast.unparse(node.func).split(".")[-1] for node in ast.walk(tree) if isinstance(node, ast.Call)}
    assert not called & {"import_module", "__import__", "run_module", "exec"} or file in registries


@pytest.mark.parametrize("file", CORE + TASKS, ids=str)
def test_no_technique_and_no_format_is_imported_by_name(file):
    assert not imports(file) & (plugins("techniques") | plugins("formats"))


ROOMS = {
    "text": {"errors"},
    "labels": {"errors"},
    "errors": set(),
    "notes": set(),
    "alignment": {"errors", "text", "labels", "formats"},  # the options of reading
    "formats": {"errors", "text", "labels", "notes", "alignment", "params"},  # a pointer to a dataset is YAML
    "conversion": {"errors", "text", "labels", "notes", "alignment", "formats"},
    "encoding": {"errors", "text", "labels"},
    "quality": {"errors", "text", "labels", "encoding"},
    "metrics": {"errors", "text", "labels"},
    "schedules": set(),
    "batching": {"encoding"},
    "decoding": {"batching", "encoding"},
    "serving": {"errors", "text", "labels", "encoding", "batching", "decoding"},
}


@pytest.mark.parametrize("room", ROOMS)
def test_rooms_look_into_those_below_them_alone(room):
    files = (
        [Path(f"fpplm_core/{room}.py")] if (ROOT / f"fpplm_core/{room}.py").exists() else under(f"fpplm_core/{room}")
    )
    assert files
    seen = {name.split(".")[1] for file in files for name in imports(file) if name.startswith("fpplm_core.")}
    assert seen <= ROOMS[room] | {room}


def test_no_technique_imports_another():
    for module in plugins("techniques"):
        seen = {
            name
            for name in imports(Path(*module.split(".")).with_suffix(".py"))
            if "fpplm_core.training.techniques" in name
        }
        assert not seen, module


@pytest.mark.parametrize("below", ["model", "training", "params"])
def test_what_techniques_build_on_knows_none_of_them(below):
    assert Path("fpplm_core/techniques/__init__.py") not in closure(Path(f"fpplm_core/{below}.py"))


@pytest.mark.parametrize("file", sorted(SERVING), ids=str)
def test_serving_needs_what_a_service_installs_alone(file):
    assert outside(file) - set(sys.stdlib_module_names) <= SERVE | {"fpplm_core"}


def test_what_a_service_installs_is_what_serving_imports():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["dependencies"] == []
    names = {requirement.split(">")[0] for requirement in project["optional-dependencies"]["serve"]}
    used = {name for file in SERVING for name in outside(file)} - set(sys.stdlib_module_names) - {"fpplm_core"}
    assert names == used == SERVE


BLOCKED = """
import importlib.abc, sys

class Block(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top not in sys.stdlib_module_names and top not in ALLOWED:
            raise ModuleNotFoundError(f"blocked: {name}", name=name)

ALLOWED = {"fpplm_core", "numpy", "onnxruntime", "tokenizers"}
sys.meta_path.insert(0, Block())
import MODULE
loaded = {name.partition(".")[0] for name in sys.modules} & {"torch", "transformers", "pandas", "pydantic", "yaml"}
assert not loaded, loaded
"""


def start_blocked(module: str) -> subprocess.CompletedProcess:
    """Imports a module where nothing can be found but the standard library and what a service installs."""
    code = BLOCKED.replace("MODULE", module)
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)


def test_serving_starts_without_torch_transformers_pandas_and_pydantic():
    done = start_blocked("fpplm_core.serving")
    assert done.returncode == 0, done.stderr
    done = start_blocked("fpplm_core.params")  # the block is one
    assert done.returncode != 0 and "blocked: " in done.stderr


HEAVY = {"torch", "transformers", "great_expectations", "datasets", "onnxruntime", "onnx", "pandas", "prefect"}
NEEDED = {
    "read": set(),
    "encode": {"torch", "transformers"},
    "check": HEAVY - {"datasets", "onnxruntime", "onnx", "prefect"},
}


@pytest.mark.parametrize("stage", NEEDED)
def test_a_stage_starts_without_what_it_does_not_need(stage):
    """What it imports itself: transformers takes torch along, Great Expectations and pyarrow's arrays pandas."""
    code = f"import sys, tasks.{stage}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) & HEAVY <= NEEDED[stage]
