from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fpplm_core.data.alignment import places_of_joined
from fpplm_core.data.formats import HEAD, conll, conllu, get
from fpplm_core.data.options import Options
from fpplm_core.data.records import Sentence
from fpplm_core.errors import DataError
from tests.conftest import corpus_folder
from tests.unit.data.test_conll import come_back, numbers, odd, pairs, survives, texts

# As documented at universaldependencies.org/format.html, with tags as Stanza writes them.
SPANISH = """\
# newdoc id = weblog-1
# newpar
# sent_id = 1
# text = vámonos al mar Muerto
1-2	vámonos	_	_	_	_	_	_	_	_
1	vamos	ir	VERB	_	_	0	root	_	_
2	nos	nosotros	PRON	_	_	1	obj	_	ner=O
3-4	al	_	_	_	_	_	_	_	_
3	a	a	ADP	_	_	5	case	_	_
4	el	el	DET	_	_	5	det	_	ner=B-LOC
5	mar	mar	NOUN	_	_	1	obl	_	ner=I-LOC
6	Muerto	muerto	PROPN	_	_	5	amod	_	start_char=15|ner=I-LOC|end_char=21

# sent_id = 2
1	Sue	Sue	PROPN	_	_	2	nsubj	_	ner=B-PER
2	likes	like	VERB	_	_	0	root	_	_
3	coffee	coffee	NOUN	_	_	2	obj	_	_
4	and	and	CCONJ	_	_	5	cc	_	_
5	Bill	Bill	PROPN	_	_	2	conj	_	ner=B-PER
5.1	likes	like	VERB	_	_	_	_	2:conj	CopyOf=2
6	tea	tea	NOUN	_	_	5	orphan	_	SpaceAfter=No
7	.	.	PUNCT	_	_	2	punct	_	SpacesAfter=\\n

# newdoc
1	_	_	PUNCT	_	_	0	root	_	_

"""


@pytest.fixture
def read(tmp_path):
    """Reads text as a CoNLL-U file."""

    def read_content(content: str, options: Options | None = None) -> list[Sentence]:
        path = tmp_path / "some.conllu"
        path.write_bytes(content.encode())
        return list(conllu.read(path, options or Options()))

    return read_content


def rows(*words: tuple[str, str], columns: int = 10) -> str:
    """A sentence of (FORM, MISC)."""
    cells = ["_"] * 7 + [""] + ["_"] * (columns - 10)
    made = []
    for number, (form, misc) in enumerate(words, start=1):
        cells[7] = misc
        made.append("\t".join([str(number), form, *cells]) + "\n")
    return "".join(made) + "\n"


def test_words_tags_text_and_documents(read, tmp_path):
    options = Options()
    path = str(tmp_path / "some.conllu")
    first, second, third = read(SPANISH, options)
    assert first == Sentence(
        ("vamos", "nos", "a", "el", "mar", "Muerto"),
        ("O", "O", "O", "B-LOC", "I-LOC", "I-LOC"),
        path,
        (6, 7, 9, 10, 11, 12),
        0,
        "vámonos al mar Muerto",
        ((0, 7), (0, 7), (8, 10), (8, 10), (11, 14), (15, 21)),
    )
    assert second.words == ("Sue", "likes", "coffee", "and", "Bill", "tea", ".")
    assert second.tags == ("B-PER", "O", "O", "O", "B-PER", "O", "O")
    assert second.lines == (15, 16, 17, 18, 19, 21, 22)
    assert (second.document, second.text) == (0, "Sue likes coffee and Bill tea.")
    assert second.offsets[-2:] == ((26, 29), (29, 30))
    assert third == Sentence(("_",), ("O",), path, (25,), 1)
    assert not options.notes.counts


