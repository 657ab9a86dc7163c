"""compare: a new bundle against the one in production, on the same test split, and whether it may take its place.

No stage of dvc.yaml: what is in production is no part of what makes a model.
"""

from __future__ import annotations

import statistics
import time
from argparse import ArgumentParser
from collections.abc import Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
from rich import table
from rich.console import Console

from fpplm.pipeline.paths import REPORTS
from fpplm.pipeline.stage import run
from fpplm_core.data.corpus import load_corpus
from fpplm_core.data.records import Sentence
from fpplm_core.evaluation.metrics import span_counts
from fpplm_core.evaluation.promotion import Side, Table, judge
from fpplm_core.files import write_json
from fpplm_core.params import Params, load
from fpplm_core.serving import Predictor
from fpplm_core.serving.bundle import graph_name
from fpplm_core.tagging.spans import Span, lenient_spans, types_of

COMPARISON = REPORTS / "comparison.json"
ROUNDS, TIMED = 3, 500  # of a measurement of speed, and the sentences of each
EXAMPLES = 20
Spans = Sequence[Sequence[Span]]


def main() -> None:
    parser = ArgumentParser(prog="python -m tasks.compare", description=__doc__)
    parser.add_argument("candidate", type=Path, help="folder of the new bundle")
    parser.add_argument("incumbent", type=Path, help="folder of the bundle in production")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    given = parser.parse_args()
    found = compare(given.candidate, given.incumbent, load())
    write_json(COMPARISON, {"candidate": str(given.candidate), "incumbent": str(given.incumbent), **found})
    show(found)


def compare(candidate: Path, incumbent: Path, settings: Params) -> dict[str, Any]:
    """The verdict (promote, hold, reject), its reasons, and all numbers behind it; `examples` are what changed.

    Raises BundleError for a bundle that is not whole, DataError where the test split is missing.
    """
    taggers = [Predictor.load(folder) for folder in (candidate, incumbent)]
    sentences = load_corpus("test")
    gold = [lenient_spans(s.tags) for s in sentences]
    words, documents = [s.words for s in sentences], [s.document for s in sentences]
    after, before = ([[span for span, _ in row] for row in tagger.tag(words, documents)] for tagger in taggers)
    new, old = (
        Side(counts(gold, found), set(types_of([tagger.labels])), rate, size_of(tagger))
        for tagger, found, rate in zip(taggers, (after, before), rates(taggers, sentences), strict=True)
    )
    changed = (row for row in zip(words, gold, before, after, strict=True) if set(row[2]) != set(row[3]))
    keys = ("words", "gold", "before", "after")
    examples = [dict(zip(keys, row, strict=True)) for row in islice(changed, EXAMPLES)]
    return judge(new, old, settings.promotion) | {"examples": examples}


def counts(gold: Spans, found: Spans) -> dict[str | None, Table]:
    """Of all spans, under None, and of each type that the gold spans have."""
    kinds = sorted({span.type for spans in gold for span in spans})
    rows = {kind: [span_counts(g, f, kind) for g, f in zip(gold, found, strict=True)] for kind in (None, *kinds)}
    return {kind: np.array(row, dtype=np.int64).reshape(-1, 3) for kind, row in rows.items()}


def rates(taggers: Sequence[Predictor], sentences: Sequence[Sentence]) -> list[float]:
    """Words/s of each, medians of rounds in which they take turns; a short split is repeated, to be measurable."""
    part = list(islice(cycle(sentences), TIMED))
    words, documents = [s.words for s in part], [s.document for s in part]
    seconds: list[list[float]] = [[] for _ in taggers]
    for _ in range(ROUNDS):
        for tagger, taken in zip(taggers, seconds, strict=True):
            start = time.perf_counter()
            tagger.tag(words, documents)
            taken.append(time.perf_counter() - start)
    return [sum(map(len, words)) / statistics.median(taken) for taken in seconds]


def size_of(tagger: Predictor) -> int:
    return int(tagger.bundle.manifest["files"][graph_name(tagger.variant)]["bytes"])


def show(found: dict[str, Any]) -> None:
    colours = {"pass": "green", "hold": "yellow", "reject": "bold red"}
    rows = table.Table(title=f"verdict: {found['verdict']}", title_justify="left")
    for column in ("rule", "value", "bound", "outcome"):
        rows.add_column(column, justify="right" if column in ("value", "bound") else "left")
    for rule in found["rules"]:
        outcome = f"[{colours[rule['outcome']]}]{rule['outcome']}[/]"
        rows.add_row(rule["name"], f"{rule['value']:.4g}", f"{rule['bound']:.4g}", outcome)
    Console().print(rows)
    print(*found["reasons"], sep="\n")


if __name__ == "__main__":
    run(main)
