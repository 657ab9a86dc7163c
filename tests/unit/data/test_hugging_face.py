import random

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fpplm_core.data.formats import detect, hugging_face
from fpplm_core.data.options import Options
from fpplm_core.data.records import Sentence
from fpplm_core.errors import DataError

NAMES = ["O", "B-PER", "I-PER"]
ROWS = {
    "id": ["0", "1", "2"],
    "tokens": [["Angela", "Merkel", "spoke"], [], ["12", "a b"]],
    "pos_tags": [["NNP", "NNP", "VBD"], [], ["CD", "NN"]],
    "ner_tags": [[1, 2, 0], [], [0, 0]],
}
WANTED = [("Angela Merkel spoke", "B-PER I-PER O", 1), ("12 a b", "O O", 3)]


def texts():
    return datasets.List(datasets.Value("string"))


@pytest.fixture
def split():
    """A split with class labels, as the hub's CoNLL-2003 has them."""
    labels = datasets.List(datasets.ClassLabel(names=NAMES))
    features = {"id": datasets.Value("string"), "tokens": texts(), "pos_tags": texts(), "ner_tags": labels}
    return datasets.Dataset.from_dict(ROWS, features=datasets.Features(features))


@pytest.fixture
def saved(split, tmp_path):
    datasets.DatasetDict({"train": split, "test": split}).save_to_disk(tmp_path / "saved")
    return tmp_path / "saved"


def plain(sentences):
    return [(" ".join(s.words), " ".join(s.tags), s.lines[0]) for s in sentences]


def read(path, **options):
    return list(hugging_face.read(path, Options(**options)))


def table(path, features=None, **columns):
    """A Parquet file as datasets, or another program, writes it."""
    if features:
        datasets.Dataset.from_dict(columns, features=datasets.Features(features)).to_parquet(path)
    else:
        pq.write_table(pa.table(columns), path)
    return path


def test_class_labels_get_their_names_and_rows_their_numbers(saved):
    options = Options()
    first, second = hugging_face.read(saved / "train", options)
    assert first == Sentence(("Angela", "Merkel", "spoke"), ("B-PER", "I-PER", "O"), str(saved / "train"), (1, 1, 1))
    assert (second.words, second.tags, second.lines) == (("12", "a b"), ("O", "O"), (3, 3))
    assert options.notes.places == {
        "column 'id' is not read": [str(saved / "train")],
        "column 'pos_tags' is not read": [str(saved / "train")],
        "sentences without words are passed over": [f"{saved / 'train'}:2"],
    }
    for path in (saved, saved / "train"):
        assert detect(path)[0] == "hugging_face"


def test_parquet_and_arrow_files_are_read_alike(split, saved, tmp_path):
    split.to_parquet(tmp_path / "a.parquet")
    with pa.OSFile(str(tmp_path / "b.arrow"), "wb") as stream:
        arrow = split.data.table
        with pa.ipc.new_file(stream, arrow.schema) as writer:
            writer.write_table(arrow)
    (cached,) = (saved / "train").glob("*.arrow")  # a stream, where b.arrow is a file
    for path in (tmp_path / "a.parquet", tmp_path / "b.arrow", cached):
        assert plain(read(path)) == WANTED
        assert detect(path)[0] == "hugging_face"


@pytest.mark.parametrize(
    ("word", "tag", "tags"),
    [(1, 2, "NNP NNP VBD"), ("tokens", "pos_tags", "NNP NNP VBD"), (-3, -1, "B-PER I-PER O"), (None, 2, "NNP NNP VBD")],
)
def test_columns_are_named_or_numbered(saved, word, tag, tags):
    assert plain(read(saved / "test", word_column=word, tag_column=tag))[0][1] == tags


