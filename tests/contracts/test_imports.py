"""What import-linter does not say: imports that the fingerprint can follow, and what a service has to install."""

import ast
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from fpplm.pipeline.fingerprint import BY_NAME, fingerprint
from tests.conftest import ROOT

PACKAGES = ("fpplm_core", "fpplm", "tasks", "flows")
FILES = [path.relative_to(ROOT) for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
# Above the standard library: what a service has to install.
SERVE = {"numpy", "onnxruntime", "regex", "tokenizers"}
COMMAND = {"typer"}  # and for `fpplm predict` and `fpplm evaluate`
# Who may import a module by a name that is computed: registries, a user's segmenter, a project's flows.
BY_COMPUTED_NAME = {
    *(Path(*module.split("."), "__init__.py") for module in BY_NAME),
    *(Path(*module.split(".")).with_suffix(".py") for module in BY_NAME),
    Path("fpplm_core/data/segmenter.py"),
    Path("fpplm/cli/common.py"),
}


@pytest.mark.parametrize("file", FILES, ids=str)
def test_every_import_can_be_seen_in_the_source(file):
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    assert not [node.lineno for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level]
    called = {ast.unparse(node.func).split(".")[-1] for node in ast.walk(tree) if isinstance(node, ast.Call)}
    assert not called & {"import_module", "__import__", "run_module", "exec"} or file in BY_COMPUTED_NAME


def test_a_package_has_a_docstring_and_no_code_but_serving_and_the_registries():
    """Importing a package must not import its neighbours."""
    registries = {"fpplm_core/data/formats", "fpplm_core/training/techniques", "fpplm_core/serving"}
    first = {"fpplm_core", "fpplm", "tasks", "flows"}  # a version, environment variables
    for file in FILES:
        if file.name == "__init__.py" and str(file.parent) not in registries | first:
            body = ast.parse((ROOT / file).read_text(encoding="utf-8")).body
            assert all(isinstance(node, ast.Expr) for node in body), file


def test_what_a_service_installs_is_what_serving_imports():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["dependencies"] == []
    names = {requirement.split(">")[0] for requirement in project["optional-dependencies"]["serve"]}
    distributions = {"onnxruntime-gpu": "onnxruntime"}
    used = {distributions.get(name, name) for name in fingerprint("fpplm_core.serving.predictor").packages}
    assert names == SERVE | COMMAND and used == SERVE


BLOCKED = """
import importlib.abc, sys

class Block(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top not in sys.stdlib_module_names and top not in ALLOWED:
            raise ModuleNotFoundError(f"blocked: {name}", name=name)

ALLOWED = {"fpplm_core", "numpy", "onnxruntime", "regex", "tokenizers"}
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


def test_the_command_without_any_extra_is_one_line():
    code = BLOCKED.replace("MODULE", "fpplm.cli.entry").replace("ALLOWED = {", 'ALLOWED = {"fpplm", ')
    code += "\nfpplm.cli.entry.start()"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    said = "error: this needs the Python package typer; install the extra pipeline of fpplm, or serve "
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"{said}to use bundles alone\n")


HEAVY = {"torch", "transformers", "great_expectations", "datasets", "onnxruntime", "onnx", "pandas", "prefect"}
NEEDED = {
    "tasks.read": set(),
    "tasks.encode": {"torch", "transformers"},
    "tasks.check": HEAVY - {"datasets", "onnxruntime", "onnx", "prefect"},
    "flows.retrain": {
        "prefect",
        "pandas",
        "onnxruntime",
    },  # each of the others would add seconds to a run with nothing new
}


@pytest.mark.parametrize("module", NEEDED)
def test_a_stage_or_flow_starts_without_what_it_does_not_need(module):
    """What it imports itself: transformers takes torch along, Great Expectations and pyarrow's arrays pandas."""
    code = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) & HEAVY <= NEEDED[module]


@pytest.mark.parametrize("module", ["tasks.train", "tasks.evaluate", "benchmarks.arms.fpplm_train"])
def test_openmp_reads_the_spin_count_that_is_set_before_torch_is_loaded(module):
    """libgomp itself says what it has read; torch and scikit-learn each bring a copy."""
    done = import_with(module, {"OMP_DISPLAY_ENV": "verbose"})
    assert set(re.findall(r"GOMP_SPINCOUNT = '(\w+)'", done.stderr)) == {"1000"}


def test_a_users_own_way_of_waiting_at_openmps_barriers_stays():
    for own in ({"GOMP_SPINCOUNT": "77"}, {"OMP_WAIT_POLICY": "ACTIVE"}):
        done = import_with("tasks", own, "; import os; print(os.environ.get('GOMP_SPINCOUNT'))")
        assert done.stdout.strip() == str(own.get("GOMP_SPINCOUNT"))


def import_with(module: str, variables: dict[str, str], code: str = "") -> subprocess.CompletedProcess:
    rest = {name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    command = [sys.executable, "-c", f"import {module}{code}"]
    return subprocess.run(command, cwd=ROOT, env=rest | variables, capture_output=True, text=True, check=True)
