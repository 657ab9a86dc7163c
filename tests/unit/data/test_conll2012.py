from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fpplm_core.data.formats import conll, conll2012
from fpplm_core.data.options import Options
from fpplm_core.data.records import Sentence
from fpplm_core.errors import DataError
from tests.unit.data.test_conll import come_back, made, numbers, odd, survives, words

# As in the CoNLL-2012 shared task: a column more for each predicate of a sentence, in front of coreference.
ONTONOTES = """\
#begin document (bc/cctv/00/cctv_0000); part 000
bc/cctv/00/cctv_0000   0   0           In   IN  (TOP(S(PP*       -    -   -   Speaker#1        *   (ARGM-TMP*   -
bc/cctv/00/cctv_0000   0   1          the   DT    (NP(NP*        -    -   -   Speaker#1   (DATE*            *   (12
bc/cctv/00/cctv_0000   0   2       summer   NN         *)    summer   -   1   Speaker#1        *            *   12)
bc/cctv/00/cctv_0000   0   3         2005   CD       (NP*)       -    -   -   Speaker#1        *)           *)  -
bc/cctv/00/cctv_0000   0   4      Beijing  NNP       (NP*)       -    -   -   Speaker#1     (GPE)        (V*)   (3)
bc/cctv/00/cctv_0000   0   5            .    .        *))        -    -   -   Speaker#1        *            *   -

bc/cctv/00/cctv_0000   0   0   Yes   UH   (TOP(INTJ*))   -   -   -   Speaker#1   *   -

#end document
#begin document (bc/cctv/00/cctv_0000); part 001
bc/cctv/00/cctv_0000   1   0   WW   NNP   (TOP(NP*    -   -   -   Speaker#1   (EVENT*   -
bc/cctv/00/cctv_0000   1   1   II   CD        *))     -   -   -   Speaker#1        *)   -

#end document
"""


@pytest.fixture
def read(tmp_path):
    def read_content(content: str, options: Options | None = None) -> list[Sentence]:
        path = tmp_path / "some.gold_conll"
        path.write_bytes(content.encode())
        return list(conll2012.read(path, options or Options()))

    return read_content


def rows(*cells: str, width: int = 12) -> str:
    """A sentence with these entity columns."""
    made = [["d", "0", str(n), "w", "NN", "*", *"----", cell, *"-" * (width - 11)] for n, cell in enumerate(cells)]
    return "".join(" ".join(row) + "\n" for row in made) + "\n"


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_words_entities_and_documents(read, tmp_path, end):
    path = str(tmp_path / "some.gold_conll")
    options = Options()
    assert read(ONTONOTES.replace("\n", end), options) == [
        Sentence(
            ("In", "the", "summer", "2005", "Beijing", "."),
            ("O", "B-DATE", "I-DATE", "I-DATE", "B-GPE", "O"),
            path,
            (2, 3, 4, 5, 6, 7),
            0,
        ),
        Sentence(("Yes",), ("O",), path, (9,), 0),
        Sentence(("WW", "II"), ("B-EVENT", "I-EVENT"), path, (13, 14), 1),
    ]
    assert not options.notes.counts


@pytest.mark.parametrize(
    ("column", "tags"),
    [
        (4, ("IN", "DT", "NN", "CD", "NNP", ".")),
        (11, ("B-ARGM-TMP", "I-ARGM-TMP", "I-ARGM-TMP", "I-ARGM-TMP", "B-V", "O")),
        (-1, ("-", "(12", "12)", "-", "(3)", "-")),
    ],
)
def test_another_column_is_tags_or_brackets(read, column, tags):
    first = ONTONOTES[: ONTONOTES.index("\n\n")] + "\n\n#end document\n"
    assert read(first, Options(tag_column=column))[0].tags == tags


def test_brackets(read):
    (sentence,) = read(rows("(A)", "(A*)", "(A*", "*)", "*", "(B*", "*", "*)", "(B*", "*)"))
    assert " ".join(sentence.tags) == "B-A B-A B-A I-A O B-B I-B I-B B-B I-B"
    assert sentence.document is None


@pytest.mark.parametrize(
    ("content", "options", "line", "said"),
    [
        (rows("(A*", "(B)", "*)"), {}, 2, "a bracket inside the one opened in line 1, got '.B.'"),
        (rows("(A*", "(A*", "*)"), {}, 2, "a bracket inside the one opened in line 1"),
        (rows("(A(B*", "*))"), {}, 1, "no entity in brackets, got '.A.B.'"),
        (rows("*", "*)"), {}, 2, "a closing bracket without an opening one"),
        (rows("(A)", "*)"), {}, 2, "a closing bracket without an opening one"),
        (rows("(A*", "*))"), {}, 2, "no entity in brackets"),
        (rows("*", "(A*", "*") + rows("*)"), {}, 2, "a bracket is not closed, got '.A'"),
        *(
            (rows("*", cell), {}, 2, "no entity in brackets")
            for cell in ("(A", ")", "-", "O", "()", "A)", "*(A", "(*)")
        ),
        (ONTONOTES, {"tag_column": 5}, 2, "no entity in brackets, got '.TOP.S.PP.'"),
        (rows("*", width=12), {"tag_column": 12}, 1, "no such column, got column 12 of 12"),
        (rows("*", width=13) + rows("*"), {"tag_column": 12}, 3, "no such column, got column 12 of 12"),
        (rows("*"), {"word_column": 20}, 1, "no such column"),
        (rows("*"), {"tag_column": "POS"}, None, "columns have no names"),
        (rows("*", width=11), {}, 1, "wrong number of columns, got 11"),
        (rows("*")[:-1] + rows("*", width=13), {}, 2, "wrong number of columns, got 13"),
        ("#end document\n", {}, 1, "the end of a document that was not begun"),
        ("#begin document (a)\n" + rows("*"), {}, 1, "a document without an end"),
        ("#begin document (a)\n#begin document (b)\n", {}, 2, "a document begins inside another"),
        ("#begin document (a)\n#end document\n", {}, None, "no sentence in the file"),
        ("", {}, None, "no sentence in the file"),
    ],
)
def test_what_cannot_be_read_is_an_error_with_its_line(read, tmp_path, content, options, line, said):
    place = f"{tmp_path / 'some.gold_conll'}" + (f":{line}: " if line else ": ")
    with pytest.raises(DataError, match=f"^{place}{said}"):
        read(content, Options(**options))


