"""The long tables of one word a row: csv and parquet."""

import random
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fpplm_core.data.conversion import convert
from fpplm_core.data.formats import detect, get, read_sentences
from fpplm_core.data.options import Options
from fpplm_core.data.records import Sentence
from fpplm_core.errors import DataError, ParamsError

csv, parquet = get("csv"), get("parquet")
KAGGLE = (
    'Sentence #,Word,POS,Tag\nSentence: 1,Thousands,NNS,O\n,of,IN,O\n,"1,000",CD,O\n,London,NNP,B-geo\n'
    'Sentence: 2,The,DT,O\n,"""",``,O\n'
)


def read(path, content, **options):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return list(csv.read(path, Options(**options)))


def plain(sentences):
    return [(" ".join(s.words), " ".join(s.tags), s.document) for s in sentences]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("head", ["", "\ufeff"])
def test_the_layout_of_kaggle_is_read(tmp_path, head, end):
    first, second = read(tmp_path / "a", head + KAGGLE.replace("\n", end))
    assert (first.words, first.lines) == (("Thousands", "of", "1,000", "London"), (2, 3, 4, 5))
    assert first.tags == ("O", "O", "O", "B-geo") and first.document is None
    assert (second.words, second.lines, second.file) == (("The", '"'), (6, 7), str(tmp_path / "a"))


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        ("token;label\na;O\nb;B-X\n\n\nc;O\n", [("a b", "O B-X", None), ("c", "O", None)]),
        ("token\tner\na\tO\n\t\nc\tO", [("a", "O", None), ("c", "O", None)]),
        (
            "form,NER_tag,sid\na,O,7\nb,O,7\n\nc,O,7\nd,O,8\ne,O,7\n",
            [("a b c", "O O O", None), ("d", "O", None), ("e", "O", None)],
        ),
        (
            "word,tag,doc,sentence\na,O,3,1\nb,O,,\nc,O,3,2\nd,O,9,2\ne,O,9,2\n",
            [("a b", "O O", 3), ("c", "O", 3), ("d e", "O O", 9)],
        ),
        (
            "word,tag,document\na,O,x.txt\n\nb,O,x.txt\n\nc,O,7\nd,O,x.txt\n",
            [("a", "O", 0), ("b", "O", 0), ("c", "O", 1), ("d", "O", 2)],
        ),
        ("word,tag,document\na,O,\n\nb,O,0\n", [("a", "O", None), ("b", "O", 0)]),
        ("word,tag,document\na,O,007\n", [("a", "O", 0)]),
        (" Word , Tag\n a,O\n", [(" a", "O", None)]),
    ],
)
def test_sentences_and_documents_begin_where_cells_say_so(tmp_path, content, wanted):
    assert plain(read(tmp_path / "a", content)) == wanted


def test_columns_are_named_or_numbered_and_others_noted(tmp_path):
    content = "id,text,word,tag,label\n1,a,b,O,X\n"
    for word, tag in (("text", "label"), (1, -1), (-4, "label")):
        assert plain(read(tmp_path / "a", content, word_column=word, tag_column=tag)) == [("a", "X", None)]
    options = Options(word_column="word", tag_column=3)
    list(csv.read(tmp_path / "a", options))
    assert list(options.notes.counts) == [f"column '{name}' is not read" for name in ("id", "text", "label")]
    blank = "word tag\na O\n"
    assert plain(read(tmp_path / "a", blank, separator="blank")) == [("a", "O", None)]


