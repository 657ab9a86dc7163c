"""A sketch counts texts: sketches of parts add up to that of the whole, hold no text, and refuse what is none."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fpplm_core.data.records import Sentence
from fpplm_core.errors import BundleError, DataError
from fpplm_core.export.bundle_writer import seal
from fpplm_core.export.reference import MOST, reference_sketch
from fpplm_core.serving import Predictor, open_bundle
from fpplm_core.serving.sketch import BLOCKS, Sketch, parse_sketch, read_reference, read_sketch
from fpplm_core.tagging.spans import Span
from fpplm_core.tagging.windows import WindowBuilder
from tests.hostile_bundles.tiny import tokenizer, write_tiny_bundle

TYPES = ("LOC", "PER")
BUILDER = WindowBuilder(tokenizer(), 32, 8)
words = st.lists(st.text(min_size=1, max_size=6), max_size=6)


@st.composite
def texts(draw: st.DrawFn) -> tuple[list[str], list[tuple[Span, float]] | None, int | None]:
    row = draw(words)
    starts = draw(st.sets(st.integers(0, len(row) - 1))) if row else set()
    spans = [(Span(n, n + 1, draw(st.sampled_from(TYPES))), draw(st.floats(0, 1))) for n in sorted(starts)]
    return row, draw(st.sampled_from([spans, spans, None])), draw(st.sampled_from([None, None, 3]))


def sketch_of(rows: Any) -> Sketch:
    sketch = Sketch(TYPES, "digest")
    for row, spans, document in rows:
        sketch.add(row, BUILDER, spans, document)
    return sketch


def same(one: Sketch, other: Sketch) -> bool:
    return one.as_text() == other.as_text()


some = st.lists(texts(), max_size=6)


@given(some, some)
def test_sketches_of_parts_add_up_to_that_of_the_whole_in_any_order(first, second):
    whole = sketch_of([*first, *second])
    assert same(sketch_of(first) + sketch_of(second), whole)
    assert same(sketch_of([*second, *first]), whole)
    assert same(whole - sketch_of(first), sketch_of(second))
    assert same(whole + sketch_of([]), whole) and same(whole.copy(), whole)


@given(some)
def test_a_file_of_a_sketch_is_read_as_it_was(rows):
    sketch = sketch_of(rows)
    assert same(parse_sketch(sketch.as_text().encode(), "x"), sketch)
    assert sketch.texts == len(rows)


def test_golden_counts() -> None:
    sketch = sketch_of(
        [
            (["London", "is", "ΟΚ", "!"], [(Span(0, 1, "LOC"), 0.97), (Span(2, 3, "PER"), 0.5)], None),
            (["nothing"], [], None),
            (["Not", "tagged"], None, None),
            ([], [], None),
        ]
    )
    totals = {
        feature: {name: int(n) for name, n in zip(sketch.bins[feature], counts.sum(axis=0), strict=True) if n}
        for feature, counts in sketch.counts.items()
    }
    assert totals["words of a text"] == {"0": 1, "to 1": 1, "to 2": 1, "to 4": 1}
    assert totals["scripts"] == {"Latin": 5, "Greek": 1, "none": 1}
    assert totals["shapes"] == {"Title": 2, "lower": 3, "UPPER": 1, "other": 1}
    assert totals["types"] == {"LOC": 1, "PER": 1}
    assert totals["mentions"] == {"a mention begins": 2, "none begins": 3}
    assert totals["scores"] == {"below 0.6": 1, "below 0.98": 1}
    assert totals["texts"] == {"with a mention": 1, "without": 2}
    assert sum(totals["pieces of a word"].values()) == 7 == sum(totals["unknown words"].values())
    assert totals["unknown words"]["known"] >= 1


def test_nothing_of_the_texts_is_in_the_file() -> None:
    names = [f"Zyx{chr(97 + n % 26)}qv{n}" for n in range(300)]
    sketch = sketch_of([([name, "geheim"], [(Span(0, 1, "PER"), 0.9)], None) for name in names])
    text = sketch.as_text()
    assert "Zyx" not in text and "qv" not in text and "geheim" not in text
    values = json.loads(text)
    assert set(values) == {"format", "bundle", "types", "features"}
    strings = {name for row in values["features"].values() for name in row["bins"]}
    assert strings == {name for bins in Sketch(TYPES).bins.values() for name in bins}, "every string is known before"
    assert len(text) < 20_000, "its size does not depend on the texts"


def change(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def edit(values: dict[str, Any]) -> None:
        *parents, last = [int(part) if part.isdigit() else part for part in path.split("/")]
        for parent in parents:
            values = values[parent]
        values[last] = value

    return edit


HOSTILE = {
    "another format": change("format", 2),
    "no format": change("format", None),
    "a format of text": change("format", "1"),
    "a negative count": change("features/types/counts/0/0", -1),
    "a fraction": change("features/types/counts/0/0", 0.5),
    "a truth value": change("features/types/counts/0/0", True),
    "a huge count": change("features/shapes/counts/0/0", 1 << 60),
    "a missing block": change("features/shapes/counts", [[0] * 7] * (BLOCKS - 1)),
    "a missing bin": change("features/shapes/counts/3", [0] * 6),
    "no rows": change("features/shapes/counts", None),
    "other bins": change("features/shapes/bins", ["a"] * 7),
    "other types": change("types", ["LOC", "ORG"]),
    "types twice": change("types", ["LOC", "LOC"]),
    "types that are numbers": change("types", [1, 2]),
    "a missing feature": change("features", {}),
    "features that are a list": change("features", []),
    "a digest that is a number": change("bundle", 7),
    "more mentions than words": change("features/mentions/counts/0", [1000, 0]),
    "more words in one feature": change("features/shapes/counts/0/0", 9),
}


@pytest.mark.parametrize("fault", HOSTILE)
def test_what_is_no_sketch_is_refused_in_one_line(fault: str) -> None:
    values = json.loads(sketch_of([(["London", "is"], [(Span(0, 1, "LOC"), 0.97)], None)]).as_text())
    HOSTILE[fault](values)
    with pytest.raises(DataError, match=r"^x\.json: not a sketch") as caught:
        parse_sketch(json.dumps(values).encode(), "x.json")
    assert "\n" not in str(caught.value) and caught.value.exit_code == 3


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"\xff", b"null", b'{"format": NaN}', b'{"format": 1, "format": 1}'])
def test_what_is_no_json_object_is_refused(raw: bytes) -> None:
    with pytest.raises(DataError, match="not a sketch"):
        parse_sketch(raw, "x.json")


@given(st.integers(0, 4000))
def test_a_truncated_file_is_refused(length):
    raw = sketch_of([(["London"], [], None)]).as_text().encode()
    with pytest.raises(DataError):
        parse_sketch(raw[: min(length, len(raw) - 3)], "x.json")


def test_no_file_and_a_file_that_is_too_large_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere"):
        read_sketch(tmp_path / "nowhere.json")
    with (tmp_path / "large").open("wb") as stream:
        stream.truncate(1 << 25)
    with pytest.raises(DataError, match="too large"):
        read_sketch(tmp_path / "large")


def test_sketches_of_two_bundles_do_not_add_up() -> None:
    with pytest.raises(DataError, match="two bundles"):
        Sketch(TYPES, "a") + Sketch(TYPES, "b")


def test_threads_lose_no_text() -> None:
    sketch = Sketch(TYPES)
    rows = [([f"word{n}", "is"], [(Span(0, 1, "LOC"), 0.97)], None) for n in range(200)]

    def count() -> None:
        for row, spans, document in rows:
            sketch.add(row, BUILDER, spans, document)

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    seen = [sketch.copy() for _ in range(50)]
    for thread in threads:
        thread.join()
    assert sketch.texts == 800 and int(sketch.counts["types"].sum()) == 800
    assert all(parse_sketch(one.as_text().encode(), "x").texts == one.texts for one in seen), "each copy is consistent"


def test_the_reference_has_words_of_all_splits_and_predictions_of_held_out_texts(tmp_path: Path) -> None:
    predictor = Predictor.load(write_tiny_bundle(tmp_path / "bundle", label_lm=None), "cpu")

    def sentence(text: str) -> Sentence:
        row = tuple(text.split())
        return Sentence(row, ("O",) * len(row), "x", tuple(range(1, len(row) + 1)))

    train, dev, test = ([[sentence(text)]] for text in ("London Paris London", "Paris is", "is"))
    reference = reference_sketch(predictor, train, dev, test)
    assert reference.texts == 3 and int(reference.counts["shapes"].sum()) == 6
    assert reference.counts["types"].sum(axis=0).tolist() == [1, 0], "one mention of LOC, in dev"
    assert int(reference.counts["texts"].sum()) == 2
    many = [[sentence("Paris")] * (MOST + 1)]
    assert reference_sketch(predictor, many).texts == MOST // 2 + 1, "every second one"


def test_a_bundle_gives_its_reference_to_its_own_sketches_alone(tmp_path: Path) -> None:
    folder = write_tiny_bundle(tmp_path / "bundle")
    live = Sketch.of(Predictor.load(folder, "cpu"))
    with pytest.raises(BundleError, match="no sketch of its training data"):
        read_reference(open_bundle(folder), live)
    (folder / "sketch.json").write_text(Sketch(TYPES).as_text())
    seal(folder, {"scores": {}})
    with pytest.raises(DataError, match="of another bundle"):
        read_reference(open_bundle(folder), live)
    live = Sketch.of(Predictor.load(folder, "cpu"))
    assert same(read_reference(open_bundle(folder), live), Sketch(TYPES))
    (folder / "sketch.json").write_text("{}")
    seal(folder, {"scores": {}})
    with pytest.raises(BundleError, match="not a sketch"):
        read_reference(open_bundle(folder), Sketch.of(Predictor.load(folder, "cpu")))


def test_texts_go_to_all_blocks() -> None:
    sketch = sketch_of([([f"word{n}"], [], None) for n in range(1000)])
    assert np.count_nonzero(sketch.counts["texts"].sum(axis=1)) == BLOCKS
    one = sketch_of([([f"word{n}"], [], 5) for n in range(1000)])
    assert np.count_nonzero(one.counts["texts"].sum(axis=1)) == 1, "a document is in one block"
