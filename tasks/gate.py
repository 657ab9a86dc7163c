"""gate: the rules of params.yaml against the scores; a model that fails is not exported."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from fpplm.pipeline.paths import METRICS
from fpplm.pipeline.stage import run
from fpplm.report.page import render
from fpplm_core.errors import GateFailed
from fpplm_core.evaluation.gate import Rule, rules
from fpplm_core.files import read_json, write_json
from fpplm_core.params import load


def main() -> None:
    found = rules(read_json(METRICS / "evaluate.json")["test"], read_json(METRICS / "check.json"), load().gate)
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
