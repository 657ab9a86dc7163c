"""gate: the rules of params.yaml against the scores; a model that fails is not exported."""

from __future__ import annotations

from typing import Any, NamedTuple

from fpplm_core.evaluation.settings import GateParams


class Rule(NamedTuple):
    """`value` must be at least (or at most) `bound`."""

    name: str
    value: float
    relation: str
    bound: float

    @property
    def passed(self) -> bool:
        return self.value >= self.bound if self.relation == "at least" else self.value <= self.bound


def rules(test: dict[str, Any], check: dict[str, Any], settings: GateParams) -> list[Rule]:
    """Every rule that is switched on, with the value it meets."""
    found = [
        Rule("coverage", test["coverage"], "at least", 1.0),
        Rule("test F1", test["f1"], "at least", settings.min_f1),
    ]
    for kind, row in test["types"].items():
        floor = settings.type_f1.get(kind, settings.min_type_f1)
        found.append(Rule(f"test F1 of {kind}", row["f1"], "at least", floor))
    missing = sorted(set(settings.type_f1) - set(test["types"]))
    found += [Rule(f"test F1 of {kind} (not in test)", 0.0, "at least", settings.type_f1[kind]) for kind in missing]
    found.append(Rule("kinds of data warning", check["warnings"], "at most", settings.max_check_warnings))
    return found
