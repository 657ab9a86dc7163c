"""A sketch of the texts that a tagger saw: only counts, without any text or word, in a file of some kilobytes.

It counts in BLOCKS blocks, each of some texts, because words of a text are alike: only the differences between blocks
show what chance does. The words of a text, or the number of its document, decide its block, so the sketches of several
shards add up to that of all their texts.
"""

from __future__ import annotations

import json
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fpplm_core.errors import BundleError, DataError, shown
from fpplm_core.serving.bundle import SKETCH, Bundle
from fpplm_core.serving.files import FETCH, open_regular, parse_json, read_limited
from fpplm_core.serving.predictor import Predictor
from fpplm_core.tagging.scripts import SCRIPTS, script_of
from fpplm_core.tagging.spans import Span, types_of
from fpplm_core.tagging.windows import LONGEST_CACHED, WORD_SHAPES, WindowBuilder, word_shape

FORMAT = 1
BLOCKS = 32
LARGEST = 1 << 24  # bytes of a file
MOST = 1 << 48  # the largest count: sums of them stay whole numbers everywhere
NO_SCRIPT = "none"  # of a word without letters
SCORES = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99)  # where a bin ends and the next one begins
LENGTHS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)  # words of a text: where a bin ends
PIECES = 5  # of a word; the last bin has those with more
Counts = NDArray[np.int64]


