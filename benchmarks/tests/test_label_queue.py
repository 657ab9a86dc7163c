"""Table and figure of the label queue count whole seeds alone, and pair arms by seed."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from benchmarks.harness.curves import Mean
from benchmarks.studies.label_queue import ARMS, ROUNDS, START, STEP
from benchmarks.studies.label_queue_results import figure, finished, table

GAINS = {"random": 0.0, "uncertainty": 1.0, "queue": 2.0}


def rows(seeds: int) -> list[dict[str, Any]]:
    """An arm gains the same in every seed, however much seeds differ."""
    return [
        {
            "corpus": "a<b",
            "arm": arm,
            "seed": seed,
            "sentences": START + STEP * number,
            "words": 1000 * (number + 1) * (2 if arm == "queue" and number else 1),
            "test_f1": 40 + 7 * seed + number * GAINS[arm],
        }
        for seed in range(seeds)
        for arm in ARMS
        for number in range(ROUNDS + 1)
    ]


def test_gains_are_paired_by_seed() -> None:
    lines = table(rows(3)).splitlines()
    assert len({line.count("|") for line in lines}) == 1
    assert lines[-1].endswith("| 3.0 ± 0.0 | 6.0 ± 0.0 | 2.00 |")
    assert lines[2].startswith("| a<b, 3 | 100 | 47.0 ± 17.4 |")


def test_a_seed_that_an_arm_lacks_does_not_count() -> None:
    whole = rows(3)
    assert finished(whole[:-1], "test_f1")["a<b"]["queue"].shape == (2, ROUNDS + 1)
    assert finished(whole[: ROUNDS + 1], "test_f1") == {}
    assert table(whole[:-1]) == table(rows(2))


def test_the_interval_is_that_of_student() -> None:
    assert Mean.of([1.0, 2.0, 3.0]) == pytest.approx((2.0, 4.302653 / 3**0.5))
    assert np.isnan(Mean.of([1.0]).half)


@pytest.mark.parametrize("seeds", [0, 1, 3])
def test_the_figure_is_svg_with_a_panel_for_each_corpus(seeds: int) -> None:
    drawing = ElementTree.fromstring(figure(rows(seeds)))
    panels = [part for part in drawing if part.tag.endswith("g")]
    assert len(panels) == min(1, seeds)
    assert "nan" not in ElementTree.tostring(drawing, encoding="unicode")
    for panel in panels:
        assert sum(part.tag.endswith("polyline") for part in panel) == len(ARMS)
