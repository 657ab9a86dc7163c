"""The output of stages and runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict

from fpplm.pipeline import paths
from fpplm.pipeline.timing import Timing
from fpplm.report.scores import interval, served
from fpplm.terminal.tables import Section
from fpplm_core.escaping import printable
from fpplm_core.evaluation.gate import GateResult
from fpplm_core.evaluation.promotion import Comparison
from fpplm_core.evaluation.scores import Evaluation, worst_slice
from fpplm_core.export.verdicts import ClientF1, VariantVerdict
from fpplm_core.files import read_json, read_record


def gate_section(result: GateResult) -> Section:
    """The rules of the gate, and the slices that were too small to be judged."""
    rows = [
        (rule.name, f"{rule.value:.4g}", f"{rule.relation} {rule.bound:.4g}", "pass" if rule.passed else "FAIL")
        for rule in result.rules
    ]
    head = ("rule", "value", "required", "verdict")
    return Section("gate: the trained model", head, rows, "\n".join(map(printable, result.undecided)))


def comparison_section(title: str, comparison: Comparison, rule: str = "rule") -> Section:
    """The rules of promotion; `rule` is the head of their names."""
    rows = [(one.name, f"{one.value:.4g}", f"{one.bound:.4g}", one.outcome) for one in comparison.rules]
    return Section(title, (rule, "value", "bound", "outcome"), rows)


def verdict_lines(verdicts: Mapping[str, VariantVerdict], timings: Sequence[Timing]) -> Iterator[str]:
    """One line per graph and device."""
    for (name, verdict), timing in zip(verdicts.items(), timings, strict=True):
        yield (
            f"{name}: dev F1 {verdict.dev_f1:.4f} (loss {verdict.dev_f1_loss:+.4f} "
            f"[{verdict.dev_f1_loss_low:+.4f}, {verdict.dev_f1_loss_high:+.4f}]), "
            f"test F1 {verdict.test_f1:.4f} (loss {verdict.test_f1_loss:+.4f}), "
            f"max |Δlogit| {verdict.max_logit_delta:.2g}, {timing.words_per_s:,.0f} words/s, "
            f"{timing.latency_ms:.1f} ms per sentence: {'accepted' if verdict.accepted else 'LEFT OUT'}"
        )


def client_lines(clients: Mapping[str, ClientF1]) -> Iterator[str]:
    """One line per graph that clients without fpplm load."""
    for row in clients.values():
        yield f"{row.file} without fpplm: dev F1 {row.dev_f1:.4f}, test F1 {row.test_f1:.4f}"


def summary() -> str:
    """The last run in a few lines: scores, verdict, paths, and one sentence tagged by the bundle."""
    from fpplm_core.serving import Predictor
    from fpplm_core.serving.bundle import GOLDEN

    evaluation = read_record(paths.METRICS / "evaluate.json", Evaluation)
    scores = asdict(evaluation)
    gate = read_record(paths.METRICS / "gate.json", GateResult)
    words = read_json(paths.BUNDLE / GOLDEN)[0]["words"]
    predictor = Predictor.load(paths.BUNDLE, allow_links=True)
    (spans,) = predictor.tag([words])
    entities = [f"{' '.join(words[s.start : s.end])} [{s.type} {score:.2f}]" for s, score in spans]
    shown = [
        *(f"{split:<8} trained F1 {interval(row)}" for split, row in scores.items()),
        f"{'':<8} served  F1 {served(read_json(paths.METRICS / 'verify.json'))}",
        *(f"slices   {line}" for line in worst_slice(evaluation.test)),
        f"gate     {'passed' if gate.passed else 'failed'}, {len(gate.rules)} rules",
        f"bundle   {paths.BUNDLE.resolve()}  ({predictor.variant} on {predictor.device} by default)",
        f"report   {(paths.REPORTS / 'report.html').resolve()}",
        f"example  {' '.join(words)}",
        f"      →  {', '.join(entities) or 'no entity'}",
    ]
    return "\n".join(map(printable, shown))