@pytest.mark.parametrize("column", [3, -7, "UPOS"])
def test_parts_of_speech_are_a_column(read, column):
    assert [s.tags for s in read(SPANISH, Options(tag_column=column))][1:] == [
        ("PROPN", "VERB", "NOUN", "CCONJ", "PROPN", "NOUN", "PUNCT"),
        ("PUNCT",),
    ]
    assert read(SPANISH, Options(tag_column="XPOS"))[2].tags == ("_",)
    assert read(SPANISH, Options(word_column="LEMMA"))[0].words[:2] == ("ir", "nosotros")


@pytest.mark.parametrize("key", ["NER", "NE", "ner", "Entity"])
def test_tags_stand_in_an_attribute(read, key):
    (sentence,) = read(rows(("a", f"Lang=x|{key}=B-X"), ("b", f"{key}=I-X"), ("c", "NERD=B-X"), ("d", f"{key}=O")))
    assert sentence.tags == ("B-X", "I-X", "O", "O")


def test_tags_stand_in_an_eleventh_column_or_in_a_named_one(read):
    content = rows(("a", "NER=B-X"), columns=11).replace("_\n", "B-Y\n")
    assert read(content)[0].tags == ("B-Y",)
    head = f"# global.columns = {' '.join(conllu.COLUMNS)} MARCELL:NE MARCELL:NP\n"
    content = head + rows(("a", "_"), columns=12).replace("_\t_\n", "B-LOC\tB-NP\n")
    assert read(content, Options(tag_column="MARCELL:NE"))[0].tags == ("B-LOC",)
    assert read(content, Options(tag_column=-1))[0].tags == ("B-NP",)
    assert read(content, Options(tag_column="MISC"))[0].tags == ("_",)


@pytest.mark.parametrize(
    ("content", "options", "line", "said"),
    [
        (rows(("a", "NER=B-X|NE=B-X")), {}, 1, "tags in several attributes, got 'NER=B-X|NE=B-X'"),
        (rows(("a", "NER=B-X|NER=O")), {}, 1, "tags in several attributes"),
        (
            rows(("a", "NER=B-X"), ("b", "ner=B-X")),
            {},
            2,
            "tags in several attributes, got 'ner=B-X'; keep one, as NER=",
        ),
        (rows(("a", "B-X"), ("b", "O")), {}, 1, "a tag in MISC without NER=, got 'B-X'; name the column"),
        (rows(("a", "Entity=(person-1-giv:act-cf1*-1-coref-Ann")), {}, 1, "mentions in brackets, which are not tags"),
        (rows(("a", "_"), ("b", "Entity=1)")), {}, 2, "mentions in brackets"),
        (rows(("a", "_"), columns=12), {}, 1, "several additional columns, got 12 columns; name the column"),
        (rows(("a", "_")), {"tag_column": "NER"}, 1, "no such column, got 'NER'; use a number, or one of ID, FORM"),
        (rows(("a", "_")), {"tag_column": 10}, 1, "no such column, got column 10 of 10"),
        (rows(("a", "_")), {"word_column": -11}, 1, "no such column, got column -11 of 10"),
        (
            "# global.columns = ID FORM UPOS\n" + rows(("a", "_")),
            {},
            1,
            "columns in an unknown order, got ' ID FORM UPOS'",
        ),
        ("1\ta\tO\n", {}, 1, "wrong number of columns, got 3 in"),
        (rows(("a", "_")) + rows(("a", "_"), columns=11), {}, 3, "wrong number of columns, got 11, but"),
        (rows(("a", "_")).replace("1", "x", 1), {}, 1, "not a word number, got 'x'"),
        (rows(("a", "_")).replace("1", "²", 1), {}, 1, "not a word number"),
        (rows(("a", "_")).replace("1", "9" * 5000, 1), {}, 1, "not a word number"),
        (rows(("a", "_")).replace("1", "2", 1), {}, 1, "words out of order, got '2'; the next word is 1"),
        (rows(("a", "_"))[:-1] + rows(("b", "_")), {}, 2, "words out of order, got '1'; the next word is 2; an empty"),
        (
            rows(("a", "_"), ("b", "_")).replace("1\t", "1-3\tab" + "\t_" * 8 + "\n1\t", 1),
            {},
            3,
            "a range extends beyond",
        ),
        (rows(("a", "_"), ("b", "_")).replace("2\t", "2-1\tab" + "\t_" * 8 + "\n2\t", 1), {}, 2, "words out of order"),
        (
            rows(("a", "_"), ("b", "_"))
            .replace("1\t", "1-2\tab" + "\t_" * 8 + "\n1\t", 1)
            .replace("2\tb", "2-2\tb" + "\t_" * 8 + "\n2\tb", 1),
            {},
            3,
            "words out of order, got '2-2'",
        ),
        (rows(("a", "_")).replace("1", "0.1", 1), {}, 1, "a sentence without words"),
        (rows(("", "_")), {}, 1, "an empty word"),
        (rows(("a", "_"), ("b", "_")).replace("2\t", "# newdoc\n2\t", 1), {}, 2, "a document begins inside a sentence"),
        ("# text = a\n\n", {}, None, "no sentence in the file"),
        ("", {}, None, "no sentence in the file"),
    ],
)
def test_what_cannot_be_read_is_an_error_with_its_line(read, tmp_path, content, options, line, said):
    with pytest.raises(DataError) as caught:
        read(content, Options(**options))
    place = f"{tmp_path / 'some.conllu'}" + (f":{line}: " if line else ": ")
    assert str(caught.value).startswith(place + said)


