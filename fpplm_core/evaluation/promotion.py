"""Whether a new tagger may replace the one in production, by rules over both results on the same test sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fpplm_core.evaluation.differences import F1Difference, corrected_differences, f1_difference
from fpplm_core.evaluation.metrics import SentenceCounts
from fpplm_core.evaluation.settings import PromotionSettings
from fpplm_core.evaluation.significance import mcnemar_p, permutation_p
from fpplm_core.tagging.spans import Span

Outcome = Literal["pass", "hold", "reject"]


class TaggerCounts(NamedTuple):
    """One tagger on the test split: its counts by type, under None those of all; the types that it knows; its cost.

    `slices` has the counts of the sentences in each slice.
    *Shape:* counts (sentences, 3), slices (sentences in the slice, 3).
    """

    counts: dict[str | None, SentenceCounts]
    types: set[str]
    words_per_s: float
    graph_bytes: int
    slices: Mapping[str, SentenceCounts]


@dataclass(frozen=True)
class Rule:
    """A value, its bound, and the outcome."""

    name: str
    value: float
    bound: float
    outcome: Outcome


@dataclass(frozen=True)
class SplitOverlap:
    """How many test sentences the training data have, also in parts (fpplm_core.data.overlap).

    `sentences` counts the different test sentences that are long enough to be compared, `candidate` and `incumbent`
    those that each model's training data have (None: unknown), `new` those that only the candidate's have. `places`
    has the first of them.
    """

    sentences: int
    candidate: int
    incumbent: int | None
    new: int
    places: list[str]


@dataclass(frozen=True)
class ChangedSentence:
    """A test sentence in which the two taggers found different spans."""

    words: Sequence[str]
    gold: Sequence[Span]
    before: Sequence[Span]
    after: Sequence[Span]


@dataclass(frozen=True)
class Comparison:
    """The verdict on a candidate against the incumbent, its reasons, the worst first, and every number behind it.

    `f1`, `words_per_s` and `bytes` have the keys candidate and incumbent; `difference` mean, low and high; `p`
    permutation and mcnemar.
    """

    candidate: str
    incumbent: str
    verdict: Literal["promote", "hold", "reject"]
    reasons: list[str]
    rules: list[Rule]
    f1: dict[str, float]
    difference: dict[str, float]
    p: dict[str, float]
    types: dict[str, F1Difference]
    words_per_s: dict[str, float]
    bytes: dict[str, int]
    examples: list[ChangedSentence]
    overlap: SplitOverlap | None = None  # earlier versions did not measure it
    slices: dict[str, F1Difference] = field(default_factory=dict)  # of slices.yaml, by name; earlier versions had none


def compare_taggers(
    candidate: TaggerCounts,
    incumbent: TaggerCounts,
    settings: PromotionSettings,
    names: tuple[str, str],
    examples: Sequence[ChangedSentence],
    overlap: SplitOverlap | None,
    min_support: int,
) -> Comparison:
    """Applies every rule to two taggers on the same test sentences; `names` and `examples` go into the result.

    Without `overlap`, no rule judges what train and test have in common. `min_support` is the number of gold mentions
    from which a slice is judged.
    """
    types = {kind: (counts, incumbent.counts[kind]) for kind, counts in candidate.counts.items() if kind is not None}
    slices = {name: (counts, incumbent.slices[name]) for name, counts in candidate.slices.items()}
    by_type, by_slice = corrected_differences(types, slices, settings.alpha, min_support)
    whole = f1_difference(candidate.counts[None], incumbent.counts[None], settings.alpha)
    p = permutation_p(candidate.counts[None], incumbent.counts[None])
    lost_types = sorted((incumbent.types - candidate.types) & by_type.keys())
    applied = [*f1_rules(whole, p, settings)]
    applied += [type_rule(kind, row, settings) for kind, row in by_type.items()]
    applied += [slice_rule(name, row, row.p, settings) for name, row in by_slice.items() if row.p is not None]
    applied += [lost_types_rule(lost_types), *cost_rules(candidate, incumbent, settings)]
    applied += overlap_rules(overlap, whole.mean, settings) if overlap else []
    outcomes = [rule.outcome for rule, _ in applied]
    reasons = [reason for worst in ("reject", "hold") for rule, reason in applied if rule.outcome == worst]
    reasons = reasons or [f"{whole}; a loss of more than {settings.margin:g} is excluded"]
    return Comparison(
        *names,
        verdict="reject" if "reject" in outcomes else "hold" if "hold" in outcomes else "promote",
        reasons=[*reasons, *favoured_incumbent(overlap, settings), *worst_slice(by_slice)],
        rules=[rule for rule, _ in applied],
        f1={"candidate": whole.after, "incumbent": whole.before},
        difference={"mean": whole.mean, "low": whole.low, "high": whole.high},
        p={"permutation": p, "mcnemar": mcnemar_p(sentence_correct(candidate), sentence_correct(incumbent))},
        types=by_type,
        words_per_s={"candidate": candidate.words_per_s, "incumbent": incumbent.words_per_s},
        bytes={"candidate": candidate.graph_bytes, "incumbent": incumbent.graph_bytes},
        examples=list(examples),
        overlap=overlap,
        slices=by_slice,
    )


def sentence_correct(tagger: TaggerCounts) -> NDArray[np.bool_]:
    """Whether each sentence is without a false positive or negative. *Shape:* (sentences,)."""
    return np.asarray((tagger.counts[None][:, 1:] == 0).all(axis=1))


def f1_rules(whole: F1Difference, p: float, settings: PromotionSettings) -> Iterator[tuple[Rule, str]]:
    """The rules, each with the reason to give if it fails, as for all rules here."""
    outcome: Outcome = "pass" if whole.support else "hold"
    reason = "the test split has 0 mentions: there is nothing to compare"
    yield Rule("test mentions", whole.support, 1, outcome), reason
    outcome = "reject" if whole.mean < 0 and p < settings.alpha else "pass"
    reason = f"{whole}; significantly worse (p {p:.4f})"
    yield Rule("F1 difference, p", p, settings.alpha, outcome), reason
    outcome = "hold" if whole.low < -settings.margin else "pass"
    reason = f"{whole}; a loss of more than {settings.margin:g} is not excluded"
    yield Rule("F1 difference, lower end", whole.low, -settings.margin, outcome), reason


def type_rule(kind: str, row: F1Difference, settings: PromotionSettings) -> tuple[Rule, str]:
    """A type that lost too much rejects the candidate; it only holds it if that may be chance."""
    certain = row.p is not None and row.p < settings.alpha
    outcome: Outcome = "pass" if row.mean >= -settings.max_type_loss else "reject" if certain else "hold"
    reason = f"{kind}: {row} on {row.support} mentions; it lost more than {settings.max_type_loss:g}"
    reason += "" if certain else ", which may be chance"
    return Rule(f"F1 difference of {kind}", row.mean, -settings.max_type_loss, outcome), reason


def slice_rule(name: str, row: F1Difference, p: float, settings: PromotionSettings) -> tuple[Rule, str]:
    """A slice holds and never rejects: other parts may have won what it lost, which a person has to weigh."""
    outcome: Outcome = "hold" if row.mean < -settings.max_slice_loss and p < settings.alpha else "pass"
    reason = f"slice {name}: {row} on {row.support} mentions; it lost more than {settings.max_slice_loss:g} (p {p:.4f})"
    return Rule(f"F1 difference of slice {name}", row.mean, -settings.max_slice_loss, outcome), reason


def favoured_incumbent(overlap: SplitOverlap | None, settings: PromotionSettings) -> list[str]:
    """A line if the incumbent was trained on many test sentences, and on more than the candidate; none otherwise."""
    if overlap is None or overlap.incumbent is None:
        return []
    before, now, sentences = overlap.incumbent, overlap.candidate, overlap.sentences
    if before <= max(now, settings.max_overlap * sentences):
        return []
    text = f"the model in production was trained on {before} of {sentences} test sentences, this one on {now}"
    return [f"{text}: the comparison favours the former"]


def worst_slice(slices: Mapping[str, F1Difference]) -> list[str]:
    """A line about the slice that lost most, or won least, of those that are judged; none if none is."""
    judged = {name: row for name, row in slices.items() if row.p is not None}
    if not judged:
        return []
    name, row = min(judged.items(), key=lambda item: item[1].mean)
    return [f"worst of {len(judged)} slices, {name}: {row} on {row.support} mentions"]


def lost_types_rule(lost: Sequence[str]) -> tuple[Rule, str]:
    """A type of the test split that the candidate does not know any more rejects it."""
    reason = f"{len(lost)} type(s) of the test split are no longer known: {', '.join(lost)}"
    return Rule("lost types", len(lost), 0, "reject" if lost else "pass"), reason


def cost_rules(
    candidate: TaggerCounts, incumbent: TaggerCounts, settings: PromotionSettings
) -> Iterator[tuple[Rule, str]]:
    """The cost rules that are switched on."""
    if settings.min_speed:
        before = incumbent.words_per_s
        share = candidate.words_per_s / before if before else 1.0  # a split without words
        outcome: Outcome = "reject" if share < settings.min_speed else "pass"
        reason = f"{candidate.words_per_s:,.0f} words/s, before {before:,.0f}: a ratio of {share:.2f}"
        reason += f", where at least {settings.min_speed:g} is required"
        yield Rule("words/s, ratio", share, settings.min_speed, outcome), reason
    if settings.max_size:
        share = candidate.graph_bytes / incumbent.graph_bytes
        outcome = "reject" if share > settings.max_size else "pass"
        reason = f"a graph of {candidate.graph_bytes:,} bytes, before {incumbent.graph_bytes:,}: a ratio of {share:.2f}"
        reason += f", where at most {settings.max_size:g} is allowed"
        yield Rule("graph bytes, ratio", share, settings.max_size, outcome), reason


def overlap_rules(overlap: SplitOverlap, gain: float, settings: PromotionSettings) -> Iterator[tuple[Rule, str]]:
    """The rules about the test sentences that train has too; `gain` is the difference in F1."""
    if settings.max_overlap == 1:
        return
    share = overlap.candidate / max(1, overlap.sentences)
    reason = f"train has {overlap.candidate} of {overlap.sentences} test sentences, whole or in part ({share:.1%}"
    if overlap.incumbent is not None:
        reason += f", in production {overlap.incumbent / max(1, overlap.sentences):.1%}"
    reason += f"), such as {', '.join(overlap.places)}"
    do = "remove them from train"
    outcome: Outcome = "hold" if share > settings.max_overlap else "pass"
    above = f"{reason}: more than promotion.max_overlap, {settings.max_overlap:g}; {do}"
    yield Rule("test sentences in train, share", share, settings.max_overlap, outcome), above
    if overlap.incumbent is not None:
        outcome = "hold" if overlap.new and gain > 0 else "pass"
        reason = f"{reason}: {overlap.new} more than before, which may explain the gain of {gain:+.4f}; {do}"
        yield Rule("test sentences in train, new", overlap.new, 0, outcome), reason
