"""What counts as a change of a stage's inputs."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from fpplm.pipeline.unchanged import filled, unchanged_inputs, value_of
from fpplm_core.errors import DataError, InputsChanged

PARAMS = "data: {path: corpus}\ngate: {min_f1: 0.5}\ntrain: {lr: 0.1, epochs: 2}\n"
GRAPH = """
stages:
  read:
    cmd: python -m tasks.read
    params: [data, train.lr]
    deps: ['${data.path}', code.py]
"""


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(PARAMS)
    Path("dvc.yaml").write_text(GRAPH)
    Path(".dvcignore").write_text("__pycache__\n*.swp\n")
    Path("corpus/deep").mkdir(parents=True)
    for name in ("corpus/train.conll", "corpus/deep/dev.conll", "code.py", "other.txt"):
        Path(name).write_text("a")


def set_params(old: str, new: str) -> None:
    Path("params.yaml").write_text(PARAMS.replace(old, new))


def touch(name: str) -> None:
    status = Path(name).stat()
    os.utime(name, ns=(status.st_atime_ns, status.st_mtime_ns + 1))


def put_back(name: str) -> None:
    """Another file of the same size and time, as an editor's or Git's rename leaves one."""
    status = Path(name).stat()
    Path("new").write_text("b")
    os.utime("new", ns=(status.st_atime_ns, status.st_mtime_ns))
    Path("new").replace(name)


CHANGES: dict[str, tuple[Callable[[], object], str]] = {
    "longer": (lambda: Path("code.py").write_text("ab"), "code.py"),
    "touched": (lambda: touch("corpus/train.conll"), "corpus/train.conll"),
    "renamed over": (lambda: put_back("corpus/deep/dev.conll"), "corpus/deep/dev.conll"),
    "new": (lambda: Path("corpus/deep/new.conll").write_text("a"), "corpus/deep/new.conll"),
    "gone": (lambda: Path("corpus/train.conll").unlink(), "corpus/train.conll"),
    "file gone": (lambda: Path("code.py").unlink(), "code.py"),
    "section": (lambda: set_params("corpus", "./corpus"), "params.yaml: data"),
    "key": (lambda: set_params("0.1", "0.2"), "params.yaml: train.lr"),
}
ALLOWED: dict[str, Callable[[], object]] = {
    "nothing": lambda: None,
    "read": lambda: Path("corpus/train.conll").read_text(),
    "another file": lambda: Path("other.txt").write_text("ab"),
    "another section": lambda: set_params("min_f1: 0.5", "min_f1: 0.6"),
    "another key": lambda: set_params("epochs: 2", "epochs: 3"),
    "spelling": lambda: Path("params.yaml").write_text(PARAMS + "# a comment\n"),
    "ignored file": lambda: Path("corpus/.train.conll.swp").write_text("a"),
    "ignored folder": lambda: (Path("corpus/__pycache__").mkdir(), Path("corpus/__pycache__/a.pyc").write_text("a")),
}


@pytest.mark.parametrize("change, name", CHANGES.values(), ids=CHANGES)
def test_a_change_is_named(change: Callable[[], object], name: str) -> None:
    with pytest.raises(InputsChanged) as caught, unchanged_inputs("read"):
        change()
    assert str(caught.value).startswith(f"{name}: changed while the stage ran; ")
    assert caught.value.exit_code == 8


@pytest.mark.parametrize("change", ALLOWED.values(), ids=ALLOWED)
def test_what_is_no_input_may_change(change: Callable[[], object]) -> None:
    with unchanged_inputs("read"):
        change()


def test_many_changes_are_counted() -> None:
    with pytest.raises(InputsChanged) as caught, unchanged_inputs("read"):
        for number in range(1000):
            Path(f"corpus/{number:03}.conll").write_text("a")
    assert str(caught.value).startswith("corpus/000.conll, corpus/001.conll, corpus/002.conll and 997 more: changed")
    assert len(str(caught.value)) < 200


def test_a_stage_is_found_by_the_address_that_dvc_gives_from_another_folder() -> None:
    with pytest.raises(InputsChanged), unchanged_inputs("../dvc.yaml:read"):
        touch("code.py")


def test_without_dvc_nothing_is_compared() -> None:
    Path("dvc.yaml").unlink()
    with unchanged_inputs(None):
        touch("code.py")


def test_the_stage_s_own_error_goes_first() -> None:
    with pytest.raises(DataError), unchanged_inputs("read"):
        touch("code.py")
        raise DataError("unreadable")


def test_references_are_filled_as_dvc_fills_them() -> None:
    settings = {"data": {"path": "a b", "deep": {"number": 3}}}
    assert filled("x/${data.path}/${data.deep.number}", settings) == "x/a b/3"
    assert filled("plain", settings) == "plain"
    assert value_of("data.none.deeper", settings) is None
