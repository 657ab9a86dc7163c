"""gate: the rules of params.yaml against the scores; a model that fails is not exported."""

from __future__ import annotations

from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from fpplm_core import params
from fpplm_core.errors import GateFailed
from fpplm_core.params import GateParams
from tasks import METRICS, read_json, run, write_json
from tasks.report import render


class Rule(NamedTuple):
    """`value` must be at least (or at most) `bound`."""

    name: str
    value: float
    relation: str
    bound: float

    @property
    def passed(self) -> bool:
        return self.value >= self.bound if self.relation == "at least" else self.value <= self.bound


def main() -> None:
    found = rules(read_json(METRICS / "evaluate.json")["test"], read_json(METRICS / "check.json"), params.load().gate)
    passed = all(rule.passed for rule in found)
    rows = [{**rule._asdict(), "passed": rule.passed} for rule in found]
    write_json(METRICS / "gate.json", {"passed": passed, "rules": rows})
    show(found)
    print(f"report: {render()}")
    if not passed:
        failed = [rule.name for rule in found if not rule.passed]
        raise GateFailed(
            f"{len(failed)} of {len(found)} rules failed",
            where="gate",
            got=", ".join(failed),
            do="nothing was exported; better the model or the data, or change the rules in params.yaml",
        )


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


def show(found: list[Rule]) -> None:
    table = Table(title="gate", title_justify="left")
    for column in ("rule", "value", "wanted", "verdict"):
        table.add_column(column, justify="right" if column == "value" else "left")
    for rule in found:
        verdict = "[green]pass[/green]" if rule.passed else "[bold red]FAIL[/bold red]"
        table.add_row(rule.name, f"{rule.value:.4g}", f"{rule.relation} {rule.bound:.4g}", verdict)
    Console().print(table)


if __name__ == "__main__":
    run(main)
