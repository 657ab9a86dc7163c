"""The table with one row a split, and one a split and type; what is unlike between splits, and between two runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy.spatial.distance import jensenshannon
from scipy.stats import chi2_contingency

from fpplm_core.quality.checks import check_names
from fpplm_core.quality.columns import Corpus
from fpplm_core.quality.statistics import SplitStatistics

MIN_TEST_EXAMPLES = 10  # entities of a type in dev or test
CHANCE = 0.001  # of a difference as large as that between two splits, below which it is none by chance
SHOWN = 3  # types that have changed most

Sizes = Mapping[str, Mapping[str, Any]]  # SplitStatistics by split as JSON, perhaps of an earlier release


def splits(
    corpus: Corpus,
    sizes: Mapping[str, SplitStatistics],
    scheme: str,
    min_sentences: int,
    min_examples: int,
    drift: float,
    min_test_examples: int = MIN_TEST_EXAMPLES,
) -> pd.DataFrame:
    """One row a split, then one row a split and type; `sizes` are its `statistics`. The index has the entities' number.

    `drift` is the Jensen-Shannon distance of two distributions of types from which on they differ, in [0, 1].
    """
    counts: dict[str, Counter[str]] = {split: Counter(size.entities) for split, size in sizes.items()}
    types = sorted({kind for part in counts.values() for kind in part})
    rows: list[dict[str, str | None]] = []
    keys: list[tuple[str, str | None, int]] = []
    for split, data in corpus.items():
        first = next(data.iter_batches(1, columns=["file"]), None)
        file = split if first is None else first["file"][0].as_py()
        number = sizes[split].sentences
        held = sizes[split].sentences_with
        always = [kind for kind in types if held.get(kind) == number] if number and scheme != "TAGS" else []

        def cell(said: str | None, file: str = file) -> str | None:
            return f"{file}:1: {said}" if said else None

        what = "no sentence" if first is None else "no entity" if not counts[split] else None
        few = split == "train" and 0 < number < min_sentences
        everywhere = number and scheme != "TAGS" and not always and sizes[split].sentences_with_entities == number
        changed = None if split == "train" else _changed(counts["train"], counts[split], drift)
        keys.append((split, None, counts[split].total()))
        rows.append(
            {
                "empty_split": cell(what and f"{split} has {what}"),
                "few_sentences": cell(f"{number} sentences in {split}, wanted {min_sentences}" if few else None),
                "label_drift": cell(changed and f"types in {split} against train: {changed}"),
                "always_present": cell(_always(split, number, "an entity") if everywhere else None),
            }
        )
        for kind in types:
            here, trained = counts[split][kind], counts["train"][kind]
            unknown = f"{kind}: {here} in {split}, none in train" if here and not trained else None
            rare = split == "train" and 0 < here < min_examples
            unsure = split != "train" and trained and number and here < min_test_examples
            keys.append((split, kind, here))
            rows.append(
                {
                    "always_present": cell(_always(split, number, kind) if kind in always else None),
                    "unknown_type": cell(unknown),
                    "few_examples": cell(f"{kind}: {here} in {split}, wanted {min_examples}" if rare else None),
                    "few_test_examples": cell(
                        f"{kind}: {here} in {split}, wanted {min_test_examples}" if unsure else None
                    ),
                }
            )
    index = pd.MultiIndex.from_tuples(keys, names=["split", "type", "count"])
    return pd.DataFrame(rows, index, check_names("splits"), dtype=object)


def _always(split: str, number: int, what: str) -> str:
    return f"every one of the {number} sentences of {split} has {what}"


def _changed(before: Mapping[str, int], after: Mapping[str, int], drift: float) -> str | None:
    """Which types have changed most, where their distribution differs; None where it may be chance, or is little."""
    names = sorted(name for name in {*before, *after} if before.get(name, 0) + after.get(name, 0))
    table = np.array([[part.get(name, 0) for name in names] for part in (before, after)], dtype=float)
    if len(names) < 2 or not table.sum(axis=1).all():
        return None
    shares = table / table.sum(axis=1, keepdims=True)
    distance = float(jensenshannon(*shares, base=2))
    chance = float(chi2_contingency(table, correction=False, lambda_="log-likelihood").pvalue)
    if distance < drift or chance >= CHANCE:
        return None
    order = np.argsort(-np.abs(shares[1] - shares[0]), kind="stable")[:SHOWN]
    parts = ", ".join(f"{names[i]} {shares[0, i]:.0%} to {shares[1, i]:.0%}" for i in order.tolist())
    return f"{parts} (distance {distance:.2f})"


_SIZES = {
    "sentences": "sentences",
    "words": "words",
    "length_median": "words in half of the sentences, at most",
    "length_p95": "words in 95 % of the sentences, at most",
    "entity_share": "share of words in entities",
}


def drift(before: Sizes, after: Sizes, threshold: float) -> list[str]:
    """What has changed since an earlier run's `statistics`, in words: splits, types, sizes, lengths and scripts.

    Distributions are compared as `label_drift` compares them; any other number has changed where it is larger or
    smaller by `threshold` of what it was. What an earlier version did not count is passed over.
    """
    found = []
    for split in sorted({*before, *after}, key=[*before, *after].index):
        old, new = before.get(split, {}), after.get(split, {})
        if not old or not new:
            found.append(f"{split}: " + ("is new" if new else "is gone"))
            continue
        was, now = old.get("entities", {}), new.get("entities", {})
        found += [f"{split}: the type {kind} is new ({now[kind]})" for kind in sorted(now.keys() - was.keys())]
        found += [f"{split}: the type {kind} is gone ({was[kind]} before)" for kind in sorted(was.keys() - now.keys())]
        for name, said in (("entities", "types"), ("letters", "scripts of letters")):
            if changed := _changed(old.get(name, {}), new.get(name, {}), threshold):
                found.append(f"{split}: {said}: {changed}")
        for name, said in _SIZES.items():
            if name in old and name in new and abs(new[name] - old[name]) > threshold * old[name]:
                found.append(f"{split}: {said}: {old[name]:g} to {new[name]:g}")
    return found
