"""Predictions that were interrupted go on to the byte, wherever they were cut."""

from itertools import islice

import pytest

from fpplm.prediction import outputs
from fpplm.prediction.outputs import cut_to_chunks, write_conll, write_jsonl
from fpplm_core.serving.entities import SegmentedText
from fpplm_core.tagging.spans import Span


class Fake:
    """Every first word is a name; what else is in the chunk shows in the score, as context would."""

    labels = ("O", "B-X3", "I-X3")

    def stream(self, rows):
        source = iter(rows)
        while chunk := list(islice(source, outputs.CHUNK)):
            score = len(chunk[0].text) / 10
            yield chunk, [[(Span(0, 1, f"X{len(chunk)}"), score)] if t.words else [] for t in chunk]


def written(stream_path, kind, done, monkeypatch, count=11):
    monkeypatch.setattr(outputs, "CHUNK", 3)
    rows = [SegmentedText(f"né{n} x", [(f"né{n}", 0, 3), ("x", 4, 5)] if n % 4 else []) for n in range(count)]
    write = write_jsonl if kind == "jsonl" else write_conll
    with stream_path.open("a" if done else "w", encoding="utf-8") as stream:
        return sum(write(Fake(), rows[done:], stream))


@pytest.mark.parametrize("kind", ["jsonl", "conll"])
def test_a_run_that_was_cut_anywhere_goes_on_to_the_same_bytes(tmp_path, monkeypatch, kind):
    path = tmp_path / "out"
    written(path, kind, 0, monkeypatch)
    whole = path.read_bytes()
    kept = set()
    for cut in range(len(whole) + 1):
        path.write_bytes(whole[:cut])
        done = cut_to_chunks(path, kind)
        kept.add(done)
        written(path, kind, done, monkeypatch)
        assert path.read_bytes() == whole, cut
    assert kept == {0, 3, 6, 9}


def test_nothing_to_go_on_from_is_a_beginning(tmp_path):
    assert cut_to_chunks(tmp_path / "none", "jsonl") == 0
    (tmp_path / "empty").touch()
    assert cut_to_chunks(tmp_path / "empty", "conll") == 0
