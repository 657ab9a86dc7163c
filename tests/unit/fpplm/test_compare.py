import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fpplm.promotion.comparison import compare, counts_by_type, rates
from fpplm_core.data.corpus import write_corpus
from fpplm_core.data.records import Sentence
from fpplm_core.evaluation.metrics import sum_counts
from fpplm_core.evaluation.promotion import Comparison, SplitOverlap, TaggerCounts, compare_taggers
from fpplm_core.evaluation.settings import PromotionSettings
from fpplm_core.params import load
from fpplm_core.tagging.spans import Span
from tests.hostile_bundles.tiny import as_format_1, write_tiny_bundle

SETTINGS = load(Path(__file__).resolve().parents[3] / "params.yaml").promotion
Sentences = list[tuple[int, int, int]]  # tp, fp, fn of each
HALVES = (slice(0, 3), slice(3, 6))
few = hypothesis.settings(max_examples=10)  # each draws thousands of resamples


def settings(**changes: float) -> PromotionSettings:
    return PromotionSettings(**(SETTINGS.model_dump() | changes))


def side(speed: float = 1000.0, size: int = 100, types: set[str] | None = None, **by_type: Sentences) -> TaggerCounts:
    """A tagger of these counts a type."""
    tables = {kind: np.array(rows, dtype=np.int64).reshape(-1, 3) for kind, rows in by_type.items()}
    whole = np.sum(list(tables.values()), axis=0)
    return TaggerCounts({None: whole, **tables}, set(by_type) if types is None else types, speed, size, {})


def right(share: float, sentences: int = 200, each: int = 2) -> Sentences:
    """Sentences of some mentions, of which this share is found wholly, spread evenly; others are found wrongly."""
    found = [math.floor((n + 1) * share + 1e-9) > math.floor(n * share + 1e-9) for n in range(sentences)]
    return [(each, 0, 0) if hit else (0, each, each) for hit in found]


def compared(
    candidate: TaggerCounts,
    incumbent: TaggerCounts,
    settings: PromotionSettings = SETTINGS,
    overlap: SplitOverlap | None = None,
) -> Comparison:
    return compare_taggers(candidate, incumbent, settings, ("candidate", "incumbent"), [], overlap, min_support=1)


def failed(found: Comparison) -> dict[str, str]:
    return {rule.name: rule.outcome for rule in found.rules if rule.outcome != "pass"}


def test_an_equal_model_is_promoted():
    found = compared(side(PER=right(0.8)), side(PER=right(0.8)))
    assert found.verdict == "promote" and failed(found) == {}
    assert found.f1 == {"candidate": 0.8, "incumbent": 0.8}
    assert found.difference == {"mean": 0.0, "low": 0.0, "high": 0.0}
    assert found.p == {"permutation": 1.0, "mcnemar": 1.0}
    assert found.types["PER"].support == 400
    assert found.reasons == [
        "served F1 0.8000, before 0.8000: +0.0000 [+0.0000, +0.0000]; a loss of more than 0.02 is excluded"
    ]


def test_a_better_model_is_promoted():
    found = compared(side(PER=right(0.9)), side(PER=right(0.7)))
    assert found.verdict == "promote"
    assert found.difference["low"] > 0 and found.p["permutation"] < 0.05


def test_a_clearly_worse_model_is_rejected():
    found = compared(side(PER=right(0.6)), side(PER=right(0.8)))
    assert found.verdict == "reject"
    assert failed(found) == {
        "F1 difference, p": "reject",
        "F1 difference, lower end": "hold",
        "F1 difference of PER": "reject",
    }
    assert found.p["permutation"] < 0.001 and found.p["mcnemar"] < 0.001
    assert "F1 0.6000, before 0.8000: -0.2000 [-0.2" in found.reasons[0] and "p 0.0001" in found.reasons[0]
    assert "not excluded" in found.reasons[-1], "what holds comes behind what rejects"