def test_the_text_is_used_where_it_agrees_with_the_words(read):
    two = rows(("a", "NER=B-X"), ("b c", "_"))
    for comment, offsets in {
        "# text = a b c": ((0, 1), (2, 5)),
        "#text=ab c": ((0, 1), (1, 4)),
        "# text =  a\u3000 b c ": ((1, 2), (4, 7)),
        "# text = a b c d": None,
        "# text = a bc": None,
        "# text = b a b c": None,
        "# text = a b c\n# text = a b c": None,
        "# text =": None,
        "# text_en = a b c": None,
        "# text = a b c\n": None,  # of a block without words
    }.items():
        options = Options()
        (sentence,) = read(f"{comment}\n{two}", options)
        assert sentence.offsets == offsets, comment
        assert (sentence.text is None) == (offsets is None)
        noted = options.notes.counts["text comments that do not agree with the words are not used"]
        assert noted == (offsets is None and not comment.startswith("# text_en") and not comment.endswith("\n"))
    assert read("# text = a b\r\n" + rows(("a", "_"), ("b", "NER=O")).replace("\n", "\r\n"))[0].text == "a b"


def test_white_space_is_also_said_by_space_after(read):
    assert read(rows(("a", "SpaceAfter=No"), ("b", "NER=O"), ("c", "SpaceAfter=No")))[0].text == "ab c"
    ranged = rows(("a", "SpaceAfter=No"), ("b", "_"), ("c", "NER=O"))
    ranged = ranged.replace("1\t", "1-2\tab\t" + "_\t" * 7 + "SpaceAfter=No\n1\t", 1)
    (sentence,) = read(ranged)
    assert (sentence.text, sentence.offsets) == ("abc", ((0, 2), (0, 2), (2, 3)))


def test_what_is_passed_over_is_noted(read):
    options = Options()
    content = rows(("a", "NER=B-X"), ("b", "_")).replace("2\t", "1.1\tx\t" + "_\t" * 7 + "NER=B-Y\n2\t", 1)
    read(content.replace("1\t", "1-1\tA\t" + "_\t" * 7 + "NER=B-Y\n1\t", 1), options)
    assert options.notes.counts == {"tags of multiword ranges and empty nodes are not read": 2}


