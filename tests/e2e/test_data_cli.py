"""`fpplm check` and `fpplm convert`: annotated files alone, in a folder that is no project."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fpplm.cli.main import app
from fpplm.pipeline.failures import exit_on_error
from fpplm_core.quality.checks import BY_NAME
from tests.project import BIN, ROOT

ENTITY = ["EU/B-ORG rejects/O a/O call/O of/O {}/O", "{}/B-LOC is/O near/O New/B-LOC York/I-LOC", "no/O {}/O came/O"]
NAMES = [f"{first}{second}" for first in ("Ab", "Bo", "Cu", "De") for second in ("ra", "lo", "min", "ster", "tau", "x")]


def conll(path: Path, *rows: str) -> Path:
    """Rows as `word/TAG word/TAG`."""
    path.write_text("".join("\n".join(row.replace("/", "\t").split(" ")) + "\n\n" for row in rows), encoding="utf-8")
    return path


Fpplm = Callable[..., tuple[int, str, str]]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    rows = [ENTITY[i % 3].format(name if i % 3 else name.lower()) for i, name in enumerate(NAMES)]
    conll(tmp_path / "train.conll", *rows[:12])
    conll(tmp_path / "more.conll", *rows[12:18])
    conll(tmp_path / "dev.conll", *rows[18:])
    conll(tmp_path / "bad.conll", "Ann/B-PER met/O Bob/I-PER", "x/O Bonn/LOC")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def fpplm(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Fpplm:
    """The command in this process, which starts it sooner: its exit code and what it says."""

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["fpplm", *arguments])
        monkeypatch.setenv("COLUMNS", "160")
        capsys.readouterr()
        with pytest.raises(SystemExit) as left, exit_on_error():
            app()
        return int(left.value.code or 0), *capsys.readouterr()

    return run


def ok(done: tuple[int, str, str]) -> str:
    """Standard output of a command that must succeed."""
    assert done[0] == 0, done
    return done[1]


@pytest.fixture
def with_encoder(tiny_encoder: Path) -> list[str]:
    return ["-S", f"model.encoder={tiny_encoder}", "-S", "encode.window=64", "-S", "encode.stride=16"]


def test_good_files_pass_and_are_taken_together(folder: Path, fpplm: Fpplm, with_encoder: list[str]) -> None:
    verdict = json.loads(ok(fpplm("check", "train.conll", "more.conll", "--json", *with_encoder)))
    assert set(verdict) == {"errors", "warnings", "checks", "statistics", "notes"}
    assert (verdict["errors"], verdict["statistics"]["train"]["sentences"]) == (0, 18)
    assert set(verdict["checks"]) == set(BY_NAME)
    failed = [row for row in verdict["checks"].values() if row["failed"]]
    assert verdict["warnings"] == len(failed) == sum(row["severity"] == "warning" for row in failed)
    assert verdict["notes"][0].startswith("tag scheme IOB2: ")
    assert "read as conll (2 columns separated by tabs): 2 (train.conll, more.conll)" in verdict["notes"]
    assert {path.name for path in folder.iterdir()} == {f"{name}.conll" for name in ("train", "more", "dev", "bad")}


def test_errors_are_shown_with_their_lines_and_exit_with_10(
    folder: Path, fpplm: Fpplm, with_encoder: list[str]
) -> None:
    done = fpplm("check", "bad.conll", "-S", "data.scheme=IOB2", *with_encoder)
    assert done[0] == 10
    assert "tag scheme IOB2: set by data.scheme" in done[1]
    assert "error malformed_tag: bad.conll:6: malformed tag: 'LOC' is not O or PREFIX-TYPE" in done[1]
    assert "error illegal_transition: bad.conll:3: I-PER cannot follow O in IOB2" in done[1]
    assert BY_NAME["malformed_tag"].advice in done[1]
    assert done[2].splitlines()[-1].startswith("error: bad.conll: 2 check(s) found errors")
    assert "Traceback" not in done[2]
    done = fpplm("check", "bad.conll", "--json", "-S", "data.scheme=IOB2", *with_encoder)
    assert (done[0], json.loads(done[1])["errors"]) == (10, 2)
    off = ["-S", "++check.severity.malformed_tag=warning", "-S", "++check.severity.illegal_transition=off"]
    off += ["-S", "data.repair=conlleval"]
    ok(fpplm("check", "bad.conll", "-S", "data.scheme=IOB2", *off, *with_encoder))


def test_what_stands_in_train_and_elsewhere_is_leakage(folder: Path, fpplm: Fpplm, with_encoder: list[str]) -> None:
    with (folder / "dev.conll").open("a") as stream:
        stream.write((folder / "train.conll").read_text().split("\n\n")[0] + "\n\n")
    files = ("train.conll", "--dev", "dev.conll", "--test", "dev.conll")
    verdict = json.loads(ok(fpplm("check", *files, "--json", *with_encoder)))
    assert set(verdict["statistics"]) == {"train", "dev", "test"}
    assert [place.partition(" ")[0] for place in verdict["checks"]["leakage"]["examples"]] == ["dev.conll:35:"] * 2
    assert verdict["checks"]["leakage"]["severity"] == "warning"
    done = fpplm("check", *files, "-S", "++check.severity.leakage=error", *with_encoder)
    assert done[0] == 10 and "error leakage: dev.conll:35: in train at train.conll:1" in done[1]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["none.conll"], 3, "none.conll: no such file"),
        (["train.conll", "--dev", "none.conll"], 3, "none.conll: no such file"),
        (["notes.txt"], 3, "notes.txt"),
        (["train.conll", "-S", "data.schema=IOB2"], 2, "data.schema"),
        (["train.conll", "-S", "data.scheme=IOB9"], 2, "data.scheme"),
        (["train.conll", "-S", "data.format=word"], 2, "data.format"),
        (["train.conll", "-S", "model.encoder=./no/such"], 4, "no/such"),
        ([], 2, "Missing argument"),
    ],
)
def test_what_cannot_be_checked_is_one_line(
    folder: Path, fpplm: Fpplm, with_encoder: list[str], arguments: list[str], code: int, said: str
) -> None:
    (folder / "notes.txt").write_text("Just some words.\nAnd more of them, without tags.\n")
    done = fpplm("check", *with_encoder, *arguments)
    assert done[0] == code, done[2]
    assert said in done[2] and "Traceback" not in done[2]


def test_pages_and_the_project_s_own_expectations(folder: Path, fpplm: Fpplm, with_encoder: list[str]) -> None:
    entry = "{type: expect_column_max_to_be_between, column: words, max_value: 5, severity: warning}"
    (folder / "expectations.yaml").write_text(f"sentences:\n  - {entry}\n")
    said = ok(fpplm("check", "train.conll", "--docs", "pages", *with_encoder))
    assert "warning expect_column_max_to_be_between(sentences.words): observed 6" in said
    assert "31 of 34 checks found nothing" in said
    assert (folder / "pages/index.html").exists()
    (folder / "expectations.yaml").write_text("sentences: [{type: expect_no_duplicates}]\n")
    done = fpplm("check", "train.conll", *with_encoder)
    assert done[0] == 2 and "expectations.yaml: sentences, entry 1: this table has no such check" in done[2]


def test_a_project_s_own_settings_are_used(folder: Path, fpplm: Fpplm, with_encoder: list[str]) -> None:
    text = (ROOT / "params.yaml").read_text().replace("severity: {}", "severity: {few_sentences: error}")
    (folder / "params.yaml").write_text(text)
    done = fpplm("check", "train.conll", *with_encoder)
    assert done[0] == 10 and "12 sentences in train, at least" in done[1]


def test_conversion_says_what_it_did(folder: Path, fpplm: Fpplm) -> None:
    said = ok(fpplm("convert", "train.conll", "out.jsonl", "--scheme", "BIOES")).splitlines()
    assert said[0] == "out.jsonl: 12 records"
    assert said[1] == "read as conll (2 columns separated by tabs) (train.conll)"
    assert said[2].startswith("tag scheme IOB2: ")
    first = json.loads((folder / "out.jsonl").read_text().splitlines()[0])
    assert first["tags"] == ["S-ORG", "O", "O", "O", "O", "O"]
    ok(fpplm("convert", "out.jsonl", "brat"))
    assert len(list((folder / "brat").glob("*.ann"))) == 12
    said = ok(fpplm("convert", "brat", "tool.jsonl", "--to", "doccano")).splitlines()
    assert said[0] == "tool.jsonl: 12 records" and "document borders are not kept: 12" in said[-1]
    said = ok(fpplm("convert", "tool.jsonl", "back.conll")).splitlines()
    assert (folder / "back.conll").read_bytes() == (folder / "train.conll").read_bytes()
    assert said[1].startswith("read as doccano (")


def test_columns_and_repairs(folder: Path, fpplm: Fpplm) -> None:
    (folder / "wide.csv").write_text("nr,form,pos,ner\n" + "1,Ann,N,B-PER\n2,met,V,O\n3,Bob,N,I-PER\n")
    columns = ("--from", "csv", "--word-column", "form", "--tag-column", "-1")
    done = fpplm("convert", "wide.csv", "a.jsonl", *columns, "--scheme", "IOB1")
    assert done[0] == 3 and "wide.csv:4: I-PER cannot follow O in IOB2" in done[2]
    said = ok(fpplm("convert", "wide.csv", "b.jsonl", *columns, "--repair", "discard", "--scheme", "IOB2"))
    assert json.loads((folder / "b.jsonl").read_text())["tags"] == ["B-PER", "O", "O"]
    assert said.startswith("b.jsonl: 1 records\n") and "tags repaired (discard) (wide.csv:4: I-PER to O)" in said


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["none.conll", "a.jsonl"], 3, "none.conll: no such file"),
        (["train.conll", "dev.conll"], 3, "dev.conll: already exists"),
        (["bad.conll", "a.jsonl", "--scheme", "BIOES"], 3, "bad.conll:3: I-PER cannot follow O in IOB2"),
        (["train.conll", "a.docx"], 2, "no format has this suffix"),
        (["train.conll", "a.jsonl", "--to", "word"], 2, "unknown format"),
        (["train.conll", "a.jsonl", "--from", "docbin"], 3, "train.conll"),
        (["train.conll", "a.jsonl", "--scheme", "TAGS"], 2, "--scheme"),
        (
            ["train.conll", "a.jsonl", "--repair", "guess"],
            2,
            "'guess' is not one of 'refuse'",
        ),
        (["train.conll", "a.jsonl", "--overlap", "all"], 2, "--overlap"),
        (["train.conll", "a.jsonl", "--misaligned", "x"], 2, "--misaligned"),
        (["tool.jsonl", "a.conll", "--segmentation", "nowhere:cut"], 2, "no such segmenter"),
        (
            ["tool.jsonl", "a.conll", "--misaligned", "refuse"],
            3,
            "tool.jsonl:1: a mention begins or ends inside a word",
        ),
        (["train.conll"], 2, "Missing argument"),
    ],
)
def test_what_cannot_be_converted_is_one_line_and_leaves_nothing(
    folder: Path, fpplm: Fpplm, arguments: list[str], code: int, said: str
) -> None:
    (folder / "tool.jsonl").write_text('{"text": "Annas", "label": [[0, 4, "PER"]]}\n')
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    done = fpplm("convert", *arguments)
    assert done[0] == code, done[2]
    assert said in done[2] and "Traceback" not in done[2]
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


NOWHERE = [
    "train.conll/x",
    "loop/x",
    "loop",
    "dangling/x",
    "dangling",
    "x" * 300,
    "x" * 300 + "/x",
    "/proc/x",
    "/proc/x/y",
]


@pytest.mark.parametrize("target", NOWHERE)
@pytest.mark.parametrize("command", ["convert", "convert --to brat", "init", "check --docs"])
def test_a_target_that_cannot_be_is_refused_in_one_line(
    folder: Path, fpplm: Fpplm, with_encoder: list[str], command: str, target: str
) -> None:
    (folder / "loop").symlink_to("loop")
    (folder / "dangling").symlink_to("nowhere/deep")
    before = {path.name for path in folder.iterdir()}
    name, *options = command.split()
    if name == "convert":
        options = ["train.conll", target, *(options or ["--to", "jsonl"])]
    else:
        options = [target, "train.conll"] if name == "init" else ["train.conll", "--docs", target, *with_encoder]
    done = fpplm(name, *options)
    assert done[0] == 3 and "unexpected" not in done[2] and "Traceback" not in done[2]
    assert done[2].splitlines()[-1].startswith("error: ") and target.removesuffix("/x") in done[2]
    assert {path.name for path in folder.iterdir()} == before, "links stay too"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["convert", "train.conll", ""], ".: already exists"),
        (["convert", "train.conll", "."], ".: already exists"),
        (["convert", "train.conll", "/"], "/: already exists"),
        (["init", "p\udcf4", "train.conll"], "p\\udcf4: a name that is not UTF-8"),
        (["diff", "", "v1"], "no such folder, and no project here"),
    ],
)
def test_a_name_that_is_none_is_refused(
    folder: Path, fpplm: Fpplm, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
) -> None:
    monkeypatch.setattr("fpplm.cli.versions.require_project", lambda: None)
    (folder / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    done = fpplm(*arguments)
    assert done[0] == 3 and said in done[2].splitlines()[-1]


@pytest.mark.parametrize("goal", ["params.yaml", "nowhere"])
def test_settings_in_a_broken_link_are_missed(folder: Path, fpplm: Fpplm, goal: str) -> None:
    (folder / "params.yaml").symlink_to(goal)
    done = fpplm("check", "train.conll")
    assert done[0] == 2 and "error: params.yaml: " in done[2]


def test_a_file_name_is_shown_in_one_line(folder: Path, fpplm: Fpplm) -> None:
    name = "a\x1b[2J\nb\udcf4"
    done = fpplm("convert", "train.conll", f"{name}.jsonl")
    assert ok(done).splitlines()[0] == "a\\x1b[2J\\nb\\udcf4.jsonl: 12 records"
    (folder / "c\nd.conll").write_bytes((folder / "train.conll").read_bytes())
    done = fpplm("convert", "c\nd.conll", "e.jsonl")
    assert done[2] == "converting c\\nd.conll …\n" and "(c\\nd.conll)" in ok(done)


def test_as_a_process_too(folder: Path) -> None:
    command = [BIN / "fpplm", "convert", "bad.conll", "out", "--repair", "conlleval"]
    done = subprocess.run(command, check=False, capture_output=True)
    assert done.returncode == 3 and not done.stdout
    said = done.stderr.decode().splitlines()
    assert said[-1].startswith("error: bad.conll:6: malformed tag") and not (folder / "out").exists()
