"""The floors of dependencies, and the locked versions, have none of the holes that docs/security.md lists."""

from __future__ import annotations

import re
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.conftest import ROOT

PAGE = (ROOT / "docs/security.md").read_text(encoding="utf-8")
LISTED = re.findall(r"^\| [^|]*(?:CVE|GHSA|PYSEC|AIKIDO|#|same)[^|]* \| ([\w-]+) \| ([\w.]+) \|", PAGE, re.MULTILINE)
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
REQUIRED = [Requirement(line) for lines in EXTRAS.values() for line in lines]
LOCK = [Requirement(line) for line in (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines() if line]


def version(requirement: Requirement, operator: str) -> Version:
    (found,) = (one.version for one in requirement.specifier if one.operator == operator)
    return Version(found)


def test_the_list_is_read() -> None:
    assert len(LISTED) > 15 and {"transformers", "onnx", "onnxruntime", "torch"} <= {name for name, _ in LISTED}


@pytest.mark.parametrize(("name", "fixed"), LISTED)
def test_no_floor_and_no_lock_lies_below_a_fix(name: str, fixed: str) -> None:
    floors = [version(one, ">=") for one in REQUIRED if one.name == name]
    locked = [version(one, "==") for one in LOCK if one.name == name]
    assert floors and locked
    assert fixed == "none" or min(floors + locked) >= Version(fixed)


def test_the_lock_meets_every_floor() -> None:
    locked = {
        canonicalize_name(one.name): version(one, "==") for one in LOCK if not one.marker or one.marker.evaluate()
    }
    for one in map(Requirement, EXTRAS["pipeline"]):
        if not one.marker or one.marker.evaluate():
            assert one.specifier.contains(locked[canonicalize_name(one.name)]), str(one)


def test_pipeline_alone_can_serve() -> None:
    """With `fpplm[pipeline,http]`, onnxruntime would be installed over onnxruntime-gpu."""
    needed = {Requirement(line).name for extra in ("serve", "http") for line in EXTRAS[extra]} - {"fpplm"}
    assert needed <= {Requirement(line).name for line in EXTRAS["pipeline"]}
    linux = {"sys_platform": "linux", "platform_machine": "x86_64"}
    runtimes = [one for one in map(Requirement, EXTRAS["pipeline"]) if one.name.startswith("onnxruntime")]
    assert [one.name for one in runtimes if one.marker and one.marker.evaluate(linux)] == ["onnxruntime-gpu"]