@pytest.mark.parametrize("misc", ["_", "SpaceAfter=No", "NamedEntity=B-PER", "Ner=O"])
def test_a_file_in_which_no_word_has_a_tag_is_refused(read, misc):
    content = rows(("a", misc), ("b", "_")) + rows(("c", "_"))
    with pytest.raises(
        DataError, match=r"some.conllu: no word has NER=, NE=, ner=, Entity= in MISC, so none has a tag; "
    ):
        read(content)
    assert [s.tags for s in read(content + rows(("d", "NER=O")))] == [("O", "O"), ("O",), ("O",)]
    assert [s.words for s in read(content, Options(words_only=True))] == [("a", "b"), ("c",)]


def test_a_file_without_an_entity_is_written_so_that_it_says_so(read, tmp_path):
    made = [
        Sentence(("al", "mar"), ("O", "O"), "", (), None, "al mar", ((0, 2), (3, 6))),
        Sentence(("a",), ("O",), "", ()),
    ]
    conllu.write(made, tmp_path / "made.conllu")
    assert (tmp_path / "made.conllu").read_text().count("NER=O") == 1
    assert [s.tags for s in conllu.read(tmp_path / "made.conllu", Options())] == [("O", "O"), ("O",)]


def test_what_is_written(tmp_path):
    path = tmp_path / "made.conllu"
    cells = [("vamos", "O"), ("nos", "O"), ("Ann", "B-PER"), ("!", "O")]
    offsets = ((0, 7), (0, 7), (8, 11), (11, 12))
    spoken = Sentence(*zip(*cells, strict=True), "", (), 1, "vámonos Ann!", offsets)
    conllu.write([spoken, Sentence(("Ann",), ("B-PER",), "", (), 1)], path)
    assert path.read_text().replace("\t_" * 7, " … ") == (
        "# newdoc\n# newdoc\n# text = vámonos Ann!\n"
        "1-2\tvámonos … \t_\n1\tvamos … \tNER=O\n2\tnos … \t_\n3\tAnn … \tNER=B-PER|SpaceAfter=No\n4\t! … \t_\n\n"
        "1\tAnn … \tNER=B-PER\n\n"
    )


@pytest.mark.parametrize(
    ("words", "tags", "text", "offsets", "said"),
    [
        (("a\tb",), ("O",), None, None, r"made:7: a word has '\\t'"),
        (("a\nb",), ("O",), None, None, r"made:7: a word has '\\n'"),
        (("",), ("O",), None, None, "made:7: a word is empty"),
        (("a",), ("B-a|b",), None, None, r"made:7: a tag has '\|'"),
        (("a",), ("B-a b",), None, None, "made:7: a tag has ' '"),
        (("a",), ("",), None, None, "made:7: a tag is empty"),
        (("a",), ("O",), "a\n", ((0, 1),), r"made:7: a text has '\\n'"),
        (("a",), ("O",), "a\r", ((0, 1),), "made:7: a text with a line end"),
        (("a",), ("O",), "a -", ((0, 1),), "made:7: the text has more than words"),
        (("b", "a"), ("O", "O"), "a b", ((2, 3), (0, 1)), "made:7: the text has more than words"),
        ((" a",), ("O",), " a", ((0, 2),), "made:7: the text has more than words"),
        ((), (), "a", (), "made:7: a sentence without words"),
    ],
)
def test_what_a_file_cannot_hold_is_refused(tmp_path, words, tags, text, offsets, said):
    with pytest.raises(DataError, match=said):
        conllu.write([Sentence(words, tags, "made", (7,) * 2, None, text, offsets)], tmp_path / "refused.conllu")


gaps = st.sampled_from(["", " ", "  ", "\u3000", "\x85", "\r", "\n", "-"])


@st.composite
def sentences(draw, documents=numbers) -> Sentence:
    """Words with or without a text; some stand for several, or look otherwise in the text."""
    cells = draw(pairs)
    text, offsets = draw(gaps), []
    for word, _ in cells:
        if not offsets or draw(st.integers(0, 3)):
            form = word if draw(st.integers(0, 3)) else draw(texts)
            offsets.append((len(text), len(text) + len(form)))
            text += form + draw(gaps)
        else:
            offsets.append(offsets[-1])
    written = draw(st.booleans())
    lines = tuple(range(1, len(cells) + 1))
    found = tuple(word for word, _ in cells), tuple(tag for _, tag in cells)
    return Sentence(*found, "made", lines, draw(documents), *((text, tuple(offsets)) if written else (None, None)))


