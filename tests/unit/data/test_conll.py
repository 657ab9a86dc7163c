import json
import random
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fpplm_core.data.formats import HEAD, conll, get
from fpplm_core.data.options import Options
from fpplm_core.data.records import Sentence
from fpplm_core.errors import DataError, ParamsError
from fpplm_core.tagging.schemes import detect_scheme, tag_bigrams, tag_errors
from fpplm_core.tagging.spans import spans_from_tags

WIKIGOLD = Path(__file__).resolve().parents[3] / "data" / "wikigold"
CORPORA = ("gum_open", "ncbi_disease", "uner_pt_bosque", "uner_zh_gsdsimp", "wikigold", "wnut17")


@pytest.fixture
def read(tmp_path):
    """Reads text or bytes as a CoNLL file."""

    def read_content(content: str | bytes, options: Options | None = None) -> list[Sentence]:
        path = tmp_path / "some.conll"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return list(conll.read(path, options or Options()))

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


@pytest.mark.parametrize("rest", ["(d1)", "(d1)\tO", " (d1)", ":d1", "_d1\tO", "1\tO", "\t-X-\tO"])
@pytest.mark.parametrize("mark", ["-DOCSTART-", "-docstart-", "-DocStart-"])
def test_a_document_begins_in_any_spelling(read, mark, rest):
    found = read(f"{mark}{rest}\n\na\tO\n\n{mark}{rest}\nb\tO\n")
    assert [(s.words, s.document) for s in found] == [(("a",), 0), (("b",), 1)]
    assert read(f"a\tO\n{mark}x\tO\n")[0].words == ("a", f"{mark}x")


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
    (sentence,) = read("EU NNP B-ORG\ncalls VB O\n", Options(*columns))
    assert (sentence.words, sentence.tags) == (words, tags)


