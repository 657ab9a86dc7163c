"""Unlabelled text: what is read of it, what is drawn, and what is left out because dev or test have it."""

import json
import random
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fpplm_core.data import reading, unlabelled
from fpplm_core.data.corpus import INFO, load_corpus
from fpplm_core.data.options import Options
from fpplm_core.data.reading import read_corpus
from fpplm_core.data.records import Sentence
from fpplm_core.data.unlabelled import LONGEST, read_texts, sample
from fpplm_core.errors import DataError, ParamsError
from fpplm_core.params import Params
from fpplm_core.settings import read_yaml

ROOT = Path(__file__).resolve().parents[3]
HELD_OUT = {
    "dev": ["The", "quick", "brown", "fox", "jumps", "over", "the", "lazy", "old", "dog", "tonight"],
    "test": ["Seven", "little", "goats", "met", "a", "hungry", "wolf", "near", "the", "river", "Elbe"],
}


def sentence(text: str) -> Sentence:
    words = tuple(text.split())
    return Sentence(words, ("O",) * len(words), "some.txt", (1,) * len(words))


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Reads a corpus whose unlabelled text has these files; returns its sentences, or None if it has no such split."""
    monkeypatch.chdir(tmp_path)
    for folder in ("data", "text", "corpus"):
        Path(folder).mkdir()
    train = "\n\n".join("\n".join(f"{word} O" for word in f"train {n} Ann".split()) for n in range(9))
    Path("data/train.conll").write_text(f"{train}\n\nBonn B-LOC\n")
    for split, words in HELD_OUT.items():
        rows = "\n".join(f"{word} {'B-LOC' if word == 'Elbe' else 'O'}" for word in words)
        Path(f"data/{split}.conll").write_text(f"{rows}\n")

    def run(folder: str | None = "text", **files: str) -> list[Sentence] | None:
        for name, content in files.items():
            Path("text", name.replace("_", ".")).write_text(content)
        values = read_yaml(ROOT / "params.yaml")
        values["data"] |= {"path": "data", "unlabelled": folder}
        read_corpus(Params.parse(values, "params.yaml").data, Path("corpus"))
        return load_corpus("unlabelled", Path("corpus")) if Path("corpus/unlabelled.parquet").exists() else None

    return run


def test_without_a_folder_nothing_is_written(project):
    assert project(None) is None
    before = {path.name: path.read_bytes() for path in Path("corpus").iterdir()}
    assert project(a_txt="Some other text of no one\n")
    assert {name: Path("corpus", name).read_bytes() for name in before if name != INFO} == {
        name: content for name, content in before.items() if name != INFO
    }


def test_every_kind_of_line_becomes_a_sentence_without_labels(project):
    objects = [
        {"text": "Mira met Otto"},
        {"tokens": ["Mira", "left"], "tags": ["B-PER", "O"]},
        {"words": ["San", "José"], "text": "San José"},
    ]
    lines = "".join(json.dumps(row) + "\n" for row in objects)
    found = project(a_txt="Ann, slept.\n\n   \nAnn, slept.\n", b_jsonl=lines, c_csv="not, read\n", d_partial="nor this")
    assert {s.words for s in found} == {
        ("Ann", ",", "slept", "."),
        ("Mira", "met", "Otto"),
        ("Mira", "left"),
        ("San", "José"),
    }
    assert all(set(s.tags) == {"O"} for s in found)
    assert {s.place for s in found} == {"text/a.txt:1", "text/b.jsonl:1", "text/b.jsonl:2", "text/b.jsonl:3"}


@pytest.mark.parametrize("split", HELD_OUT)
def test_sentences_of_dev_and_test_are_left_out_also_if_they_are_changed_a_little(project, split):
    words = HELD_OUT[split]
    swapped, cut = [*words[:4], "certainly", *words[5:]], words[:-1]
    other = "A sentence that nobody has annotated so far"
    found = project(a_txt="\n".join([" ".join(words), " ".join(swapped).upper(), " ".join(cut), other]))
    assert [s.words for s in found] == [tuple(other.split())]
    changes = json.loads(Path("corpus", INFO).read_text())["changes"]
    assert changes["unlabelled sentences that dev or test have"]["count"] == 3


def test_a_folder_without_text_is_an_error_that_names_it(project):
    with pytest.raises(DataError, match=r"data\.unlabelled: no file of text in it, got 'text'"):
        project()
    with pytest.raises(DataError, match=r"data\.unlabelled: no such folder"):
        project("nowhere")
    with pytest.raises(DataError, match=r"data\.unlabelled: no text to learn from"):
        project(a_txt=" ".join(HELD_OUT["dev"]) + "\n\n")
    with pytest.raises(ParamsError, match="unlabelled data/text must not lie in path data"):
        project("data/text")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.jsonl", '{"text": "a"}\n{"text"', r"a\.jsonl:2: not valid JSON"),
        ("a.jsonl", '{"text": 3}', r"a\.jsonl:1: 'text' must be a text"),
        ("a.jsonl", '{"summary": "a"}', r"a\.jsonl:1: 'text' must be a text"),
        ("a.jsonl", '"a"', r"a\.jsonl:1: 'text' must be a text"),
        ("a.txt", "a\n\xe9", r"a\.txt:2: not valid UTF-8"),
    ],
)
def test_a_line_that_cannot_be_read_is_named(tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content.encode("latin-1"))
    with pytest.raises(DataError, match=said):
        list(read_texts(tmp_path / name, Options()))


@pytest.mark.parametrize("kind", ["a.txt", "a.jsonl", "b.jsonl"])
def test_a_line_that_is_too_long_is_left_out_and_noted(tmp_path, kind):
    texts = ["ab " * LONGEST, "中 " * (LONGEST + LONGEST // 2), "short"]
    values = {"a.jsonl": [{"text": text} for text in texts], "b.jsonl": [{"words": text.split()} for text in texts]}
    lines = [json.dumps(row) for row in values.get(kind, [])] or texts
    (tmp_path / kind).write_text("\n".join(lines))
    options = Options()
    assert [s.words for s in read_texts(tmp_path / kind, options)] == [("short",)]
    assert list(options.notes.counts) == [f"unlabelled texts of more than {LONGEST} characters are left out"]


@given(st.lists(st.integers(0, 60), max_size=80), st.integers(1, 12), st.integers(0, 9), st.randoms())
def test_the_sample_is_the_same_in_any_order_and_with_any_repetitions(numbers, size, seed, order):
    drawn = sample((sentence(f"w{n}") for n in numbers), size, seed)
    assert len(drawn) == len({s.words for s in drawn}) == min(size, len(set(numbers)))
    shuffled = numbers + numbers[:5]
    order.shuffle(shuffled)
    assert [s.words for s in sample((sentence(f"w{n}") for n in shuffled), size, seed)] == [s.words for s in drawn]


def test_each_sentence_is_as_likely_as_the_others_and_new_text_changes_few():
    pool = [sentence(f"w{n}") for n in range(50)]
    taken = [s.words for seed in range(400) for s in sample(pool, 10, seed)]
    counts = [taken.count(s.words) for s in pool]
    assert min(counts) > 40 and max(counts) < 130  # 80 expected, standard deviation 8
    more = [*pool, *(sentence(f"x{n}") for n in range(5))]
    same = [len({s.words for s in sample(pool, 10, k)} & {s.words for s in sample(more, 10, k)}) for k in range(50)]
    assert sum(same) > 400  # 455 expected


def test_a_longer_file_takes_no_more_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "MOST_TEXTS", 200)
    numbers = random.Random(1)

    def read(sentences: int) -> int:
        path = tmp_path / "a.txt"
        path.write_text("\n".join(f"{numbers.random()} some words of text" for _ in range(sentences)))
        tracemalloc.start()
        drawn = sample(read_texts(path, Options()), reading.MOST_TEXTS, 1)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert len(drawn) == 200
        return peak

    read(1_000)
    assert read(20_000) < 1.5 * read(2_000)
    assert unlabelled.RANKS == 2**64


@pytest.mark.parametrize("column", [None, 1, "FORM", "text"])
def test_the_column_of_the_annotated_files_may_be_missing(tmp_path, column):
    rows = [{"text": "Mira met Otto"}, {"tokens": ["Ulm"]}, {"FORM": ["Kiel"], "text": "Bonn"}]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    found = [s.words for s in read_texts(tmp_path / "a.jsonl", Options(word_column=column))]
    assert found == [("Mira", "met", "Otto"), ("Ulm",), ("Kiel",) if column == "FORM" else ("Bonn",)]
