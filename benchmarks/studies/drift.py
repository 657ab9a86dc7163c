"""How often `fpplm drift` finds a drift that is there, and one that is not.

    python -m benchmarks.studies.drift BUNDLE FOLDER    # FOLDER/NAME/{train,dev,test}.conll

tags at most MOST sentences of each corpus once, as they are and in lower case (build/drift keeps the answers), and then
compares samples of them, SEEDS times each. The reference is a random half of a corpus, in whole documents where they
are marked. Undrifted texts are drawn from the other half: single texts, as a service sees them, or whole documents,
which are then known. For drifted ones, all or a share of them are exchanged for texts of another corpus, or all are
written in lower case. Of WikiGold, dev and test alone are used, since the bundle has learned from its train. Writes
benchmarks/results/drift.json.
"""

from __future__ import annotations

import json
import pickle
import sys
from collections.abc import Iterable, Sequence
from itertools import groupby, islice
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.harness.machine import RESULTS
from fpplm.cli.drift import ALPHA, MIN_DISTANCE
from fpplm_core.data.formats import read_sentences
from fpplm_core.data.options import Options
from fpplm_core.errors import DataError
from fpplm_core.evaluation.drift import compare_sketches
from fpplm_core.serving import Predictor
from fpplm_core.serving.sketch import Sketch
from fpplm_core.tagging.spans import Span

FILE = RESULTS / "drift.json"
CACHE = Path("build/drift")
CORPORA = {"wikigold": "wnut17", "wnut17": "ncbi_disease", "ncbi_disease": "gum_open", "gum_open": "wnut17"}
MOST = 2500  # sentences of a corpus
SIZES = (100, 300, 1000)
SEEDS = 20
SHARES = {"20 % of another corpus": 0.2, "another corpus": 1.0}


class Text(NamedTuple):
    """A tagged sentence; `document` is a number within its corpus, None where documents are not marked."""

    words: tuple[str, ...]
    document: int | None
    spans: list[tuple[Span, float]]


Unit = list[Text]  # a document, or a text


def main() -> None:
    predictor, source = Predictor.load(sys.argv[1], "cpu"), Path(sys.argv[2])
    tagged = {(name, low): units_of(name, source, predictor, low) for name in CORPORA for low in (False, True)}
    rows = []
    for drawn in ("texts", "documents"):
        for name, other in CORPORA.items():
            is_marked = any(len(unit) > 1 for unit in tagged[name, False])
            for size in SIZES:
                if size * 2 <= sum(map(len, tagged[name, False])) and (drawn == "texts" or is_marked):
                    rows.append(measure(drawn, name, other, size, tagged, predictor))
                    print(rows[-1], flush=True)
                    FILE.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def units_of(name: str, source: Path, predictor: Predictor, lower: bool) -> list[Unit]:
    file = CACHE / f"{name}{'_lower' if lower else ''}.pickle"
    if not file.exists():
        splits = ("dev", "test") if name == "wikigold" else ("test", "dev", "train")
        read = ((split, read_sentences(source / name / f"{split}.conll", "conll", Options())) for split in splits)
        found = [(split, sentence) for split, sentences in read for sentence in sentences][:MOST]
        keys = [None if s.document is None else (split, s.document) for split, s in found]
        numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
        documents = [None if key is None else numbers[key] for key in keys]
        words = [tuple(word.lower() if lower else word for word in s.words) for _, s in found]
        texts = list(map(Text, words, documents, predictor.tag(words, documents)))
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(pickle.dumps(texts))
    texts = pickle.loads(file.read_bytes())
    marked = enumerate(texts)
    return [
        [text for _, text in unit]
        for _, unit in groupby(marked, lambda one: -1 - one[0] if one[1].document is None else one[1].document)
    ]


def measure(
    drawn: str, name: str, other: str, size: int, tagged: dict[tuple[str, bool], list[Unit]], predictor: Predictor
) -> dict[str, object]:
    """How many of the seeds alarm, for each kind of texts, and which features do."""
    kinds = ["none", "lower case", *SHARES]
    alarms, features = dict.fromkeys(kinds, 0), {kind: dict[str, int]() for kind in kinds}
    for seed in range(SEEDS):
        random = np.random.default_rng(seed)
        order = random.permutation(len(tagged[name, False]))
        half = len(order) // 2
        reference = sketch_of((text for n in order[:half] for text in tagged[name, False][n]), predictor)
        for kind in kinds:
            own = draw([tagged[name, kind == "lower case"][n] for n in order[half:]], drawn, random)
            foreign = draw(tagged[other, False], drawn, random)
            number = round(SHARES.get(kind, 0) * size)
            texts = [*islice(own, size - number), *islice(foreign, number)]
            try:
                found = compare_sketches(reference, sketch_of(texts, predictor), MIN_DISTANCE, ALPHA).matters
            except DataError:  # of too few documents nothing is said
                continue
            alarms[kind] += bool(found)
            for one in found:
                features[kind][one.feature] = features[kind].get(one.feature, 0) + 1
    return {
        "drawn": drawn,
        "corpus": name,
        "other": other,
        "texts": size,
        "seeds": SEEDS,
        "alarms": alarms,
        "features": features,
    }


def draw(units: Sequence[Unit], drawn: str, random: np.random.Generator) -> Iterable[Text]:
    """All texts in a random order: one by one without their documents, or in whole documents."""
    if drawn == "texts":
        units = [[text._replace(document=None)] for unit in units for text in unit]
    return (text for number in random.permutation(len(units)) for text in units[number])


def sketch_of(texts: Iterable[Text], predictor: Predictor) -> Sketch:
    sketch = Sketch.of(predictor)
    for text in texts:
        sketch.add(text.words, predictor.builder, text.spans, text.document)
    return sketch


if __name__ == "__main__":
    main()
