"""The gate: the rules of params.yaml against the scores; a model that fails is not exported."""

from __future__ import annotations

from dataclasses import dataclass, field
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
    """Every rule that is switched on, and whether all of them passed.

    `undecided` are slices and types that have a floor, but too little support to be judged.
    """

    passed: bool
    rules: list[GateRule]
    undecided: list[str] = field(default_factory=list)  # earlier versions had none


def apply_rules(test: SplitScores, check_warnings: int, settings: GateSettings) -> GateResult:
    """Applies the rules to the scores on test and to the number of kinds of data warning."""
    rules = [at_least("coverage", test.coverage, 1.0), at_least("test F1", test.f1, settings.min_f1)]
    undecided = []
    for kind, row in test.types.items():
        floor = settings.type_f1.get(kind, settings.min_type_f1)
        if row.support or kind in settings.type_f1:
            rules.append(at_least(f"test F1 of {kind}", row.f1, floor))
        elif floor:
            undecided.append(f"{kind}: test has no mention of this type, so min_type_f1 cannot decide")
    for kind in sorted(settings.type_f1.keys() - test.types.keys()):
        rules.append(at_least(f"test F1 of {kind} (not in test)", 0.0, settings.type_f1[kind]))
    for name, floor in settings.slice_f1.items():
        slice_row = test.slices.get(name)
        if slice_row is None:
            rules.append(at_least(f"test F1 of slice {name} (not in slices.yaml)", 0.0, floor))
        elif slice_row.decides:
            rules.append(at_least(f"test F1 of slice {name}", slice_row.f1, floor))
        else:
            undecided.append(f"slice {name}: {slice_row.support} mentions in test are too few for its floor to decide")
    bound = settings.max_check_warnings
    rules.append(GateRule("kinds of data warning", check_warnings, "at most", bound, check_warnings <= bound))
    return GateResult(all(rule.passed for rule in rules), rules, undecided)


def at_least(name: str, value: float, bound: float) -> GateRule:
    return GateRule(name, value, "at least", bound, value >= bound)