def test_comments_part_no_sentence_and_are_noted(read):
    options = Options()
    (sentence,) = read(rows("(A*", "*)").replace("\n", "\n# aside\n", 1), options)
    assert (sentence.tags, sentence.lines) == (("B-A", "I-A"), (1, 3))
    assert options.notes.counts == {"comments are not read": 1}


def test_what_is_written(tmp_path):
    path = tmp_path / "made.conll"
    tags = ("B-PER", "I-PER", "B-PER", "O", "B-a-b", "I-a-b", "I-a-b")
    conll2012.write([Sentence(tuple("abcdefg"), tags, "", (), 1)], path)
    assert path.read_text() == (
        "#begin document (0); part 000\n#end document\n#begin document (1); part 000\n"
        "- 0 0 a - - - - - - (PER* -\n- 0 1 b - - - - - - *) -\n- 0 2 c - - - - - - (PER) -\n- 0 3 d - - - - - - * -\n"
        "- 0 4 e - - - - - - (a-b* -\n- 0 5 f - - - - - - * -\n- 0 6 g - - - - - - *) -\n\n#end document\n"
    )


@pytest.mark.parametrize(
    ("word", "tags", "said"),
    [
        ("a", ("I-PER",), "made:1: I-PER cannot follow the sentence start in IOB2; convert it to the scheme IOB2"),
        ("a", ("B-PER", "I-LOC"), "made:2: I-LOC cannot follow B-PER"),
        ("a", ("O", "S-PER"), "made:2: unknown prefix 'S'"),
        ("a", ("NOUN",), "made:1: malformed tag"),
        ("a", ("B-a b",), "made:1: a tag has ' '"),
        ("a", ("B-a(b)",), r"made:1: a tag has '\('"),
        ("a b", ("O",), "made:1: a word has ' '"),
        ("", ("O",), "made:1: a word is empty"),
    ],
)
def test_what_a_file_cannot_hold_is_refused(tmp_path, word, tags, said):
    with pytest.raises(DataError, match=said):
        conll2012.write(made([([(word, tag) for tag in tags], None)]), tmp_path / "refused.conll")


def tagged(*more: tuple[str, ...]):
    """The tags of a sentence, from those of its entities and the words between."""
    legal = st.sampled_from([("O",), ("B-A",), ("B-A", "I-A"), ("B-A", "I-A", "I-A"), ("B-a-b",), *more])
    return st.lists(legal, min_size=1, max_size=3).map(lambda found: [tag for tags in found for tag in tags])


@given(st.data())
def test_what_is_written_is_read_back_or_refused(tmp_path_factory, data):
    drawn = [
        ([(data.draw(words), tag) for tag in data.draw(tagged(("B-\u3000x",), ("B-(",), ("I-A",)))], data.draw(numbers))
        for _ in range(data.draw(st.integers(0, 3)))
    ]
    come_back(conll2012, made(drawn), tmp_path_factory.getbasetemp() / "round_trip.conll")


good = st.text(st.characters(exclude_categories=["Cs"], exclude_characters=" \t\n\0"), min_size=1, max_size=4)


@given(st.lists(st.tuples(tagged(), st.integers(0, 2)), min_size=1), st.data())
def test_what_can_be_held_is_not_refused(tmp_path_factory, steps, data):
    document, drawn = 0, []
    for tags, step in steps:
        document += step
        drawn.append(([(data.draw(good), tag) for tag in tags], document))
    assert come_back(conll2012, made(drawn), tmp_path_factory.getbasetemp() / "held.conll")


def test_mutated_files_are_read_or_refused(tmp_path):
    for column in (None, 4):
        assert 10 < survives(conll2012, ONTONOTES, tmp_path / "mutated.conll", Options(tag_column=column)) < 290


@given(
    st.lists(st.sampled_from([rows("*"), "(A*", "*)", "\n", "#begin document", "#end document\n"]) | odd, max_size=20)
)
def test_any_text_gives_sentences_or_an_error_with_a_place(tmp_path_factory, pieces):
    path = tmp_path_factory.getbasetemp() / "any.conll"
    path.write_bytes("".join(pieces).encode())
    try:
        assert list(conll2012.read(path, Options()))
    except DataError as error:
        assert error.where.startswith(str(path))


def test_it_is_recognised_by_its_marks_or_brackets():
    assert conll2012.recognise(Path("a.txt"), ONTONOTES) == "it begins with #begin document"
    assert conll2012.recognise(Path("a.txt"), rows("*", "(A)")) == "column 10 has entities in brackets"
    assert conll.recognise(Path("a.conll"), ONTONOTES) is None
    assert conll.recognise(Path("a.conll"), rows("*", "(A)")) is None
    for head in ("", "# text\n", "a O\n", rows("O"), rows("-"), rows("*", width=11)):
        assert conll2012.recognise(Path("a.conll"), head) is None
