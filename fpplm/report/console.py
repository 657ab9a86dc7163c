"""What a run prints at its end."""

from __future__ import annotations

from fpplm.pipeline.paths import BUNDLE, METRICS, REPORTS
from fpplm_core.files import read_json


def summary() -> str:
    """The last run in a few lines: scores, verdict, where everything is, and one sentence tagged by the bundle."""
    from fpplm_core.serving import Predictor

    scores = read_json(METRICS / "evaluate.json")
    gate = read_json(METRICS / "gate.json")
    golden = " ".join(read_json(BUNDLE / "golden.json")[0]["words"])
    predictor = Predictor.load(BUNDLE)
    entities = [f"{e.text} [{e.label} {e.score:.2f}]" for e in predictor.predict(golden)]
    lines = [
        f"{split:<8} F1 {row['f1']:.4f}  [{row['f1_low']:.4f}, {row['f1_high']:.4f}]" for split, row in scores.items()
    ]
    return "\n".join(
        [
            *lines,
            f"gate     {'passed' if gate['passed'] else 'failed'}, {len(gate['rules'])} rules",
            f"bundle   {BUNDLE.resolve()}  ({predictor.variant} on {predictor.device} by default)",
            f"report   {(REPORTS / 'report.html').resolve()}",
            f"example  {golden}",
            f"      →  {', '.join(entities) or 'no entity'}",
        ]
    )
