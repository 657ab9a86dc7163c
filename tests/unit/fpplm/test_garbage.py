"""`fpplm gc`: nothing goes that a tag, a branch, the last commit or the working copy needs."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from dvc.repo import Repo
from typer.testing import CliRunner

from fpplm.cli.main import app
from fpplm.project.garbage import find_garbage, remove_garbage, unused_objects
from fpplm.project.lock import reproduction_lock
from fpplm.promotion.reproduction import reproduce
from fpplm_core.errors import WorkspaceBusy

STAGE = """
stages:
  count:
    cmd: mkdir -p out && cp data.txt out/part.txt && wc -c < data.txt > size.json
    deps: [data.txt]
    outs: [out]
    metrics: [size.json: {cache: false}]
"""


def git(*command: str) -> str:
    who = ("-c", "user.name=t", "-c", "user.email=t@localhost")
    return subprocess.run(["git", *who, *command], check=True, capture_output=True, text=True).stdout


def write(text: str, message: str | None = None) -> None:
    Path("data.txt").write_text(text)
    with Repo() as repo:
        repo.add("data.txt")
        repo.reproduce()
    if message:
        git("add", "-A")
        git("commit", "-qm", message)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Contents by who names them: a tag alone, a branch alone, an older commit, HEAD, nobody, the working copy."""
    monkeypatch.chdir(tmp_path)
    git("init", "-qb", "main")
    Repo.init().close()
    Path("dvc.yaml").write_text(STAGE)
    write("older", "older")
    write("head", "head")
    for name, kind in (("tagged", "tag"), ("other", "branch")):
        git("checkout", "-q", "--detach")
        write(name, name)
        git(kind, name)
        git("checkout", "-q", "main")
    write("nobody")
    write("working copy")
    return tmp_path


def contents(paths: list[Path]) -> set[str]:
    return {path.read_text() for path in paths if path.suffix != ".dir"}


def test_what_a_commit_or_the_working_copy_names_stays(project: Path) -> None:
    unused = unused_objects()
    assert contents(unused) == {"nobody"}  # its size, 6, is that of "tagged" too
    assert [path.suffix for path in unused] == sorted((path.suffix for path in unused), reverse=True), "lists first"
    remove_garbage(find_garbage())
    assert unused_objects() == [] and find_garbage() == []
    with Repo() as repo:
        assert not repo.status()
    git("stash", "-q")
    for name in ("main", "main~1", "tagged", "other"):
        git("checkout", "-q", name)
        for out in ("data.txt", "out/part.txt", "size.json"):
            Path(out).unlink()
        git("checkout", "-q", "--", "size.json")
        with Repo() as repo:
            repo.checkout(force=True)
            assert not repo.status()
        assert Path("data.txt").read_text() == Path("out/part.txt").read_text()


def test_what_an_experiment_names_stays(project: Path) -> None:
    write("experiment")
    git("stash", "--quiet")
    git("update-ref", f"refs/exps/ab/{'c' * 38}/exp-1", "stash@{0}")  # as `dvc exp run` names a commit
    git("stash", "drop", "--quiet")
    write("working copy")
    assert contents(unused_objects()) == {"nobody"}


def test_gc_leaves_the_clone_of_a_running_reproduction(project: Path) -> None:
    clone = Path(".fpplm/reproduce/v1.0.0/build")
    clone.mkdir(parents=True)
    with reproduction_lock():
        done = CliRunner().invoke(app, ["gc", "--yes"])
        assert isinstance(done.exception, WorkspaceBusy) and clone.exists()
        with pytest.raises(WorkspaceBusy, match="is being reproduced"):
            reproduce("v1")
    assert CliRunner().invoke(app, ["gc", "--yes"]).exit_code == 0 and not clone.exists()


def test_clones_go_and_of_the_checkpoints_all_but_the_last(project: Path) -> None:
    for number, name in enumerate(("old", "last")):
        folder = Path(".fpplm/checkpoints", name)
        folder.mkdir(parents=True)
        os.utime(folder, (number, number))
    Path(".fpplm/reproduce/v1.0.0/build").mkdir(parents=True)
    found = find_garbage()
    remove_garbage(found)
    assert [path.name for path in Path(".fpplm/checkpoints").iterdir()] == ["last"]
    assert not list(Path(".fpplm/reproduce").iterdir())


def test_a_cache_that_may_be_shared_stays_as_it_is(project: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    with Repo() as repo, repo.config.edit("local") as local:
        local["cache"] = {"dir": str(tmp_path_factory.mktemp("shared"))}
    write("there")
    write("no longer there")
    assert unused_objects() == []
