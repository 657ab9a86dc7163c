"""Table and figure of the nights count those alone that all arms of a corpus and seed have."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

from benchmarks.studies.nights import ARMS
from benchmarks.studies.nights_results import figure, table


def rows(nights: int, gain: float = 1.0) -> list[dict[str, Any]]:
    return [
        {
            "corpus": "wikigold",
            "techniques": False,
            "seed": 1,
            "arm": arm,
            "night": night,
            "seconds": 60.0,
            "test_f1": 50 + gain * night,
            "rare_f1": None,
        }
        for arm in ARMS
        for night in range(nights + 1)
    ]


def test_nights_that_an_arm_lacks_do_not_count() -> None:
    assert table(rows(4)[:-1]) == table(rows(3)) and figure(rows(4)[:-1]) == figure(rows(3))
    assert len(table(rows(0)).splitlines()) == 2


def test_the_figure_is_svg_even_where_all_scores_are_alike() -> None:
    for gain in (1.0, 0.0):
        (panel,) = ElementTree.fromstring(figure(rows(3, gain)))
        assert sum(part.tag.endswith("polyline") for part in panel) == len(ARMS)
    assert len(ElementTree.fromstring(figure([]))) == 0
