"""What a run prints at its end."""

from __future__ import annotations

from fpplm.pipeline import paths  # first: it switches telemetry off before the libraries look
from fpplm.pipeline.paths import BUNDLE, METRICS
from fpplm.promotion.history import Verdict
from fpplm_core.files import read_json


def summary() -> str:
    """The last run in a few lines: scores, verdict, where everything is, and one sentence tagged by the bundle."""
    from fpplm_core.serving import Predictor

    scores = read_json(METRICS / "evaluate.json")
    gate = read_json(METRICS / "gate.json")
    words = read_json(BUNDLE / "golden.json")[0]["words"]
    predictor = Predictor.load(BUNDLE)
    (spans,) = predictor.tag([words])
    entities = [f"{' '.join(words[s.start : s.end])} [{s.type} {score:.2f}]" for s, score in spans]
    lines = [
        f"{split:<8} F1 {row['f1']:.4f}  [{row['f1_low']:.4f}, {row['f1_high']:.4f}]" for split, row in scores.items()
    ]
    return "\n".join(
        [
            *lines,
            f"gate     {'passed' if gate['passed'] else 'failed'}, {len(gate['rules'])} rules",
            f"bundle   {BUNDLE.resolve()}  ({predictor.variant} on {predictor.device} by default)",
            f"report   {(paths.REPORTS / 'report.html').resolve()}",
            f"example  {' '.join(words)}",
            f"      →  {', '.join(entities) or 'no entity'}",
        ]
    )


def said(verdict: Verdict, promote: bool) -> str:
    """The verdict in a line, and what to do with it."""
    reason = verdict.reasons[0]
    if verdict.version:
        return f"verdict  {verdict.version} is in production: {reason}"
    advice = "; fpplm retrain --promote registers it" if verdict.verdict == "promote" and not promote else ""
    return f"verdict  {verdict.verdict}: {reason}{advice}"
