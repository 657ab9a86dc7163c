"""The read stage: streams that are written in batches, and splits that are cut from them."""

import json
import time
import tracemalloc
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fpplm.pipeline.paths import CORPUS
from fpplm_core.data import corpus, reading, splits
from fpplm_core.data.corpus import (
    SCHEMA,
    CorpusParts,
    distinct_tags,
    load_corpus,
    open_corpus,
    stream_corpus,
    write_corpus,
)
from fpplm_core.data.formats import get
from fpplm_core.data.notes import Notes
from fpplm_core.data.options import Options
from fpplm_core.data.ranks import RANKS, rank_of
from fpplm_core.data.reading import add_drops
from fpplm_core.data.records import Sentence
from fpplm_core.data.splits import assign_splits, read_file, take_units, type_in
from fpplm_core.errors import DataError
from fpplm_core.params import Params, load
from fpplm_core.settings import read_yaml
from tasks.read import read

ROOT = Path(__file__).resolve().parents[3]
DATA = {"dev": None, "test": None, "format": "conll"}
SHARES = {"test": 0.2, "dev": 0.2}
RANDOM = np.random.default_rng(0).integers(0, RANKS, 101, dtype=np.uint64)


def sentence(number: int, document: int | None = None) -> Sentence:
    words = tuple(f"w{number}x{place}" for place in range(1 + number % 4))
    tags = ("B-X",) + ("O",) * (len(words) - 1)
    return Sentence(words, tags, "some.conll", tuple(range(5 * number + 1, 5 * number + 1 + len(words))), document)


def slow_cut(sentences: list[Sentence], share: float, seed: int) -> tuple[list, list, str]:
    """A cut as lists."""
    by_document = sentences[0].document is not None
    ranks = [rank_of(["".join(s.words)], seed) for s in sentences]
    keys = [s.document if by_document else rank for s, rank in zip(sentences, ranks, strict=True)]
    units = sorted(set(keys), key=lambda key: sum(r for k, r in zip(keys, ranks, strict=True) if k == key) % RANKS)
    taken = units[: min(len(units) - 1, max(1, round(len(units) * share)))]
    return (
        [s for s, key in zip(sentences, keys, strict=True) if key not in taken],
        [s for s, key in zip(sentences, keys, strict=True) if key in taken],
        "documents" if by_document else "sentences",
    )


@given(
    st.lists(st.integers(1, 4), min_size=4, max_size=12),
    st.booleans(),
    st.floats(0.01, 0.5),
    st.floats(0.01, 0.5),
    st.integers(0, 5),
)
def test_a_cut_by_numbers_takes_what_a_cut_of_lists_takes(sizes, marked, test, dev, seed):
    documents = np.repeat(np.arange(len(sizes)), sizes) if marked else np.full(sum(sizes), -1)
    whole = [sentence(number, int(of) if marked else None) for number, of in enumerate(documents)]
    rest, for_test, unit = slow_cut(whole, test, seed)
    train, for_dev, _ = slow_cut(rest, dev, seed)
    ranks = np.array([rank_of(["".join(s.words)], seed) for s in whole], dtype=np.uint64)
    part, what = assign_splits(documents, ranks, [{"X"}] * len(documents), {"test": test, "dev": dev})
    for split, wanted in {"train": train, "dev": for_dev, "test": for_test}.items():
        assert [s for s, name in zip(whole, part, strict=True) if name == split] == wanted
    assert what == unit


@pytest.mark.parametrize("marked", [False, True])
def test_most_of_a_cut_stays_when_a_tenth_is_added_anywhere(marked):
    moved = Counter()
    for seed in range(20):
        random = np.random.default_rng(seed)
        documents = np.repeat(np.arange(400), 1 + random.integers(0, 5, 400)) if marked else np.full(1000, -1)
        ranks = random.integers(0, RANKS, len(documents), dtype=np.uint64)
        old = documents < 360 if marked else random.permutation(1000) < 900
        before, after = (
            assign_splits(documents[rows], ranks[rows], [{"X"}] * len(documents), SHARES)[0]
            for rows in (old, np.full(len(documents), True))
        )
        moved.update(zip(before.tolist(), after[old].tolist(), strict=True))
    kept = sum(number for (one, other), number in moved.items() if one == other)
    assert kept > 0.97 * moved.total()
    assert not moved["train", "test"], "dev lies between them"


