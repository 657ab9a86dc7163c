import io
import json
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fpplm_core import formats
from fpplm_core.errors import DataError, ParamsError
from fpplm_core.formats import conll
from fpplm_core.labels import detect_scheme, faults, lenient_spans
from fpplm_core.text import Sentence

WIKIGOLD = Path(__file__).resolve().parents[2] / "data" / "wikigold"
CORPORA = ("gum_open", "ncbi_disease", "uner_pt_bosque", "uner_zh_gsdsimp", "wikigold", "wnut17")
OUTER = SimpleNamespace(word_column=0, tag_column=-1)


@pytest.fixture
def read(tmp_path):
    """Reads text or bytes as a CoNLL file."""

    def read_content(content: str | bytes, columns=OUTER) -> list[Sentence]:
        path = tmp_path / "some.conll"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return list(conll.read(path, columns))

    return read_content


def plain(sentences: list[Sentence]) -> list[tuple[str, str]]:
    return [(" ".join(s.words), " ".join(s.tags)) for s in sentences]


EU = [("EU rejects", "B-ORG O"), ("call", "O")]


@pytest.mark.parametrize(
    "content",
    [
        "EU\tB-ORG\nrejects\tO\n\ncall\tO\n\n",
        "EU B-ORG\nrejects O\n\ncall O\n\n",
        "EU   B-ORG\nrejects \t O\n\ncall O\n\n",
        "EU B-ORG\nrejects\tO\n\ncall O\n\n",
        "EU\tB-ORG\nrejects\tO\n\ncall\tO",
        "EU\tB-ORG\r\nrejects\tO\r\n\r\ncall\tO\r\n",
        "\ufeffEU\tB-ORG\nrejects\tO\n\ncall\tO\n",
        "EU\tB-ORG  \nrejects\tO\t\n\ncall\tO \t\r\n",
        "\n\n  \nEU\tB-ORG\nrejects\tO\n \t \n\n\ncall\tO\n\n\n\n",
        "# a comment\nEU\tB-ORG\nrejects\tO\n# another\tone\there\n\n# one more\ncall\tO\n",
        "#\n#id 1\n\nEU\tB-ORG\nrejects\tO\n\n#\ncall\tO\n#\n",
    ],
)
def test_layout_does_not_matter(read, content):
    assert plain(read(content)) == EU


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("head", ["", "\ufeff", "# comment\n\n", "-DOCSTART-\tO\n\n"])
def test_line_numbers_are_those_of_an_editor(read, head, line_end):
    content = f"{head}a\tO\n# aside\nb\tB-X\n\n\nc\tO".replace("\n", line_end)
    start = head.count("\n") + 1
    assert [s.lines for s in read(content)] == [(start, start + 2), (start + 5,)]


def test_documents_are_counted_from_their_marks(read):
    content = "a O\n\n-DOCSTART- -X- O O\n\nb O\n\nc O\n-DOCSTART-\nd O\n\n-DOCSTART- O\n-DOCSTART- O\ne O\n"
    assert [(s.words, s.document) for s in read(content)] == [
        (("a",), None),
        (("b",), 0),
        (("c",), 0),
        (("d",), 1),
        (("e",), 3),
    ]


@pytest.mark.parametrize("mark", ["\u00a0", "\u2009", "\u3000", "\u2028", "\x85", "\x0b", "\x0c", "\u200b", "\r"])
def test_no_mark_but_tab_blank_and_newline_parts_words(read, mark):
    for gap in ("\t", " "):
        (sentence,) = read(f"a{mark}b{gap}O\n{mark}{gap}B-X\nc{gap}I-X\n")
        assert sentence.words == (f"a{mark}b", mark, "c")
        assert sentence.tags == ("O", "B-X", "I-X")


def test_a_blank_is_part_of_a_word_where_tabs_part_columns(read):
    (sentence,) = read("New York\tB-LOC\n 1 000 \tO\n")
    assert sentence.words == ("New York", " 1 000 ")


def test_hashtags_are_words(read):
    content = "so\tO\n#\tO\n#nlp\tB-X\n##\tI-X\n# no word\n\n#alone\tO\n"
    assert [s.words for s in read(content)] == [("so", "#", "#nlp", "##"), ("#alone",)]


@pytest.mark.parametrize(
    ("columns", "words", "tags"),
    [
        ((0, -1), ("EU", "calls"), ("B-ORG", "O")),
        ((0, 1), ("EU", "calls"), ("NNP", "VB")),
        ((-3, 2), ("EU", "calls"), ("B-ORG", "O")),
        ((2, 0), ("B-ORG", "O"), ("EU", "calls")),
    ],
)
def test_columns_are_chosen_from_either_side(read, columns, words, tags):
    (sentence,) = read("EU NNP B-ORG\ncalls VB O\n", SimpleNamespace(word_column=columns[0], tag_column=columns[1]))
    assert (sentence.words, sentence.tags) == (words, tags)