@pytest.mark.parametrize(
    ("columns", "options", "wanted"),
    [
        ({"words": [["a"]], "labels": [["X"]]}, {}, ("a", "X")),
        ({"mots": [["a"]], "etiquettes": [["X"]]}, {"word_column": "mots"}, ("a", "X")),
        ({"mots": [["a"]], "ner": [["X"]]}, {}, ("a", "X")),
        ({"tokens": [["a"]], "iob": [["X"]], "note": ["x"]}, {}, ("a", "X")),
        ({"tokens": pa.array([["a"]], pa.large_list(pa.large_string())), "tags": [["X"]]}, {}, ("a", "X")),
        (
            {"mots": [["a"]], "etiquettes": [["X"]]},
            {},
            "several columns could be the words, got mots, etiquettes; name",
        ),
        (
            {"tokens": [["a"]], "words": [["a"]], "ner": [["X"]]},
            {},
            "several columns could be the words, got tokens, w",
        ),
        ({"tokens": [["a"]], "ner_tags": [["X"]], "tags": [["X"]]}, {}, "several columns could be the tags, got ner_t"),
        ({"tokens": [["a"]], "x": [["X"]], "y": [["X"]]}, {}, "several columns could be the tags, got x, y"),
        ({"tokens": [["a"]]}, {}, "no column of tags, got tokens; name a column"),
        ({"text": ["a"], "tags": [["X"]]}, {}, "no column of words, got text, tags"),
        ({"tokens": [["a"]], "tags": [[1]]}, {}, "tags that have no names, got 'tags', Value"),
        ({"tokens": [["a"]], "tags": [[1.5]]}, {}, "tags that have no names"),
        ({"tokens": [[1]], "tags": [["X"]]}, {}, "no column of words"),
        (
            {"tokens": [[1]], "tags": [["X"]]},
            {"word_column": 0},
            "words that are not lists of strings, got 'tokens', List",
        ),
        ({"tokens": [["a"]], "tags": ["X"]}, {"tag_column": 1}, "tags that are not lists, got 'tags', Value"),
        ({"tokens": [["a"]], "tags": [["X"]]}, {"tag_column": 2}, "no such column, got column 2 of tokens, tags"),
        ({"tokens": [["a"]], "tags": [["X"]]}, {"tag_column": "x"}, "no such column, got column x of"),
    ],
)
def test_columns_are_found_or_it_is_said_which_could_be_meant(tmp_path, columns, options, wanted):
    path = table(tmp_path / "a.parquet", **columns)
    if isinstance(wanted, tuple):
        assert plain(read(path, **options)) == [(*wanted, 1)]
        return
    with pytest.raises(DataError) as caught:
        read(path, **options)
    assert str(caught.value).startswith(f"{path}: {wanted}")


def labelled(**rest):
    return {"tokens": texts(), "tags": datasets.List(datasets.ClassLabel(names=NAMES)), **rest}


@pytest.mark.parametrize(
    ("tokens", "tags", "said"),
    [
        (["a", "b"], [0], ":2: words and tags do not match"),
        (["a", None], [0, 0], ":2: a word is not a string"),
        (["a"], [None], ":2: a tag that is missing or has no name, got null; correct 'tags'"),
        (["a"], [-1], ":2: a tag that is missing or has no name, got -1"),
        (None, [0], ":2: not a list, got null; correct the column 'tokens'"),
        (["a"], None, ":2: not a list, got null; correct the column 'tags'"),
    ],
)
def test_a_malformed_row_is_an_error_with_its_number(tmp_path, tokens, tags, said):
    path = table(tmp_path / "a", labelled(), tokens=[["x"], tokens], tags=[[1], tags])
    with pytest.raises(DataError) as caught:
        read(path)
    assert str(caught.value).startswith(f"{path}{said}")


def test_a_label_beyond_its_names_is_an_error(tmp_path):
    data = pa.table({"tokens": [["x"]], "tags": [[7]]})
    schema = datasets.Features(labelled()).arrow_schema
    pq.write_table(data.cast(schema).replace_schema_metadata(schema.metadata), tmp_path / "a")
    with pytest.raises(DataError, match=r"a:1: a tag that is missing or has no name, got 7"):
        read(tmp_path / "a")


def test_documents_are_kept_where_they_are_numbers(tmp_path):
    rows = {"tokens": [["a"]] * 3, "tags": [["O"]] * 3}
    assert [s.document for s in read(table(tmp_path / "a", **rows, document=[3, None, 0]))] == [3, None, 0]
    assert [s.document for s in read(table(tmp_path / "a", **rows, document=["3", "4", "5"]))] == [None] * 3
    with pytest.raises(DataError, match="a:2: not a valid document number, got -1"):
        read(table(tmp_path / "a", **rows, document=[3, -1, 0]))


letters = st.characters(exclude_categories=["Cs"])
strings = st.text(letters, max_size=5)
pairs = st.lists(st.tuples(strings, strings), min_size=1, max_size=4)


@given(st.lists(st.tuples(pairs, st.none() | st.integers(0, 2**31 - 1)), min_size=1, max_size=5))
def test_what_is_written_is_read_back(tmp_path_factory, rows):
    path = tmp_path_factory.getbasetemp() / "round"
    made = [
        Sentence(tuple(w for w, _ in pairs), tuple(t for _, t in pairs), str(path), (number,) * len(pairs), document)
        for number, (pairs, document) in enumerate(rows, start=1)
    ]
    hugging_face.write(iter(made), path)
    assert read(path) == made
    assert detect(path)[0] == "hugging_face"


