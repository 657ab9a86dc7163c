"""What `fpplm queue` is worth: F1 against the number of annotated sentences, beside sentences drawn at random.

    python -m benchmarks.studies.label_queue FOLDER NAME [--arm ARM] [--seeds N]

FOLDER/NAME has train.conll, dev.conll and test.conll. A seed draws START sentences of train, and POOL others whose
annotation is hidden. Each round trains a tagger on what is annotated, and lets an arm choose STEP sentences of the
pool; the corpus is the annotator. The tagger is trained plainly for STEPS steps. Its encoder's lower blocks are frozen,
so that their states are computed once: a training takes seconds.

Results are appended to benchmarks/results/label-queue.jsonl, a line for each training; rounds that are there already
are not written again. `python -m benchmarks.studies.label_queue_results` makes the table and the figure.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.harness.machine import RESULTS
from benchmarks.studies.few_sentences import Study, Trained, logits_of
from fpplm.prediction.formats import of_sentence
from fpplm.queue import candidates as queue
from fpplm.queue.candidates import Pool
from fpplm.queue.selection import choose
from fpplm_core.evaluation.metrics import micro_f1
from fpplm_core.files import append_json_line, read_json_lines

FILE = RESULTS / "label-queue.jsonl"
START, STEP, ROUNDS, POOL = 100, 100, 3, 900  # sentences; rounds
ARMS = ("random", "uncertainty", "queue")


class Queue(Study):
    """A corpus whose annotation is hidden at first."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.starts: dict[int, Trained] = {}  # by seed, the tagger that all arms begin with

    def rounds(self, arm: str, seed: int) -> Iterator[dict[str, Any]]:
        """The result of each training of an arm."""
        order = np.random.default_rng(seed).permutation(len(self.train.words)).tolist()
        chosen, pool = order[:START], order[START : START + POOL]
        if seed not in self.starts:
            self.starts = {seed: self.fit(chosen, seed)}
        trained = self.starts[seed]
        while True:
            test = trained.decoder.spans(logits_of(trained.model, self.test.windows, self.test.words))
            yield {
                "sentences": len(chosen),
                "words": sum(len(self.train.words[n]) for n in chosen),
                "mentions": sum(len(self.train.gold[n]) for n in chosen),
                "dev_f1": round(100 * trained.dev_f1, 2),
                "test_f1": round(100 * micro_f1(self.test.gold, test), 2),
            }
            picked = self.choose(arm, pool, trained)
            chosen, pool = chosen + picked, [n for n in pool if n not in set(picked)]
            trained = self.fit(chosen, seed)

    def choose(self, arm: str, pool: list[int], trained: Trained) -> list[int]:
        """Sentences of the pool to annotate next."""
        if arm == "random":
            return pool[:STEP]  # the pool is in random order
        logits = logits_of(trained.model, self.train.of(pool), [self.train.words[n] for n in pool])
        spans = trained.decoder.scored_spans(logits)
        numbers, rated = {}, Pool(queue.POOL * STEP)
        for number, own, values in zip(pool, spans, logits, strict=True):
            candidate = queue.rate(of_sentence(self.train.sentences[number]), own, values, self.blueprint.labels)
            numbers[candidate] = number
            rated.add(candidate)
        found = choose(rated.best(), STEP) if arm == "queue" else rated.best()[:STEP]
        return [numbers[candidate] for candidate in found]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("name")
    parser.add_argument("--arm", action="append", choices=ARMS)
    parser.add_argument("--seeds", type=int, default=5)
    given = parser.parse_args()
    torch.set_num_threads(1)
    study = Queue(given.folder / given.name)
    for seed in range(1, given.seeds + 1):
        for arm in given.arm or ARMS:
            place = {"corpus": given.name, "arm": arm, "seed": seed}
            done = sum(place.items() <= row.items() for row in read_json_lines(FILE))
            if done > ROUNDS:
                continue
            for number, result in enumerate(islice(study.rounds(arm, seed), ROUNDS + 1)):
                if number >= done:
                    print(place | result, flush=True)
                    append_json_line(FILE, place | result)


if __name__ == "__main__":
    main()