@pytest.mark.parametrize(
    ("content", "line", "parts"),
    [
        ("a\tO\nb\n", 2, ["got 1 in 'b'", "first line has 2", "separated by tabs"]),
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
        *(
            (f"{mark} id 3\n{rows}" * times, 1, [f"got 3 in '{mark} id 3', but most have 2", "# begins comments"])
            for mark in ("%", "//")
            for rows in ("Ann\tB-X\nslept\tO\n\n", "Ann B-X\nslept O\n\n")
            for times in (1, 3)
        ),
        ("#nlp\tO\n#Bonn\tB-X\n", None, ["every word begins with #", "choose another format"]),
        ("#nlp B-X\n", None, ["every word begins with #"]),
        ("# one\n#two\n", None, ["no sentence"]),
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
        read("a\tO\n", Options(word, tag))


def test_a_missing_file_a_folder_and_an_unknown_format_are_errors(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        list(conll.read(tmp_path / "none.conll", Options()))
    with pytest.raises(DataError, match="a folder, expected a file"):
        list(conll.read(tmp_path, Options()))
    with pytest.raises(ParamsError, match=r"use one of .*conll"):
        get("xlsx")


@pytest.mark.parametrize(
    ("content", "separator", "words", "tags"),
    [
        ('EU,B-ORG\n",",O\n"a ""b""",O\n', "comma", ("EU", ",", 'a "b"'), ("B-ORG", "O", "O")),
        ("a b;x y\n", "semicolon", ("a b",), ("x y",)),
        ("a b\tO\n", "tab", ("a b",), ("O",)),
        ("a\tb O\n", "blank", ("a",), ("O",)),
        ("-DOCSTART-,x\nb\tO\n", "auto", ("-DOCSTART-,x", "b"), None),
    ],
)
def test_a_separator_may_be_named(read, content, separator, words, tags):
    if tags is None:
        with pytest.raises(DataError, match="wrong number of columns"):
            read(content, Options(separator=separator))
    else:
        (sentence,) = read(content, Options(separator=separator))
        assert (sentence.words, sentence.tags) == (words, tags)


@pytest.mark.parametrize(
    ("content", "separator", "said"),
    [
        ("a O\n", "tab", "needs a word and a tag, got 'a O'; separate columns by tabs"),
        ("a,O\n", "auto", "needs a word and a tag, got 'a,O'; separate columns by a tab or blanks"),
        ('a,O\n",O\n', "comma", ":2: cells that cannot be split"),
        ('a,O\n"b"c,O\n', "comma", ":2: cells that cannot be split"),
        ("a,O\nb;O\n", "comma", ":2: wrong number of columns.*separated by commas"),
    ],
)
def test_the_wrong_separator_is_an_error(read, content, separator, said):
    with pytest.raises(DataError, match=said):
        read(content, Options(separator=separator))


def test_documents_are_marked_with_any_separator(read):
    found = read("-DOCSTART-,O\n\na,O\n-DOCSTART- -X-\nb,O\n", Options(separator="comma"))
    assert [(s.words, s.document) for s in found] == [(("a",), 0), (("b",), 1)]


CONLL2003 = """\
-DOCSTART- -X- O O

EU NNP I-NP I-ORG
rejects VBZ I-VP O

Peter NNP I-NP I-PER

-DOCSTART- -X- O O

BRUSSELS NNP I-NP I-LOC
1996-08-22 CD I-NP O

"""
CONLL2002 = "El DA O\nAbogado NC B-PER\nGeneral AQ I-PER\n\nMelbourne NP B-LOC\n\n"


def test_files_of_conll_2002_and_2003(read):
    assert [(s.words, s.tags, s.lines, s.document) for s in read(CONLL2003)] == [
        (("EU", "rejects"), ("I-ORG", "O"), (3, 4), 0),
        (("Peter",), ("I-PER",), (6,), 0),
        (("BRUSSELS", "1996-08-22"), ("I-LOC", "O"), (10, 11), 1),
    ]
    assert read(CONLL2003, Options(tag_column=1))[0].tags == ("NNP", "VBZ")
    assert plain(read(CONLL2002)) == [("El Abogado General", "O B-PER I-PER"), ("Melbourne", "B-LOC")]


def test_words_alone_are_read_where_both_columns_are_the_same(read):
    found = read("-DOCSTART-\n\nAnn\nslept\n\n# no comment\n#alone\n", Options(word_column=0, tag_column=0))
    assert [s.words for s in found] == [("Ann", "slept"), ("#alone",)]


def test_a_named_column_is_an_error(read):
    with pytest.raises(DataError, match=r"columns have no names in this format, got 'token'; give its number"):
        read("token\ttag\n", Options(word_column="token"))


def test_between_tabs_a_hash_tag_is_a_word_whatever_its_tag(read):
    found = read("Ann\tB-PER\n#Berlin\tLOC\n#Bonn\tB.LOC\n# a comment\tof full width\nslept\tO\n")
    assert [sentence.words for sentence in found] == [("Ann", "#Berlin", "#Bonn", "slept")]


def test_comments_are_noted(read):
    options = Options()
    read("# one\na\tO\n#two\nb\tO\n#c\tO\n", options)
    assert options.notes.counts == {"comments are not read": 2}


RECOGNISED = {
    "conll2003": (CONLL2003, "4 columns separated by blanks"),
    "conll2002": (CONLL2002, "3 columns separated by blanks"),
    "tabs": ("# sent\nEU\tB-ORG\r\n\r\ncalls\tO\r\n", "2 columns separated by tabs"),
    "tags": ("EU\tPROPN\ncalls\tVERB\n", "2 columns separated by tabs"),
    "brackets": ("[\tO\n{\tO\n<\tO\n", "2 columns separated by tabs"),
    "some latin1": (
        "un\tO\ncaf\ufffd\tO\n",
        "2 columns separated by tabs",
    ),  # which is told to be no UTF-8 when it is read
    "no line end": ("EU B-ORG", "2 columns separated by blanks"),
    "a bad line": ("a\tO\n" * 20 + "b\n" + "a\tO\n" * 20, "2 columns separated by tabs"),
}
NOT_RECOGNISED = [
    "",
    "\n\n",
    "# comment\n",
    "-DOCSTART-\tO\n",
    "Just text.\nIn lines of words.\n",
    "Two words\nin lines\n",
    "EU,B-ORG\ncalls,O\n",
    '{"tokens": ["a"], "tags": ["O"]}\n',
    '{\n "a": O\n}\n',
    '[{"text": "a\tb"}, O]\n',
    '["a O", {"entities": []}]\n',
    "<?xml version='1.0' O?>\n",
    "a\tO\0\n",
    b"x\x9c\xab\x56\x2a\x49\xad\x28\x51\xb2\x52\t\xca\x48".decode("utf-8", "replace"),
]


@pytest.mark.parametrize("name", RECOGNISED)
def test_columns_are_recognised(tmp_path, name):
    content, reason = RECOGNISED[name]
    assert conll.recognise(tmp_path / "a.txt", content) == reason


@pytest.mark.parametrize("head", NOT_RECOGNISED)
def test_what_has_no_columns_is_not_recognised(tmp_path, head):
    assert conll.recognise(tmp_path / "a.conll", head) is None


def test_stand_off_annotation_is_not_recognised(tmp_path):
    assert conll.recognise(tmp_path / "a.ann", "T1\tPER 0 5\tAnn\n") is None


@given(st.text(max_size=60) | st.binary(max_size=60).map(lambda raw: raw.decode("utf-8", "replace")))
def test_recognising_never_fails(head):
    for name in ("conll", "conllu", "iob2", "conll2012"):
        assert get(name).recognise(Path("none/at all"), head) is None or head


# Any text, and often what means something in a file of columns.
odd = st.sampled_from(["\t", "\n", "\r", " ", "#", "\ufeff", "\0", "\x85", "-", "_", "O", "|", "(", "*", "\u3000"])
texts = st.text(odd | st.characters(), max_size=4)
words = texts | st.sampled_from(
    [conll.DOCUMENT, f"{conll.DOCUMENT} x", f"{conll.DOCUMENT}x", "#a", "\ufeff", "\ufeffb"]
)
tags = st.sampled_from(["O", "B-PER", "I-PER", "S-creative-work", "#", "x"])
pairs = st.lists(st.tuples(words, tags | texts), max_size=4)
numbers = st.none() | st.integers(-1, 4) | st.just(2**31 - 1)


def made(rows) -> list[Sentence]:
    """Sentences from (pairs, document) of each."""
    return [
        Sentence(
            tuple(w for w, _ in cells), tuple(t for _, t in cells), "made", tuple(range(1, len(cells) + 1)), number
        )
        for cells, number in rows
    ]


def come_back(module, sentences: list[Sentence], path: Path) -> bool:
    """Writes and reads again; False where that is refused with the place of one. What is read is compared."""
    try:
        module.write(iter(sentences), path)
    except DataError as error:
        assert error.where.startswith("made") or not sentences
        return False
    found = list(module.read(path, Options()))
    rest = (lambda s: (s.text, s.offsets)) if "text" in module.HOLDS else lambda s: ()
    number = (lambda s: s.document) if "documents" in module.HOLDS else lambda s: None
    assert [(s.words, s.tags, number(s), rest(s)) for s in found] == [
        (s.words, s.tags, number(s), rest(s)) for s in sentences
    ]
    return True


@given(st.lists(st.tuples(pairs, numbers), max_size=4))
def test_what_is_written_is_read_back_or_refused(tmp_path_factory, rows):
    come_back(conll, made(rows), tmp_path_factory.getbasetemp() / "round_trip.conll")


# What a file of columns can hold. A byte order mark that is the first character of a file must stay, too.
letters = st.characters(exclude_categories=["Cs"], exclude_characters="\t\n\0")
good = st.text(letters, min_size=1, max_size=5).filter(lambda word: not word.startswith(conll.DOCUMENT))
good_pairs = st.lists(st.tuples(good, tags), min_size=1, max_size=4)


@given(st.lists(st.tuples(good_pairs, st.integers(0, 2)), min_size=1, max_size=5), st.integers(0, 5))
def test_what_can_be_held_is_not_refused(tmp_path_factory, steps, unmarked):
    rows, document = [], -1
    for number, (cells, step) in enumerate(steps):
        document += step if document >= 0 or number < unmarked else max(1, step)
        rows.append((cells, document if document >= 0 else None))
    sentences = [*made(rows), *made([([("a", "O")], rows[-1][1])])]  # a word that is surely no comment
    path = tmp_path_factory.getbasetemp() / "held.conll"
    assert come_back(conll, sentences, path)
    lines = path.read_bytes().decode().split("\n")
    for sentence in conll.read(path, Options()):
        assert [lines[number - 1].split("\t")[0] for number in sentence.lines] == list(sentence.words)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([([("a\tb", "O")], None)], r"made:1: a word has '\\t', which this format cannot hold, got 'a\\tb'"),
        ([([("a", "O"), ("b\n", "O")], None)], "made:2: a word has"),
        ([([("", "O")], None)], "made:1: a word is empty"),
        ([([("a", "")], None)], "made:1: a tag is empty"),
        ([([("a", "O ")], None)], "a tag followed by blanks"),
        ([([("a", "O\r")], None)], "a tag followed by blanks"),
        ([([("-DOCSTART-", "O")], None)], "made:1: a word that would begin a document"),
        ([([("-DOCSTART- x", "O")], None)], "a word that would begin a document"),
        ([([("-docstart-(x)", "O")], None)], "a word that would begin a document"),
        ([([("\ud800", "O")], None)], "made:1: a word has"),
        ([([("#a", "O")], None), ([("-DOCSTART-x", "O")], None)], "would be indistinguishable"),
        ([([("a", "O")], 0), ([("a", "O")], None)], "made:1: a document number that this format .*, got None after 0"),
        ([([("a", "O")], 1), ([("a", "O")], 0)], "got 0 after 1; number documents from 0"),
        ([([("a", "O")], 2**31)], "got 2147483648 after None"),
        ([([("a", "O")], None), ([], None)], "made: a sentence without words"),
        ([], "no sentence to write"),
    ],
)
def test_what_a_file_cannot_hold_is_refused(tmp_path, rows, said):
    with pytest.raises(DataError, match=said):
        conll.write(made(rows), tmp_path / "refused.conll")


def mutated(content: str, seed: int) -> bytes:
    """A file after a few accidents: lines swapped, doubled, lost, cells changed, bytes flipped, cut, …"""
    chance = random.Random(seed)
    cells = [
        "",
        " ",
        "1",
        "0",
        "-1",
        "1-2",
        "2-1",
        "1.1",
        "9" * 30,
        "null",
        "1e9",
        "\ufeff",
        "[[[",
        "(A",
        "*)",
        "a|NER=O",
    ]
    cells += ["NER=B-X|NE=B-X", "Entity=(x", "#", "# newdoc", "# text = ", "#begin document", "#end document", "\x0b"]
    lines = content.split("\n")
    for _ in range(chance.randint(1, 4)):
        a, b = chance.randrange(len(lines)), chance.randrange(len(lines))
        kind = chance.randrange(6)
        if kind == 0:
            lines[a], lines[b] = lines[b], lines[a]
        elif kind == 1:
            lines.insert(a, lines[b])
        elif kind == 2 and len(lines) > 1:
            del lines[a]
        elif kind == 3:
            lines.insert(a, chance.choice(cells))
        elif kind == 4:
            between = chance.choice("\t ")
            row = lines[a].split(between)
            row[chance.randrange(len(row))] = chance.choice(cells)
            lines[a] = between.join(row)
    raw = bytearray(chance.choice(["\n", "\r\n"]).join(lines).encode())
    for _ in range(chance.choice([0, 0, 1, 3])):
        raw[chance.randrange(len(raw))] = chance.choice([0, 9, 10, 13, 32, 35, 40, 255, chance.randrange(256)])
    cut = chance.randrange(len(raw)) if chance.random() < 0.2 else len(raw)
    return bytes(raw[:cut])


def survives(module, content: str, path: Path, options: Options) -> int:
    """How many of 300 mutated files are read whole; each other one is a DataError that names the file."""
    number = 0
    for seed in range(300):
        path.write_bytes(mutated(content, seed))
        try:
            found = list(module.read(path, options))
        except DataError as error:
            assert error.where.startswith(str(path))
            assert len(str(error)) < len(str(path)) + 400
        else:
            number += 1
            assert found
            for sentence in found:
                assert len(sentence.words) == len(sentence.tags) == len(sentence.lines) > 0
                if sentence.text is not None:
                    assert len(sentence.offsets) == len(sentence.words)
        with path.open("rb") as stream:
            formats_head = stream.read(HEAD).decode("utf-8-sig", "replace")
        module.recognise(path, formats_head)
    return number


@pytest.mark.parametrize("separator", ["auto", "tab", "blank", "comma", "semicolon"])
def test_mutated_files_are_read_or_refused(tmp_path, separator):
    content = CONLL2003.replace(" ", {"tab": "\t", "comma": ",", "semicolon": ";"}.get(separator, " "))
    assert 10 < survives(conll, content, tmp_path / "mutated.conll", Options(separator=separator)) < 290


@given(st.binary(max_size=60))
def test_any_bytes_give_sentences_or_an_error_with_a_place(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "bytes.conll"
    path.write_bytes(content)
    try:
        found = list(conll.read(path, Options()))
    except DataError as error:
        assert error.where.startswith(str(path))
    else:
        assert found
        for sentence in found:
            assert len(sentence.words) == len(sentence.tags) == len(sentence.lines) > 0


@pytest.mark.parametrize(("split", "sentences"), [("train", 1023), ("dev", 376), ("test", 297)])
def test_the_bundled_corpus_is_whole(split, sentences):
    found = list(conll.read(WIKIGOLD / f"{split}.conll", Options()))
    assert len(found) == sentences
    assert len({s.document for s in found}) == {"train": 87, "dev": 29, "test": 29}[split]
    assert not any(tag_errors(s.tags, "IOB2") for s in found)


@pytest.mark.parametrize("corpus", CORPORA)
def test_shared_corpora_have_the_counts_of_their_statistics(shared_data, corpus):
    folder = shared_data / corpus
    statistics = json.loads((folder / "stats.json").read_text())
    for split in ("train", "dev", "test"):
        found = list(conll.read(folder / f"{split}.conll", Options()))
        wanted = statistics[split]
        assert len(found) == wanted["sents"]
        assert sum(len(s.words) for s in found) == wanted["tokens"]
        assert max(len(s.words) for s in found) == wanted["longest_sentence"]
        documents = {s.document for s in found}
        assert documents == (set(range(wanted["docs"])) if wanted["docs"] else {None})
        scheme = detect_scheme(tag_bigrams(s.tags for s in found)).scheme
        assert scheme == "IOB2" and (split == "train" or not any(tag_errors(s.tags, scheme) for s in found))
        entities = [span for s in found for span in spans_from_tags(s.tags)]
        assert Counter(span.type for span in entities) == wanted["types"]
        assert max(span.end - span.start for span in entities) == wanted["longest_entity"]
        lines = (folder / f"{split}.conll").read_text(encoding="utf-8").split("\n")
        assert all(lines[n - 1].split("\t")[0] == word for s in found for n, word in zip(s.lines, s.words, strict=True))