@given(st.lists(sentences(), max_size=3))
def test_what_is_written_is_read_back_or_refused(tmp_path_factory, made):
    come_back(conllu, made, tmp_path_factory.getbasetemp() / "round_trip.conllu")


letters = st.characters(exclude_categories=["Cs", "Zs", "Zl", "Zp", "Cc"])
good = st.text(letters, min_size=1, max_size=5)
good_tags = st.sampled_from(["O", "B-PER", "I-creative-work", "_", "NOUN", "B-a=b"])


@st.composite
def held(draw) -> Sentence:
    cells = draw(st.lists(st.tuples(good, good_tags), min_size=1, max_size=5))
    words, tags = zip(*cells, strict=True)
    return Sentence(words, tags, "made", (1,) * len(words), 0, " ".join(words), tuple(places_of_joined(words)))


@given(st.lists(held(), min_size=1, max_size=4))
def test_what_can_be_held_is_not_refused(tmp_path_factory, made):
    for module in (conllu, get("iob2")):
        assert come_back(module, made, tmp_path_factory.getbasetemp() / "held")


def test_mutated_files_are_read_or_refused(tmp_path):
    for column in (None, "UPOS"):
        assert 10 < survives(conllu, SPANISH, tmp_path / "mutated.conllu", Options(tag_column=column)) < 290


@given(st.lists(st.sampled_from(["1", "2", "1-2", "a", "\t", "\n", "_", "NER=B-X"]) | odd, max_size=40))
def test_any_text_gives_sentences_or_an_error_with_a_place(tmp_path_factory, pieces):
    path = tmp_path_factory.getbasetemp() / "any.conllu"
    path.write_bytes("".join(pieces).encode())
    try:
        assert list(conllu.read(path, Options()))
    except DataError as error:
        assert error.where.startswith(str(path))


def test_it_is_recognised_by_its_columns():
    assert conllu.recognise(Path("a.txt"), SPANISH) == "10 columns separated by tabs, the first numbers the words"
    assert conllu.recognise(Path("a.txt"), SPANISH.replace("\n", "\r\n"))
    assert get("iob2").recognise(Path("a"), SPANISH) is None
    assert get("conll2012").recognise(Path("a"), SPANISH) is None
    assert conll.recognise(Path("a.conllu"), SPANISH) is None
    for head in ("", "# text = a\n", "a\tO\n", "\t".join("abcdefghij"), "# newdoc id = 1\na\tO\n"):
        assert conllu.recognise(Path("a.conllu"), head) is None


@pytest.mark.parametrize("corpus", ["uner_pt_bosque", "uner_zh_gsdsimp", "wikigold", "wnut17"])
def test_corpora_come_back(tmp_path, corpus):
    found = list(conll.read(corpus_folder(corpus) / "test.conll", Options()))
    for name in ("conllu", "iob2", "conll2012", "conll"):
        assert come_back_from(found, get(name), tmp_path / f"same.{name}")
        assert [
            other for other in ("conllu", "iob2", "conll2012", "conll") if seen(other, tmp_path / f"same.{name}")
        ] == [name]


def come_back_from(found: list[Sentence], module, path: Path) -> bool:
    module.write(found, path)
    keep = (lambda s: s.document) if "documents" in module.HOLDS else lambda s: None
    return [(s.words, s.tags, keep(s)) for s in module.read(path, Options())] == [
        (s.words, s.tags, keep(s)) for s in found
    ]


def seen(name: str, path: Path) -> str | None:
    return get(name).recognise(path, path.read_bytes()[:HEAD].decode("utf-8-sig", "replace"))
