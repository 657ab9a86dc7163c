"""What a training reads: rows and labels of train, of a second corpus and of unlabelled text, by step; and dev."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from fpplm_core.data.corpus import UNLABELLED, write_corpus
from fpplm_core.data.encoded import LABELS, SCHEMA, windows_file
from fpplm_core.data.records import Sentence
from fpplm_core.data.windows import INFO, EncodingInfo
from fpplm_core.files import write_mapped_table, write_record
from fpplm_core.tagging.batches import epoch_batches
from fpplm_core.training import data as data_module
from fpplm_core.training.data import load_data, load_dev, make_batch
from fpplm_core.training.technique import StepContext, Technique
from tests import tiny

SIZES = {"train": 40, "second": 7, UNLABELLED: 30, "dev": 25}
TRAIN = tiny.load(tiny.FILE).train.model_copy(update={"batch_pieces": 24, "epochs": 3, "seed": 5})


def length(number: int) -> int:
    return 2 + number % 5


def write_windows(folder: Path, split: str, first: int, tasks: tuple[str, ...]) -> None:
    """One window a sentence, of one word, whose pieces say which one it is: `first` and its number."""
    schema = pa.schema([*SCHEMA, *(pa.field(task, LABELS) for task in tasks)])
    numbers = range(SIZES[split])
    columns = {
        "sentence": list(numbers),
        "ids": [[first + n] * length(n) for n in numbers],
        "words": [[0]] * len(numbers),
        "first": [[0]] * len(numbers),
        "types": [[0] * length(n) for n in numbers],
        **{task: [[n % 3] for n in numbers] for task in tasks},
    }
    write_mapped_table(windows_file(folder, split), [pa.RecordBatch.from_pydict(columns, schema)], schema)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_windows(tmp_path, "train", 1000, ("labels", "second"))
    write_windows(tmp_path, "second", 2000, ("second",))
    write_windows(tmp_path, UNLABELLED, 3000, ())
    write_windows(tmp_path, "dev", 4000, ())
    dev = [Sentence((f"w{n}",), ("B-X" if n % 2 else "O",), "f", (n + 1,)) for n in range(SIZES["dev"])]
    write_corpus(tmp_path / "dev.parquet", dev)
    write_record(tmp_path / INFO, EncodingInfo(["O", "S-X", "S-Y"], None, 4, ["a", "b", "c"], {}, {}))
    return tmp_path


def test_each_step_has_its_rows_of_every_source(folder: Path) -> None:
    data = load_data(TRAIN, folder, folder)
    epochs = [list(epoch_batches([length(n) for n in range(40)], 24, 5, epoch)) for epoch in range(3)]
    wanted = [rows for epoch in epochs for rows in epoch]
    assert data.steps == len(wanted) and data.epoch_ends[-1] == data.steps
    text_steps = [step for step in range(data.steps) if step / data.steps > TRAIN.self_training.begin]
    for step, rows in enumerate(wanted):
        own, others = data.rows(step)[: len(rows)], data.rows(step)[len(rows) :]
        assert own == rows and others and all(40 <= row < 47 for row in others)
        assert [data.windows[row].ids[0] for row in own] == [1000 + row for row in rows]
        assert [data.windows[row].ids[0] for row in others] == [2000 + row - 40 for row in others]
        assert [data.tags[row] for row in own] == [[row % 3] for row in rows] == [data.second[row] for row in own]
        assert not any(data.tags[row] for row in others) and [data.second[row][0] for row in others] == [
            (row - 40) % 3 for row in others
        ]
        text = data.unlabelled_rows(step)
        assert (text is not None) == (step in text_steps)
        if text is not None:
            assert text and all(data.windows[row].ids[0] >= 3000 and not data.tags[row] for row in text)
            batch = make_batch(data, text)
            assert batch.ids.shape[0] == len(text) and (batch.labels == data_module.IGNORED).all()
    seen = {data.windows[row].ids[0] for step in text_steps for row in data.unlabelled_rows(step) or []}
    assert len(data.windows) == 40 + 7 + len(seen), "text that no step shows would only enlarge the vocabulary"


def test_without_other_corpora_there_are_none(folder: Path) -> None:
    for split in ("second", UNLABELLED):
        windows_file(folder, split).unlink()
    data = load_data(TRAIN, folder, folder)
    assert len(data.windows) == 40 and all(data.unlabelled_rows(step) is None for step in range(data.steps))


@pytest.mark.parametrize("every", [3, 1000])
def test_without_self_training_only_the_steps_have_text_in_which_a_technique_learns_from_it(
    folder: Path, every: int
) -> None:
    class Learner(Technique):
        def learns_text(self, context: StepContext) -> bool:
            return context.step % every == 0

    off = TRAIN.model_copy(update={"self_training": TRAIN.self_training.model_copy(update={"weight": 0.0})})
    data = load_data(off, folder, folder, techniques=[Technique(), Learner()])
    wanted = [step for step in range(0, data.steps, every) if step / data.steps > off.self_training.begin]
    assert [step for step in range(data.steps) if data.unlabelled_rows(step)] == wanted
    assert bool(data.unlabelled) == bool(wanted) == (every == 3)
    seen = {row for step in wanted for row in data.unlabelled_rows(step) or []}
    assert len(data.windows) == 40 + 7 + len(seen)


def test_of_a_large_dev_some_sentences_are_drawn_with_their_windows(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = load_dev(folder, folder, seed=1)
    assert [window.ids[0] - 4000 for window in whole.windows] == list(range(25)) and whole.lengths == [1] * 25
    assert [bool(spans) for spans in whole.spans] == [n % 2 == 1 for n in range(25)]
    monkeypatch.setattr(data_module, "MOST_DEV", 7)
    drawn = load_dev(folder, folder, seed=1)
    numbers = [window.ids[0] - 4000 for window in drawn.windows]
    assert numbers == sorted(set(numbers)) and len(numbers) == len(drawn.lengths) == 7
    assert [window.sentence for window in drawn.windows] == list(range(7))
    assert [bool(spans) for spans in drawn.spans] == [n % 2 == 1 for n in numbers]
    assert load_dev(folder, folder, seed=1) == drawn != load_dev(folder, folder, seed=2)
