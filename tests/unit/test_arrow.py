from types import SimpleNamespace

import datasets
import pytest

from fpplm_core.errors import DataError
from fpplm_core.formats import arrow, conll

COLUMNS = SimpleNamespace(word_column=1, tag_column=-1)
NAMES = ["O", "B-PER", "I-PER"]
ROWS = {
    "id": ["0", "1", "2"],
    "tokens": [["Angela", "Merkel", "spoke"], [], ["12", "a b"]],
    "pos_tags": [["NNP", "NNP", "VBD"], [], ["CD", "NN"]],
    "ner_tags": [[1, 2, 0], [], [0, 0]],
}


@pytest.fixture
def saved(tmp_path):
    """A dataset of two splits with class labels, as the hub's CoNLL-2003 has them."""
    labels = datasets.List(datasets.ClassLabel(names=NAMES))
    words = datasets.List(datasets.Value("string"))
    features = datasets.Features(
        {"id": datasets.Value("string"), "tokens": words, "pos_tags": words, "ner_tags": labels}
    )
    split = datasets.Dataset.from_dict(ROWS, features=features)
    datasets.DatasetDict({"train": split, "test": split}).save_to_disk(tmp_path / "saved")
    return tmp_path / "saved"


def test_class_labels_get_their_names_and_rows_their_numbers(saved):
    first, second = arrow.read(saved / "train", COLUMNS)
    assert (first.words, first.tags) == (("Angela", "Merkel", "spoke"), ("B-PER", "I-PER", "O"))
    assert first.file.endswith("saved/train") and set(first.lines) == {1} and first.document is None
    assert (second.words, second.tags, set(second.lines)) == (("12", "a b"), ("O", "O"), {3})


def test_tags_may_be_strings(saved):
    first, _ = arrow.read(saved / "test", SimpleNamespace(word_column=1, tag_column=2))
    assert first.tags == ("NNP", "NNP", "VBD")


def test_it_reads_what_conll_reads(saved, tmp_path):
    sentences = [s for s in arrow.read(saved / "train", COLUMNS) if " " not in "".join(s.words)]
    with (tmp_path / "same.conll").open("w") as stream:
        conll.write(sentences, stream)
    same = conll.read(tmp_path / "same.conll", SimpleNamespace(word_column=0, tag_column=-1))
    assert [(s.words, s.tags) for s in same] == [(s.words, s.tags) for s in sentences]


@pytest.mark.parametrize(
    ("part", "columns", "message"),
    [
        ("", COLUMNS, r"a whole dataset stands where a split is wanted, got train, test; name one"),
        ("missing", COLUMNS, r"no saved dataset"),
        ("train", SimpleNamespace(word_column=4, tag_column=-1), r"no such column, got column 4 of id, tokens"),
        (
            "train",
            SimpleNamespace(word_column=0, tag_column=-1),
            r"train:1: words and tags do not match, got id 0",
        ),
    ],
)
def test_what_is_no_split_is_an_error_that_says_what_to_do(saved, part, columns, message):
    with pytest.raises(DataError, match=message):
        list(arrow.read(saved / part, columns))
