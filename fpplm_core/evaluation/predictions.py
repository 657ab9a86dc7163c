"""The predictions of a split, line by line, and tables for plots."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fpplm.pipeline.paths import PREDICTIONS, REPORTS
from fpplm_core.data.records import Sentence
from fpplm_core.evaluation.metrics import span_counts
from fpplm_core.files import write_text
from fpplm_core.tagging.schemes import legal
from fpplm_core.tagging.spans import Span, lenient_spans
from fpplm_core.tagging.viterbi import decode

PLOTS = REPORTS / "evaluation"


def read_spans(
    logits: list[NDArray[np.float32]], labels: Sequence[str], scores: NDArray[np.float32]
) -> tuple[list[list[Span]], float]:
    """The decoded spans of each sentence, and the share of sentences whose unconstrained best path is illegal."""
    paths = decode(logits, scores)
    greedy = [[labels[label] for label in values.argmax(axis=1)] for values in logits]
    illegal = sum(
        not all(legal(a, b, "BIOES") for a, b in zip([None, *path], [*path, None], strict=True)) for path in greedy
    )
    spans = [lenient_spans([labels[label] for label in path]) for path in paths]
    return spans, illegal / max(1, len(logits))


def write_predictions(
    split: str, sentences: list[Sentence], gold: list[list[Span]], predicted: list[list[Span]]
) -> None:
    """One JSON line a sentence: words, place, gold and predicted spans over words, and its tp, fp, fn.

    Where the corpus holds the text, also that, and the predicted entities in characters of it.
    """
    lines = []
    for sentence, wanted, found in zip(sentences, gold, predicted, strict=True):
        row = {"file": sentence.file, "line": sentence.lines[0], "words": sentence.words}
        row |= {"gold": wanted, "predicted": found, **span_counts(wanted, found)._asdict()}
        if sentence.text is not None and sentence.offsets is not None:
            bounds = [(sentence.offsets[span.start][0], sentence.offsets[span.end - 1][1]) for span in found]
            entities = [{"label": s.type, "start": a, "end": b} for s, (a, b) in zip(found, bounds, strict=True)]
            row |= {"text": sentence.text, "entities": entities}
        lines.append(json.dumps(row, ensure_ascii=False))
    write_text(PREDICTIONS / f"{split}.jsonl", "\n".join(lines) + "\n")


def write_plots(test: dict[str, Any]) -> None:
    """Tables for `dvc plots`: one row a gold span with its predicted type, one row a type."""
    rows = [
        f"{gold},{predicted}\n" * number for gold, row in test["confusion"].items() for predicted, number in row.items()
    ]
    write_text(PLOTS / "confusion.csv", "gold,predicted\n" + "".join(rows))
    types = [f"{kind},{row['f1']:.6f}\n" for kind, row in test["types"].items()]
    write_text(PLOTS / "types.csv", "type,f1\n" + "".join(types))
