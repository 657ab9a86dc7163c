"""The results of an ablation as Markdown: means, paired differences, corrected p values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from fpplm.studies.ledger import LedgerRow
from fpplm_core.evaluation.metrics import SentenceCounts
from fpplm_core.evaluation.significance import Difference, average, difference, holm, mean_f1

MARGIN = 0.005  # F1 within which an arm counts as equivalent


def table(rows: Iterable[LedgerRow], reference: str) -> tuple[str, dict[str, Difference]]:
    """The result as Markdown, with a table for each corpus and one over all corpora, and its differences by name.

    An arm is compared with the reference on the seeds that both have.
    """
    found: dict[str, dict[str, dict[int, LedgerRow]]] = {}
    for row in rows:
        found.setdefault(row.corpus, {}).setdefault(row.arm, {})[row.seed] = row
    differences: dict[str, dict[str, Difference]] = {}
    parts = []
    for corpus, arms in found.items():
        compared = {arm: compare(seeds, arms.get(reference, {})) for arm, seeds in arms.items() if arm != reference}
        parts.append(f"## {corpus}\n\n{HEADER}\n" + "\n".join(lines(arms, compared)))
        for arm, outcome in compared.items():
            if outcome is not None:
                differences.setdefault(arm, {})[corpus] = outcome
    shown = {f"{arm}, {corpus}": one for arm, every in differences.items() for corpus, one in every.items()}
    shared = {arm: average([*every.values()]) for arm, every in differences.items() if len(every) == len(found) > 1}
    if shared:
        rows_of_all = [f"| {arm} | {signed(outcome)} |" for arm, outcome in shared.items()]
        parts.append("## mean over corpora\n\n| arm | difference [95 %] |\n| --- | --- |\n" + "\n".join(rows_of_all))
        shown |= {f"{arm}, mean": one for arm, one in shared.items()}
    return "\n\n".join(parts) + "\n", shown


HEADER = (
    "| arm | seeds | dev F1 | test F1 | difference [95 %] | p (Holm) | neutral | seen F1 | unseen F1 | illegal "
    "| calibration | seconds | MB |\n"
    "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"
)


def compare(candidate: Mapping[int, LedgerRow], baseline: Mapping[int, LedgerRow]) -> Difference | None:
    seeds = sorted(set(candidate) & set(baseline))
    if not seeds:
        return None

    def counts(arm: Mapping[int, LedgerRow]) -> SentenceCounts:
        return np.array([arm[seed].counts for seed in seeds])

    return difference(counts(candidate), counts(baseline))


def lines(arms: Mapping[str, Mapping[int, LedgerRow]], compared: Mapping[str, Difference | None]) -> Iterator[str]:
    known = {arm: outcome for arm, outcome in compared.items() if outcome is not None}
    corrected = dict(zip(known, holm([outcome.p for outcome in known.values()]), strict=True))
    for arm, seeds in arms.items():
        runs = list(seeds.values())

        def mean(key: str, runs: list[LedgerRow] = runs) -> float:
            return float(np.mean([run.test[key] if key in run.test else getattr(run, key) for run in runs]))

        test = 100 * mean_f1(np.array([run.counts for run in runs]))
        outcome = known.get(arm)
        verdict = ("", "", "")
        if outcome is not None:
            verdict = (signed(outcome), f"{corrected[arm]:.3f}", "yes" if outcome.equivalent(MARGIN) else "")
        cells = [arm, len(runs), f"{100 * mean('dev_f1'):.2f}", f"{test:.2f}", *verdict]
        cells += [f"{100 * mean('seen_f1'):.1f}", f"{100 * mean('unseen_f1'):.1f}"]
        cells += [f"{100 * mean('illegal_paths'):.1f} %", f"{100 * mean('calibration_error'):.1f} %"]
        cells += [f"{mean('seconds'):.0f}", f"{mean('peak_mb'):.0f}"]
        yield "| " + " | ".join(map(str, cells)) + " |"


def signed(outcome: Difference) -> str:
    return f"{100 * outcome.mean:+.2f} [{100 * outcome.low:+.2f}, {100 * outcome.high:+.2f}]"