def test_a_slightly_worse_model_on_few_sentences_is_held():
    found = compared(side(PER=right(0.76, 25)), side(PER=right(0.8, 25)))
    assert (found.verdict, failed(found)) == ("hold", {"F1 difference, lower end": "hold"})
    assert "a loss of more than 0.02 is not excluded" in found.reasons[0]


def test_what_is_no_better_and_no_worse_elsewhere_is_held_on_few_sentences():
    """The interval decides, not the difference, which is 0."""
    found = compared(side(PER=right(0.5, 20)), side(PER=right(0.5, 20)[::-1]))
    assert found.difference["mean"] == 0.0 and found.difference["low"] < -0.02
    assert (found.verdict, failed(found)) == ("hold", {"F1 difference, lower end": "hold"})


def test_a_smaller_alpha_makes_a_wider_interval():
    new, old = side(PER=right(0.76, 25)), side(PER=right(0.8, 25))
    narrow, wide = (compared(new, old, settings(alpha=alpha)).difference for alpha in (0.4, 0.01))
    assert wide["low"] < narrow["low"] <= narrow["high"] < wide["high"]


@pytest.mark.parametrize("fault", [(1, 0, 1), (1, 1, 0)])
def test_a_missed_and_a_spurious_mention_both_make_a_sentence_wrong(fault):
    found = compared(side(PER=[fault] * 6 + [(1, 0, 0)] * 20), side(PER=[(1, 0, 0)] * 26))
    assert found.p["mcnemar"] == pytest.approx(2 / 2**6)


def test_with_a_wide_margin_a_small_loss_is_promoted():
    new, old = side(PER=right(0.79)), side(PER=right(0.8))
    assert compared(new, old, settings(margin=0.0)).verdict == "hold"
    assert compared(new, old, settings(margin=1.0)).verdict == "promote"


@pytest.mark.parametrize(
    ("candidate", "incumbent", "new", "gain", "changes", "held"),
    [
        (5, 5, 0, True, {}, []),
        (6, 6, 0, False, {}, ["share"]),
        (6, None, 6, True, {}, ["share"]),
        (5, None, 5, True, {}, []),
        (1, 0, 1, True, {}, ["new"]),
        (1, 1, 1, True, {}, ["new"]),  # another sentence
        (1, 0, 1, False, {}, []),
        (9, 0, 9, True, {"max_overlap": 0.5}, ["new"]),
        (100, 0, 100, True, {"max_overlap": 1.0}, []),
    ],
)
def test_a_model_whose_training_data_have_test_sentences_is_held(candidate, incumbent, new, gain, changes, held):
    overlap = SplitOverlap(100, candidate, incumbent, new, ["test.conll:7"])
    one, other = side(PER=right(0.9 if gain else 0.8)), side(PER=right(0.8))
    found = compared(one, other, settings(**changes), overlap=overlap)
    assert failed(found) == {f"test sentences in train, {name}": "hold" for name in held}
    assert found.verdict == ("hold" if held else "promote") and found.overlap == overlap
    for reason in found.reasons[: len(held)]:
        assert f"train has {candidate} of 100 test sentences" in reason and "test.conll:7" in reason


def test_a_type_that_collapses_is_rejected_though_all_together_is_better():
    new = side(PER=right(0.95, 400), LOC=[(0, 0, 1)] * 20 + [(0, 0, 0)] * 380)
    old = side(PER=right(0.80, 400), LOC=[(1, 0, 0)] * 20 + [(0, 0, 0)] * 380)
    found = compared(new, old)
    assert found.difference["low"] > 0
    assert (found.verdict, failed(found)) == ("reject", {"F1 difference of LOC": "reject"})
    assert found.reasons[0].startswith(
        "LOC: served F1 0.0000, before 1.0000: -1.0000 [-1.0000, -1.0000] on 20 mentions"
    )
    assert compared(new, old, settings(max_type_loss=1.0)).verdict == "promote"


