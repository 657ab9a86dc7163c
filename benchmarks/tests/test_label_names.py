"""The table of the study of data.describe pairs arms by seed, and its samples have the mentions that they promise."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import Any, cast

import pytest

from benchmarks.studies.label_names import ARMS, FewMentions, table
from fpplm_core.tagging.spans import Span

GAINS = {"off": 0.0, "names": 1.0, "descriptions": 2.0, "prototypes": -1.0}


def rows(seeds: int) -> list[dict[str, Any]]:
    """An arm gains the same in every seed, however much seeds differ."""
    return [
        {
            "corpus": "wikigold",
            "training": "plain",
            "mentions": 5,
            "arm": arm,
            "seed": seed,
            "dev_f1": 30 + 9 * seed + GAINS[arm],
        }
        for seed in range(seeds)
        for arm in ARMS
    ]


def test_gains_are_paired_by_seed_and_unfinished_seeds_do_not_count() -> None:
    lines = table(rows(3)).splitlines()
    assert len({line.count("|") for line in lines}) == 1
    assert lines[-1].startswith("| wikigold, 3 | plain | 5 | 39.0 ± ")
    assert lines[-1].endswith(" | 1.0 ± 0.0 | 2.0 ± 0.0 | -1.0 ± 0.0 |")
    assert table(rows(3)[:-1]) == table(rows(2))
    assert len(table([]).splitlines()) == 2


@pytest.mark.parametrize("mentions", [1, 3, 50])
def test_a_sample_has_enough_mentions_of_each_type_where_train_has(mentions: int) -> None:
    kinds = [["X"] * (n % 3) + ["Y"] * (n % 7 == 0) for n in range(40)]
    train = SimpleNamespace(gold=[[Span(n, n + 1, kind) for n, kind in enumerate(row)] for row in kinds])
    study = cast(FewMentions, SimpleNamespace(train=train))
    for seed in range(5):
        chosen = FewMentions.draw(study, mentions, seed)
        found = Counter(kind for number in chosen for kind in kinds[number])
        whole = Counter(kind for row in kinds for kind in row)
        assert len(set(chosen)) == len(chosen) and all(kinds[number] for number in chosen)
        assert all(found[kind] >= min(mentions, whole[kind]) for kind in whole)
        assert found["X"] <= mentions + 1 or found["Y"] <= mentions
