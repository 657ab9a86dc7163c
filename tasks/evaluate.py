"""evaluate: the trained tagger on dev and test; seqeval's strict scores, intervals, confusion, every prediction."""

from __future__ import annotations

import numpy as np

from fpplm.pipeline import paths, stage
from fpplm.pipeline.trained import load_model
from fpplm_core.data.corpus import load_corpus
from fpplm_core.data.windows import load_windows, read_encoding
from fpplm_core.evaluation.predictions import predictions_of, write_plots, write_predictions
from fpplm_core.evaluation.scores import Evaluation, SplitScores, gold_spans, mentions, score_split
from fpplm_core.files import write_record
from fpplm_core.model.device import choose_device
from fpplm_core.model.settings import ModelSettings
from fpplm_core.model.tagger import batch_logits
from fpplm_core.tagging.decoder import SpanDecoder
from fpplm_core.tagging.word_logits import word_logits
from fpplm_core.training.settings import TrainSettings


def evaluate(model: ModelSettings, train: TrainSettings) -> None:
    blueprint, tagger = load_model(model)
    tagger = tagger.to(choose_device(train.device))
    decoder = SpanDecoder(blueprint.labels, np.load(paths.MODEL / "transitions.npy"))
    seen = mentions(load_corpus("train", paths.CORPUS))
    counts = read_encoding(paths.ENCODED).counts
    scores: dict[str, SplitScores] = {}
    for split in ("dev", "test"):
        sentences, windows = load_corpus(split, paths.CORPUS), load_windows(split, paths.ENCODED).windows
        logits = word_logits(windows, [len(s.words) for s in sentences], 4 * train.batch_pieces, batch_logits(tagger))
        predicted = decoder.spans(logits)
        tagged_words = sum(len(window.owned_words) for window in windows)
        without_pieces = counts[split].words_without_pieces
        scores[split] = score_split(sentences, predicted, logits, blueprint.labels, seen, tagged_words, without_pieces)
        rows = predictions_of(sentences, gold_spans(sentences), predicted)
        write_predictions(paths.PREDICTIONS / f"{split}.jsonl", rows)
        np.save(paths.PREDICTIONS / f"{split}_logits.npy", np.concatenate(logits))
        print(summary(split, scores[split]))
    write_plots(paths.REPORTS / "evaluation", scores["test"])
    write_record(paths.METRICS / "evaluate.json", Evaluation(**scores))


def summary(split: str, scores: SplitScores) -> str:
    return (
        f"{split}: trained F1 {scores.f1:.4f} [{scores.f1_low:.4f}, {scores.f1_high:.4f}], "
        f"precision {scores.precision:.4f}, recall {scores.recall:.4f}, coverage {scores.coverage:.0%}"
    )


if __name__ == "__main__":
    stage.run(evaluate)