def test_datasets_loads_what_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(hugging_face, "GROUP", 2)
    made = [Sentence(("Ann", "slept"), ("B-PER", "O"), "", (), number) for number in range(5)]
    hugging_face.write(iter(made), tmp_path / "a.parquet")
    assert pq.ParquetFile(tmp_path / "a.parquet").num_row_groups == 3
    cache = str(tmp_path / "cache")
    loaded = datasets.load_dataset("parquet", data_files=str(tmp_path / "a.parquet"), split="train", cache_dir=cache)
    assert loaded[4] == {"tokens": ["Ann", "slept"], "tags": ["B-PER", "O"], "document": 4}


@pytest.mark.parametrize(
    ("words", "document", "said"),
    [
        ((), None, "src: a sentence without words"),
        (("\ud83d",), None, "src:7: half of a surrogate pair"),
        (("a",), -1, "src:7: not a valid document number, got -1"),
        (("a",), 2**31, "src:7: not a valid document number"),
    ],
)
def test_what_cannot_be_read_back_is_not_written(tmp_path, words, document, said):
    with pytest.raises(DataError, match=f"^{said}"):
        sentence = Sentence(words, ("O",) * len(words), "src", (7,) * len(words), document)
        hugging_face.write([sentence], tmp_path / "a")


def test_what_is_no_split_is_an_error_that_says_what_to_do(saved, tmp_path):
    with pytest.raises(DataError, match=r"a whole dataset, expected one split, got train, test; name one"):
        read(saved)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"not a saved dataset .*save_to_disk"):
        read(tmp_path / "empty")
    with pytest.raises(DataError, match=r"missing: no such file"):
        read(saved / "missing")
    (saved / "train" / "dataset_info.json").write_text("{")
    with pytest.raises(DataError, match="not a saved dataset"):
        read(saved / "train")
    with pytest.raises(DataError, match="a: no sentence in the file"):
        read(
            table(
                tmp_path / "a", tokens=pa.array([[]], pa.list_(pa.string())), tags=pa.array([[]], pa.list_(pa.string()))
            )
        )


def test_other_files_are_not_recognised(tmp_path):
    long = table(tmp_path / "long.parquet", sentence=[1], word=["a"], tag=["O"])
    assert detect(long)[0] == "parquet"
    for path in (long, tmp_path, tmp_path / "none", tmp_path / "x.arrow", tmp_path / "a.yaml"):
        for head in ("", "PAR1", "ARROW1", "{", "\0"):
            assert hugging_face.recognise(path, head) is None
    (tmp_path / "x.arrow").write_bytes(b"ARROW1\0\0")
    assert hugging_face.recognise(tmp_path / "x.arrow", "ARROW1") is None


POINTER = "dataset: hub/conll2003\nrevision: '4d6b1b5'\nsplit: train\nwords: tokens\ntags: ner_tags\n"


def point(folder, content):
    path = folder / "mine.dataset.yaml"
    path.write_text(content)
    return path


def test_a_pointer_reads_a_folder_beside_it(split, tmp_path):
    (tmp_path / "data").mkdir()
    split.to_parquet(tmp_path / "data" / "train.parquet")
    path, options = point(tmp_path, "dataset: data\nsplit: train\n"), Options()
    assert plain(hugging_face.read(path, options)) == WANTED
    assert not any("revision" in kind for kind in options.notes.counts)
    assert detect(path)[0] == "hugging_face"
    named = read(point(tmp_path, "dataset: data\nsplit: train\ntags: ner_tags\n"), tag_column="pos_tags")
    assert [s.tags for s in named] == [("NNP", "NNP", "VBD"), ("CD", "NN")], "a slice or a second task names another"
    for content, said in [
        ("dataset: data\nsplit: dev\n", r"the dataset .* cannot be loaded \(.*dev"),
        ("dataset: data\nsplit: train\nname: none\n", r"the dataset .* cannot be loaded \(.*none"),
        ("dataset: data\nsplit: train\ntags: x\n", "no such column, got column x of id, tokens"),
        ("dataset: nothing\nsplit: train\n", r"the dataset 'nothing' cannot be loaded \(Couldn't reach 'nothing' on"),
    ]:
        with pytest.raises(DataError, match=said):
            read(point(tmp_path, content))


