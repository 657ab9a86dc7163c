"""The gate: the rules of params.yaml against the scores; a model that fails is not exported."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fpplm_core.evaluation.scores import SplitScores
from fpplm_core.evaluation.settings import GateSettings


@dataclass(frozen=True)
class GateRule:
    """`passed` tells whether `value` is at least, or at most, `bound`."""

    name: str
    value: float
    relation: Literal["at least", "at most"]
    bound: float
    passed: bool


@dataclass(frozen=True)
class GateResult:
    """Every rule that is switched on, and whether all of them passed."""

    passed: bool
    rules: list[GateRule]


def apply_rules(test: SplitScores, check_warnings: int, settings: GateSettings) -> GateResult:
    """Applies the rules to the scores on test and to the number of kinds of data warning."""
    rules = [at_least("coverage", test.coverage, 1.0), at_least("test F1", test.f1, settings.min_f1)]
    for kind, row in test.types.items():
        rules.append(at_least(f"test F1 of {kind}", row.f1, settings.type_f1.get(kind, settings.min_type_f1)))
    for kind in sorted(settings.type_f1.keys() - test.types.keys()):
        rules.append(at_least(f"test F1 of {kind} (not in test)", 0.0, settings.type_f1[kind]))
    bound = settings.max_check_warnings
    rules.append(GateRule("kinds of data warning", check_warnings, "at most", bound, check_warnings <= bound))
    return GateResult(all(rule.passed for rule in rules), rules)


def at_least(name: str, value: float, bound: float) -> GateRule:
    return GateRule(name, value, "at least", bound, value >= bound)
