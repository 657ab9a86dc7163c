"""A local Ray cluster that a busy machine does not start in time is started again; other errors are one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fpplm_core.errors import DataError, FpplmError, ParamsError

pytest.importorskip("ray")

from fpplm.prediction import cluster
from fpplm.studies.cluster import cpus_of_run

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


@pytest.fixture
def run(source: list[str]) -> dict[str, Any]:
    return cluster.facts_of(source, OPTIONS)


@pytest.mark.parametrize("broken", ["", "{", '{"digest": ', "[]", "null"])
def test_a_record_that_cannot_be_read_is_one_error(tmp_path: Path, run: dict[str, Any], broken: str) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/_run.json").write_text(broken)
    with pytest.raises(ParamsError, match=r"_run\.json: does not say what was tagged"):
        cluster.claim(str(tmp_path / "out"), run, resume=True)
    with pytest.raises(ParamsError, match="out: holds a tagging"):
        cluster.claim(str(tmp_path / "out"), run, resume=False)


@pytest.mark.parametrize("resume", [True, False])
def test_a_kill_while_the_record_is_written_locks_no_folder(
    tmp_path: Path, run: dict[str, Any], monkeypatch: pytest.MonkeyPatch, resume: bool
) -> None:
    folder = tmp_path / "out"

    def killed(*_: Any, **__: Any) -> str:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(cluster.json, "dumps", killed)
        cluster.claim(str(folder), run, resume=False)
    assert [file.name for file in folder.iterdir()] == ["_run.json.partial"]
    assert cluster.outputs_in(str(folder), run, resume) == set()
    cluster.claim(str(folder), run, resume)
    assert cluster.outputs_in(str(folder), run, resume=True) == {"_run.json"}
    with pytest.raises(ParamsError, match="holds a tagging of other inputs, got variant"):
        cluster.outputs_in(str(folder), run | {"variant": "int8"}, resume=True)


def test_a_cluster_that_is_not_reached_leaves_no_folder(
    tmp_path: Path, source: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    started(monkeypatch, [ValueError("no")])
    with pytest.raises(FpplmError, match="no Ray cluster"):
        list(cluster.tag_on_cluster("local", source, str(tmp_path / "out"), OPTIONS, resume=False))
    assert not (tmp_path / "out").exists()


def test_the_rate_of_the_parts_is_that_of_their_words(
    tmp_path: Path, source: list[str], monkeypatch: pytest.MonkeyPatch, told_words: list[int]
) -> None:
    started(monkeypatch, [])
    rows = [{"part": 0, "words": words, "notes": [], "error": None} for words in (7, 70)]
    monkeypatch.setattr(cluster, "rows_of", lambda *_: iter(rows))
    found = list(cluster.tag_on_cluster("local", source, str(tmp_path / "out"), OPTIONS, resume=False))
    assert found == told_words == [7, 70]


@pytest.mark.parametrize("name", ["out", "out/new/folder"])
@pytest.mark.parametrize("scheme", ["", "file://"])
def test_a_file_is_no_folder_for_outputs(
    tmp_path: Path, source: list[str], monkeypatch: pytest.MonkeyPatch, scheme: str, name: str
) -> None:
    (tmp_path / "out").write_text("")
    starts = started(monkeypatch, [])
    with pytest.raises(ParamsError, match="out: not a folder"):
        list(cluster.tag_on_cluster("local", source, f"{scheme}{tmp_path / name}", OPTIONS, resume=False))
    assert not starts


def test_a_folder_is_no_source(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="a folder, expected a file"):
        list(cluster.tag_on_cluster("local", [str(tmp_path)], str(tmp_path / "out"), OPTIONS, resume=False))


@pytest.mark.parametrize(
    ("cpus", "workers", "each"), [([], 1, 1), ([0], 2, 1), ([0, 8], 2, 4), ([4, 16], 2, 4), ([2], 4, 1)]
)
def test_a_run_of_a_study_fits_on_every_machine(
    monkeypatch: pytest.MonkeyPatch, cpus: list[int], workers: int, each: int
) -> None:
    nodes = [{"Resources": {"CPU": found} if found else {}, "Alive": True} for found in cpus]
    monkeypatch.setattr(cluster.ray, "nodes", lambda: nodes)
    assert cpus_of_run(workers) == each


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
