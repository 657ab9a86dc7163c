"""The bundle and transformers' token-classification pipeline: the same weights, the same sentences, in turn.

The pipeline runs at the best of a few batch sizes, found first; the sentences are dev's and test's, as plain text.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForTokenClassification, pipeline

sys.path.insert(0, str(Path(__file__).parent.parent))
from benchmarks import machine
from fpplm_core import params, pretrained
from fpplm_core.model import Blueprint, load_trained
from fpplm_core.serving import Predictor
from tasks import BUNDLE, MODEL, read_json
from tasks.read import load_corpus

BATCHES = (1, 8, 32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    sentences = [s.words for split in ("dev", "test") for s in load_corpus(split)]
    texts = [" ".join(words) for words in sentences]
    words = sum(map(len, sentences))
    theirs = peer()
    arms: dict[str, Callable[[], Any]] = {}
    for variant in Predictor.load(BUNDLE, "cpu").bundle.variants["cpu"]:
        predictor = Predictor.load(BUNDLE, "cpu", variant)
        arms[f"fpplm {variant}"] = lambda predictor=predictor: list(predictor.predict_many(texts))

    def rate(run: Callable[[], Any], count: int = words) -> float:
        start = time.perf_counter()
        run()
        return count / (time.perf_counter() - start)

    few = texts[:100]
    tries = {size: rate(lambda size=size: theirs(few, batch_size=size), 1) for size in BATCHES for _ in range(2)}
    best = max(tries, key=lambda size: tries[size])
    arms["transformers pipeline"] = lambda: theirs(texts, batch_size=best)
    rates: dict[str, list[float]] = {name: [] for name in arms}
    for turn in range(options.rounds + 1):
        for name, run in arms.items():
            value = rate(run)
            if turn:  # the first round warms up
                rates[name].append(value)
        print({name: round(values[-1]) for name, values in rates.items() if values}, flush=True)
    medians = {name: statistics.median(values) for name, values in rates.items()}
    machine.save(
        "predict.json",
        {
            "command": " ".join(["python", *sys.argv]),
            "sentences": len(texts),
            "words": words,
            "pipeline_batch": best,
            "words_per_s": rates,
            "median": medians,
            "ratio_to_pipeline": {name: value / medians["transformers pipeline"] for name, value in medians.items()},
        },
    )


def peer() -> Any:
    """transformers' pipeline with the weights of the trained tagger."""
    settings = params.load().model
    blueprint = Blueprint(**read_json(MODEL / "blueprint.json"))
    trained = load_trained(MODEL / "model.safetensors", blueprint, settings)
    model = AutoModelForTokenClassification.from_pretrained(
        pretrained.encoder_source(settings.encoder), id2label=dict(enumerate(blueprint.labels))
    )
    setattr(model, model.base_model_prefix, trained.encoder)
    model.classifier = trained.head
    tokenizer = pretrained.load_tokenizer(settings.encoder, settings.revision)
    device = 0 if torch.cuda.is_available() else -1
    return pipeline(
        "token-classification", model=model.eval(), tokenizer=tokenizer, aggregation_strategy="simple", device=device
    )


if __name__ == "__main__":
    main()
