import random
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fpplm_core.data.formats import brat, detect
from fpplm_core.data.options import Options
from fpplm_core.data.records import AnnotatedText, Mention
from fpplm_core.errors import DataError

TEXT = "Ann B lives in New\nYork and Old York.\n"
ANN = (
    "T1\tPER 0 5\tAnn B\n*\tEquiv T1 T2\nT2\tLOC 15 23\tNew York\n"
    "R1\tLives Arg1:T1 Arg2:T2\t\nE1\tLIVE:T1 Who:T1\nA1\tNegated E1\nM2\tOld T1\n"
    "N1\tReference T1 Wikipedia:534366\tAnn\n#1\tAnnotatorNotes T1\tsure?\n\nT12\tLOC 19 23\tYork\n"
)


@pytest.fixture
def folder(tmp_path):
    """A folder of one pair with this text and these annotations."""

    def make(ann=ANN, text=TEXT, name="a"):
        (tmp_path / f"{name}.txt").write_bytes(text if isinstance(text, bytes) else text.encode())
        (tmp_path / f"{name}.ann").write_bytes(ann if isinstance(ann, bytes) else ann.encode())
        return tmp_path

    return make


def read(path, **options):
    return list(brat.read(path, Options(**options)))


def test_mentions_have_the_place_of_their_line(folder):
    path = folder()
    options = Options()
    (record,) = brat.read(path, options)
    ann = str(path / "a.ann")
    assert record == AnnotatedText(
        TEXT,
        (
            Mention(0, 5, "PER", f"{ann}:1"),
            Mention(15, 23, "LOC", f"{ann}:3"),
            Mention(19, 23, "LOC", f"{ann}:11"),
        ),
        str(path / "a.txt"),
        1,
        0,
        plain=True,
    )
    kinds = {"relations": 1, "events": 1, "attributes": 2, "normalisations": 1, "equivalences": 1, "notes": 1}
    assert dict(options.notes.counts) == {f"{kind} are not read": number for kind, number in kinds.items()}
    assert options.notes.places["relations are not read"] == [f"{ann}:4"]
    assert detect(path)[0] == detect(path / "a.txt")[0] == detect(path / "a.ann")[0] == "brat"
    assert read(path / "a.txt") == read(path / "a.ann") == [record]


def test_pairs_are_documents_in_the_order_of_their_names(folder):
    for name in ("b.1", "a", "b"):
        path = folder(name=name, text=name, ann="")
    (path / "annotation.conf").write_text("x")
    (path / "more").mkdir()
    options = Options()
    found = [(record.text, record.document) for record in brat.read(path, options)]
    assert found == [("a", 0), ("b", 1), ("b.1", 2)]
    assert dict(options.notes.counts) == {"files and folders that are neither .txt nor .ann are not read": 2}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("Zoë\r\n\r\nAnn", "T1\tPER 7 10\tAnn"),  # each line end of CRLF is two characters
        ("\ufeffAnn", "T1\tPER 1 4\tAnn"),  # a byte order mark is one
        ("😀👩\u200d👩 Ann\u2028", "T1\tPER 5 8\tAnn\r"),  # code points, not UTF-16; the .ann has CRLF
        ("A\nB\r\nC\t", "T1\tPER 0 7\tA B\r C\t"),  # blanks for newlines alone
    ],
)
def test_offsets_are_code_points_of_the_text_as_it_stands(folder, text, line):
    (record,) = read(folder(line + "\n", text))
    (mention,) = record.mentions
    assert record.text == text and text[mention.start : mention.end].strip("\t") in ("Ann", "A\nB\r\nC")


