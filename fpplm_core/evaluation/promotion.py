"""Whether a new tagger may replace the one in production: rules over what both did on the same test sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fpplm_core.evaluation.settings import PromotionParams
from fpplm_core.evaluation.significance import difference, mcnemar_p, mean_f1, permutation_p

Table = NDArray[np.int64]  # (sentences, 3): true positives, false positives, false negatives


class Side(NamedTuple):
    """One tagger on the test split: its counts by type, under None those of all; what it knows, and what it costs."""

    counts: dict[str | None, Table]
    types: set[str]
    words_per_s: float
    graph_bytes: int


class Contrast(NamedTuple):
    """F1 before and after, the gain with its paired bootstrap interval, and the mentions that all this rests on."""

    before: float
    after: float
    mean: float
    low: float
    high: float
    support: int

    def __str__(self) -> str:
        return f"F1 {self.after:.4f}, before {self.before:.4f}: {self.mean:+.4f} [{self.low:+.4f}, {self.high:+.4f}]"


class Rule(NamedTuple):
    """A value, the bound that it is held against, pass, hold or reject, and what is to be said where it fails."""

    name: str
    value: float
    bound: float
    outcome: str
    reason: str


def judge(new: Side, old: Side, settings: PromotionParams) -> dict[str, Any]:
    """The verdict on `new` (promote, hold, reject), its reasons, the worst first, and every number behind it."""
    by_type = {
        kind: contrast(new.counts[kind], old.counts[kind], settings.alpha) for kind in new.counts if kind is not None
    }
    whole = contrast(new.counts[None], old.counts[None], settings.alpha)
    p = permutation_p(new.counts[None], old.counts[None])
    lacking = sorted((old.types - new.types) & by_type.keys())
    found = [*f1_rules(whole, p, settings)]
    found += [type_rule(kind, row, settings) for kind, row in by_type.items()]
    found += [known_rule(lacking), *cost_rules(new, old, settings)]
    failed = [rule for outcome in ("reject", "hold") for rule in found if rule.outcome == outcome]
    passed = f"{whole}; a loss of more than {settings.margin:g} is excluded"
    return {
        "verdict": failed[0].outcome if failed else "promote",
        "reasons": [rule.reason for rule in failed] or [passed],
        "rules": [{key: getattr(rule, key) for key in ("name", "value", "bound", "outcome")} for rule in found],
        "f1": {"candidate": whole.after, "incumbent": whole.before},
        "difference": {"mean": whole.mean, "low": whole.low, "high": whole.high},
        "p": {"permutation": p, "mcnemar": mcnemar_p(right(new), right(old))},
        "types": {kind: row._asdict() for kind, row in by_type.items()},
        "words_per_s": {"candidate": new.words_per_s, "incumbent": old.words_per_s},
        "bytes": {"candidate": new.graph_bytes, "incumbent": old.graph_bytes},
    }


def contrast(new: Table, old: Table, alpha: float) -> Contrast:
    gained = difference(new[None], old[None], confidence=1 - alpha)
    support = int(new[:, [0, 2]].sum())
    return Contrast(mean_f1(old[None]), mean_f1(new[None]), gained.mean, gained.low, gained.high, support)


def right(side: Side) -> NDArray[np.bool_]:
    """Whether each sentence is without a false positive or negative."""
    return np.asarray((side.counts[None][:, 1:] == 0).all(axis=1))


def f1_rules(whole: Contrast, p: float, settings: PromotionParams) -> Iterator[Rule]:
    outcome = "pass" if whole.support else "hold"
    yield Rule("test mentions", whole.support, 1, outcome, "the test split has 0 mentions: there is nothing to compare")
    outcome = "reject" if whole.mean < 0 and p < settings.alpha else "pass"
    reason = f"{whole}; worse by more than chance explains (p {p:.4f})"
    yield Rule("F1 difference, p", p, settings.alpha, outcome, reason)
    outcome = "hold" if whole.low < -settings.margin else "pass"
    reason = f"{whole}; a loss of more than {settings.margin:g} is not excluded"
    yield Rule("F1 difference, lower end", whole.low, -settings.margin, outcome, reason)


def type_rule(kind: str, row: Contrast, settings: PromotionParams) -> Rule:
    sure = row.high < 0
    outcome = "pass" if row.mean >= -settings.max_type_loss else "reject" if sure else "hold"
    reason = f"{kind}: {row} on {row.support} mentions; it lost more than {settings.max_type_loss:g}"
    reason += "" if sure else ", which may be chance"
    return Rule(f"F1 difference of {kind}", row.mean, -settings.max_type_loss, outcome, reason)


def known_rule(lacking: Sequence[str]) -> Rule:
    reason = f"{len(lacking)} type(s) of the test split are known no more: {', '.join(lacking)}"
    return Rule("types known no more", len(lacking), 0, "reject" if lacking else "pass", reason)


def cost_rules(new: Side, old: Side, settings: PromotionParams) -> Iterator[Rule]:
    """Those that are switched on."""
    if settings.min_speed:
        share = new.words_per_s / old.words_per_s if old.words_per_s else 1.0  # a split without words
        outcome = "reject" if share < settings.min_speed else "pass"
        reason = f"{new.words_per_s:,.0f} words/s, before {old.words_per_s:,.0f}: {share:.2f} of it"
        reason += f", at least {settings.min_speed:g} is wanted"
        yield Rule("words/s, ratio", share, settings.min_speed, outcome, reason)
    if settings.max_size:
        share = new.graph_bytes / old.graph_bytes
        outcome = "reject" if share > settings.max_size else "pass"
        reason = f"a graph of {new.graph_bytes:,} bytes, before {old.graph_bytes:,}: {share:.2f} of it"
        reason += f", at most {settings.max_size:g} is wanted"
        yield Rule("graph bytes, ratio", share, settings.max_size, outcome, reason)
