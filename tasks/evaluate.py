"""evaluate: the trained tagger on dev and test; seqeval's strict scores, intervals, confusion, every prediction."""

from __future__ import annotations

from fpplm.pipeline import paths, stage
from fpplm.pipeline.trained import load_model
from fpplm_core.data.corpus import CorpusParts, stream_corpus
from fpplm_core.data.encoded import Encoded, open_windows
from fpplm_core.data.settings import DataSettings
from fpplm_core.data.windows import read_encoding
from fpplm_core.evaluation.predictions import logits_writer, prediction_writer, predictions_of, write_plots
from fpplm_core.evaluation.scorer import SplitScorer
from fpplm_core.evaluation.scores import Evaluation, SplitScores, gold_spans, mentions, score_lines
from fpplm_core.evaluation.slices import read_slices
from fpplm_core.evaluation.slicing import SliceScorer, open_columns
from fpplm_core.files import write_record
from fpplm_core.model.blueprint import load_decoder
from fpplm_core.model.device import choose_device
from fpplm_core.model.settings import ModelSettings
from fpplm_core.model.tagger import batch_logits
from fpplm_core.tagging.word_logits import word_logits
from fpplm_core.training.settings import TrainSettings


def evaluate(data: DataSettings, model: ModelSettings, train: TrainSettings) -> None:
    slices = read_slices()
    columns = open_columns(slices, data)
    blueprint, tagger = load_model(model)
    tagger = tagger.to(choose_device(train.device))
    decoder = load_decoder(paths.MODEL)
    seen = mentions(stream_corpus("train", paths.CORPUS))
    counts = read_encoding(paths.ENCODED).counts
    scores: dict[str, SplitScores] = {}
    for split in ("dev", "test"):
        windows = Encoded.of(open_windows(split, paths.ENCODED)).windows
        scorer = SplitScorer(seen, blueprint.labels, SliceScorer(slices, seen, columns[split]))
        with (
            prediction_writer(paths.PREDICTIONS / f"{split}.jsonl") as write_rows,
            logits_writer(paths.PREDICTIONS / f"{split}_logits.npy", len(blueprint.labels)) as write_logits,
        ):
            for part in CorpusParts(split, paths.CORPUS):
                own = windows.of_sentences(scorer.spans.sentences, scorer.spans.sentences + len(part))
                logits = word_logits(own, [len(s.words) for s in part], 4 * train.batch_pieces, batch_logits(tagger))
                gold, scored = gold_spans(part), decoder.scored_spans(logits)
                predicted = [[span for span, _ in row] for row in scored]
                scorer.add(part, gold, predicted, logits, sum(len(window.owned_words) for window in own))
                write_rows(predictions_of(part, gold, predicted, [[score for _, score in row] for row in scored], seen))
                write_logits(logits)
        scores[split] = scorer.scores(counts[split].words_without_pieces)
        print(*score_lines(split, scores[split]), sep="\n")
    write_plots(paths.REPORTS / "evaluation", scores["test"], scores["test"].slices)
    write_record(paths.METRICS / "evaluate.json", Evaluation(**scores))


if __name__ == "__main__":
    stage.run(evaluate)