def test_a_type_that_lost_perhaps_by_chance_is_held():
    rest: Sentences = [(0, 0, 0)] * 394
    new = side(PER=right(0.9, 400), LOC=[(1, 0, 0)] * 4 + [(0, 0, 1)] * 2 + rest)
    old = side(PER=right(0.8, 400), LOC=[(1, 0, 0)] * 3 + [(0, 0, 1)] + [(1, 0, 0)] * 2 + rest)
    found = compared(new, old)
    assert (found.verdict, failed(found)) == ("hold", {"F1 difference of LOC": "hold"})
    assert "which may be chance" in found.reasons[0] and "on 6 mentions" in found.reasons[0]


def test_a_type_known_no_more_is_rejected_where_test_has_it():
    rows = {"PER": right(0.8), "LOC": right(0.8)}
    old = side(types={"PER", "LOC", "ORG"}, **rows)
    assert compared(side(types={"PER", "LOC"}, **rows), old).verdict == "promote", "no ORG in test"
    found = compared(side(types={"PER", "MISC"}, **rows), old)
    assert (found.verdict, failed(found)) == ("reject", {"lost types": "reject"})
    assert found.reasons == ["1 type(s) of the test split are no longer known: LOC"]


@pytest.mark.parametrize(
    ("new", "changes", "names"),
    [
        ({"speed": 500.0}, {}, []),
        ({"speed": 499.0}, {}, ["words/s, ratio"]),
        ({"speed": 499.0}, {"min_speed": 0.0}, []),
        ({"speed": 0.0}, {"min_speed": 0.0}, []),
        ({"size": 200}, {}, []),
        ({"size": 201}, {}, ["graph bytes, ratio"]),
        ({"size": 10**9}, {"max_size": 0.0}, []),
        ({"speed": 100.0, "size": 1000}, {}, ["words/s, ratio", "graph bytes, ratio"]),
    ],
)
def test_what_a_model_may_cost(new, changes, names):
    found = compared(side(PER=right(0.8), **new), side(PER=right(0.8)), settings(**changes))
    assert failed(found) == dict.fromkeys(names, "reject")
    assert found.verdict == ("reject" if names else "promote")
    assert len(found.reasons) == max(1, len(names))
    for reason in found.reasons[: len(names)]:
        assert any(number in reason for number in ("499", "100", "201", "1,000")), reason


@pytest.mark.parametrize("rows", [[], [(0, 0, 0)] * 5])
def test_a_test_split_without_mentions_holds(rows):
    found = compared(side(0.0, PER=rows), side(0.0, PER=rows))
    assert (found.verdict, failed(found)) == ("hold", {"test mentions": "hold"})
    assert found.difference == {"mean": 0.0, "low": 0.0, "high": 0.0}
    assert json.dumps(asdict(found), allow_nan=False)


tables = st.integers(1, 8).flatmap(
    lambda n: st.lists(st.lists(st.tuples(*[st.integers(0, 3)] * 6), min_size=n, max_size=n), min_size=1, max_size=3)
)


def both(table: list[list[tuple[int, ...]]]) -> tuple[TaggerCounts, TaggerCounts]:
    """Two taggers from six counts a sentence, one table a type."""
    kinds = dict(zip("ABC", table, strict=False))
    first, second = ({kind: [row[part] for row in rows] for kind, rows in kinds.items()} for part in HALVES)
    return side(1000.0, 100, **first), side(900.0, 150, **second)


@few
@given(tables)
def test_a_model_against_itself_is_promoted_where_there_is_something_to_find(table):
    one, _ = both(table)
    found = compared(one, one, settings(margin=0.0, max_type_loss=0.0))
    mentions = int(one.counts[None][:, [0, 2]].sum())
    assert found.verdict == ("promote" if mentions else "hold")
    assert found.difference["mean"] == 0.0


@few
@given(tables)
def test_the_other_way_round_the_differences_are_negative(table):
    one, other = both(table)
    there, back = compared(one, other), compared(other, one)
    assert there.difference["mean"] == -back.difference["mean"]
    assert all(row.mean == -back.types[kind].mean for kind, row in there.types.items())
    assert there.p == back.p
    assert there.f1["candidate"] == back.f1["incumbent"]


