"""transformers' Trainer as its token-classification example uses it: IOB2 tags on first pieces, dynamic padding, the
best epoch on dev kept, greedy decoding.

As a command it replaces the stages train and evaluate. It reads build/corpus and params.yaml: of `train` the seed,
epochs, lr, head_lr, warmup, precision and batch_pieces (32 pieces count as one sentence). It writes
metrics/train.json, metrics/evaluate.json, build/predictions and the curve of dev F1, as the stages do. If test has no
sentences, as in trials, it scores neither dev nor test and writes no metrics/evaluate.json.
"""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

import psutil
import torch
from datasets import Dataset
from seqeval.metrics import f1_score
from seqeval.scheme import IOB2
from torch.utils.data import SequentialSampler
from transformers import (
    AutoModelForTokenClassification,
    DataCollatorForTokenClassification,
    PreTrainedModel,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)

from fpplm.pipeline.paths import CORPUS, METRICS, PREDICTIONS
from fpplm.session.progress import write_epochs
from fpplm_core.data.corpus import load_corpus
from fpplm_core.data.records import Sentence
from fpplm_core.evaluation.metrics import calibration_error, calibration_gaps
from fpplm_core.evaluation.predictions import prediction_writer, predictions_of
from fpplm_core.evaluation.scorer import score_spans
from fpplm_core.evaluation.scores import gold_spans, mentions
from fpplm_core.files import write_json
from fpplm_core.model import pretrained
from fpplm_core.model.settings import ModelSettings
from fpplm_core.model.source import encoder_source
from fpplm_core.params import load
from fpplm_core.tagging.schemes import label_list, legal
from fpplm_core.tagging.spans import spans_from_tags, tags_from_spans, types_of
from fpplm_core.tagging.viterbi import softmax
from fpplm_core.training.history import DevScore
from fpplm_core.training.length import epochs_of, warmup_of

PIECES = 32  # pieces of train.batch_pieces that count as one sentence in the Trainer's batch


class Peer(NamedTuple):
    """Its dev F1; by split every word's greedy tag, and their calibration error; words/s in training epochs alone.

    `trained_at` is the time at which training ended and scoring began, in seconds since 1970.
    """

    dev_f1: float
    tags: dict[str, list[list[str]]]
    calibration: dict[str, float]
    words_per_s: float
    trained_at: float


def main() -> None:
    settings = load()
    train, batch = settings.train, settings.train.batch_pieces // PIECES
    corpus = {split: load_corpus(split, CORPUS) for split in ("train", "dev", "test")}
    scored = ("dev", "test") if corpus["test"] else ()
    steps = math.ceil(len(corpus["train"]) / batch)
    epochs = epochs_of(train, steps, warm=False)
    peer = train_peer(
        corpus,
        settings.model,
        epochs,
        train.seed,
        train.lr,
        batch,
        scored,
        bf16=train.precision != "float32",
        head_rate=train.head_lr,
        warmup=warmup_of(train, epochs * steps),
        grouped=True,
        show=write_epochs,
    )
    scores = {}
    for split, tags in peer.tags.items():
        gold, predicted = gold_spans(corpus[split]), [spans_from_tags(t) for t in tags]
        broken = sum(not all(legal(a, b, "IOB2") for a, b in zip([None, *t], [*t, None], strict=True)) for t in tags)
        scores[split] = asdict(score_spans(corpus[split], gold, predicted, mentions(corpus["train"])))
        scores[split] |= {"illegal_paths": broken / len(tags), "calibration_error": peer.calibration[split]}
        with prediction_writer(PREDICTIONS / f"{split}.jsonl") as write:
            write(predictions_of(corpus[split], gold, predicted))
    if scores:
        write_json(METRICS / "evaluate.json", scores)
    seconds = peer.trained_at - psutil.Process().create_time()  # comparable with a stage that only trains
    write_json(METRICS / "train.json", {"dev_f1": peer.dev_f1, "words_per_s": peer.words_per_s, "seconds": seconds})


