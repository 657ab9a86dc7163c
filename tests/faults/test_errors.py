"""What goes wrong at a user's: one line, the documented exit code, no traceback."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fpplm_core.errors import DataError, EncoderError, ParamsError
from tests.project import Project

TRAIN = "data/wikigold/train.conll"
GOOD = "EU\tB-ORG\nrejects\tO\n\n"


def fresh(project: Project, folder: Path) -> Project:
    """A copy of a project's files without its history."""
    without = shutil.ignore_patterns(".git", ".dvc", "reports", "bundle", ".prefect")
    return Project(Path(shutil.copytree(project.path, folder / "project", ignore=without)))


def write(name: str, content: bytes | str) -> Callable[[Path], None]:
    raw = content.encode() if isinstance(content, str) else content
    return lambda path: (path / name).write_bytes(raw) and None


def remove(path: Path) -> None:
    (path / TRAIN).unlink()


def of_no_scheme(path: Path) -> None:
    for split in ("train", "dev", "test"):
        (path / f"data/wikigold/{split}.conll").write_text(GOOD.replace("B-", "X-"))


def make_folder(path: Path) -> None:
    remove(path)
    (path / TRAIN).mkdir()


FILES: dict[str, tuple[Callable[[Path], None], list[str]]] = {
    "missing file": (remove, ["train.conll", "no such file"]),
    "empty file": (write(TRAIN, ""), ["train.conll", "no sentence"]),
    "a directory": (make_folder, ["train.conll", "a folder without .ann files"]),
    "binary file": (write(TRAIN, b"\x7fELF\0\0\1"), ["train.conll", "text"]),
    "not UTF-8": (write(TRAIN, GOOD.encode() + b"caf\xe9\tO\n"), ["train.conll:4", "UTF-8"]),
    "wrong column count": (write(TRAIN, GOOD + "one\ttwo\tO\n"), ["train.conll:4", "columns"]),
    "words without tags": (write(TRAIN, "EU\nrejects\n"), ["train.conll:1", "a word and a tag"]),
    "tags of no scheme": (of_no_scheme, ["data.scheme", "no known scheme", "'X-ORG'"]),
}


@pytest.mark.parametrize("case", FILES)
def test_bad_files_at_read(trained: Project, tmp_path: Path, case: str) -> None:
    damage, wanted = FILES[case]
    project = fresh(trained, tmp_path)
    damage(project.path)
    done = project.run("python", "-m", "tasks.read")
    assert done.returncode == DataError.exit_code, done.stderr
    assert_one_line(done.stderr, wanted)


BAD_TAGS = {
    "unknown tag": (GOOD + "x\tPERSON\n\n", "malformed"),
    "unknown prefix": (GOOD + "x\tQ-PER\ny\tI-PER\n\n", "unknown prefix"),
    "illegal sequence": (GOOD + "x\tI-ORG\n\n", "cannot follow"),
    "empty word": (GOOD + "\tO\n\n", "empty_word"),
    "one label only": ("EU\tO\nrejects\tO\n\n" * 3, "no entity"),
}


@pytest.mark.parametrize("case", BAD_TAGS)
def test_bad_tags_at_check(trained: Project, tmp_path: Path, case: str) -> None:
    content, wanted = BAD_TAGS[case]
    project = fresh(trained, tmp_path)
    (project.path / TRAIN).write_text(content)
    project.set(data={"scheme": "IOB2"})
    done = project.run("fpplm", "check", TRAIN)
    assert done.returncode == 10, done.stderr
    assert wanted in done.stdout and "train.conll:" in done.stdout
    assert_one_line(done.stderr, ["error"])


PARAMS: dict[str, tuple[dict[str, Any], type[Exception], list[str]]] = {
    "unknown key": ({"train": {"learning_rate": 1e-4}}, ParamsError, ["train.learning_rate", "unknown key", "lr"]),
    "out of range": ({"train": {"lr": -1.0}}, ParamsError, ["train.lr", "-1.0", "greater than 0"]),
    "wrong type": ({"train": {"epochs": "ten"}}, ParamsError, ["train.epochs", "ten"]),
    "unknown technique": ({"technique": {"active": ["magic"]}}, ParamsError, ["technique", "magic"]),
    "typo in a technique": ({"technique": {"lable_lm": {}}}, ParamsError, ["lable_lm: unknown key", "label_lm"]),
    "unknown encoder": ({"model": {"encoder": "./no/such/folder"}}, EncoderError, ["model.encoder", "no/such/folder"]),
    "unknown package": ({"model": {"encoder": "package:nopackage/x"}}, EncoderError, ["nopackage", "pip install"]),
    "window too long": ({"encode": {"window": 200}}, ParamsError, ["encode.window", "200", "at most 128"]),
    "stride too long": ({"encode": {"stride": 60}}, ParamsError, ["encode", "stride 60"]),
}


@pytest.mark.parametrize("case", PARAMS)
def test_bad_params(trained: Project, tmp_path: Path, case: str) -> None:
    changes, kind, wanted = PARAMS[case]
    project = fresh(trained, tmp_path)
    project.set(**changes)
    done = project.run("python", "-m", "tasks.environment", HF_HUB_OFFLINE="1")  # it validates the whole file
    if not done.returncode:
        done = project.run("python", "-m", "tasks.encode", HF_HUB_OFFLINE="1")
    assert done.returncode == kind.exit_code, done.stderr  # type: ignore[attr-defined]
    assert_one_line(done.stderr, wanted)


def test_empty_dev_split_is_an_error_of_the_check(trained: Project, tmp_path: Path) -> None:
    project = fresh(trained, tmp_path)
    (project.path / "data/wikigold/dev.conll").write_text("only\tO\nwords\tO\n\n")
    project.ok("python", "-m", "tasks.read")
    done = project.run("python", "-m", "tasks.check")
    assert done.returncode == 10 and "dev has no entity" in done.stdout


def test_full_disk_is_one_line(trained: Project, tmp_path: Path) -> None:
    """/dev/full answers every write with 'no space left on device'."""
    (tmp_path / "in.txt").write_text("a text\n")
    done = trained.run("fpplm", "predict", "bundle", str(tmp_path / "in.txt"), "-o", "/dev/full")
    assert done.returncode == 7, done.stderr
    assert "disk is full" in done.stderr and "Traceback" not in done.stderr


def test_missing_splits_are_cut_and_said(trained: Project, tmp_path: Path) -> None:
    project = fresh(trained, tmp_path)
    project.set(data={"dev": None, "test": None})
    output = project.ok("python", "-m", "tasks.read")
    assert "dev was cut from train: 20% of its documents, seed 42" in output
    assert "test was cut from train" in output


def assert_one_line(stderr: str, wanted: list[str]) -> None:
    lines = [line for line in stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, stderr
    assert "Traceback" not in stderr
    for part in wanted:
        assert part in lines[0]