def test_neither_order_nor_tags_move_a_sentence_and_equal_sentences_stay_together(project):
    rows = [f"a{number % 30}\tB-X\n\n" for number in range(40)]
    splits = [project("".join(some)) for some in (rows, rows[::-1], [row.replace("X", "Y") for row in rows])]
    words = [{split: {s.words for s in sentences} for split, sentences in found.items()} for found in splits]
    assert words[0] == words[1] == words[2]
    assert sum(map(len, words[0].values())) == 30 and sum(map(len, splits[0].values())) == 40


def test_where_mentions_cut_words_moves_no_sentence(project):
    texts = [f"a{number} redhaired man" for number in range(40)]
    found = []
    for start, end in ((3, 6), (3, 12)):
        mention = {"start": start + 1, "end": end + 1, "label": "X"}
        rows = [json.dumps({"text": text, "entities": [mention]}) for text in texts]
        splits = project("\n".join(rows), format="jsonl_spans", misaligned="split")
        found.append({split: {s.text for s in sentences} for split, sentences in splits.items()})
    assert found[0] == found[1] and sum(map(len, found[0].values())) == 40


def test_numbers_of_documents_may_be_large_and_sentences_without_types_many():
    documents = np.arange(100, dtype=np.int32) * 21_000_000
    assert peak(lambda: assign_splits(documents, RANDOM[:100], [{"X"}] * 100, SHARES)) < 2**20
    began = time.process_time()
    assert take_units([()] * 200_000, 40_000) == list(range(40_000))
    assert time.process_time() - began < 5


@pytest.mark.parametrize("documents", [[], [0], [-1], [0, 0], [0, 1]])
def test_what_is_too_small_for_two_cuts_is_an_error(documents):
    with pytest.raises(ValueError, match="one distinct document or sentence"):
        cut(documents, [{"X"}] * len(documents))


def test_a_sentence_outside_documents_leaves_them_whole():
    documents = np.array([-1, *np.repeat(np.arange(20), 5)])
    part, what = assign_splits(documents, RANDOM[:101], [{"X"}] * 101, SHARES)
    assert what == "documents and sentences outside them"
    assert len({*zip(documents[1:].tolist(), part[1:].tolist(), strict=True)}) == 20


@pytest.mark.parametrize("documents", [[0] * 100, [0] * 50 + [1] * 50, [-1] + [0] * 99])
def test_too_few_documents_are_cut_by_sentences(documents):
    part, what = assign_splits(np.array(documents), RANDOM[:100], [{"X"}] * 100, SHARES)
    assert what == "sentences, as documents are too few"
    assert Counter(part.tolist()) == {"train": 64, "test": 20, "dev": 16}


def cut(documents: list[int], types: list[set[str]], seed: int = 0) -> list[str]:
    ranks = np.random.default_rng(seed).integers(0, RANKS, len(documents), dtype=np.uint64)
    return assign_splits(np.array(documents, dtype=np.int32), ranks, types, SHARES)[0].tolist()


@given(
    st.lists(st.tuples(st.integers(0, 5), st.sets(st.sampled_from("ABCDEFGH"))), min_size=8, max_size=40),
    st.booleans(),
    st.integers(0, 9),
)
def test_a_cut_leaves_every_type_in_train_and_documents_whole(rows, marked, seed):
    rows = sorted(rows, key=lambda row: row[0])
    documents = [document if marked else -1 for document, _ in rows]
    types = [kinds for _, kinds in rows]
    try:
        part = cut(documents, types, seed)
    except ValueError:
        return
    assert part == cut(documents, types, seed)
    in_train = set().union(*(kinds for kinds, split in zip(types, part, strict=True) if split == "train"))
    assert in_train == set().union(*types)
    assert {"test", "dev"} <= set(part)
    if marked:
        assert len(set(zip(documents, part, strict=True))) == len(set(documents))


@pytest.mark.parametrize("seed", range(20))
def test_a_cut_takes_as_many_as_without_a_rare_type_and_some_entity(seed):
    """One sentence in ten has an entity, and the last one the only EVENT."""
    types = [{"PER"} if number % 10 == 0 else set() for number in range(99)] + [{"EVENT"}]
    part = cut([-1] * 100, types, seed)
    assert part[-1] == "train"
    assert (part.count("test"), part.count("dev")) == (20, 16)
    for split in ("train", "dev", "test"):
        assert any("PER" in kinds for kinds, at in zip(types, part, strict=True) if at == split)