@pytest.mark.parametrize(
    ("content", "place", "said"),
    [
        ("word,tag\na,O\nb\n", ":3", "wrong number of cells, got 1 in"),
        ("word,tag\na,O,\n", ":2", "wrong number of cells, got 3"),
        ('word,tag\n"a\nb",O\n"c,O\n\n', ":4", "cells that cannot be split (unexpected end of data)"),
        ('word,tag\n"a"b,O\n', ":2", "cells that cannot be split"),
        ("word,tag\na,O\rb,O\n", ":2", "cells that cannot be split"),
        ("word,tag\n" + "a" * 200_000 + ",O\n", ":2", "cells that cannot be split (field larger"),
        ("word,tag\na,\n", ":2", "a row without a tag, got ['a', '']"),
        ("word,tag\n,O\n", ":2", "a row without a word"),
        ("word,text,tag\na,a,O\n", ":1", "several columns could be the word, got 'word', 'text'; name one (data.word"),
        ("word,tag,doc,document\na,O,1,1\n", ":1", "several columns could be the document"),
        ("word,pos\na,O\n", ":1", "no column has a known name for tags, got 'word', 'pos'; name one (data.tag_column)"),
        ("word,tag,doc\na,O,1\n\na,O,b\n", ":4", "not a valid document number, got 'b'"),
        ("word,tag,doc\na,O,1\n\na,O,9999999999\n", ":4", "not a valid document number"),
        ("word,tag\n", "", "no sentence in the file"),
        (
            "sentence,word,tag\n" + "Ann slept,Ann,O\nAnn slept,slept,O\n" * 2,
            ":2",
            "a sentence cell with a text that repeats, got 'Ann slept'; number the sentences",
        ),
        ("word,tag\n,\n\n", "", "no sentence in the file"),
        ("", ":1", "no column has a known name"),
        (
            'word\ttag\n"\tO\na\tO\n"\tO\n',
            ":2",
            r"a word or tag that spans lines and contains separators, got '\tO\na\tO\n'",
        ),
        (b"word,tag\na,O\ncaf\xe9,O\n", ":3", "not valid UTF-8, got byte 0xe9"),
        (b"word,tag\n" + b"a,O\n" * 20_000 + b"\0,O\n", ":20002", "a zero byte"),
    ],
)
def test_a_malformed_table_is_an_error_with_its_line(tmp_path, content, place, said):
    with pytest.raises(DataError) as caught:
        read(tmp_path / "a", content)
    assert str(caught.value).startswith(f"{tmp_path / 'a'}{place}: ") and said in str(caught.value)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


def test_a_column_that_is_not_there_is_an_error(tmp_path):
    for column, said in ((2, "no such column, got column 2 of 2"), ("x", "no column 'x', got 'word', 'tag'")):
        with pytest.raises(DataError, match=said):
            read(tmp_path / "a", "word,tag\na,O\n", word_column=column)


def test_a_missing_file_and_a_folder_are_errors(tmp_path):
    for module in (csv, parquet):
        with pytest.raises(DataError, match="no such file"):
            list(module.read(tmp_path / "none", Options()))
        with pytest.raises(DataError, match="a folder, expected a file"):
            list(module.read(tmp_path, Options()))


letters = st.characters(exclude_categories=["Cs"], exclude_characters="\0") | st.sampled_from(',;\t\r\n" \ufeff')
texts = st.text(letters, min_size=1, max_size=5)
pairs = st.lists(st.tuples(texts, texts), min_size=1, max_size=4)


@pytest.mark.parametrize("name", ["csv", "parquet"])
@given(st.lists(st.tuples(pairs, st.none() | st.integers(0, 3) | st.just(2**31 - 1)), min_size=1, max_size=5))
def test_what_is_written_is_read_back(tmp_path_factory, name, rows):
    path, module = tmp_path_factory.getbasetemp() / f"round.{name}", get(name)
    rows.sort(key=lambda row: row[1] is not None)  # a document may not end without another one
    made = [
        Sentence(tuple(w for w, _ in pairs), tuple(t for _, t in pairs), "", (), document) for pairs, document in rows
    ]
    if name == "csv" and any("\n" in cell and "," in cell for s in made for cell in s.words + s.tags):
        with pytest.raises(DataError, match="a word or tag that spans lines and contains separators"):
            module.write(iter(made), path)
        return
    module.write(iter(made), path)
    found = list(module.read(path, Options()))
    assert [(s.words, s.tags, s.document) for s in found] == [(s.words, s.tags, s.document) for s in made]
    assert detect(path)[0] == name
    if name == "csv":  # the lines are those at which the rows begin
        lines = path.read_bytes().split(b"\n")
        for number, sentence in enumerate(found, start=1):
            assert all(lines[line - 1].startswith(b"%d," % number) for line in sentence.lines)


@pytest.mark.parametrize("name", ["csv", "parquet"])
@pytest.mark.parametrize(
    ("words", "tags", "document", "said"),
    [
        (("a", ""), ("O", "O"), None, "^src:4: a word is empty"),
        (("a", "b"), ("O", ""), None, "^src:4: a tag is empty"),
        (("a", "\ud83d"), ("O", "O"), None, "^src:4: .*cannot hold"),
        (("a", "\0"), ("O", "O"), None, "^src:4: .*cannot hold"),
        ((), (), None, "^src: a sentence without words"),
        (("a",), ("O",), -1, "^src:3: a document number that a table cannot express, got -1"),
        (("a",), ("O",), 2**31, "^src:3: a document number that"),
        (("a",), ("O",), None, "^src:3: a document number that a table cannot express, got None after 0"),
    ],
)
def test_what_cannot_be_read_back_is_not_written(tmp_path, name, words, tags, document, said):
    before = [Sentence(("x",), ("O",), "src", (1,), 0)] if "after" in said else []
    with pytest.raises(DataError, match=said):
        bad = Sentence(words, tags, "src", tuple(range(3, 3 + len(words))), document)
        get(name).write([*before, bad], tmp_path / "a")
    with pytest.raises(DataError, match="no sentence to write"):
        get(name).write([], tmp_path / "a")


