"""Drift is found where it is, not where chance alone is at work, and not where it is too small to matter."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon

from fpplm_core.errors import DataError
from fpplm_core.evaluation.drift import MIN_TEXTS, Drift, compare_sketches
from fpplm_core.serving.sketch import BLOCKS, Sketch

TYPES = ("LOC", "PER")


def sketch(texts: int, seed: int, places: float = 0.5, words: int = 20, alike: float = 0.0) -> Sketch:
    """Texts with one mention each, a share of them places; in a share of the texts, all words have one shape."""
    random, found = np.random.default_rng(seed), Sketch(TYPES)
    block = random.integers(BLOCKS, size=texts)
    titles = np.where(
        random.random(texts) < alike, words * random.integers(2, size=texts), random.binomial(words, 0.5, texts)
    )
    columns = {
        ("words of a text", 5): np.ones(texts, int),
        ("scripts", 0): np.full(texts, words),
        ("shapes", 0): words - titles,
        ("shapes", 1): titles,
        ("pieces of a word", 0): np.full(texts, words),
        ("unknown words", 1): np.full(texts, words),
        ("mentions", 0): np.ones(texts, int),
        ("mentions", 1): np.full(texts, words - 1),
        ("types", 0): (kinds := random.random(texts) < places).astype(int),
        ("types", 1): 1 - kinds.astype(int),
        ("scores", 8): np.ones(texts, int),
        ("texts", 0): np.ones(texts, int),
    }
    for (feature, place), column in columns.items():
        np.add.at(found.counts[feature][:, place], block, column)
    return found


def names(found: Drift) -> list[str]:
    return [one.feature for one in found.matters]


def test_golden_distance() -> None:
    """Of many texts, the distance is that of the shares, and its interval holds it."""
    found = compare_sketches(sketch(20_000, 1, 0.5), sketch(20_000, 2, 0.8), 0.02, 0.05)
    types = next(one for one in found.features if one.feature == "types")
    wanted = float(jensenshannon([0.5, 0.5], [0.8, 0.2], base=2))
    assert types.distance == pytest.approx(wanted, abs=0.01) and types.low < wanted < types.high
    assert types.high - types.low < 0.03 and types.p < 0.002
    assert names(found) == ["types"] and found.texts == 20_000 and found.words == 400_000
    assert {(change.bin, round(change.after, 1)) for change in types.changes} == {("LOC", 0.8), ("PER", 0.2)}


def test_a_significant_but_tiny_shift_is_no_drift() -> None:
    found = compare_sketches(sketch(100_000, 1, 0.5), sketch(100_000, 2, 0.51), 0.02, 0.05)
    types = next(one for one in found.features if one.feature == "types")
    assert types.p < 0.05 and 0 < types.distance < 0.02 and not found.matters
    assert names(compare_sketches(sketch(100_000, 1, 0.5), sketch(100_000, 2, 0.51), 0.0, 0.05)) == ["types"]


@pytest.mark.parametrize("alike", [0.0, 1.0])
def test_chance_alone_alarms_about_as_rarely_as_alpha_says(alike: float) -> None:
    """Also where all words of a text are alike: counted as single words, nearly every seed would alarm."""
    alarms = sum(
        bool(compare_sketches(sketch(600, 2 * n, alike=alike), sketch(200, 2 * n + 1, alike=alike), 0, 0.05).matters)
        for n in range(20)
    )
    assert alarms <= 4, "of 20, at most 1 is expected; 5 or more have a chance of 0.3 %"


@settings(max_examples=5)
@given(st.integers(0, 1000))
def test_a_sketch_does_not_drift_from_itself(seed):
    one = sketch(150, seed)
    found = compare_sketches(one, one, 0, 0.05)
    assert not found.matters and all(row.distance == 0 and row.p == 1 for row in found.features)


def test_the_same_sketches_give_the_same_numbers() -> None:
    first, second = (compare_sketches(sketch(300, 1), sketch(300, 2, 0.7), 0.02, 0.05) for _ in range(2))
    assert first == second


def test_what_too_few_texts_have_is_named_and_not_compared() -> None:
    live = sketch(200, 2)
    for feature in ("types", "scores"):
        live.counts[feature][5:] = 0
    found = compare_sketches(sketch(300, 1), live, 0.02, 0.05)
    assert found.skipped == ["types", "scores"] and {"types", "scores"}.isdisjoint(
        one.feature for one in found.features
    )


@pytest.mark.parametrize("texts", [0, 1, MIN_TEXTS - 1])
def test_no_text_one_text_and_few_texts_say_nothing(texts: int) -> None:
    with pytest.raises(DataError, match=f"too few texts in the sketch, got {texts}; collect at least {MIN_TEXTS}"):
        compare_sketches(sketch(300, 1), sketch(texts, 2), 0.02, 0.05)


def test_a_tagger_of_other_types_is_refused() -> None:
    with pytest.raises(DataError, match="other types"):
        compare_sketches(Sketch(("LOC",)), sketch(200, 2), 0.02, 0.05)


def test_texts_of_one_document_say_nothing() -> None:
    live = Sketch(TYPES)
    for feature, counts in sketch(200, 2).counts.items():
        live.counts[feature][0] = counts.sum(axis=0)
    with pytest.raises(DataError, match="too few documents"):
        compare_sketches(sketch(300, 1), live, 0.02, 0.05)