def test_documents_of_which_each_has_a_type_of_its_own_cannot_be_cut():
    with pytest.raises(ValueError, match="every document or sentence has the last mention of a type"):
        cut([0, 0, 1, 2], [{"A"}, {"A"}, {"B"}, {"C"}])


@pytest.mark.parametrize(
    "tag, scheme, kind",
    [("O", "auto", ""), ("B-X-Y", "auto", "X-Y"), ("O", "TAGS", "O"), ("S-X", "TAGS", "S-X"), ("NOUN", "auto", "NOUN")],
)
def test_the_type_of_a_tag(tag, scheme, kind):
    assert type_in(tag, scheme) == kind


EVENT = "Fair\tB-EVENT\n\n"


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("place", [0, 3, 11])
def test_the_only_mention_of_a_type_stays_in_train(project, seed, place):
    sentences = [f"Ann{number}\tB-PER\nslept\tO\n\n" for number in range(11)]
    sentences.insert(place, EVENT)
    splits = project("".join(sentences), split_seed=seed)
    assert [split for split, rows in splits.items() for row in rows if "B-EVENT" in row.tags] == ["train"]


def set_batch(patch: pytest.MonkeyPatch, size: int) -> None:
    for module in (corpus, reading, splits):
        patch.setattr(module, "BATCH", size)


