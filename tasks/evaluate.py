"""evaluate: the trained tagger on dev and test; seqeval's strict scores, intervals, confusion, every prediction."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fpplm_core import metrics, params
from fpplm_core.decoding import decode, softmax, word_logits
from fpplm_core.labels import INNER_SCHEME, Span, legal, lenient_spans, to_tags
from fpplm_core.model import choose_device, runner
from fpplm_core.scoring import mentions, score
from fpplm_core.text import Sentence
from tasks import ENCODED, METRICS, MODEL, PREDICTIONS, REPORTS, read_json, run, write_json, write_text
from tasks.encode import load_windows
from tasks.read import load_corpus
from tasks.trained import load_model

PLOTS = REPORTS / "evaluation"


def main() -> None:
    settings = params.load()
    blueprint, model = load_model(settings.model)
    labels, transition_scores = blueprint.labels, np.load(MODEL / "transitions.npy")
    model = model.to(choose_device(settings.train.device))
    seen = mentions(load_corpus("train"))
    without_pieces = read_json(ENCODED / "encoding.json")["counts"]
    scores: dict[str, Any] = {}
    index = {label: number for number, label in enumerate(labels)}
    for split in ("dev", "test"):
        sentences = load_corpus(split)
        windows = load_windows(split).windows
        lengths = [len(s.words) for s in sentences]
        logits = word_logits(windows, lengths, 4 * settings.train.batch_pieces, runner(model))
        gold = [lenient_spans(s.tags) for s in sentences]
        rows = [
            index.get(tag, -1)
            for spans, n in zip(gold, lengths, strict=True)
            for tag in to_tags(spans, n, INNER_SCHEME)
        ]
        predicted, illegal = read_spans(logits, labels, transition_scores)
        scores[split] = score(sentences, gold, predicted, seen, settings.evaluate) | {
            "illegal_paths": illegal,
            "calibration_error": metrics.calibration_error(softmax(np.concatenate(logits)), np.array(rows)),
            "coverage": sum(len(w.words) for w in windows) / max(1, sum(lengths)),
            "words_without_pieces": without_pieces[split]["words_without_pieces"],
        }
        write_predictions(split, sentences, gold, predicted)
        np.save(PREDICTIONS / f"{split}_logits.npy", np.concatenate(logits))
        if split == "test":
            write_plots(scores[split])
        print(summary(split, scores[split]))
    write_json(METRICS / "evaluate.json", scores)


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
        row |= {"gold": wanted, "predicted": found, **metrics.count(wanted, found)._asdict()}
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


def summary(split: str, scores: dict[str, Any]) -> str:
    return (
        f"{split}: F1 {scores['f1']:.4f} [{scores['f1_low']:.4f}, {scores['f1_high']:.4f}], "
        f"precision {scores['precision']:.4f}, recall {scores['recall']:.4f}, coverage {scores['coverage']:.0%}"
    )


if __name__ == "__main__":
    run(main)
