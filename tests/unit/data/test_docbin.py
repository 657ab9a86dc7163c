import random
import subprocess
import sys
import zlib
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fpplm_core.data.formats import detect, docbin
from fpplm_core.data.options import Options
from fpplm_core.data.records import AnnotatedText, Mention
from fpplm_core.errors import DataError
from fpplm_core.tagging.words import segment

spacy = pytest.importorskip("spacy")
from spacy.tokens import DocBin, Span  # noqa: E402


def save(path, *docs):
    DocBin(docs=docs).to_disk(path)
    return path


def test_docs_of_spacy_are_read(tmp_path):
    nlp, options = spacy.blank("en"), Options()
    first = nlp("Ann  Lee slept\nin 😀 New York.")
    first.ents = [first.char_span(0, 8, "PER"), first.char_span(20, 28, "LOC")]
    first.spans["sc"] = [Span(first, 0, 1, "X"), Span(first, 0, 2, "Y")]
    second = nlp("Nobody.")
    second.ents = []
    third = nlp("Who?")
    third.cats = {"question": 1.0}
    path = save(tmp_path / "a.spacy", first, second, third, nlp(""))
    found = list(docbin.read(path, options))
    words = ((0, 3), (5, 8), (9, 14), (15, 17), (18, 19), (20, 23), (24, 28), (28, 29))
    mentions = (Mention(0, 8, "PER"), Mention(20, 28, "LOC"))
    assert found[0] == AnnotatedText(first.text, mentions, str(path), 1, words=words)
    assert [(r.text, r.mentions, r.line) for r in found[1:]] == [("Nobody.", (), 2), ("Who?", (), 3), ("", (), 4)]
    assert options.notes.places == {
        "spans of span groups are not read": [f"{path}:1"],
        "texts of which nobody has set the entities are read as texts without mentions": [f"{path}:3"],
        "categories of texts are not read": [f"{path}:3"],
    }
    assert detect(path)[0] == "docbin"


def test_missing_is_not_outside(tmp_path):
    doc = spacy.blank("en")("Ann slept")
    doc.set_ents([Span(doc, 0, 1, "PER")], default="missing")
    with pytest.raises(DataError, match=r"a:1: some tokens have an entity annotation and others"):
        list(docbin.read(save(tmp_path / "a", doc), Options()))


letters = st.characters(exclude_categories=["Cs"]) | st.sampled_from("a  \t\r\n\u2028\u3000\u200b😀\0")
labels = st.text(letters, min_size=1, max_size=3)


@st.composite
def records(draw):
    """Words that hold all of the text but white space, and mentions of whole words."""
    text = draw(st.text(letters, max_size=12))
    words, given_words = segment(text), None
    if draw(st.booleans()):
        cuts = sorted({0, len(text), *draw(st.sets(st.integers(0, len(text)), max_size=4))})
        pieces = pairwise(cuts)
        words = [piece for piece in pieces if text[slice(*piece)].strip()]
        given_words = tuple(words)
    ends = sorted(draw(st.sets(st.integers(0, len(words)), max_size=6)))
    places = [(words[a][0], words[b - 1][1]) for a, b in zip(ends[::2], ends[1::2], strict=False)]
    return AnnotatedText(text, tuple(Mention(*p, draw(labels)) for p in places), "src", 1, words=given_words)


@given(st.lists(records(), min_size=1, max_size=4))
def test_what_is_written_is_read_back(tmp_path_factory, made):
    path = tmp_path_factory.getbasetemp() / "round.spacy"
    docbin.write(iter(made), path)
    wanted = [
        replace(r, file=str(path), line=n, words=tuple(segment(r.text)) if r.words is None else r.words)
        for n, r in enumerate(made, start=1)
    ]
    assert list(docbin.read(path, Options())) == wanted
    assert detect(path)[0] == "docbin"


def test_given_words_of_white_space_are_no_words(tmp_path):
    made = AnnotatedText("a \n b", (), "src", 1, words=((0, 1), (2, 3), (4, 5)))
    docbin.write([made], tmp_path / "a")
    (found,) = docbin.read(tmp_path / "a", Options())
    assert (found.text, found.words) == ("a \n b", ((0, 1), (4, 5)))


