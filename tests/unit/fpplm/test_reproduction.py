"""Which fpplm a registered version needs, before anything is cloned, and how the results are compared."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

import fpplm_core
from fpplm.promotion import reproduction
from fpplm_core.errors import FpplmError, RegistryError


@pytest.fixture
def commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A commit of a project with stages of its own, whose parent has none."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(reproduction, "commit_of", lambda version: version)

    def git(*arguments: str) -> str:
        who = ("-c", "user.name=t", "-c", "user.email=t@localhost")
        return subprocess.run(["git", *who, *arguments], check=True, capture_output=True, text=True).stdout.strip()

    git("init", "--quiet")
    git("commit", "--quiet", "--allow-empty", "-m", "no stages")
    Path("tasks").mkdir()
    Path("tasks/train.py").touch()
    git("add", "-A")
    git("commit", "--quiet", "-m", "stages")
    return git("rev-parse", "HEAD")


def test_a_version_whose_stages_were_installed_needs_its_own_fpplm(commit: str) -> None:
    with pytest.raises(RegistryError, match=r"made by fpplm 0\.1\.0.*install fpplm 0\.1\.0"):
        reproduction.require_stages(f"{commit}~1", "0.1.0")


def test_a_version_with_its_stages_is_made_again_here(commit: str, capsys: pytest.CaptureFixture[str]) -> None:
    reproduction.require_stages(commit, fpplm_core.__version__)
    assert capsys.readouterr().out == ""
    reproduction.require_stages(commit, "0.1.5")
    assert f"was 0.1.5, is {fpplm_core.__version__}" in capsys.readouterr().out


def manifest(weights: str, f1: float, **files: int) -> dict[str, Any]:
    names = {name: {"bytes": size, "sha256": f"{name}{size}"} for name, size in files.items()}
    return {"files": names, "model_sha256": weights, "scores": {"test": {"f1": f1}}}


OTHER = "the same weights, but different bytes in b; trained test F1 0.7500 and 0.7500"


@pytest.mark.parametrize(
    ("made", "found"),
    [
        (manifest("w", 0.75, a=2, b=3), "identical: 2 files of the bundle, 5 bytes"),
        (manifest("w", 0.75, a=2, b=4), OTHER),
        (manifest("w", 0.75, a=2), OTHER),
        (manifest("v", 0.75, a=3, b=3), "different weights, but the same scores: trained test F1 0.7500"),
    ],
)
def test_the_verdict_names_what_is_equal(made: dict[str, Any], found: str) -> None:
    assert reproduction.verdict(manifest("w", 0.75, a=2, b=3), made) == found


def test_a_model_with_other_scores_is_not_reproduced() -> None:
    with pytest.raises(FpplmError, match=r"differs, got trained test F1 0\.7000, registered 0\.7500"):
        reproduction.verdict(manifest("w", 0.75, a=2), manifest("v", 0.7, a=3))