@pytest.mark.parametrize(
    ("content", "line", "parts"),
    [
        ("a\tO\nb\n", 2, ["got 1 in 'b'", "first line has 2", "parted by tabs"]),
        ("a O\n\nb X O\n", 3, ["got 3 in 'b X O'", "blanks or tabs"]),
        ("# x\na\tO\n\tb\tO\n", 3, ["got 3"]),
        ("a\tX\tO\nb\tO\n", 2, ["got 2", "has 3"]),
        ("a\tO\nb\t\n", 2, ["wrong number of columns", "got 1 in 'b'"]),
        ("a O\r\n\u00a0\r\n", 2, ["got 1"]),
        ("just text\n\nin a file of sentences .\n", 3, ["got 6"]),
        ("word\n", 1, ["needs a word and a tag", "got 'word'"]),
        (b"a\tO\ncaf\xe9\tO\n", 2, ["not valid UTF-8", "byte 0xe9", "iconv"]),
        (b"\xff\xfea\x00\tO\n", None, ["not a text file"]),
        (b"PK\x03\x04\x00\x00", None, ["zero bytes"]),
        ("", None, ["no sentence"]),
        ("\ufeff\r\n\r\n", None, ["no sentence"]),
        ("# a comment\n-DOCSTART-\tO\n\n", None, ["no sentence"]),
    ],
)
def test_an_unreadable_file_is_an_error_with_its_line(read, tmp_path, content, line, parts):
    with pytest.raises(DataError) as caught:
        read(content)
    place = f"{tmp_path / 'some.conll'}" + (f":{line}: " if line else ": ")
    assert str(caught.value).startswith(place)
    assert all(part in str(caught.value) for part in parts)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("word", "tag"), [(0, 2), (2, 0), (0, -3), (-3, 1)])
def test_a_column_beyond_the_file_is_an_error(read, word, tag):
    with pytest.raises(DataError, match=r"no such column, got column -?[23] of 2; set data"):
        read("a\tO\n", SimpleNamespace(word_column=word, tag_column=tag))


def test_a_missing_file_a_folder_and_an_unknown_format_are_errors(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        list(conll.read(tmp_path / "none.conll", OUTER))
    with pytest.raises(DataError, match="a folder stands where a file is wanted"):
        list(conll.read(tmp_path, OUTER))
    with pytest.raises(ParamsError, match=r"use one of .*conll"):
        formats.get("xlsx")


# Tabs and newlines cannot stand in a word of this format; a zero byte makes a file binary; a byte order mark
# that is the first character of a file is not text.
letters = st.characters(exclude_categories=["Cs"], exclude_characters="\t\n\0\ufeff")
words = st.text(letters, min_size=1, max_size=5).filter(lambda word: word != conll.DOCUMENT)
tags = st.sampled_from(["O", "B-PER", "I-PER", "S-creative-work", "#", "x"])
pairs = st.lists(st.tuples(words, tags), min_size=1, max_size=4)
documents = st.lists(st.lists(pairs, min_size=1, max_size=3), max_size=3)


@given(documents, pairs, st.booleans())
def test_what_is_written_is_read_back(tmp_path_factory, documents, first, marked):
    # A file whose every line begins with # has no line that says how many columns it has.
    first = [("a", "O"), *first]
    grouped = [(0, [first])] + [(number, part) for number, part in enumerate(documents, start=1)]
    made = [
        Sentence(tuple(w for w, _ in pairs), tuple(t for _, t in pairs), "", (), number if marked else None)
        for number, part in grouped
        for pairs in part
    ]
    stream = io.StringIO(newline="")
    conll.write(made, stream)
    path = tmp_path_factory.getbasetemp() / "round_trip.conll"
    path.write_bytes(stream.getvalue().encode())
    found = list(conll.read(path, OUTER))
    assert [(s.words, s.tags, s.document) for s in found] == [(s.words, s.tags, s.document) for s in made]
    lines = stream.getvalue().split("\n")
    for sentence in found:
        assert [lines[number - 1].split("\t")[0] for number in sentence.lines] == list(sentence.words)


@given(st.binary(max_size=60))
def test_any_bytes_give_sentences_or_an_error_with_a_place(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "bytes.conll"
    path.write_bytes(content)
    try:
        found = list(conll.read(path, OUTER))
    except DataError as error:
        assert error.where.startswith(str(path))
    else:
        assert found
        for sentence in found:
            assert len(sentence.words) == len(sentence.tags) == len(sentence.lines) > 0


@pytest.mark.parametrize(("split", "sentences"), [("train", 1023), ("dev", 376), ("test", 297)])
def test_the_bundled_corpus_is_whole(split, sentences):
    found = list(conll.read(WIKIGOLD / f"{split}.conll", OUTER))
    assert len(found) == sentences
    assert len({s.document for s in found}) == {"train": 87, "dev": 29, "test": 29}[split]
    assert not any(faults(s.tags, "IOB2") for s in found)


@pytest.mark.parametrize("corpus", CORPORA)
def test_shared_corpora_have_the_counts_of_their_statistics(shared_data, corpus):
    folder = shared_data / corpus
    statistics = json.loads((folder / "stats.json").read_text())
    for split in ("train", "dev", "test"):
        found = list(conll.read(folder / f"{split}.conll", OUTER))
        wanted = statistics[split]
        assert len(found) == wanted["sents"]
        assert sum(len(s.words) for s in found) == wanted["tokens"]
        assert max(len(s.words) for s in found) == wanted["longest_sentence"]
        documents = {s.document for s in found}
        assert documents == (set(range(wanted["docs"])) if wanted["docs"] else {None})
        scheme = detect_scheme(tag for s in found for tag in s.tags)
        assert scheme == "IOB2" and (split == "train" or not any(faults(s.tags, scheme) for s in found))
        entities = [span for s in found for span in lenient_spans(s.tags)]
        assert Counter(span.type for span in entities) == wanted["types"]
        assert max(span.end - span.start for span in entities) == wanted["longest_entity"]
        lines = (folder / f"{split}.conll").read_text(encoding="utf-8").split("\n")
        assert all(lines[n - 1].split("\t")[0] == word for s in found for n, word in zip(s.lines, s.words, strict=True))