def bins_of(types: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The bins of each feature, for a tagger with these types. The first five features need no tagger."""
    return {
        "words of a text": ("0", *(f"to {size}" for size in LENGTHS), f"over {LENGTHS[-1]}"),
        "scripts": (*SCRIPTS, NO_SCRIPT),
        "shapes": WORD_SHAPES,
        "pieces of a word": (*map(str, range(1, PIECES)), f"{PIECES} or more"),
        "unknown words": ("unknown", "known"),
        "mentions": ("a mention begins", "none begins"),
        "types": tuple(types),
        "scores": (*(f"below {score}" for score in SCORES), f"from {SCORES[-1]}"),
        "texts": ("with a mention", "without"),
    }


class Sketch:
    """Counts by feature, block and bin; threads may add to it. *Shape:* (BLOCKS, bins) of each feature.

    `bundle` is the digest of the bundle that tagged the texts, None for the reference sketch in a bundle.
    """

    def __init__(self, types: Sequence[str], bundle: str | None = None) -> None:
        self.types, self.bundle = tuple(types), bundle
        self.bins = bins_of(types)
        self.counts = {feature: np.zeros((BLOCKS, len(bins)), np.int64) for feature, bins in self.bins.items()}
        self._lock = Lock()

    @classmethod
    def of(cls, predictor: Predictor) -> Sketch:
        """An empty sketch of what a predictor sees."""
        return cls(types_of([predictor.labels]), predictor.bundle.manifest["digest"])

    @property
    def texts(self) -> int:
        """How many texts it has seen."""
        return int(self.counts["words of a text"].sum())

    def add(
        self,
        words: Sequence[str],
        builder: WindowBuilder,
        spans: Iterable[tuple[Span, float]] | None,
        document: int | None = None,
    ) -> None:
        """Counts a text: its words, and the spans over them with their scores unless nothing has tagged it."""
        block = _block(words, document)
        pieces = builder.pieces(words)
        sizes = Counter(min(len(ids), PIECES) - 1 for ids in pieces)
        unknown = sum(builder.unknown_pieces.issuperset(ids) for ids in pieces)
        found: dict[str, Mapping[int, int]] = {
            "words of a text": {int(np.searchsorted([0, *LENGTHS], len(words))): 1},
            "scripts": Counter(map(_script_number, words)),
            "shapes": Counter(map(word_shape, words)),
            "pieces of a word": sizes,
            "unknown words": {0: unknown, 1: len(words) - unknown},
        }
        if spans is not None:
            types, scores = Counter[int](), Counter[int]()
            for span, score in spans:
                types[self.types.index(span.type)] += 1
                scores[int(np.searchsorted(SCORES, score, side="right"))] += 1
            mentions = types.total()
            found |= {
                "mentions": {0: mentions, 1: len(words) - mentions},
                "types": types,
                "scores": scores,
                "texts": {0 if mentions else 1: 1},
            }
        with self._lock:
            for feature, numbers in found.items():
                row = self.counts[feature][block]
                for place, number in numbers.items():
                    row[place] += number

    def copy(self) -> Sketch:
        """What it has counted so far."""
        return Sketch(self.types, self.bundle) + self

    def __add__(self, other: Sketch) -> Sketch:
        """The sketch of the texts of both. Raises DataError if they are of two bundles."""
        return self._with(other, 1)

    def __sub__(self, other: Sketch) -> Sketch:
        """The sketch without the texts of an earlier copy."""
        return self._with(other, -1)

    def _with(self, other: Sketch, sign: int) -> Sketch:
        if (self.types, self.bundle) != (other.types, other.bundle):
            got = " and ".join(str(digest)[:12] for digest in (self.bundle, other.bundle))
            raise DataError("sketches of two bundles", got=got, do="compare each with its own bundle")
        found = Sketch(self.types, self.bundle)
        with self._lock:
            for feature, counts in self.counts.items():
                found.counts[feature] += counts
        with other._lock:
            for feature, counts in other.counts.items():
                found.counts[feature] += sign * counts
        return found

    def as_text(self) -> str:
        """Its file: JSON, with a line for each feature."""
        lines = ",\n".join(
            f"  {json.dumps(feature)}: {json.dumps({'bins': bins, 'counts': self.counts[feature].tolist()})}"
            for feature, bins in self.bins.items()
        )
        head = json.dumps({"format": FORMAT, "bundle": self.bundle, "types": self.types})
        return f'{head[:-1]}, "features": {{\n{lines}\n}}}}\n'


def read_sketch(path: Path) -> Sketch:
    """Reads a sketch that `fpplm predict` or `fpplm serve` wrote. Raises DataError for anything else."""
    try:
        with open_regular(path, allow_links=True) as stream:
            raw = read_limited(stream, path, LARGEST)
    except BundleError as error:
        raise DataError(error.what, where=str(path), got=error.got, do="name a sketch") from None
    return parse_sketch(raw, str(path))


def read_reference(bundle: Bundle, live: Sketch) -> Sketch:
    """The sketch of a bundle's training data, to compare with what this bundle has seen.

    Raises DataError if another bundle saw it, and BundleError if the bundle has no sketch.
    """
    if live.bundle != bundle.manifest["digest"]:
        got, do = f"its digest {str(live.bundle)[:12]}", "name the bundle that tagged the texts"
        raise DataError("the sketch is of another bundle", where=str(bundle.path), got=got, do=do)
    if SKETCH not in bundle.manifest["files"]:
        do = "make a bundle with this version of fpplm: fpplm retrain"
        raise BundleError("the bundle has no sketch of its training data", where=str(bundle.path), do=do)
    try:
        return parse_sketch(bundle.read(SKETCH), str(bundle.path / SKETCH))
    except DataError as error:
        raise BundleError(error.what, where=error.where, got=error.got, do=FETCH) from None


def parse_sketch(raw: bytes, where: str) -> Sketch:
    """The sketch in a file's content. Raises DataError, naming what is wrong."""
    do = "write it anew: --sketch of fpplm predict or fpplm serve"
    try:
        values = parse_json(raw, where)
    except BundleError as error:
        raise DataError("not a sketch", where=where, got=error.got, do=do) from None
    if values.get("format") != FORMAT:
        got = f"format {shown(values.get('format'))}"
        raise DataError("not a sketch that this version reads", where=where, got=got, do=f"expected format {FORMAT}")
    try:
        return _parsed(values)
    except ValueError as error:
        raise DataError(f"not a sketch: {error}", where=where, do=do) from None


def _parsed(values: Mapping[str, Any]) -> Sketch:
    """Raises ValueError for anything that no Sketch has written."""
    bundle, types, features = (values.get(key) for key in ("bundle", "types", "features"))
    if not isinstance(bundle, str | None):
        raise ValueError("`bundle` is no digest")
    if not isinstance(types, list) or not all(isinstance(kind, str) for kind in types) or len(set(types)) < len(types):
        raise ValueError("`types` are no different names")
    sketch = Sketch(types, bundle)
    if not isinstance(features, dict) or features.keys() != sketch.counts.keys():
        raise ValueError("the features are not those of this version")
    for feature, bins in sketch.bins.items():
        found = features[feature]
        if not isinstance(found, dict) or found.get("bins") != list(bins):
            raise ValueError(f"`{feature}` has other bins")
        sketch.counts[feature][:] = _counts(found.get("counts"), len(bins), feature)
    totals = {feature: int(counts.sum()) for feature, counts in sketch.counts.items()}
    words = totals["scripts"]
    same = totals["shapes"] == totals["pieces of a word"] == totals["unknown words"] == words >= totals["mentions"]
    mentions = int(sketch.counts["mentions"][:, 0].sum())
    if not same or not totals["types"] == totals["scores"] == mentions or totals["texts"] > sketch.texts:
        raise ValueError("its counts contradict each other")
    return sketch


def _counts(rows: Any, bins: int, feature: str) -> Counts:
    if not isinstance(rows, list) or len(rows) != BLOCKS:
        raise ValueError(f"`{feature}` does not have {BLOCKS} blocks")
    for row in rows:
        if not isinstance(row, list) or len(row) != bins or not all(type(n) is int and 0 <= n < MOST for n in row):
            raise ValueError(f"`{feature}` has a block that is not {bins} counts")
    return np.array(rows, np.int64).reshape(BLOCKS, bins)


def _block(words: Sequence[str], document: int | None) -> int:
    key = "\n".join(words) if document is None else f"document {document}"
    return zlib.crc32(key.encode("utf-8", "replace")) % BLOCKS


def _script_number(word: str) -> int:
    return _known_script(word) if len(word) <= LONGEST_CACHED else _script(word)


def _script(word: str) -> int:
    """The number of the script of a word's first letter."""
    first = next(filter(None, map(script_of, word)), None)
    return len(SCRIPTS) if first is None else SCRIPTS.index(first)


_known_script = lru_cache(100_000)(_script)
