"""What `data.describe` is worth: dev F1 of taggers trained on few mentions of each type, by where their head starts.

    python -m benchmarks.studies.label_names FOLDER [--corpus NAME] [--seeds N]

FOLDER/NAME has train.conll, dev.conll and test.conll, for each corpus of CORPORA; test is not used. A seed draws
sentences of train until each type has the wanted number of mentions (or no sentence is left). The head's rows start

    off           at random
    names         also at the encodings of the types' names
    descriptions  at those of longer descriptions
    prototypes    at the mean states of the types' words in these sentences, and of other words for O

Training is plain, or has the technique fuzzy_regions, whose frozen phase trains the head before step 0. Results are
appended to benchmarks/results/label-names.jsonl, a line for each training; what is there already is not trained again.
At the end, the table is printed.
"""

from __future__ import annotations

import argparse
import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.harness.curves import Mean
from benchmarks.harness.machine import RESULTS
from benchmarks.studies.few_sentences import Study
from fpplm_core.files import append_json_line, read_json_lines
from fpplm_core.model import pretrained
from fpplm_core.model.descriptions import add_descriptions, encode_descriptions
from fpplm_core.model.tagger import Tagger
from fpplm_core.tagging.batches import collate
from fpplm_core.tagging.windows import WindowBuilder

FILE = RESULTS / "label-names.jsonl"
FROZEN, STEPS = 5, 100  # of the encoder's six blocks; of a training
MENTIONS = (5, 10, 20, 50)  # of each type
ARMS = ("off", "names", "descriptions", "prototypes")
TRAININGS = {"plain": (), "frozen phase": ("fuzzy_regions",)}
CORPORA = {  # the name and the description of each type
    "wikigold": {
        "LOC": ("location", "names of places such as cities, countries and rivers"),
        "MISC": ("miscellaneous", "names of films, books, nationalities and events"),
        "ORG": ("organization", "names of companies, teams, bands and institutions"),
        "PER": ("person", "names of persons"),
    },
    "gum_open": {
        "abstract": ("abstract", "ideas, qualities, feelings and other abstract things"),
        "animal": ("animal", "animals such as dogs, birds and fish"),
        "event": ("event", "events such as wars, meetings and games"),
        "object": ("object", "objects and things made by people"),
        "organization": ("organization", "companies, governments, teams and universities"),
        "person": ("person", "people, their names and their roles"),
        "place": ("place", "places such as cities, countries and buildings"),
        "plant": ("plant", "plants such as trees and flowers"),
        "substance": ("substance", "materials and liquids such as water and salt"),
        "time": ("time", "dates, years and times of day"),
    },
}


class FewMentions(Study):
    """A corpus, and what the heads of its taggers may start at."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, FROZEN, STEPS)
        settings = self.params.model
        encoder = pretrained.load_encoder(settings.encoder, settings.revision)
        tokenizer = pretrained.load_tokenizer(settings.encoder, settings.revision).backend_tokenizer
        builder = WindowBuilder(tokenizer, 256, 64)
        texts = CORPORA[folder.name]
        self.encodings = {
            arm: encode_descriptions(encoder, {kind: builder.windows([texts[kind][n].split()]) for kind in texts})
            for n, arm in enumerate(("names", "descriptions"))
        }

    def draw(self, mentions: int, seed: int) -> list[int]:
        """Sentences of train with at least so many mentions of each type; each has one of a type that needs more."""
        found, chosen = Counter[str](), []
        for number in np.random.default_rng(seed).permutation(len(self.train.gold)).tolist():
            kinds = [span.type for span in self.train.gold[number]]
            if any(found[kind] < mentions for kind in kinds):
                found.update(kinds)
                chosen.append(number)
        return chosen

    def prototypes(self, tagger: Tagger, chosen: Sequence[int]) -> dict[str, Tensor]:
        """The mean states of the words of each type in these sentences, "" for words outside of mentions."""
        states: dict[str, list[Tensor]] = {}
        for window in self.train.of(chosen):
            ids, mask, types, first, _ = map(torch.from_numpy, collate([window]))
            with torch.no_grad():
                own = tagger.eval().first_piece_states(tagger.encode(ids, mask, types), first)[0]
            kinds = [""] * len(self.train.words[chosen[window.sentence]])
            for span in self.train.gold[chosen[window.sentence]]:
                kinds[span.start : span.end] = [span.type] * (span.end - span.start)
            for word, state in zip(window.owned_words, own, strict=True):
                states.setdefault(kinds[word], []).append(state)
        return {kind: torch.stack(rows).mean(0) for kind, rows in sorted(states.items())}

    def result(self, arm: str, training: str, mentions: int, seed: int) -> dict[str, Any]:
        chosen = self.draw(mentions, seed)

        def begin(tagger: Tagger) -> None:
            if arm != "off":
                found = self.prototypes(tagger, chosen) if arm == "prototypes" else self.encodings[arm]
                rows = {label: row for row, label in enumerate(self.blueprint.labels)}
                add_descriptions(tagger.head, rows, found)

        dev_f1 = self.fit(chosen, seed, begin, TRAININGS[training]).dev_f1
        return {"sentences": len(chosen), "dev_f1": round(100 * dev_f1, 2)}


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Dev F1 without descriptions, and the differences of the other arms from it, paired by seed."""
    lines = [f"| corpus, seeds | training | mentions | off | {' | '.join(ARMS[1:])} |"]
    lines.append("| --- " * (len(ARMS) + 3) + "|")
    f1 = {(r["corpus"], r["training"], r["mentions"], r["arm"], r["seed"]): r["dev_f1"] for r in rows}
    for place in itertools.product(CORPORA, TRAININGS, MENTIONS):
        seeds = sorted({key[4] for key in f1 if key[:3] == place})
        whole = [seed for seed in seeds if all((*place, arm, seed) in f1 for arm in ARMS)]
        if whole:
            arms = {arm: np.array([f1[*place, arm, seed] for seed in whole]) for arm in ARMS}
            gains = [str(Mean.of((arms[arm] - arms["off"]).tolist())) for arm in ARMS[1:]]
            corpus, training, mentions = place
            cells = [f"{corpus}, {len(whole)}", training, str(mentions), str(Mean.of(arms["off"].tolist())), *gains]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--corpus", action="append", choices=CORPORA)
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    torch.set_num_threads(1)
    done = {(r["corpus"], r["training"], r["mentions"], r["seed"], r["arm"]) for r in read_json_lines(FILE)}
    for corpus in given.corpus or CORPORA:
        study = FewMentions(given.folder / corpus)
        for place in itertools.product(TRAININGS, MENTIONS, range(1, given.seeds + 1), ARMS):
            if (corpus, *place) not in done:
                training, mentions, seed, arm = place
                row = {"corpus": corpus, "seed": seed, "training": training, "mentions": mentions, "arm": arm}
                row |= study.result(arm, training, mentions, seed)
                print(row, flush=True)
                append_json_line(FILE, row)
    print(table(read_json_lines(FILE)))


if __name__ == "__main__":
    main()
