"""gate: the rules of params.yaml against the scores; a model that fails is not exported."""

from __future__ import annotations

from fpplm.pipeline import paths, stage
from fpplm.report.console import gate_section
from fpplm.report.page import render
from fpplm.terminal.tables import show
from fpplm_core.errors import GateFailed
from fpplm_core.evaluation.gate import apply_rules
from fpplm_core.evaluation.scores import Evaluation
from fpplm_core.evaluation.settings import GateSettings
from fpplm_core.files import read_json, read_record, write_record


def gate(gate: GateSettings) -> None:
    scores = read_record(paths.METRICS / "evaluate.json", Evaluation)
    result = apply_rules(scores.test, read_json(paths.METRICS / "check.json")["warnings"], gate)
    write_record(paths.METRICS / "gate.json", result)
    show(gate_section(result))
    print(f"report: {render()}")
    if not result.passed:
        failed = [rule.name for rule in result.rules if not rule.passed]
        raise GateFailed(
            f"{len(failed)} of {len(result.rules)} rules failed",
            where="gate",
            got=", ".join(failed),
            do="nothing was exported; improve the model or the data, or change the rules in params.yaml",
        )


if __name__ == "__main__":
    stage.run(gate)
