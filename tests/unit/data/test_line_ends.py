"""CR alone as line ends, as on an old Mac, is refused by each reader, and stays what it is elsewhere."""

import json

import pytest

from fpplm_core.data.formats import read_sentences
from fpplm_core.data.gazetteer import read_gazetteers
from fpplm_core.data.options import Options
from fpplm_core.data.unlabelled import read_texts
from fpplm_core.errors import DataError

ROWS = ["1\tDie\tO\t-\t-", "2\tStadt\tO\t-\t-", "", "1\tQuarl\tB-LOC\t-\t-", ""]
UD = ["# c", "1\tDie" + "\t_" * 8, "2\tQuarl" + "\t_" * 7 + "\tNER=B-LOC", ""]
FILES = {
    "a.conll": ["Die\tO", "Stadt\tO", "", "Quarl\tB-LOC", ""],
    "b.conll": ["Die O", "Stadt O", "", "Quarl B-LOC", ""],
    "a.iob2": ROWS,
    "a.conllu": UD,
    "a.csv": ["sentence,word,tag", "1,Die,O", "2,Quarl,B-LOC", ""],
    "a.jsonl": ['{"text": "Mira", "entities": []}', '{"text": "Otto", "entities": []}', ""],
}


@pytest.mark.parametrize("suffix", ["", ".txt"])
@pytest.mark.parametrize("name", FILES)
def test_cr_alone_is_refused(tmp_path, name, suffix):
    path = tmp_path / (name + suffix)
    path.write_bytes("\r".join(FILES[name]).encode())
    with pytest.raises(DataError, match=r"convert its line ends, for instance: tr '\\r' '\\n'"):
        list(read_sentences(path, "auto", Options()))


@pytest.mark.parametrize("head", ["", "# a comment\n"])
@pytest.mark.parametrize("name", ["a.conll", "b.conll", "a.iob2"])
def test_cr_alone_before_or_behind_a_line_is_refused(tmp_path, name, head):
    path = tmp_path / name
    path.write_bytes((head + "\r".join(FILES[name]) + "\n").encode())
    with pytest.raises(DataError, match=rf":{1 + bool(head)}: line ends are CR alone"):
        list(read_sentences(path, "auto", Options()))


def test_cr_alone_in_plain_text_is_refused(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"Mira lives\rOtto sleeps\r")
    for read in (lambda: read_texts(path, Options()), lambda: read_gazetteers([("PER", path)], Options())):
        with pytest.raises(DataError, match="line ends are CR alone"):
            list(read())


def test_other_cr_is_kept(tmp_path):
    """In JSON it is white space, and in a word a character."""
    path = tmp_path / "a.json"
    texts = [{"text": text, "entities": []} for text in ("Mira", "Otto")]
    path.write_bytes(json.dumps(texts, indent=1).replace("\n", "\r").encode())
    assert [s.words for s in read_sentences(path, "auto", Options())] == [("Mira",), ("Otto",)]
    path = tmp_path / "a.conll"
    for content in (b"a\rb\tO\n", b"a\rb O\r\n", b"\r\tO\n"):
        path.write_bytes(content)
        assert [s.words for s in read_sentences(path, "auto", Options())] == [
            (content[: content.rindex(b"O") - 1].decode(),)
        ]
