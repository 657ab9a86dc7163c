"""evaluate: the trained tagger on dev and test; seqeval's strict scores, intervals, confusion, every prediction."""

from __future__ import annotations

from typing import Any

import numpy as np

from fpplm.pipeline.paths import ENCODED, METRICS, MODEL, PREDICTIONS
from fpplm.pipeline.stage import run
from fpplm.pipeline.trained import load_model
from fpplm_core.data.corpus import load_corpus
from fpplm_core.data.windows import load_windows
from fpplm_core.evaluation.metrics import calibration_error
from fpplm_core.evaluation.predictions import read_spans, write_plots, write_predictions
from fpplm_core.evaluation.scores import mentions, score
from fpplm_core.files import read_json, write_json
from fpplm_core.model.device import choose_device
from fpplm_core.model.tagger import runner
from fpplm_core.params import load
from fpplm_core.tagging.schemes import INNER_SCHEME
from fpplm_core.tagging.spans import spans_from_tags, tags_from_spans
from fpplm_core.tagging.viterbi import softmax
from fpplm_core.tagging.word_logits import word_logits


def main() -> None:
    settings = load()
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
        gold = [spans_from_tags(s.tags) for s in sentences]
        rows = [
            index.get(tag, -1)
            for spans, n in zip(gold, lengths, strict=True)
            for tag in tags_from_spans(spans, n, INNER_SCHEME)
        ]
        predicted, illegal = read_spans(logits, labels, transition_scores)
        scores[split] = score(sentences, gold, predicted, seen, settings.evaluate) | {
            "illegal_paths": illegal,
            "calibration_error": calibration_error(softmax(np.concatenate(logits)), np.array(rows)),
            "coverage": sum(len(w.owned_words) for w in windows) / max(1, sum(lengths)),
            "words_without_pieces": without_pieces[split]["words_without_pieces"],
        }
        write_predictions(split, sentences, gold, predicted)
        np.save(PREDICTIONS / f"{split}_logits.npy", np.concatenate(logits))
        if split == "test":
            write_plots(scores[split])
        print(summary(split, scores[split]))
    write_json(METRICS / "evaluate.json", scores)


def summary(split: str, scores: dict[str, Any]) -> str:
    return (
        f"{split}: F1 {scores['f1']:.4f} [{scores['f1_low']:.4f}, {scores['f1_high']:.4f}], "
        f"precision {scores['precision']:.4f}, recall {scores['recall']:.4f}, coverage {scores['coverage']:.0%}"
    )


if __name__ == "__main__":
    run(main)
