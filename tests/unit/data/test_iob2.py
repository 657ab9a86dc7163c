from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fpplm_core.data.formats import conll, iob2
from fpplm_core.data.options import Options
from fpplm_core.data.records import Sentence
from fpplm_core.errors import DataError
from tests.unit.data.test_conll import come_back, odd, survives
from tests.unit.data.test_conllu import sentences

# The shape of the files of universalner.org: https://github.com/UniversalNER
UNER = """\
# newdoc id = batch-0
# sent_id = weblog-0001
# text = Al-Zaman : American forces
1	Al	B-ORG	-	ann
2	-	I-ORG	-	ann
3	Zaman	I-ORG	-	ann
4	:	O	-	ann
5	American	O	-	ann
6	forces	O	-	ann
\t
# sent_id = weblog-0002
# text = no Brasil
1-2	no	_	-	-
1	em	O	-	-
2	o	O	-	-
3	Brasil	B-LOC	-	-
3.1	x	_	-	-

"""


@pytest.fixture
def read(tmp_path):
    def read_content(content: str, options: Options | None = None) -> list[Sentence]:
        path = tmp_path / "some.iob2"
        path.write_bytes(content.encode())
        return list(iob2.read(path, options or Options()))

    return read_content


def test_words_tags_and_text(read, tmp_path):
    options = Options()
    path = str(tmp_path / "some.iob2")
    assert read(UNER, options) == [
        Sentence(
            ("Al", "-", "Zaman", ":", "American", "forces"),
            ("B-ORG", "I-ORG", "I-ORG", "O", "O", "O"),
            path,
            (4, 5, 6, 7, 8, 9),
            None,
            "Al-Zaman : American forces",
            ((0, 2), (2, 3), (3, 8), (9, 10), (11, 19), (20, 26)),
        ),
        Sentence(
            ("em", "o", "Brasil"), ("O", "O", "B-LOC"), path, (14, 15, 16), None, "no Brasil", ((0, 2), (0, 2), (3, 9))
        ),
    ]
    assert options.notes.counts == {"newdoc comments begin a batch of annotation, no document": 1}


def test_three_and_four_columns_and_named_ones(read):
    assert read("1\tAnn\tB-PER\n\n1\ta\tO\n")[0].tags == ("B-PER",)
    assert read("1\tAnn\tB-PER\tann\n2\ta\tO\n")[0].tags == ("B-PER", "O")
    nested = "#\thttp://de.wikipedia.org\n1\tBayern\tB-ORG\tB-LOC\n2\tsiegt\tO\tO\n"  # GermEval 2014
    assert read(nested, Options(tag_column=-1))[0].tags == ("B-LOC", "O")
    assert read(nested, Options(tag_column=2))[0].tags == ("B-ORG", "O")


@pytest.mark.parametrize(
    ("content", "options", "line", "said"),
    [
        ("1\tAnn\tB-PER\tB-PER\n", {}, 1, "several columns of tags, got '1.tAnn"),
        ("1\tAnn\tB-PER\n2\ta\tO\t-\tO\n", {}, 2, "several columns of tags"),
        ("1\tAnn\n", {}, 1, "wrong number of columns, got 2 in .*give 3 to 5, separated by tabs"),
        ("1 Ann O\n", {}, 1, "wrong number of columns, got 1"),
        ("1\tAnn\tO\t-\t-\t-\n", {}, 1, "wrong number of columns, got 6"),
        ("a\tAnn\tO\n", {}, 1, "not a word number, got 'a'"),
        ("1\ta\tO\n\n2\tb\tO\n", {}, 3, "words out of order"),
        ("1\t\tO\n", {}, 1, "an empty word"),
        ("1\ta\tO\n", {"tag_column": 3}, 1, "no such column, got column 3 of 3"),
        ("1\ta\tO\t-\n2\tb\tO\n", {"tag_column": 3}, 2, "no such column, got column 3 of 3"),
        ("1\ta\tO\n", {"tag_column": "NER"}, None, "columns have no names in this format, got 'NER'"),
        ("# text = a\n", {}, None, "no sentence in the file"),
    ],
)
def test_what_cannot_be_read_is_an_error_with_its_line(read, tmp_path, content, options, line, said):
    place = f"{tmp_path / 'some.iob2'}" + (f":{line}: " if line else ": ")
    with pytest.raises(DataError, match=f"^{place}{said}"):
        read(content, Options(**options))


def test_what_is_written(tmp_path):
    path = tmp_path / "made.iob2"
    offsets = ((0, 2), (0, 2), (3, 9))
    iob2.write([Sentence(("em", "o", "Brasil"), ("O", "O", "B-a b"), "", (), 5, "no Brasil", offsets)], path)
    assert path.read_text() == (
        "# text = no Brasil\n1-2\tno\t_\t-\t-\n1\tem\tO\t-\t-\n2\to\tO\t-\t-\n3\tBrasil\tB-a b\t-\t-\n\n"
    )


@given(st.lists(sentences(st.none()), max_size=3))
def test_what_is_written_is_read_back_or_refused(tmp_path_factory, made):
    come_back(iob2, made, tmp_path_factory.getbasetemp() / "round_trip.iob2")


def test_mutated_files_are_read_or_refused(tmp_path):
    assert 10 < survives(iob2, UNER, tmp_path / "mutated.iob2", Options()) < 290


@given(st.lists(st.sampled_from(["1", "2", "1-2", "a", "\t", "\n", "O", "B-X"]) | odd, max_size=40))
def test_any_text_gives_sentences_or_an_error_with_a_place(tmp_path_factory, pieces):
    path = tmp_path_factory.getbasetemp() / "any.iob2"
    path.write_bytes("".join(pieces).encode())
    try:
        assert list(iob2.read(path, Options()))
    except DataError as error:
        assert error.where.startswith(str(path))


def test_it_is_recognised_by_its_columns():
    for head in (UNER, UNER.replace("\n", "\r\n"), "1\tAnn\tB-PER\n2\ta\tO\n"):
        assert iob2.recognise(Path("a.txt"), head) == "rows of a word's number, the word and its tag, separated by tabs"
        assert conll.recognise(Path("a.iob2"), head) is None
    for head in (
        "",
        "# text = a\n",
        "Ann\tPROPN\tB-PER\n",
        "1\tNUM\tO\nAnn\tPROPN\tB-PER\n",  # CoNLL columns, with a number for a word
        "1\tNUM\tO\n3\tNUM\tO\n",
        "1\tAnn\tPROPN\tB-PER\n",
        "1\tAnn\tB-PER\tB-LOC\n",
        "1\tAnn\n",
    ):
        assert iob2.recognise(Path("a.iob2"), head) is None