@pytest.mark.parametrize(
    ("mentions", "words", "said"),
    [
        ([(0, 2, "X")], None, "src:5: a mention that does not cover whole tokens, or has no label, got 'X', 0 to 2"),
        ([(0, 3, "X", "src:7")], ((0, 2), (2, 9)), "src:7: a mention that does not cover whole tokens"),
        ([(0, 3, "")], None, "src:5: a mention that does not cover whole tokens, or has no label"),
        ([(0, 3, "X"), (0, 9, "Y")], None, "src:5: two mentions overlap, got 'Y', 0 to 9"),
        ([(0, 3, "X"), (0, 3, "X")], None, "src:5: two mentions overlap"),
        ([(0, 99, "X")], None, "src:5: a mention that does not"),
        ([(-9, 3, "X")], None, "src:5: a mention that does not"),
        ([(0, 3, "\ud83d")], None, "src:5: half of a surrogate pair"),
        ([], ((0, 3),), "src:5: text outside the words, got ' slept'"),
        ([], ((4, 9), (0, 3)), "src:5: text outside the words"),
        ([], ((0, 5), (4, 9)), "src:5: words out of order"),
        ([], ((0, 3), (4, 99)), "src:5: words out of order"),
        ([], ((-9, 3), (4, 9)), "src:5: words out of order"),
        ([], ((3, 0), (4, 9)), "src:5: words out of order"),
    ],
)
def test_what_cannot_be_read_back_is_not_written(tmp_path, mentions, words, said):
    with pytest.raises(DataError, match=f"^{said}"):
        record = AnnotatedText("Ann slept", tuple(Mention(*m) for m in mentions), "src", 5, words=words)
        docbin.write([record], tmp_path / "a")
    with pytest.raises(DataError, match="no text to write"):
        docbin.write([], tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_what_is_no_docbin_is_an_error(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        list(docbin.read(tmp_path / "none", Options()))
    with pytest.raises(DataError, match="a folder, expected a file"):
        list(docbin.read(tmp_path, Options()))
    with pytest.raises(DataError, match="no text in the file"):
        list(docbin.read(save(tmp_path / "a"), Options()))
    for raw in (b"", b"x", b"x\x9c", zlib.compress(b"x"), zlib.compress(b"\x81\xa5attrs\x90"), b"{}"):
        (tmp_path / "a").write_bytes(raw)
        assert docbin.recognise(tmp_path / "a", raw.decode(errors="replace")) is None
        with pytest.raises(DataError, match="a: not a readable spaCy DocBin"):
            list(docbin.read(tmp_path / "a", Options()))
    assert docbin.recognise(tmp_path, "x") is None and docbin.recognise(tmp_path / "none", "x") is None


def test_without_spacy_it_says_what_to_install(tmp_path):
    """In a process of its own, in which spaCy is not to be found; it is recognised all the same."""
    path = save(tmp_path / "a.spacy", spacy.blank("en")("Ann"))
    code = (
        "import sys; sys.modules['spacy.tokens'] = None\n"
        "from pathlib import Path; from fpplm_core.data import formats\n"
        "from fpplm_core.data.options import Options\n"
        f"path = Path({str(path)!r}); name, _ = formats.detect(path)\n"
        "try: list(formats.get(name).read(path, Options()))\n"
        "except formats.DataError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "this format needs spaCy, which is not installed; pip install spacy" in done.stdout


def test_mutated_files_give_records_or_an_error_with_a_place(tmp_path):
    """What the checksum of zlib hides is damaged inside of it, too."""
    nlp, chance, path = spacy.blank("en"), random.Random(5), tmp_path / "a"
    docs = [nlp("Ann Lee slept.") for _ in range(3)]
    for doc in docs:
        doc.ents = [Span(doc, 0, 2, "PER")]
    whole = save(path, *docs).read_bytes()
    inside, refused = zlib.decompress(whole), 0
    for number in range(1000):
        raw = bytearray(inside if number % 2 else whole)
        for _ in range(chance.randint(1, 3)):
            place = chance.randrange(len(raw))
            raw[place : place + chance.choice([0, 1, 1, 8])] = bytes([chance.randrange(256)])
        path.write_bytes(zlib.compress(raw) if number % 2 else raw)
        docbin.recognise(path, "x\ufffd")
        try:
            assert list(docbin.read(path, Options()))
        except DataError as error:
            refused += 1
            assert error.where.startswith(str(path)) and "\n" not in str(error)
    assert refused > 500