def test_a_pointer_reads_a_dataset_of_the_hub(split, tmp_path, monkeypatch):
    """A hub of one dataset, which streams it, or first has to load it to know its columns."""
    asked = []

    def load_dataset(path, name=None, revision=None, split=None, streaming=False):
        asked.append((path, name, revision, split, streaming))
        if streaming and path == "no/stream":
            return datasets.IterableDataset.from_generator(lambda: iter(()))  # of which the columns are unknown
        return rows.to_iterable_dataset() if streaming else rows

    rows = split
    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    assert plain(read(point(tmp_path, POINTER))) == WANTED
    path, options = point(tmp_path, "dataset: no/stream\nname: en\nrevision: null\nsplit: test\n"), Options()
    assert plain(hugging_face.read(path, options)) == WANTED
    note = "the dataset has no revision: the same name may give other data tomorrow"
    assert options.notes.places[note] == [f"{path}: no/stream"]
    assert asked == [
        ("hub/conll2003", None, "4d6b1b5", "train", True),
        ("no/stream", "en", None, "test", True),
        ("no/stream", "en", None, "test", False),
    ]


@pytest.mark.parametrize(
    "error",
    [
        ConnectionError("Couldn't reach 'hub/conll2003' on the Hub (OfflineModeIsEnabled)"),
        FileNotFoundError("Dataset 'hub/conll2003' doesn't exist on the Hub or cannot be accessed.\nCheck it"),
        ValueError("Unknown split \"train\". Should be one of ['test']."),
        RuntimeError("Dataset scripts are no longer supported, but found conll2003.py"),
    ],
)
def test_what_the_hub_refuses_is_an_error_of_one_line(split, tmp_path, monkeypatch, error):
    def load_dataset(*_, **__):
        raise error

    class Broken(datasets.IterableDataset):
        def __iter__(self):
            yield from list(split)[:1]
            raise error

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    path = point(tmp_path, POINTER)
    with pytest.raises(DataError, match=r"the dataset 'hub/conll2003' cannot be loaded \(.*check its name") as caught:
        read(path)
    assert "\n" not in str(caught.value) and " ".join(str(error).split()) in str(caught.value)
    broken = split.to_iterable_dataset()
    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: broken)
    monkeypatch.setattr(datasets.IterableDataset, "__iter__", Broken.__iter__)
    stream = hugging_face.read(path, Options())
    assert next(stream).words == ("Angela", "Merkel", "spoke")
    with pytest.raises(DataError, match=r"mine.dataset.yaml:2: reading the dataset failed"):
        next(stream)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "wrong keys"),
        ("- dataset", "wrong keys"),
        ("dataset: a\n", "wrong keys, got {'dataset': 'a'}; give dataset, split and optionally name, revision"),
        ("dataset: a\nsplit: b\ntag: c\n", "wrong keys"),
        ("dataset: a\nsplit: 1\n", "split must be a text, got 1; put it in quotes"),
        ("dataset: [a]\nsplit: b\n", "dataset must be a text"),
        ("dataset:\nsplit: b\n", "dataset must be a text, got null"),
        ("dataset: a\nsplit: b\nrevision: 123\n", "revision must be a text"),
        ("dataset: a\ndataset: b\nsplit: b\n", "not valid YAML"),
        ("dataset: {\n", "not valid YAML"),
        ("dataset: 2001-99-99\nsplit: b\n", "not valid YAML"),
        ("? [a]\n: b\n", ""),
        ("\0", "not valid YAML"),
        ("[" * 600, "mine.dataset.yaml:1: nested too deeply"),
    ],
)
def test_a_malformed_pointer_is_an_error(tmp_path, content, said):
    with pytest.raises(DataError) as caught:
        read(point(tmp_path, content))
    assert str(caught.value).startswith(str(tmp_path / "mine.dataset.yaml")) and said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["parquet", "arrow"])
def test_mutated_files_give_sentences_or_an_error(split, saved, tmp_path, kind):
    whole = next((saved / "train").glob("*.arrow")).read_bytes()
    if kind == "parquet":
        hugging_face.write(read(saved / "train") * 20, tmp_path / "a")
        whole = (tmp_path / "a").read_bytes()
    chance, path, refused = random.Random(6), tmp_path / f"b.{kind}", 0
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
        hugging_face.recognise(path, bytes(raw[:4]).decode(errors="replace"))
        try:
            assert read(path)
        except DataError as error:
            refused += 1
            assert error.where.startswith(str(path)) and "\n" not in str(error)
    assert refused > 300
