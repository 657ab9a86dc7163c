"""The table with one row per split and one per split and type; compares splits with each other and two runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from pyarrow.parquet import ParquetFile
from scipy.spatial.distance import jensenshannon
from scipy.stats import chi2_contingency

from fpplm_core.quality.checks import MIN_TEST_EXAMPLES, check_names
from fpplm_core.quality.columns import Corpus, batch_entities, batches, place_of, tags_in_context
from fpplm_core.quality.statistics import SplitStatistics

CHANCE = 0.001  # p below which a difference between two splits is not by chance
SHOWN = 3  # most-changed types shown

Sizes = Mapping[str, Mapping[str, Any]]  # SplitStatistics by split as JSON, perhaps of an earlier release


def splits(
    corpus: Corpus,
    sizes: Mapping[str, SplitStatistics],
    scheme: str,
    min_sentences: int,
    min_examples: int,
    drift: float,
    admitted: Collection[str] = (),
    min_test_examples: int = MIN_TEST_EXAMPLES,
) -> pd.DataFrame:
    """One row per split, then one per split and type; `sizes` are the splits' `statistics`. The index counts entities.

    Two distributions of types differ if their Jensen-Shannon distance is at least `drift`, in [0, 1]. If no type is
    listed as `admitted`, all are.
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

        def cell(description: str | None, file: str = file) -> str | None:
            return f"{file}:1: {description}" if description else None

        @cache
        def places(split: str = split, data: ParquetFile = data) -> dict[str, str]:
            return _first_places(split, data, len(counts[split]))

        def cell_of(
            kind: str, description: str | None, places: Callable[[], dict[str, str]] = places, file: str = file
        ) -> str | None:
            return f"{places().get(kind, f'{file}:1')}: {description}" if description else None

        what = "no sentence" if first is None else "no entity" if not counts[split] else None
        few = split == "train" and 0 < number < min_sentences
        everywhere = number and scheme != "TAGS" and not always and sizes[split].sentences_with_entities == number
        changed = None if split == "train" else _changed(counts["train"], counts[split], drift)
        keys.append((split, None, counts[split].total()))
        rows.append(
            {
                "empty_split": cell(what and f"{split} has {what}"),
                "few_sentences": cell(
                    f"{number} sentences in {split}, at least {min_sentences} wanted" if few else None
                ),
                "label_drift": cell(changed and f"types in {split} against train: {changed}"),
                "always_present": cell(_always(split, number, "an entity") if everywhere else None),
            }
        )
        for kind in types:
            here, trained = counts[split][kind], counts["train"][kind]
            unknown = f"{kind}: {here} in {split}, none in train" if here and not trained else None
            foreign = here and admitted and kind not in admitted
            rare = split == "train" and 0 < here < min_examples
            unsure = split != "train" and trained and number and here < min_test_examples
            keys.append((split, kind, here))
            rows.append(
                {
                    "always_present": cell_of(kind, _always(split, number, kind) if kind in always else None),
                    "unknown_type": cell_of(kind, unknown),
                    "unlisted_type": cell_of(
                        kind,
                        f"{kind!r}: {here} in {split}, but not one of {', '.join(admitted)}" if foreign else None,
                    ),
                    "few_examples": cell_of(
                        kind, f"{kind}: {here} in {split}, at least {min_examples} wanted" if rare else None
                    ),
                    "few_test_examples": cell_of(
                        kind, f"{kind}: {here} in {split}, at least {min_test_examples} wanted" if unsure else None
                    ),
                }
            )
    index = pd.MultiIndex.from_tuples(keys, names=["split", "type", "count"])
    return pd.DataFrame(rows, index, check_names("splits"), dtype=object)


def _first_places(split: str, data: ParquetFile, types: int) -> dict[str, str]:
    """file:line of the first entity of each of the split's types, of which there are `types`."""
    found: dict[str, str] = {}
    for _, batch in batches({split: data}, ["tags", "file", "lines"]):
        spans, place = batch_entities(*tags_in_context(batch["tags"])), place_of(batch)
        kinds, firsts = np.unique(spans.kind, return_index=True)
        for kind, first in zip(kinds.tolist(), firsts.tolist(), strict=True):
            found.setdefault(spans.names[kind], place(int(spans.start[first])))
        if len(found) == types:
            break
    return found


def _always(split: str, number: int, what: str) -> str:
    return f"every one of the {number} sentences of {split} has {what}"


def _changed(before: Mapping[str, int], after: Mapping[str, int], drift: float) -> str | None:
    """The types that changed most if their distribution differs; None if it may be chance, or is little."""
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
    "length_median": "median words per sentence",
    "length_p95": "95th percentile of words per sentence",
    "entity_share": "share of words in entities",
}


def drift(before: Sizes, after: Sizes, threshold: float) -> list[str]:
    """Describes what has changed since an earlier run's `statistics`: splits, types, sizes, lengths and scripts.

    Distributions are compared as for `label_drift`; any other number has changed if it differs by more than the share
    `threshold` of its earlier value. Numbers that an earlier version did not record are skipped.
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
        for name, title in (("entities", "types"), ("letters", "scripts of letters")):
            if changed := _changed(old.get(name, {}), new.get(name, {}), threshold):
                found.append(f"{split}: {title}: {changed}")
        for name, title in _SIZES.items():
            if name in old and name in new and abs(new[name] - old[name]) > threshold * old[name]:
                found.append(f"{split}: {title}: {old[name]:g} to {new[name]:g}")
    return found
