"""The results of an ablation as Markdown and plots: what was chosen on dev, and what the final runs show on test."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from fpplm.studies.ablation import Cell, cells_of
from fpplm.studies.forest import forest
from fpplm.studies.ledger import LedgerRow, read_ledger, row_of, unpacked
from fpplm.studies.plan import Plan, choices_file, choosing, read_plan
from fpplm.studies.scatter import scatter
from fpplm.studies.statistics import Effect, Pair, effect, spread
from fpplm_core.errors import ParamsError
from fpplm_core.evaluation.significance import holm

HARM = -0.003  # a difference of F1; "harm" if the whole interval of a corpus is below it

Runs = dict[str, dict[str, dict[int, LedgerRow]]]  # arm → corpus → seed → final run


def write_outcome(plan: Path, results: Path) -> str:
    """Writes the tables and plots of a plan's finished runs, and returns the tables as Markdown.

    If a run was made with several versions of the code, the last one counts. The text names the commits. Raises
    ParamsError, and writes nothing, if the ledger has none of the plan's runs, or if the choices of another plan are
    missing.
    """
    wanted = read_plan(plan)
    ledger = {row.key: row for row in read_ledger(results / "runs.jsonl")}
    name = choosing(plan)
    chosen = name is None or choices_file(name, results).exists()
    parts = [on_dev(rows_of(cells_of(plan, results, final=False, only_chosen=True), ledger))]
    found: Runs = {}
    finals = cells_of(plan, results, final=True, only_chosen=True) if chosen else []
    for row in rows_of(finals, ledger):
        found.setdefault(row.arm, {}).setdefault(row.corpus, {})[row.seed] = row
    if found:
        text, effects = on_test(found, wanted)
        parts += [text, provenance(found, finals)]
        (results / f"{plan.stem}.svg").write_text(forest(effects), encoding="utf-8")
        if points := against_time(found):
            (results / f"{plan.stem}-seconds.svg").write_text(scatter(points), encoding="utf-8")
    text = "\n".join(part for part in parts if part)
    if not text:
        do = f"run: fpplm ablate {plan}; a changed parameter, corpus or encoder makes other runs"
        raise ParamsError("none of the plan's runs is in the ledger", where=str(results / "runs.jsonl"), do=do)
    (results / f"{plan.stem}.md").write_text(text, encoding="utf-8")
    return text


def rows_of(cells: Iterable[Cell], ledger: dict[str, LedgerRow]) -> list[LedgerRow]:
    """The finished runs of these cells."""
    return [row_of(cell, ledger[cell.key]) for cell in cells if cell.key in ledger]


def on_dev(rows: list[LedgerRow]) -> str:
    """A row for each arm and corpus: dev F1 and seconds of the best trial, or over seeds their mean and median."""
    lines = [
        "| corpus | arm | runs | pruned | dev F1 | seconds | values |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for corpus, arm in dict.fromkeys((row.corpus, row.arm) for row in rows):
        own = [row for row in rows if (row.corpus, row.arm) == (corpus, arm)]
        ended = [row for row in own if not row.pruned]
        runs, whole = (len({row.key for row in part}) for part in (own, ended))  # equal draws are one run
        if not ended:  # all have diverged
            lines.append(f"| {corpus} | {arm} | {runs} | {runs} |  |  |  |")
            continue
        best = max(ended, key=lambda row: row.dev_f1)
        shown = [best] if best.trial is not None else ended
        score, seconds = np.mean([row.dev_f1 for row in shown]), np.median([row.seconds for row in shown])
        values = ", ".join(f"{name} {value}" for name, value in best.values.items())
        cells = (corpus, arm, runs, runs - whole, f"{100 * score:.1f}", f"{seconds:.0f}", values)
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "## Dev\n\n" + "\n".join(lines) + "\n" if rows else ""


def on_test(found: Runs, plan: Plan) -> tuple[str, dict[str, dict[str, Effect]]]:
    """The tables of the final runs, and the differences by title and name for the plot, the smallest first."""
    pairs = {(arm, other): shared_pairs(found, arm, other) for arm, other in comparisons(found, plan)}
    pairs = {names: own for names, own in pairs.items() if own}
    primary = {names: effect(list(own.values())) for names, own in pairs.items()}
    primary = dict(sorted(primary.items(), key=lambda item: item[1].mean))
    single = {(*names, corpus): effect([pair]) for names in primary for corpus, pair in pairs[names].items()}
    corrected = dict(zip(single, holm([one.p for one in single.values()]), strict=True))
    parts = [
        "## Test: mean difference over corpora",
        "",
        "| arm | less | corpora | F1 [95 %] |",
        "| --- | --- | --- | --- |",
    ]
    parts += [f"| {arm} | {other} | {len(pairs[arm, other])} | {signed(e)} |" for (arm, other), e in primary.items()]
    parts += ["", "## Test: by corpus (p corrected over all lines, Holm)", ""]
    parts += ["| arm | less | corpus | F1 [95 %] | p | |", "| --- | --- | --- | --- | --- | --- |"]
    for key, one in single.items():
        harm = "harm" if one.high < HARM else ""
        parts.append(f"| {' | '.join(key)} | {signed(one)} | {corrected[key]:.4f} | {harm} |")
    parts += ["", *arm_table(found), ""]
    plots: dict[str, dict[str, Effect]] = {f"mean of {len(pairs[names])} corpora": {} for names in primary}
    for names, one in primary.items():
        plots[f"mean of {len(pairs[names])} corpora"][" − ".join(names)] = one
    for (arm, other, corpus), one in single.items():
        plots.setdefault(f"{arm} − {other}", {})[corpus] = one
    return "\n".join(parts), plots


def comparisons(found: Runs, plan: Plan) -> Iterator[tuple[str, str]]:
    """The pairs of arms to compare; of a list of arms, the one with the highest mean test F1 on what all have run."""
    for arm, others in plan.compare.items():
        for other in others:
            rivals = [name for name in ([other] if isinstance(other, str) else other) if name in found]
            if arm in found and (shared := shared_runs(found, rivals)):
                yield arm, max(shared, key=lambda name: mean_test(shared[name]))


def shared_runs(found: Runs, arms: list[str]) -> Runs:
    """The runs of these arms on the corpora and with the seeds that all of them have; empty if there is none."""
    shared: Runs = {}
    for corpus in set.intersection(*(set(found[arm]) for arm in arms)) if arms else ():
        seeds = set.intersection(*(set(found[arm][corpus]) for arm in arms))
        for arm in arms if seeds else ():
            shared.setdefault(arm, {})[corpus] = {seed: found[arm][corpus][seed] for seed in sorted(seeds)}
    return shared


def shared_pairs(found: Runs, arm: str, other: str) -> dict[str, Pair]:
    """The counts of both arms on each corpus, for the seeds that both have run. *Shape:* (seeds, units, 3).

    A corpus whose test is one unit is left out, because it gives no interval.
    """
    pairs = {}
    for corpus in found[arm].keys() & found[other].keys():
        seeds = sorted(found[arm][corpus].keys() & found[other][corpus].keys())
        if seeds:
            mine, theirs = (
                np.stack([unpacked(str(found[name][corpus][seed].counts)) for seed in seeds]) for name in (arm, other)
            )
            if mine.shape[1] > 1:
                pairs[corpus] = (mine, theirs)
    return dict(sorted(pairs.items()))


def arm_table(found: Runs) -> Iterator[str]:
    """A table of test F1 by arm and corpus, its standard deviation over seeds, and the seconds of training.

    Means are those of arms that have run on every corpus of the table.
    """
    corpora = list(dict.fromkeys(corpus for runs in found.values() for corpus in runs))
    yield f"## Test F1\n\n| arm | {' | '.join(corpora)} | mean | SD over seeds [95 %] | seconds |"
    yield "| --- " * (len(corpora) + 4) + "|"
    for arm, runs in found.items():
        cells = [f"{100 * mean_test({c: runs[c]}):.1f}" if c in runs else "" for c in corpora]
        pooled = spread([[test_f1(row) for row in seeds.values()] for seeds in runs.values()])
        deviation = (
            " [".join(f"{100 * value:.2f}" for value in pooled[:2]) + f", {100 * pooled.high:.2f}]" if pooled else ""
        )
        whole = len(runs) == len(corpora)
        mean, seconds = (f"{100 * mean_test(runs):.1f}", f"{mean_seconds(runs):.0f}") if whole else ("", "")
        yield f"| {arm} | {' | '.join(cells)} | {mean} | {deviation} | {seconds} |"


def against_time(found: Runs) -> dict[str, tuple[float, float]]:
    """Seconds of training and mean test F1 of each arm that has run on every corpus."""
    corpora = {corpus for runs in found.values() for corpus in runs}
    return {arm: (mean_seconds(runs), mean_test(runs)) for arm, runs in found.items() if len(runs) == len(corpora)}


def provenance(found: Runs, cells: list[Cell]) -> str:
    """How many of the final runs have finished, which are missing, and the commits of all."""
    rows = [row for runs in found.values() for seeds in runs.values() for row in seeds.values()]
    commits, choices = sorted({str(row.commit) for row in rows}), sorted({str(row.choices)[:12] for row in rows})
    number = f"{len(rows)} of {len(cells)}" if len(rows) < len(cells) else f"{len(rows)}"
    text = f"{number} final runs at {', '.join(commits)}; chosen and committed before, at {', '.join(choices)}.\n"
    missing: dict[str, Counter[str]] = {}
    for cell in cells:
        if cell.seed not in found.get(cell.arm, {}).get(cell.corpus, {}):
            missing.setdefault(cell.arm, Counter())[cell.corpus] += 1
    lines = [f"{arm} ({', '.join(f'{corpus} {n}' for corpus, n in own.items())})" for arm, own in missing.items()]
    return text + (f"Missing, by arm and corpus: {'; '.join(lines)}.\n" if lines else "")


def test_f1(row: LedgerRow) -> float:
    return row.test["f1"] if row.test else 0.0


def mean_test(runs: dict[str, dict[int, LedgerRow]]) -> float:
    """The mean over corpora of the mean over seeds."""
    return float(np.mean([np.mean([test_f1(row) for row in seeds.values()]) for seeds in runs.values()]))


def mean_seconds(runs: dict[str, dict[int, LedgerRow]]) -> float:
    """The mean over corpora of the median over seeds, so that one run slowed by other work hardly counts."""
    return float(np.mean([np.median([row.seconds for row in seeds.values()]) for seeds in runs.values()]))


def signed(one: Effect) -> str:
    return f"{100 * one.mean:+.2f} [{100 * one.low:+.2f}, {100 * one.high:+.2f}]"
