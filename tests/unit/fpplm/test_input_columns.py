"""Words from files of columns: which column they stand in, which sentences cannot be read, where documents end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fpplm.prediction.inputs import accepted, read, read_all, reading_options
from fpplm.prediction.records import without_unwritable
from fpplm_core.data.notes import Notes
from fpplm_core.errors import DataError
from fpplm_core.serving.entities import SegmentedText
from fpplm_core.tagging.words import segment
from tests.unit.fpplm.test_inputs import OPTIONS, words


def test_an_error_of_a_format_names_the_file_and_not_its_copy(tmp_path: Path) -> None:
    path = tmp_path / "in.conll"
    path.write_bytes("# é\nMira\tO\nHolt\n".encode("latin-1"))
    with pytest.raises(DataError) as caught:
        list(accepted(read(str(path), "conll", OPTIONS, "latin-1"), False))
    assert str(caught.value).startswith(f"{path}:3: wrong number of columns")
    path.write_bytes(b"# a b c\n\nMira\tO\n")
    notes = Notes()
    list(read(str(path), "conll", reading_options(segment, notes=notes), "latin-1"))
    assert notes.places == {"comments are not read": [f"{path}:1: # a b c"]}


def test_a_bad_sentence_of_columns_is_named_and_the_others_are_read(tmp_path: Path) -> None:
    path, notes = tmp_path / "in.conll", Notes()
    raw = b"# c d e\nMira\tO\n\nCaf\xe9\tO\nda\tO\n\nHolt\tO\n\nx\tO\nOtto\n\n\nQuarl\tO\ny\tO\n\nlast\n"
    path.write_bytes(raw)
    mira, cafe, holt, otto, quarl, last = words(path, "conll", notes=notes)
    assert [mira, holt, quarl] == [["Mira"], ["Holt"], ["Quarl", "y"]]
    assert [str(bad)[:39] for bad in (cafe, otto, last)] == [
        "in.conll:4: not valid UTF-8, got byte 0",
        "in.conll:10: wrong number of columns, g",
        "in.conll:16: wrong number of columns, g",
    ]
    assert path.read_bytes() == raw and notes.counts["comments are not read"] == 1
    assert notes.places["comments are not read"] == [f"{path}:1: # c d e"]


def test_an_error_of_the_whole_file_is_no_bad_sentence(tmp_path: Path) -> None:
    path = tmp_path / "in.conll"
    path.write_text("Mira\tO\n\nHolt\tO\n")
    items = read(str(path), "conll", reading_options(segment, word_column=5))
    with pytest.raises(DataError, match="no such column"):
        list(items)
    path.write_bytes(b"Mira\0\tO\n\nHolt\tO\nx\tO\xff\xfe\n")
    items = read(str(path), "conll", OPTIONS)
    assert [str(next(items)[1]).replace(f"{path}:", "")[:24] for _ in range(2)] == [
        "1: a zero byte (NUL), wh",
        "4: not valid UTF-8, got ",
    ]
    with pytest.raises(DataError, match="no sentence in the file"):
        next(items)


def test_columns_are_named(tmp_path: Path) -> None:
    path = tmp_path / "in.tsv"
    path.write_text("A\tMira\tO\nB\tHolt\tO\n")
    assert words(path, word_column=1) == [["Mira", "Holt"]]
    (tmp_path / "in.csv").write_text("sentence,w,x\n1,Mira,O\n1,Holt,O\n")
    assert words(tmp_path / "in.csv", word_column="w", tag_column="x") == [["Mira", "Holt"]]


def test_words_alone_need_no_tags(tmp_path: Path) -> None:
    (tmp_path / "in.conll").write_text("Mira\nHolt\n\nOtto\n")
    assert words(tmp_path / "in.conll") == [["Mira", "Holt"], ["Otto"]]
    (tmp_path / "in.csv").write_text("sentence,word\n1,Mira\n1,Holt\n2,Otto\n")
    assert words(tmp_path / "in.csv") == [["Mira", "Holt"], ["Otto"]]


def test_tasks_that_nobody_has_annotated_are_tagged(tmp_path: Path) -> None:
    path, notes = tmp_path / "in.json", Notes()
    regions = [{"type": "labels", "value": {"start": 0, "end": 99, "labels": ["PER"]}}]
    annotations = [[{"result": regions}], [], [{"result": [], "was_cancelled": True}]]
    tasks = [{"data": {"text": f"Mira {n}"}, "annotations": row} for n, row in enumerate(annotations)]
    path.write_text(json.dumps(tasks))
    assert words(path, notes=notes) == [["Mira", "0"], ["Mira", "1"], ["Mira", "2"]]
    assert list(notes.counts) == ['read as label_studio (tasks with "data" and "annotations")']


def test_a_bad_bracket_is_no_bad_sentence(tmp_path: Path) -> None:
    path = tmp_path / "in.conllu"
    path.write_text("1\tMira" + "\t_" * 7 + "\tEntity=(1-person-1)\n\n1\tOtto" + "\t_" * 8 + "\n\n")
    assert words(path) == [["Mira"], ["Otto"]]


@pytest.mark.parametrize("word", ["a\tb", "a\nb", "-DOCSTART-"])
def test_a_word_that_columns_cannot_hold_is_an_error_with_its_place(tmp_path: Path, word: str) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text('{"text": "x"}\n' + json.dumps({"tokens": [word]}) + "\n")
    for kind, number in (("conll", 1), ("jsonl", 0)):
        rows = [item for _, item in without_unwritable(read(str(path), "auto", OPTIONS), kind)]  # type: ignore[arg-type]
        errors = [str(item) for item in rows if isinstance(item, DataError)]
        assert len(errors) == number and all("in.jsonl:2: a word that columns" in error for error in errors)


def test_documents_of_two_files_are_different_documents(tmp_path: Path) -> None:
    for name in ("a.conll", "b.conll"):
        (tmp_path / name).write_text("-DOCSTART-\tO\n\nMira\tO\n\nHolt\tO\n\n-DOCSTART-\tO\n\nOtto\tO\n")
    items = read_all([str(tmp_path / "a.conll"), str(tmp_path / "b.conll")], "auto", OPTIONS)
    documents = [item.document for _, item in items if isinstance(item, SegmentedText)]
    assert documents == [1, 1, 2, 3, 3, 4]