def test_a_word_longer_than_csv_reads_is_not_written(tmp_path):
    parquet.write([Sentence(("a" * 131_073,), ("O",), "src", (1,))], tmp_path / "b")
    assert len(next(parquet.read(tmp_path / "b", Options())).words[0]) == 131_073
    csv.write([Sentence(("\u00e4" * 131_072,), ("O",), "src", (1,))], tmp_path / "c")
    assert len(next(csv.read(tmp_path / "c", Options())).words[0]) == 131_072
    with pytest.raises(DataError, match=r"^src:1: a word or tag of more than 131072 characters"):
        csv.write([Sentence(("a" * 131_073,), ("O",), "src", (1,))], tmp_path / "a")


@pytest.mark.parametrize(
    "content",
    ["", ",", "a,b\n", "text,label\nI loved it,positive\n", "word,tag", '"word,tag\n', "a\tO\nb\tO\n", "{}", "\0,"],
)
def test_other_text_is_no_table(tmp_path, content):
    path = tmp_path / "a.csv"
    path.write_text(content)
    assert csv.recognise(path, content) is None and parquet.recognise(path, content) is None
    assert parquet.recognise(path, "PAR1" + content) is None and parquet.recognise(tmp_path / "none", "PAR1") is None


@pytest.mark.parametrize("content", [KAGGLE, 'word\tner\n"\tO\n', "token;tag\na;O\n\n", "text,label\na,B-X\n"])
def test_a_table_is_recognised_by_its_header(tmp_path, content):
    (tmp_path / "a.csv").write_text(content)
    assert detect(tmp_path / "a.csv")[0] == "csv"


@pytest.mark.parametrize("between", ["", "-DOCSTART-\tO", "# a comment"])
def test_columns_with_a_header_are_no_table_where_lines_between_rows_are_of_conll(between):
    content = f"word\ttag\nAnn\tB-PER\n{between}\n\nBob\tB-PER\n"
    assert csv.recognise(Path("a.tsv"), content) is None
    assert csv.recognise(Path("a.tsv"), "sentence\t" + content)


def test_mutated_tables_give_sentences_or_an_error_with_a_place(tmp_path):
    chance, path, good = random.Random(1), tmp_path / "a", 0
    for _ in range(1000):
        raw = bytearray((KAGGLE + "\n" + KAGGLE).encode())
        for _ in range(chance.randint(1, 3)):
            place = chance.randrange(len(raw))
            raw[place : place + chance.choice([0, 1, 1, 30])] = chance.choice(
                [
                    b"",
                    b"\xff",
                    b"\0",
                    b'"',
                    b",",
                    b"\r",
                    b"\n",
                    b"\r\n",
                    b"\xef\xbb\xbf",
                    b"-1",
                    b"null",
                    raw[place:][:40],
                ]
            )
        try:
            assert read(path, bytes(raw))
            good += 1
        except DataError as error:
            assert re.fullmatch(re.escape(str(path)) + r"(:\d+)?", error.where) and "\n" not in str(error)
        csv.recognise(path, raw.decode(errors="replace"))
    assert 100 < good < 900


def table(path, **columns):
    pq.write_table(pa.table(columns), path)
    return path