@pytest.mark.parametrize(
    ("places", "said", "wanted"),
    [
        ("0 1;4 7;10 12", "a ccc ff", {"longest": (4, 7), "first": (0, 1)}),
        ("4 7;0 1", "ccc a", {"longest": (4, 7), "first": (0, 1)}),
        ("0 1;2 3;8 9", "a b d", {"longest": (0, 3), "first": (0, 3)}),
        ("0 1;2 3", "a b", {"refuse": (0, 3), "longest": (0, 3), "first": (0, 3)}),
        ("0 3;2 7", "a\u00a0b b ccc", {"refuse": (0, 7), "longest": (0, 7), "first": (0, 7)}),
    ],
)
def test_mentions_in_several_parts_follow_the_stated_rule(folder, places, said, wanted):
    path = folder(f"T1\tX {places}\t{said}\n", "a\u00a0b ccc d ff")
    for overlap in ("refuse", "longest", "first"):
        if overlap not in wanted:
            with pytest.raises(DataError, match=r"a.ann:1: a mention in several parts, got .*data.overlap"):
                read(path, overlap=overlap)
            continue
        options = Options(overlap=overlap)
        ((mention,),) = (record.mentions for record in brat.read(path, options))
        assert mention[:2] == wanted[overlap]
        rule = "joined over the white space between" if "refuse" in wanted else f"of which the {overlap} stays"
        assert options.notes.places == {f"mentions in several parts, {rule}": [f"{path / 'a.ann'}:1"]}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("T1\tPER 0 5\tAnn", "a mention's text is not that in the .txt, which is 'Ann B', got 'Ann'"),
        ("T1\tPER 0 99\tAnn", "not a range in a text of 38 characters, got 0 to 99"),
        ("T1\tPER 3 3\t", "not a range in a text"),
        ("T1\tPER 5 0\tAnn B", "not a range in a text"),
        ("T1\tPER -3 5\tAnn B", "not a line in brat's format"),
        ("T1\tPER 0 5", "not a line in brat's format"),
        ("T1 PER 0 5 Ann B", "not a line in brat's format"),
        ("T1\tPER 0 5.0\tAnn B", "not a line in brat's format"),
        ("T1\tPER 0 ٥\tAnn B", "not a line in brat's format"),
        ("T1\tPER 0 " + "5" * 5000 + "\tAnn B", "not a line in brat's format"),
        ("T1\tMY PER 0 5\tAnn B", "not a line in brat's format"),
        ("T1\tPER 0 3;\tAnn", "not a line in brat's format"),
        ("X1\tPER 0 3\tAnn", "not a line in brat's format"),
        ("\ufeffT1\tPER 0 3\tAnn", "not a line in brat's format"),
        ("T12\tPER 0 3\tAnn\nT12\tPER 0 3\tAnn", "a duplicate id, got 'T12'"),
        (b"T1\tPER 0 3\tAnn\xe9", "not valid UTF-8"),
    ],
)
def test_a_malformed_line_is_an_error_with_its_place(folder, line, said):
    raw = line if isinstance(line, bytes) else line.encode()
    path = folder(b"#1\tNote\tx\n" + raw + b"\n")
    with pytest.raises(DataError) as caught:
        read(path)
    number = 3 if "duplicate id" in said else 2
    assert str(caught.value).startswith(f"{path / 'a.ann'}:{number}: {said}") and len(caught.value.got) < 70


def test_what_is_no_pair_is_an_error(folder, tmp_path):
    for path in (tmp_path, tmp_path / "none", tmp_path / "none.txt"):
        with pytest.raises(DataError, match=r"no .txt file in the folder|no such file"):
            read(path)
    for text, said in ((b"a\n\xff", r"a.txt:2: not valid UTF-8, got byte 0xff"), (b"\n\n\0", "a.txt:3: a zero byte")):
        with pytest.raises(DataError, match=said):
            read(folder("", text))
    for missing, said in (("ann", "a.txt: a text without annotations.*empty a.ann"), ("txt", "an .ann without its")):
        path = folder("")
        (path / f"a.{missing}").unlink()
        for part in (path, path / "a.txt", path / "a.ann")[: 1 if missing == "txt" else 2]:
            with pytest.raises(DataError, match=said):
                read(part)
        assert brat.recognise(path / "a.txt", "") is None and brat.recognise(path / "a.ann", "") is None
    (tmp_path / "a.json").write_text("")
    with pytest.raises(DataError, match="not a brat folder"):
        read(tmp_path / "a.json")


