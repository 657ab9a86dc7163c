"""An error of the core says what to do next (CONTRIBUTING.md)."""

import ast
from pathlib import Path

import pytest

from fpplm_core import errors
from tests.conftest import ROOT

FILES = sorted((ROOT / "fpplm_core").rglob("*.py"))
KINDS = {name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, errors.FpplmError)}
# Errors that are made of errors, each with its own advice; and "must be …", which is the advice.
WITHOUT_ADVICE = {
    "fpplm_core/settings.py": ["'\\n'.join(map(str, _lines(kind, values, errors, where, moved or {})))",
                               "said.replace(' or must be ', ' or ')"],
    "fpplm_core/evaluation/slices.py": ["'\\n'.join(errors)"],
    "fpplm_core/data/formats/__init__.py": ["f'refused annotations in {len(refused)} text(s)'"],
}  # fmt: skip


@pytest.mark.parametrize("file", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_error_says_what_to_do(file: Path) -> None:
    calls = [node for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
    made = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id in KINDS]
    without = [call for call in made if "do" not in {keyword.arg for keyword in call.keywords}]
    found = [ast.unparse(call.args[0]) for call in without]
    assert sorted(found) == sorted(WITHOUT_ADVICE.get(str(file.relative_to(ROOT)), []))