@few
@given(tables)
def test_the_verdict_is_the_worst_outcome_and_the_first_reason_is_its(table):
    found = compared(*both(table))
    outcomes = set(failed(found).values())
    worst = "reject" if "reject" in outcomes else "hold" if outcomes else "promote"
    assert found.verdict == worst
    assert len(found.reasons) == max(1, len(failed(found)))
    assert all("\n" not in reason and any(c.isdigit() for c in reason) for reason in found.reasons)
    assert json.dumps(asdict(found), allow_nan=False)


def test_counts_are_those_of_the_gold_types_and_of_all():
    gold = [[Span(0, 1, "PER"), Span(2, 4, "LOC")], []]
    found = counts_by_type(gold, [[Span(0, 1, "PER"), Span(2, 3, "LOC")], [Span(0, 1, "ORG")]])
    assert {kind: table.tolist() for kind, table in found.items()} == {
        None: [[1, 1, 1], [0, 1, 0]],
        "LOC": [[0, 1, 1], [0, 0, 0]],
        "PER": [[1, 0, 0], [0, 0, 0]],
    }
    assert sum_counts([]) == (0, 0, 0) and counts_by_type([], [])[None].shape == (0, 3)


class Watch:
    """A tagger that writes down in which order it was asked, and for how many sentences."""

    def __init__(self, log: list[tuple[str, int]], name: str) -> None:
        self.log, self.name = log, name

    def tag(self, words: list[Any], documents: list[Any]) -> None:
        assert len(words) == len(documents)
        self.log.append((self.name, len(words)))


@pytest.mark.parametrize(("sentences", "asked"), [(0, 0), (1, 500), (3000, 500)])
def test_speed_is_measured_in_turns_on_as_many_sentences_from_any_split(sentences, asked):
    from fpplm_core.data.records import Sentence

    log: list[tuple[str, int]] = []
    split = [Sentence(("a", "b"), ("O", "O"), "f", (1, 2))] * sentences
    found = rates([Watch(log, "new"), Watch(log, "old")], split)
    assert log == [("new", asked), ("old", asked)] * 3
    assert all((rate > 0) == bool(sentences) for rate in found)


@pytest.mark.parametrize("older", ["candidate", "incumbent"])
def test_bundles_of_both_formats_are_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, older: str) -> None:
    """The model in production may have been made before format 2, and a rollback is as possible."""
    for name in ("candidate", "incumbent"):
        folder = write_tiny_bundle(tmp_path / name)
        _ = as_format_1(folder) if name == older else folder
    rows = [(["Ann", "met", "BOB", "in", "London"], ("B-PER", "O", "B-PER", "O", "B-LOC"))] * 40
    sentences = [Sentence(tuple(words), tags, "f", tuple(range(5))) for words, tags in rows]
    (tmp_path / "build/corpus").mkdir(parents=True)
    write_corpus(tmp_path / "build/corpus/test.parquet", sentences)
    monkeypatch.chdir(tmp_path)
    params = load(Path(__file__).resolve().parents[3] / "params.yaml")
    params = params.model_copy(update={"promotion": settings(min_speed=0.0)})
    found = compare(Path("candidate"), Path("incumbent"), params)
    assert found.verdict == "promote" and not found.examples
    assert found.difference == {"mean": 0.0, "low": 0.0, "high": 0.0} and found.f1["candidate"] == 1.0


@pytest.mark.parametrize(
    ("candidate", "incumbent", "changes", "is_named"),
    [
        (0, 6, {}, True),
        (0, 5, {}, False),
        (6, 6, {}, False),
        (7, 8, {}, True),
        (0, None, {}, False),
        (0, 100, {"max_overlap": 1.0}, False),
    ],
)
def test_an_incumbent_that_was_trained_on_test_sentences_is_named(candidate, incumbent, changes, is_named):
    overlap = SplitOverlap(100, candidate, incumbent, 0, [])
    found = compared(side(PER=right(0.8)), side(PER=right(0.9)), settings(**changes), overlap=overlap)
    reason = f"the model in production was trained on {incumbent} of 100 test sentences, this one on {candidate}"
    assert any(row.startswith(reason) for row in found.reasons) == is_named
    assert found.verdict == "reject"