letters = st.characters(exclude_categories=["Cs"], exclude_characters="\0") | st.sampled_from("\t\r\n \ufeff\u2028😀")
labels = st.text(st.characters(exclude_categories=["Cs", "Z", "Cc"]), min_size=1, max_size=3)


@st.composite
def records(draw):
    text = draw(st.text(letters, max_size=12))
    places = st.lists(st.integers(0, len(text)), min_size=2, max_size=2, unique=True).map(sorted)
    mentions = draw(st.lists(st.tuples(places, labels), max_size=4)) if text else []
    return AnnotatedText(text, tuple(Mention(*place, label) for place, label in mentions), "src", 1)


@given(rows=st.lists(records(), min_size=1, max_size=4))
def test_what_is_written_is_read_back(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("brat") / "new"
    brat.write(iter(rows), path)
    found = read(path)
    bare = [replace(r, mentions=tuple(m._replace(place="") for m in r.mentions), document=None) for r in found]
    assert bare == [replace(r, file=f.file, plain=True) for r, f in zip(rows, found, strict=True)]
    assert [record.document for record in found] == list(range(len(rows)))
    assert detect(path)[0] == "brat"


@pytest.mark.parametrize(
    ("text", "mention", "said"),
    [
        ("a", (0, 2, "X", "src:9"), "src:9: not a range in a text of 1 characters"),
        ("a", (0, 0, "X"), "src:5: not a range"),
        ("a", (0, 1, ""), "src:5: a label that this format cannot hold, got ''"),
        ("a", (0, 1, "X Y"), "src:5: a label that"),
        ("a", (0, 1, "X\u3000"), "src:5: a label that"),
        ("a", (0, 1, "X\0"), "src:5: a label that"),
        ("a\0", (0, 1, "X"), "src:5: a text that this format cannot hold"),
        ("a\ud83d", (0, 1, "X"), "src:5: a text that"),
    ],
)
def test_what_cannot_be_read_back_is_not_written(tmp_path, text, mention, said):
    with pytest.raises(DataError, match=f"^{said}"):
        brat.write([AnnotatedText(text, (Mention(*mention),), "src", 5)], tmp_path / "a")


def test_a_folder_with_something_in_it_is_not_written_to(tmp_path):
    record = AnnotatedText("a", (), "src", 1)
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="the folder is not empty"):
        brat.write([record], tmp_path)
    with pytest.raises(DataError, match="a file, expected a folder"):
        brat.write([record], tmp_path / "file")
    with pytest.raises(DataError, match="no text to write"):
        brat.write([], tmp_path / "new")


def test_mutated_files_give_records_or_an_error_with_a_place(folder):
    chance, good = random.Random(3), 0
    parts = [b"", b"\xff", b"\0", b"\r\n", b"\xef\xbb\xbf", b"\n", b"\t", b" ", b";", b"-1", b"999", b"T1", b"1e3"]
    for _ in range(1000):
        files = [ANN.encode(), TEXT.encode()]
        raw = bytearray(files[(which := chance.randrange(4) // 3)])
        for _ in range(chance.randint(1, 2)):
            place = chance.randrange(len(raw))
            raw[place : place + chance.choice([0, 1, 20])] = chance.choice([*parts, raw[place : place + 30]])
        files[which] = bytes(raw)
        path = folder(*files)
        try:
            assert read(path)
            good += 1
        except DataError as error:
            assert re.fullmatch(re.escape(str(path)) + r"/a\.(txt|ann)(:\d+)?", error.where) and "\n" not in str(error)
    assert 100 < good < 900
