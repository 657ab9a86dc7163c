"""Which code of a model Git holds."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from fpplm.pipeline.fingerprint import fingerprint
from fpplm.registry.sources import commit_without, in_repository, last_commit, require_committed, uncommitted
from fpplm_core.errors import RegistryError


@pytest.fixture(autouse=True)
def no_settings_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)


def git(*arguments: str) -> str:
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@b", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def commit(name: str) -> str:
    git("add", name)
    git("commit", "--quiet", "-m", "x")
    return git("rev-parse", "HEAD")


def changed(module: str) -> list[Path]:
    return uncommitted(in_repository(fingerprint(module)))


def test_code_that_differs_from_the_last_commit_is_named(code: Path) -> None:
    git("init", "--quiet")
    assert len(changed("tasks.read")) == 7
    commit(".")
    assert changed("tasks.read") == []
    Path("smallcore/sums.py").write_text("x = 1\n")
    Path("smallcore/text/naïve name.txt").write_text("x")
    assert changed("tasks.read") == [Path("smallcore/text/naïve name.txt")]
    git("add", ".")
    assert changed("tasks.train") == [Path("smallcore/sums.py")]


SIGNER = r"""#!/bin/sh
cat > /dev/null
case "$*" in
*--verify*) echo "gpg: Good signature" >&2; echo "[GNUPG:] GOODSIG key a" ;;
*) echo "[GNUPG:] SIG_CREATED " >&2; printf -- "-----BEGIN PGP SIGNATURE-----\n\nx\n-----END PGP SIGNATURE-----\n" ;;
esac
"""


def test_the_last_commit_of_a_user_who_has_git_show_signatures(code: Path) -> None:
    signer = code / "signer"
    signer.write_text(SIGNER)
    signer.chmod(0o755)
    git("init", "--quiet")
    for name, value in {"gpg.program": str(signer), "commit.gpgSign": "true", "log.showSignature": "true"}.items():
        git("config", name, value)
    signed = commit("signer")
    assert "Good signature" in git("log", "-1")
    assert last_commit([signer]) == require_committed([signer]) == signed


def test_the_commit_is_the_last_one_of_this_code(code: Path) -> None:
    git("init", "--quiet")
    assert last_commit(in_repository(fingerprint("tasks.read"))) is None
    first = commit(".")
    Path("smallcore/sums.py").write_text("x = 1\n")
    second = commit(".")
    assert last_commit(in_repository(fingerprint("tasks.read"))) == first
    assert last_commit(in_repository(fingerprint("tasks.train"))) == second


def test_files_must_be_committed_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    git("init", "--quiet")
    plan, ignored = Path("plan.yaml"), Path("choices.yaml")
    plan.touch()
    ignored.touch()
    Path(".gitignore").write_text("choices.yaml\n")
    with pytest.raises(RegistryError, match=r"plan\.yaml: not committed"):
        require_committed([plan])
    first = commit(".")
    assert require_committed([plan, Path(".gitignore")]) == first
    with pytest.raises(RegistryError, match=r"choices\.yaml: not committed"):
        require_committed([plan, ignored])
    plan.write_text("x")
    with pytest.raises(RegistryError, match=r"plan\.yaml: not committed"):
        require_committed([plan])


def test_a_folder_of_results_makes_no_commit_dirty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    results = Path("results/study")
    results.mkdir(parents=True)
    assert commit_without(results) is None
    git("init", "--quiet")
    for name in ("code.py", "results/study/runs.jsonl"):
        Path(name).write_text("1")
        full = commit(name)
    Path("results/study/runs.jsonl").write_text("2")
    clean = commit_without(results)
    assert clean and full.startswith(clean)
    Path("code.py").write_text("2")
    assert commit_without(results) == f"{clean}-dirty" == commit_without(tmp_path.parent / "elsewhere")
    assert commit_without(Path()) == f"{clean}-dirty"  # results in the root leave out nothing
    monkeypatch.chdir("results")  # a project in a folder of a repository
    assert commit_without(Path("study")) == f"{clean}-dirty"


def test_without_git_there_is_none(code: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(code.parent))
    assert in_repository(fingerprint("tasks.read")) == []
    monkeypatch.setenv("PATH", "")
    assert in_repository(fingerprint("tasks.read")) == uncommitted([Path("tasks/read.py")]) == []
    assert last_commit([Path("tasks/read.py")]) is None
    assert last_commit([]) is None


@pytest.mark.parametrize("installed", ["elsewhere", "project/.venv"])
def test_installed_code_is_not_of_this_repository(code: Path, monkeypatch: pytest.MonkeyPatch, installed: str) -> None:
    project = code / "project"
    shutil.move(code / "tasks", project / "tasks")
    shutil.move(code / "smallcore", code / installed / "smallcore")
    (project / ".gitignore").write_text(".venv/\n")
    monkeypatch.syspath_prepend(code / installed)
    monkeypatch.chdir(project)
    git("init", "--quiet")
    assert "smallcore.sums" in fingerprint("tasks.train").modules
    assert {path.parts[0] for path in changed("tasks.train")} == {"tasks"}


def test_a_project_may_be_a_part_of_a_repository(code: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code.parent / "whole").mkdir()
    project = code.parent / "whole" / "project"
    shutil.copytree(code, project)
    monkeypatch.chdir(project.parent)
    git("init", "--quiet")
    monkeypatch.chdir(project)
    assert Path("tasks/read.py") in changed("tasks.read")
    commit(".")
    assert changed("tasks.read") == []
