"""A local Ray cluster that a busy machine does not start in time is started again; other errors are one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fpplm_core.errors import FpplmError, ParamsError

pytest.importorskip("ray")

from fpplm.prediction import cluster

BUSY = Exception("The current node timed out during startup. This could happen because …")


@pytest.mark.parametrize(("errors", "calls"), [([], 1), ([BUSY], 2), ([BUSY] * 2, 3)])
def test_a_start_that_takes_too_long_is_repeated(monkeypatch, errors, calls):
    seen = started(monkeypatch, errors)
    with cluster.session("local"):
        assert len(seen) == calls
    assert all(options["include_dashboard"] is False and options["address"] == "local" for options in seen)


@pytest.mark.parametrize(("errors", "calls"), [([BUSY] * 3, 3), ([ValueError("no")], 1)])
def test_what_fails_for_good_is_one_error(monkeypatch, errors, calls):
    seen = started(monkeypatch, errors)
    with pytest.raises(FpplmError, match=r"--ray: no Ray cluster, got local \("), cluster.session("local"):
        pass
    assert len(seen) == calls


@pytest.mark.parametrize(("mode", "warned"), [("token", False), ("disabled", True)])
def test_a_cluster_of_others_without_a_token_is_warned_of(monkeypatch, capsys, mode, warned):
    monkeypatch.setenv("RAY_AUTH_MODE", mode)
    started(monkeypatch, [])
    with cluster.session("auto"):
        pass
    assert ("RAY_AUTH_MODE=token" in capsys.readouterr().err) is warned


OPTIONS = cluster.Options("bundle", "cpu", "fp32", "digest", allow_links=False, threads=1, skip=False)


@pytest.fixture
def source(tmp_path: Path) -> list[str]:
    (tmp_path / "in.txt").write_text("a\n")
    return [str(tmp_path / "in.txt")]


@pytest.mark.parametrize("broken", ["", "{", '{"digest": ', "[]", "null"])
def test_a_record_that_cannot_be_read_is_one_error(tmp_path: Path, source: list[str], broken: str) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/_run.json").write_text(broken)
    with pytest.raises(ParamsError, match=r"_run\.json: does not say what was tagged"):
        cluster.claim(str(tmp_path / "out"), source, OPTIONS, resume=True)
    with pytest.raises(ParamsError, match="out: holds a tagging"):
        cluster.claim(str(tmp_path / "out"), source, OPTIONS, resume=False)


@pytest.mark.parametrize("resume", [True, False])
def test_a_kill_while_the_record_is_written_locks_no_folder(
    tmp_path: Path, source: list[str], monkeypatch: pytest.MonkeyPatch, resume: bool
) -> None:
    folder = tmp_path / "out"

    def killed(*_: Any, **__: Any) -> str:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(cluster.json, "dumps", killed)
        cluster.claim(str(folder), source, OPTIONS, resume=False)
    assert [file.name for file in folder.iterdir()] == ["_run.json.partial"]
    assert cluster.claim(str(folder), source, OPTIONS, resume) == set()
    assert cluster.claim(str(folder), source, OPTIONS, resume=True) == {"_run.json"}
    with pytest.raises(ParamsError, match="holds a tagging of other inputs, got variant"):
        cluster.claim(str(folder), source, OPTIONS._replace(variant="int8"), resume=True)


def started(monkeypatch: pytest.MonkeyPatch, errors: list[Exception]) -> list[dict[str, Any]]:
    """The options of each start, which raises these errors in turn."""
    seen: list[dict[str, Any]] = []
    left = iter(errors)

    def init(**options: Any) -> None:
        seen.append(options)
        if error := next(left, None):
            raise error

    monkeypatch.setattr(cluster.ray, "init", init)
    monkeypatch.setattr(cluster.ray, "shutdown", lambda: None)
    return seen