@pytest.mark.parametrize("size", [1, 7, 10_000])
@given(st.integers(0, 30))
def test_what_is_written_in_batches_is_read_back(tmp_path_factory, size, number):
    folder = tmp_path_factory.getbasetemp() / "batches"
    wanted = [sentence(index, index // 3 if index % 7 else None) for index in range(number)]
    with pytest.MonkeyPatch.context() as patch:
        set_batch(patch, size)
        write_corpus(folder / "train.parquet", iter(wanted))
        assert load_corpus("train", folder) == list(stream_corpus("train", folder)) == wanted
        if not wanted:
            with pytest.raises(DataError, match="train: the split has no sentence"):
                list(CorpusParts("train", folder))
        parts = list(CorpusParts("train", folder)) if wanted else []
        data = open_corpus("train", folder)
        assert distinct_tags(data) == {tag for s in wanted for tag in s.tags}
    assert [s for part in parts for s in part] == wanted
    assert all(len(part) >= size for part in parts[:-1])
    borders = [(before[-1].document, after[0].document) for before, after in pairwise(parts)]
    assert all(before is None or before != after for before, after in borders)
    assert all(len(part) == size or part[-2].document == part[-1].document for part in parts[:-1])
    assert data.metadata.num_row_groups == -(-number // size)
    assert data.schema_arrow.equals(SCHEMA)
    assert [path.name for path in folder.iterdir()] == ["train.parquet"]


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Runs the stage in a folder with some data, with other settings than the repository's."""
    monkeypatch.chdir(tmp_path)
    Path("data").mkdir()

    def run(content: str, batch: int = 10_000, **changes: object) -> dict[str, list[Sentence]]:

        Path("data/train.conll").write_text(content)
        values = read_yaml(ROOT / "params.yaml")
        values["data"] |= DATA | {"path": "data"} | changes
        set_batch(monkeypatch, batch)
        read(Params.parse(values, "params.yaml").data)
        return {path.stem: load_corpus(path.stem, CORPUS) for path in CORPUS.glob("*.parquet")}

    return run


def text(sentences: int, documents: int = 0) -> str:
    rows = []
    for number in range(sentences):
        if documents and number % (sentences // documents) == 0:
            rows.append("-DOCSTART-\tX\tO\n")
        rows.append(f"a{number}\tNN\tB-X\nb\tVB\tO\n")
    return "\n".join(rows)


@pytest.mark.parametrize("documents", [0, 10])
def test_the_batches_change_nothing(project, capsys, documents):
    second = {"tag_column": 1}
    made = [project(text(40, documents), size, second=second) for size in (1, 7, 10_000)]
    assert made[0] == made[1] == made[2]
    assert sum(len(made[0][split]) for split in ("train", "dev", "test")) == 40
    assert [s.lines for s in made[0]["second"]] == [s.lines for s in made[0]["train"]]
    assert {tag for s in made[0]["second"] for tag in s.tags} == {"NN", "VB"}
    said = capsys.readouterr().out.splitlines()
    assert said[: len(said) // 3] == said[len(said) // 3 : 2 * len(said) // 3]
    unit = "documents" if documents else "sentences"
    assert f"test was cut from train: 20% of its {unit}, seed 42, 8 sentences" in said


def test_an_error_beyond_the_first_batch_has_its_line_and_leaves_the_corpus_as_it_was(project):
    before = project(text(40), batch=7)
    with pytest.raises(DataError, match=r"data/train.conll:121: wrong number of columns"):
        project(text(40) + "\none\ttwo\n", batch=7)
    assert {path.stem: load_corpus(path.stem, CORPUS) for path in CORPUS.glob("*.parquet")} == before
    assert project(text(40), batch=7) == before  # what was left half done is no hindrance


def test_one_sentence_cannot_be_cut(project):
    with pytest.raises(
        DataError, match=r"data/train.conll: too small to split off dev or test, got one distinct document or sentence"
    ):
        project(text(1))


def peak(work) -> int:
    tracemalloc.start()
    work()
    try:
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_longer_file_takes_no_more_memory(tmp_path, monkeypatch):
    set_batch(monkeypatch, 500)

    def copy(sentences: int) -> int:
        path = tmp_path / f"{sentences}.conll"
        path.write_text(text(sentences))
        corpus = tmp_path / f"{sentences}.parquet"
        used = peak(lambda: write_corpus(corpus, get("conll").read(path, Options())))
        assert pq.read_metadata(corpus).num_rows == sentences
        return used

    copy(1_000)  # what is imported and compiled once
    assert copy(20_000) < 1.5 * copy(2_000)


def drop(name: str, content: str) -> None:
    Path("data/drops").mkdir(exist_ok=True)
    Path("data/drops", name).write_text(content)


def row(word: str, document: int | None = None) -> str:
    return json.dumps(
        {"tokens": [word, "b"], "tags": ["B-X", "O"]} | ({} if document is None else {"document": document})
    )


@pytest.mark.parametrize("documents", [0, 10])
@pytest.mark.parametrize("size", [3, 10_000])
def test_drops_follow_train_and_leave_dev_and_test_alone(project, capsys, documents, size):
    before = project(text(40, documents), size)
    drop("b.jsonl", "\n".join([row("b0", 9), row("b1", 9), row("b2"), row("b3", 4), row("b4", 9)]))
    drop("a.conll", text(4, 2).replace("a", "drop"))
    drop("a.jsonl", row("c0", 0))
    for name in (".hidden.conll", "c.conll.partial", "c.tmp"):
        drop(name, "not yet")
    Path("data/drops/folder.conll").mkdir()
    after = project(text(40, documents), size)
    own = after["train"][: len(before["train"])]
    assert (own, after["dev"], after["test"]) == (before["train"], before["dev"], before["test"])
    added = after["train"][len(own) :]
    assert [s.words[0] for s in added] == ["drop0", "drop1", "drop2", "drop3", "c0", "b0", "b1", "b2", "b3", "b4"]
    assert {s.file for s in added} == {f"data/drops/{name}" for name in ("a.conll", "a.jsonl", "b.jsonl")}
    first = 1 + max((s.document for s in own if s.document is not None), default=-1)
    assert [None if s.document is None else s.document - first for s in added] == [0, 0, 1, 1, 2, 3, 3, None, 4, 3]
    assert "incoming files: 10 sentences of 3 file(s) were added to train" in capsys.readouterr().out
    assert sorted(path.name for path in CORPUS.iterdir()) == [
        "corpus.json",
        *(f"{s}.parquet" for s in ("dev", "test", "train")),
    ]


def test_a_second_task_that_is_the_first_is_noticed_beside_drops(project):
    drop("a.conll", text(4).replace("a", "drop"))
    with pytest.raises(DataError, match="the second task is the same as the first"):
        project(text(40), second={"tag_column": -1})


def test_drops_join_a_train_beside_given_splits(project):
    Path("data/other.conll").write_text("o\tNN\tB-X\n")
    splits = {"dev": "other.conll", "test": "other.conll"}
    before = project(text(4), **splits)
    Path("data/drops").mkdir()
    assert project(text(4), **splits) == before  # an empty folder adds nothing
    drop("a.jsonl", row("new"))
    after = project(text(4), **splits)
    assert [s.words for s in after["train"]] == [*(s.words for s in before["train"]), ("new", "b")]
    assert (after["dev"], after["test"]) == (before["dev"], before["test"])


def test_drops_find_document_numbers_beside_the_largest(project):
    rows = [json.dumps({"tokens": [f"a{n}"], "tags": ["B-X"], "document": 2**31 - 1 - n}) for n in range(10)]
    project("\n".join(rows), format="jsonl")
    drop("a.jsonl", "\n".join([row("b0", 5), row("b1", 6)]))
    train = project("\n".join(rows), format="jsonl")["train"]
    assert len({s.document for s in train}) == len(train)


def test_drops_have_no_labels_of_the_second_task(project):
    """Although their sentences stand in lines that train's have too."""
    before = project(text(20), second={"tag_column": 1})
    drop("a.conll", text(20).replace("a", "drop").replace("NN", "XX"))
    after = project(text(20), second={"tag_column": 1})
    assert len(after["train"]) == len(before["train"]) + 20
    assert after["second"] == before["second"]


def test_an_unreadable_drop_is_an_error_that_leaves_the_corpus_as_it_was(project):
    before = project(text(40))
    drop("a.jsonl", row("a") + "\n{")
    with pytest.raises(DataError, match=r"data/drops/a.jsonl:2: not valid JSON"):
        project(text(40))
    assert {path.stem: load_corpus(path.stem, CORPUS) for path in CORPUS.glob("*.parquet")} == before


def test_drops_take_part_in_the_scheme(project):
    project(text(40))
    assert json.loads((CORPUS / "corpus.json").read_text())["scheme"] == "IOB2"
    drop("a.conll", "b\tNN\tB-X\ne\tNN\tE-X\n\n" * 40)
    project(text(40))
    assert json.loads((CORPUS / "corpus.json").read_text())["scheme"] == "BIOE"


def test_more_drops_take_no_more_memory(tmp_path, monkeypatch):
    set_batch(monkeypatch, 500)
    settings = load(ROOT / "params.yaml").data.model_copy(update={"path": str(tmp_path)})
    (tmp_path / "drops").mkdir()
    (tmp_path / "train.conll").write_text(text(10))
    for split in ("dev", "test"):
        write_corpus(tmp_path / f"{split}.parquet", [])

    def add(sentences: int) -> int:
        (tmp_path / "drops/a.conll").write_text(text(sentences))
        write_corpus(tmp_path / "train.parquet", read_file(tmp_path / "train.conll", settings, Notes()))
        used = peak(lambda: add_drops(settings, tmp_path, Notes()))
        assert pq.read_metadata(tmp_path / "train.parquet").num_rows == sentences + 10
        return used

    add(1_000)
    assert add(40_000) < 1.5 * add(10_000)


def test_labels_of_whole_texts_are_no_tags_of_words(tmp_path):
    words = ("a good film", "dull", "a bad one")
    rows = [Sentence(words, ("pos", "neg", "neg"), "a.tsv", (1, 2, 3))]
    write_corpus(tmp_path / "train.parquet", rows)
    settings = load(ROOT / "params.yaml").data
    with pytest.raises(DataError, match="2 of 3 words consist of several words"):
        reading.scheme_of(settings, [open_corpus("train", tmp_path)])


@pytest.mark.parametrize("scheme", ["auto", "IOB2", "TAGS"])
def test_very_many_types_are_refused(tmp_path, scheme):
    rows = [Sentence(("a",), (f"B-{number}",), "a.conll", (number,)) for number in range(splits.MOST_TYPES + 1)]
    write_corpus(tmp_path / "train.parquet", rows)
    settings = load(ROOT / "params.yaml").data.model_copy(update={"scheme": scheme})
    with pytest.raises(DataError, match=r"very many types, got 2001, .* is this the tag column"):
        reading.scheme_of(settings, [open_corpus("train", tmp_path)])