def test_parquet_of_other_types_is_read(tmp_path):
    words = pa.array(["a", "b", "c", "d", None]).dictionary_encode()
    path = table(
        tmp_path / "a.parquet",
        sent_id=[1.0, None, 2.0, 2.0, float("nan")],
        Word=words,
        pos=[1, 2, 3, 4, None],
        tag=pa.array(["O", "B-X", "O", "O", None], pa.large_string()),
        doc=[b"x", b"x", b"y", None, None],
    )
    options = Options()
    found = list(parquet.read(path, options))
    assert plain(found) == [("a b", "O B-X", 0), ("c d", "O O", 1)]
    assert [s.lines for s in found] == [(1, 2), (3, 4)]
    assert dict(options.notes.counts) == {"column 'pos' is not read": 1}
    assert detect(path)[0] == "parquet"
    path = table(tmp_path / "b", word=["a", None, "b"], tag=["O", None, "O"])
    assert plain(parquet.read(path, Options())) == [("a", "O", None), ("b", "O", None)]


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"word": ["a", "b"], "tag": ["O", None]}, "a:2: a row without a tag"),
        ({"word": ["a"], "tag": [1]}, "a: a column that is not text, got 'tag', of int64"),
        ({"word": [["a"]], "tag": [["O"]]}, "a: a column that is not text.*hugging_face"),
        ({"word": [b"a"], "tag": ["O"]}, "a: a column that is not text, got 'word', of binary"),
        ({"x": ["a"]}, "a: no column has a known name for words"),
        ({"word": [None], "tag": [None]}, "a: a column that is not text"),
        ({"word": pa.array([], pa.string()), "tag": pa.array([], pa.string())}, "a: no sentence in the file"),
    ],
)
def test_parquet_that_is_no_long_table_is_an_error(tmp_path, columns, said):
    with pytest.raises(DataError, match=said):
        list(parquet.read(table(tmp_path / "a", **columns), Options()))


def test_parquet_is_written_in_groups_and_read_as_a_stream(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "GROUP", 3)
    made = [Sentence(("a", "b"), ("O", "O"), "", (), number) for number in range(5)]
    parquet.write(iter(made), tmp_path / "a")
    assert pq.ParquetFile(tmp_path / "a").num_row_groups == 4
    assert [s.document for s in parquet.read(tmp_path / "a", Options())] == list(range(5))


def test_mutated_parquet_gives_the_same_sentences_or_an_error(tmp_path):
    path, chance, refused = tmp_path / "a", random.Random(2), 0
    made = [Sentence(("Ann", "slept"), ("B-PER", "O"), "", (), number) for number in range(50)]
    parquet.write(made, path)
    whole = path.read_bytes()
    wanted = plain(parquet.read(path, Options()))
    for _ in range(1000):
        raw = bytearray(whole)
        place = chance.randrange(len(raw))
        match chance.randrange(3):
            case 0:
                raw[place] = chance.randrange(256)
            case 1:
                del raw[place:]
            case 2:
                raw[place:place] = raw[place : place + 20]
        path.write_bytes(raw)
        parquet.recognise(path, raw.decode(errors="replace"))
        try:
            found = plain(parquet.read(path, Options()))
            assert len(found) <= len(wanted)
        except DataError as error:
            refused += 1
            assert error.where.startswith(str(path)) and "\n" not in str(error)
    assert refused > 500


def test_texts_with_a_label_each_are_not_taken_for_words(tmp_path):
    """Label Studio's CSV export, and text classification."""
    path = tmp_path / "a.csv"
    for label in ('"[{""start"": 0, ""end"": 4, ""labels"": [""PER""]}]"', "good"):
        path.write_text(f"text,id,label\nMira met Otto.,1,{label}\nNobody slept.,2,{label}\n")
        with pytest.raises(DataError, match=r"a.csv:1: rows of texts, not of words.*got 'Mira met Otto.'.*word_column"):
            list(read_sentences(path, "auto", Options()))
    path.write_text("word,pos\nNew York,PROPN\nslept,VERB\n")
    assert [s.words for s in read_sentences(path, "auto", Options(tag_column="pos"))] == [("New York", "slept")]


def test_formulas_are_escaped_on_request(tmp_path):
    source, plain_file, escaped = tmp_path / "a.conll", tmp_path / "plain.csv", tmp_path / "escaped.csv"
    words = ["=1+1", "+1", "-1", "@a", "\uff1d1", "a=1", "'a"]
    source.write_text("".join(f"{word}\tO\n" for word in words))
    convert(source, plain_file, Options())
    assert [s.words for s in csv.read(plain_file, Options())] == [tuple(words)]
    options = Options()
    convert(source, escaped, options, escape_formulas=True)
    assert options.notes.counts["formulas escaped with '"] == 5
    rows = [line.split(",")[1] for line in escaped.read_text().splitlines()[1:]]
    assert rows == ["'=1+1", "'+1", "'-1", "'@a", "'\uff1d1", "a=1", "'a"]
    assert not any(row[0] in "=+-@\t\r" for row in rows)
    with pytest.raises(ParamsError, match="only csv holds formulas, got conll"):
        convert(source, tmp_path / "b.conll", Options(), escape_formulas=True)
