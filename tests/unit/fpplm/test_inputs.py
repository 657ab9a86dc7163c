"""What `fpplm predict` reads: every line is a text, or an error with its place, whatever its bytes are."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from fpplm.prediction import inputs
from fpplm.prediction.inputs import accepted, read, reading_options
from fpplm.prediction.lines import known_encoding, lines_of, require_files
from fpplm.prediction.outputs import tag_texts
from fpplm_core.data.notes import Notes
from fpplm_core.errors import DataError, ParamsError
from fpplm_core.serving.entities import SegmentedText
from fpplm_core.tagging.words import segment
from tests.unit.fpplm.stub import Stub

OPTIONS = reading_options(segment)


def found(path: Path, kind: str = "auto", encoding: str = "utf-8-sig", **options: object) -> list[SegmentedText | str]:
    """The texts of a file, and the errors in it without its folder."""
    items = read(str(path), kind, reading_options(segment, **options), encoding)
    return [item if isinstance(item, SegmentedText) else str(item).replace(f"{path.parent}/", "") for _, item in items]


def words(path: Path, kind: str = "auto", **options: object) -> list[list[str] | str]:
    return [
        item if isinstance(item, str) else [word for word, _, _ in item.words] for item in found(path, kind, **options)
    ]


@pytest.mark.parametrize(
    ("raw", "encoding", "message"),
    [
        (b"Caf\xe9 Lindenau", "utf-8", "in.txt:2: not valid UTF-8, got byte 0xe9; "),
        (b"\xed\xa0\x80", "utf-8", "in.txt:2: not valid UTF-8, got byte 0xed; "),  # half a surrogate pair
        (b"\xff\xfeM\0", "utf-8", "in.txt:2: not valid UTF-8, got byte 0xff; "),
        (b"M\0i\0", "utf-8", "in.txt:2: a zero byte (NUL), which is not text; "),
        (b"\x81", "cp1252", "in.txt:2: not valid cp1252, got byte 0x81; "),
        (b"x" * 100, "utf-8", "in.txt:2: the line is too long, got more than 50 characters; "),
    ],
)
def test_a_line_that_is_no_text_is_named_and_the_others_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, raw: bytes, encoding: str, message: str
) -> None:
    monkeypatch.setattr(inputs, "TEXT_LIMIT", 50)
    path = tmp_path / "in.txt"
    path.write_bytes(b"Mira Holt\n" + raw + b"\r\nOtto\r\n" + raw)
    one, bad, three, last = found(path, encoding=known_encoding(encoding))
    assert (one.text, three.text) == ("Mira Holt", "Otto")  # type: ignore[union-attr]
    assert str(bad).startswith(message) and str(last).startswith(message.replace(":2:", ":4:"))


def test_a_long_line_is_not_held_in_memory_and_one_of_the_limit_is_read(tmp_path: Path) -> None:
    path = tmp_path / "in.txt"
    path.write_text("a" * 10 + "\n" + "b" * 11 + "\n" + "c" * 1000 + "\nd\n" + "e" * 10)
    got = [line if isinstance(line, str) else line.what for _, line in lines_of(str(path), "utf-8", 10)]
    assert got == ["a" * 10, "the line is too long", "the line is too long", "d", "e" * 10]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "latin-1", "cp1252"])
def test_every_encoding_gives_the_same_text_without_a_byte_order_mark(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "in.txt"
    path.write_bytes("Café Lindenau\nOtto\n".encode(encoding))
    assert [item.text for item in found(path, encoding=known_encoding(encoding))] == ["Café Lindenau", "Otto"]  # type: ignore[union-attr]
    path.write_bytes("Café\tO\n\nOtto\tO\n".encode(encoding))
    assert words(path, "conll", encoding=known_encoding(encoding)) == [["Café"], ["Otto"]]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "UTF-32BE", "gb18030"])
def test_a_byte_order_mark_is_no_part_of_the_first_line(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "in.txt"
    for kind, content in (("text", "Mira\nOtto\n"), ("jsonl", '{"text": "Mira"}\n{"text": "Otto"}\n')):
        path.write_bytes(f"\ufeff{content}".encode(encoding))
        assert [item.text for item in found(path, kind, encoding=encoding)] == ["Mira", "Otto"]  # type: ignore[union-attr]
    path.write_bytes("\ufeffMira\tO\n\nOtto\tO\n".encode(encoding))
    assert words(path, "conll", encoding=encoding) == [["Mira"], ["Otto"]]


@pytest.mark.parametrize("kind", ["text", "jsonl", "conll"])
def test_line_ends_that_are_cr_alone_are_refused(tmp_path: Path, kind: str) -> None:
    """In JSON lines, where CR is white space, as one line with two objects."""
    lines = {"text": "Mira lives", "jsonl": '{"text": "Mira"}', "conll": "Mira\tO"}[kind]
    path = tmp_path / "in"
    path.write_text(f"{lines}\r{lines}\r", newline="")
    if kind == "jsonl":
        (message,) = found(path, kind)
        assert "convert its line ends" in str(message)
        path.write_text(f"[{lines},\r{lines}]", newline="")
        assert len(found(path, kind)) == 2
    else:
        with pytest.raises(DataError, match="line ends are CR alone; convert its line ends"):
            found(path, kind)


@pytest.mark.parametrize("name", ["utf-99", "hex", "", "a\0b", "idna", "punycode", "undefined"])
def test_an_unknown_encoding_is_refused(name: str) -> None:
    with pytest.raises(ParamsError, match=r"--encoding: unknown encoding"):
        known_encoding(name)


@pytest.mark.parametrize("kind", ["text", "conll"])
def test_a_missing_byte_order_mark_is_named(tmp_path: Path, kind: str) -> None:
    (tmp_path / "in.txt").write_text("Mira\tO\n")
    with pytest.raises(DataError, match=r"in\.txt:1: not valid utf-16, got .*BOM.*--encoding"):
        found(tmp_path / "in.txt", kind, encoding="utf-16")


@pytest.mark.parametrize("kind", ["text", "jsonl", "conll"])
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
def test_standard_input_is_read_like_a_file(tmp_path: Path, kind: str, bom: bytes) -> None:
    path = tmp_path / "in"
    rows = {
        "text": b"Mira Holt\n\xe9\n",
        "jsonl": b'{"text": "Mira Holt"}\n{"text": "\xe9"}\n',
        "conll": b"Mira\tO\nHolt\tO\n",
    }
    path.write_bytes(bom + rows[kind])
    kept, source = os.dup(0), os.open(path, os.O_RDONLY)
    try:
        os.dup2(source, 0)
        items = [item for _, item in read("-", kind, OPTIONS)]
    finally:
        os.dup2(kept, 0)
    assert items[0] == SegmentedText("Mira Holt", [("Mira", 0, 4), ("Holt", 5, 9)])
    assert [str(item)[:25] for item in items[1:]] == ([] if kind == "conll" else ["-:2: not valid UTF-8, got"])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"text": "a \\ud800 b"}', "half of a surrogate pair"),
        ('{"text": "a\\u0000b"}', "a zero byte (NUL)"),
        ('{"tokens": ["a\\u0000"]}', "a zero byte (NUL)"),
        ("[" * 100_000, "not valid JSON"),
        ('{"text": ' * 100_000, "not valid JSON (nested too deeply)"),
        ('{"text": "a", "n": ' + "9" * 5000 + "}", "not valid JSON"),
        ('{"text": "a", "text": "b"}', "not valid JSON (the key 'text' occurs twice)"),
        ('{"text": "a", "x": NaN}', "not valid JSON (NaN is not JSON)"),
        ('{"text": "a"', "not valid JSON"),
        ('"text"', "neither text nor words"),
        ('{"text": 1}', "neither text nor words"),
        ('{"tokens": "a"}', "neither text nor words"),
        ('{"tokens": ["a"], "words": ["a"]}', "several keys could hold the words"),
        ('{"tokens": ["a"], "text": "a", "offsets": [[0, 2]]}', "offsets out of order"),
        ('{"text": "' + "x" * 60 + '"}', "the text is too long, got 60 characters"),
        ('{"tokens": ["Ann", "", "lives"]}', "a word without a visible character, got '' as word 2; "),
        ('{"words": ["Ann", "\\n"]}', "a word without a visible character, got '\\n' as word 2; "),
        ('{"tokens": ["\\u00a0"]}', "a word without a visible character, "),
        ('{"tokens": ["", "a"], "text": "a", "offsets": [[0, 0], [0, 1]]}', "a word without a visible character, "),
    ],
)
def test_a_bad_json_line_is_named_and_the_others_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, message: str
) -> None:
    monkeypatch.setattr(inputs, "TEXT_LIMIT", 50)
    path = tmp_path / "in.jsonl"
    path.write_text(f'{{"text": "Mira"}}\n\n{line}\n{{"text": "Otto"}}\n')
    one, bad, three = found(path)
    assert (one.text, three.text) == ("Mira", "Otto")  # type: ignore[union-attr]
    assert str(bad).startswith(f"in.jsonl:3: {message}")


def test_a_word_without_a_visible_character_is_refused_in_every_format(tmp_path: Path) -> None:
    path = tmp_path / "in.conll"
    path.write_text("Mira\tO\n\nAnn\tO\n\tO\n\nOtto\tO\n")
    one, bad, three = words(path, "conll")
    assert (one, three) == (["Mira"], ["Otto"])
    assert str(bad).startswith("in.conll:3: a word without a visible character, got '' as word 2; ")


def test_json_lines_have_words_or_text(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    rows = [
        {"tokens": ["Mira", "Holt", "."], "tags": ["B-PER", "I-PER", "O"]},
        {"words": ["Mira", "Holt"], "ner_tags": [1, 2], "id": 7, "text": "MiraHolt"},
        {"tokens": ["Holt", "/", "Quarl"], "text": "Holt/Quarl", "offsets": [[0, 4], [4, 5], [5, 10]], "document": 3},
        {"text": "Mira Holt", "entities": [], "document": 3},
        {"text": "Mira", "label": [], "document": "a"},
        {"text": "Mira", "tokens": []},
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    expected = [
        SegmentedText("Mira Holt .", [("Mira", 0, 4), ("Holt", 5, 9), (".", 10, 11)]),
        SegmentedText("Mira Holt", [("Mira", 0, 4), ("Holt", 5, 9)]),
        SegmentedText("Holt/Quarl", [("Holt", 0, 4), ("/", 4, 5), ("Quarl", 5, 10)], 3),
        SegmentedText("Mira Holt", [("Mira", 0, 4), ("Holt", 5, 9)], 3),
        SegmentedText("Mira", [("Mira", 0, 4)]),
        SegmentedText("Mira", [("Mira", 0, 4)]),
    ]
    assert found(path) == found(path, "jsonl") == expected
    path.write_text(json.dumps(rows, indent=1))
    assert found(path) == expected


@pytest.mark.parametrize("form", ["[{}]", "[{},\n{},\n{}]", "[\n{}\n]"])
def test_a_bad_item_of_a_list_is_named_and_the_others_are_read(tmp_path: Path, form: str) -> None:
    path, items = tmp_path / "in.jsonl", ['{"text": "Mira"}', '{"text": 1}', '{"tokens": ["Otto"]}']
    path.write_text(form.format(*items) if form.count("{}") > 1 else form.format(", ".join(items)))
    one, bad, three = found(path)
    assert (one.text, three.text) == ("Mira", "Otto")  # type: ignore[union-attr]
    line = 3 if form.startswith("[\n") else 2
    assert bad == (
        f"in.jsonl:{line}: neither text nor words in the JSON line, got {{'text': 1}}; "
        "give an object with `text`, or with `tokens`, a list of words"
    )


@pytest.mark.parametrize("rest", [', {"text": x}, {"text": "Otto"}]', '\n{"text": "Otto"}\n{"text": "Ann"}\n', ""])
def test_a_broken_list_ends_with_an_error_after_its_good_items(tmp_path: Path, rest: str) -> None:
    """Even where bad texts are skipped: nobody knows which items it has."""
    path = tmp_path / "in.jsonl"
    path.write_text('[{"text": "Mira"}' + rest)
    texts = accepted(read(str(path), "auto", OPTIONS), skip=True)
    assert next(texts).text == "Mira"
    with pytest.raises(DataError, match=r"in\.jsonl:[12]: (not valid JSON|a comma is missing|the list is not closed)"):
        list(texts)


@pytest.mark.parametrize("lines", [["Mira Holt", "", "Otto"], ['{"text": "Mira Holt"}', "{}", '{"tokens": ["Otto"]}']])
def test_the_rate_of_a_file_is_that_of_its_words(tmp_path: Path, told_words: list[int], lines: list[str]) -> None:
    path = tmp_path / ("in.jsonl" if "{}" in lines else "in.txt")
    path.write_text("\n".join(lines))
    assert len(found(path)) == 3 and told_words == [2, 0, 1]


@pytest.mark.parametrize("kind", ["jsonl", "conll"])
def test_the_own_output_is_an_input_with_the_same_words(tmp_path: Path, kind: inputs.Any) -> None:
    texts = ["Mira Holt/Quarl, né 1,000.", "# x", "O", "Otto   schläft\tdort"]
    (tmp_path / "in.txt").write_text("\n".join(texts))
    stub: inputs.Any = Stub()
    sum(
        tag_texts(
            stub,
            accepted(read(str(tmp_path / "in.txt"), "auto", OPTIONS), False),
            str(tmp_path / f"o.{kind}"),
            kind,
        )
    )
    assert words(tmp_path / f"o.{kind}") == words(tmp_path / "in.txt")


def test_skipped_texts_are_printed_and_counted_and_others_stop(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "in.txt"
    path.write_bytes(b"a\n\xff\nb\n\0\n")
    texts = accepted(read(str(path), "auto", OPTIONS), skip=True)
    assert [text.text for text in texts] == ["a", "b"]
    assert [line.partition(", ")[0] for line in capsys.readouterr().err.splitlines()] == [
        f"skipped: {path}:2: not valid UTF-8",
        f"skipped: {path}:4: a zero byte (NUL)",
        "2 text(s) skipped",
    ]
    texts = accepted(read(str(path), "auto", OPTIONS), skip=False)
    assert next(texts).text == "a"
    with pytest.raises(DataError, match=r"in\.txt:2"):
        next(texts)


@pytest.mark.parametrize(
    ("name", "raw", "said"),
    [
        (
            "a.log",
            b"Mira lives in Quarl\n",
            r"unknown format, got 'Mira.*data\.format\): brat, .*, or text \(one text per",
        ),
        ("a.json", b'{"text": "Mira"}', r"unknown format, .*, or text"),
        ("a.html", b"<p>Mira</p>", r"unknown format, .*, or text"),
        ("a.docx", b"PK\3\4\x14\0", "a compressed or binary file; give the text in it as a text file$"),
        ("a.jsonl.gz", b"\x1f\x8b\x08", "a compressed or binary file"),
        ("a.pdf", b"%PDF-1.7\n", "a compressed or binary file"),
    ],
)
def test_a_file_of_unknown_format_may_be_text_unless_it_is_packed(
    tmp_path: Path, name: str, raw: bytes, said: str
) -> None:
    (tmp_path / name).write_bytes(raw)
    with pytest.raises(DataError, match=said):
        found(tmp_path / name)


def test_control_characters_are_tagged_and_noted(tmp_path: Path) -> None:
    path, notes = tmp_path / "in.txt", Notes()
    path.write_text("Mira\x07 Holt\x0c\n")
    (text,) = found(path, notes=notes)
    assert text.text == "Mira\x07 Holt\x0c"  # type: ignore[union-attr]
    assert list(notes.lines()) == [f"texts with control characters, which are tagged as words ({path}:1: '\\x07')"]


def test_nothing_is_overwritten_before_the_inputs_are_there(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    (tmp_path / "link").symlink_to("a")
    require_files([str(tmp_path / "a"), "-"], str(tmp_path / "new"))
    with pytest.raises(DataError, match="no such file"):
        require_files([str(tmp_path / "b")], "-")
    with pytest.raises(DataError, match="the output is an input"):
        require_files([str(tmp_path / "a")], str(tmp_path / "link"))
    (tmp_path / "hard").hardlink_to(tmp_path / "a")
    with pytest.raises(DataError, match="hard: the output is an input"):
        require_files([str(tmp_path / "a")], "-", str(tmp_path / "hard"))
    (tmp_path / "again").symlink_to("new")
    for other in ("new", "../" + tmp_path.name + "/new", "again"):
        with pytest.raises(DataError, match="two outputs in one file"):
            require_files([str(tmp_path / "a")], str(tmp_path / "new"), str(tmp_path / other))
    for output in (tmp_path, tmp_path / "none/out"):
        with pytest.raises(DataError, match="no file can be written there"):
            require_files([str(tmp_path / "a")], str(output))