def train_peer(
    corpus: dict[str, list[Sentence]],
    settings: ModelSettings,
    epochs: int,
    seed: int,
    rate: float,
    batch: int,
    splits: tuple[str, ...] = (),
    bf16: bool = False,
    head_rate: float | None = None,
    warmup: float = 0.0,
    grouped: bool = False,
    show: Callable[[Sequence[DevScore]], None] = lambda _: None,
) -> Peer:
    """Trains, and tags these splits with the weights of the best epoch.

    The head learns at `head_rate` (None: at `rate`); `warmup` is a share of all steps; `grouped` sorts batches
    by length, for less padding; `show` gets dev F1 by epoch, after each.
    """
    set_seed(seed)
    tokenizer = pretrained.load_tokenizer(settings.encoder, settings.revision)
    labels = label_list(types_of(s.tags for s in corpus["train"]), "IOB2")
    sets = {split: tokenised(corpus[split], tokenizer, labels) for split in ("train", "dev", *splits)}
    model = AutoModelForTokenClassification.from_pretrained(encoder_source(settings.encoder), num_labels=len(labels))

    curve: list[DevScore] = []

    def scores(prediction: Any) -> dict[str, float]:
        f1 = strict_f1(corpus["dev"], words_of(prediction, labels, corpus["dev"]))
        curve.append(DevScore(trainer.state.global_step, f1))
        show(curve)
        return {"f1": f1}

    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder,
            num_train_epochs=epochs,
            learning_rate=rate,
            warmup_steps=warmup,  # a value below 1 is a share of all steps
            per_device_train_batch_size=batch,
            train_sampling_strategy="group_by_length" if grouped else "random",
            per_device_eval_batch_size=8,
            eval_strategy="epoch",
            save_strategy="epoch",
            save_total_limit=1,
            save_only_model=True,
            bf16=bf16,
            load_best_model_at_end=True,
            metric_for_best_model="f1",
            logging_strategy="no",
            report_to="none",
            disable_tqdm=True,
            seed=seed,
            use_cpu=not torch.cuda.is_available(),
        )
        clock = EpochClock()
        trainer = InOrder(
            model,
            arguments,
            train_dataset=sets["train"],
            eval_dataset=sets["dev"],
            data_collator=DataCollatorForTokenClassification(tokenizer),
            processing_class=tokenizer,
            compute_metrics=scores,
            callbacks=[clock],
            optimizers=(optimizer_of(model, rate, head_rate or rate), None),
        )
        trainer.train()
        trained_at = time.time()
        dev = max(row["eval_f1"] for row in trainer.state.log_history if "eval_f1" in row)
        trainer.compute_metrics = None  # it scores dev alone
        tags, calibration = {}, {}
        for split in splits:
            outcome = trainer.predict(sets[split], metric_key_prefix="none")
            tags[split] = words_of(outcome, labels, corpus[split])
            counted = outcome.label_ids != -100
            gold = outcome.label_ids[counted]
            gaps = calibration_gaps(softmax(outcome.predictions[counted]), gold)
            calibration[split] = calibration_error(gaps, len(gold))
    words = sum(len(s.words) for s in corpus["train"])
    return Peer(dev, tags, calibration, epochs * words / clock.seconds, trained_at)


def optimizer_of(model: PreTrainedModel, rate: float, head_rate: float) -> torch.optim.Optimizer:
    """The Trainer's AdamW, with a separate learning rate for the head."""
    encoder = {id(p) for p in model.base_model.parameters()}
    head = [p for p in model.parameters() if id(p) not in encoder]
    groups: list[dict[str, Any]] = [{"params": list(model.base_model.parameters())}, {"params": head, "lr": head_rate}]
    return torch.optim.AdamW(groups, lr=rate, weight_decay=0.0, fused=True)


class InOrder(Trainer):
    """A Trainer that evaluates in the order of the corpus; by itself it groups these batches by length too."""

    def _get_eval_sampler(self, eval_dataset: Dataset) -> SequentialSampler:
        return SequentialSampler(eval_dataset)


class EpochClock(TrainerCallback):
    """Seconds inside training epochs, evaluation and saving left out."""

    def __init__(self) -> None:
        self.seconds = self.start = 0.0

    def on_epoch_begin(self, *_: Any, **__: Any) -> None:
        self.start = time.perf_counter()

    def on_epoch_end(self, *_: Any, **__: Any) -> None:
        self.seconds += time.perf_counter() - self.start


def tokenised(sentences: list[Sentence], tokenizer: Any, labels: list[str]) -> Dataset:
    """Sentences with the label of each word on its first piece, -100 elsewhere; cut at the tokenizer's limit."""
    encoded = tokenizer([list(s.words) for s in sentences], is_split_into_words=True, truncation=True)
    index = {label: number for number, label in enumerate(labels)}  # a type that train never shows counts as O
    rows = []
    for place, sentence in enumerate(sentences):
        previous, row = None, []
        tags = tags_from_spans(spans_from_tags(sentence.tags), len(sentence.words), "IOB2")
        for word in encoded.word_ids(place):
            row.append(-100 if word is None or word == previous else index.get(tags[word], 0))
            previous = word
        rows.append(row)
    return Dataset.from_dict({**encoded, "labels": rows})


def words_of(prediction: Any, labels: list[str], sentences: list[Sentence]) -> list[list[str]]:
    """The greedy tag of each word; O for a word without pieces."""
    found = []
    for logits, gold, sentence in zip(prediction.predictions, prediction.label_ids, sentences, strict=True):
        tags = [labels[label] for label in logits[gold != -100].argmax(-1)]
        found.append(tags + ["O"] * (len(sentence.words) - len(tags)))
    return found


def strict_f1(sentences: list[Sentence], tags: list[list[str]]) -> float:
    gold = [tags_from_spans(spans_from_tags(s.tags), len(s.words), "IOB2") for s in sentences]
    return float(f1_score(gold, tags, mode="strict", scheme=IOB2))


if __name__ == "__main__":
    main()
