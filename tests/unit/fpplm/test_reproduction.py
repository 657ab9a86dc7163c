"""Which fpplm a registered version needs, before anything is cloned."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

import fpplm_core
from fpplm.promotion import reproduction
from fpplm_core.errors import RegistryError


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
