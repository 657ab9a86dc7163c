"""config.json: what tagging needs to know about a model besides its graphs, every value within its range.

In format 2 it has the keys of the hub's libraries, for their pipelines, and one key `fpplm`, which alone is read here.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fpplm_core.errors import BundleError
from fpplm_core.tagging.schemes import INNER_SCHEME, OUTSIDE, SCHEMES, split_tag
from fpplm_core.tagging.words import CHARACTERS, UNICODE_1, WHITESPACE

RENAMED = {"rules": UNICODE_1, "blanks": WHITESPACE, "characters": CHARACTERS}  # names that earlier releases wrote
DEVICES = ("cpu", "cuda")
OWN_KEY = "fpplm"
LOGITS = "logits"  # in format 2 for clients without fpplm, in format 1 for this package
TAG_LOGITS = "tag_logits"
SMALLEST_WINDOW, LARGEST_WINDOW = 8, 32_768  # pieces
MOST_LABELS, LONGEST_LABEL = 4096, 1000  # characters
LARGEST_SCORE = 1e6  # 100 times what forbids a transition: sums stay far from the end of float32
SHOWN = 80  # characters of a value that an error repeats
VARIANT = re.compile(r"[A-Za-z0-9_-]{1,40}")  # terminals and metrics show it
HIDDEN = ("Cc", "Cs", "Zl", "Zp")  # characters that steer a terminal, are no text, or break a line


@dataclass(frozen=True)
class BundleConfig:
    """What tagging needs to know about a model besides its graphs.

    `transitions` are the decoder's scores, (K+1, K+1); `segmentation` is the rule that split the training texts into
    words, or OWN; `label_lm_threshold` is the probability below which the label language model reads a word, 0 without
    that model. `graphs` has the file of each variant, `logits` is the output of these files that has the scores of
    `labels`. With `lower_case`, the tokenizer keeps capitals for other clients, and the encoder knows none.
    """

    labels: list[str]
    transitions: list[list[float]]
    window: int
    stride: int
    context: int
    first_shape: int | None
    segmentation: str
    label_lm_threshold: float
    use_label_lm: bool
    variants: dict[str, list[str]]
    graphs: dict[str, str] = field(default_factory=dict)
    logits: str = TAG_LOGITS
    lower_case: bool = False

    @classmethod
    def from_json(cls, values: Mapping[str, Any], version: int, where: str = "config.json") -> BundleConfig:
        """Reads the content of config.json of a bundle of format `version`, 1 or 2.

        Raises BundleError, naming the key, if it is missing or out of range.
        """
        if version > 1:
            values = _Reader(values, where).mapping(OWN_KEY)
        read = _Reader(values, where)
        labels = read.labels()
        window = read.integer("window", SMALLEST_WINDOW, LARGEST_WINDOW)
        segmentation = read.text("words", UNICODE_1)  # the first bundles had only one rule and did not name it
        threshold, use = read.label_lm()
        variants = read.variants()
        names = dict.fromkeys(name for device in DEVICES for name in variants[device])
        return cls(
            labels,
            read.transitions(len(labels) + 1),
            window,
            read.integer("stride", 0, (window - 1) // 2),
            read.integer("context", 0, window),
            None if read.get("first_shape") is None else read.integer("first_shape", 0, 1000),
            RENAMED.get(segmentation, segmentation),
            threshold,
            use,
            variants,
            {name: f"model.{name}.onnx" for name in names} if version == 1 else read.graphs([*names]),
            LOGITS if version == 1 else TAG_LOGITS,
            version > 1 and read.truth("lower_case"),
        )


class _Reader:
    """The values of config.json by their keys; each method raises BundleError if its value is not as it says."""

    def __init__(self, values: Mapping[str, Any], where: str) -> None:
        self.values, self.where = values, where

    def refuse(self, key: str, wanted: str, got: Any) -> BundleError:
        do = "load it with the version of fpplm that made it, or make the bundle again"
        what = f"cannot be read, because `{key}` must be {wanted}"
        return BundleError(what, where=self.where, got=shorten(got), do=do)

    def get(self, key: str) -> Any:
        if key not in self.values:
            raise self.refuse(key, "there", None)
        return self.values[key]

    def integer(self, key: str, low: int, high: int) -> int:
        value = self.get(key)
        if type(value) is not int or not low <= value <= high:
            raise self.refuse(key, f"an integer from {low} to {high}", value)
        return value

    def mapping(self, key: str) -> dict[str, Any]:
        value = self.get(key)
        if not isinstance(value, dict):
            raise self.refuse(key, "an object", value)
        return value

    def truth(self, key: str) -> bool:
        value = self.get(key)
        if type(value) is not bool:
            raise self.refuse(key, "true or false", value)
        return value

    def text(self, key: str, default: str) -> str:
        value = self.values.get(key, default)
        if not isinstance(value, str) or len(value) > LONGEST_LABEL:
            raise self.refuse(key, "a short text", value)
        return value

    def labels(self) -> list[str]:
        """O, then tags of the scheme that training uses, each once."""
        labels = self.get("labels")
        if not isinstance(labels, list) or not 1 <= len(labels) <= MOST_LABELS or labels[0] != OUTSIDE:
            raise self.refuse("labels", f"a list of 1 to {MOST_LABELS} labels, the first of them {OUTSIDE}", labels)
        for label in labels:
            if not is_label(label):
                raise self.refuse("labels", f"{OUTSIDE} and PREFIX-TYPE in printable characters", label)
        if len(set(labels)) < len(labels):
            raise self.refuse("labels", "different from each other", labels)
        return labels

    def transitions(self, size: int) -> list[list[float]]:
        rows = self.get("transitions")
        square = isinstance(rows, list) and len(rows) == size and all(is_row(row, size) for row in rows)
        if not square:
            raise self.refuse("transitions", f"{size} rows of {size} numbers within ±{LARGEST_SCORE:.0f}", rows)
        return rows  # type: ignore[no-any-return]

    def label_lm(self) -> tuple[float, bool]:
        values = self.values.get("label_lm")
        if values is None:
            return 0.0, False
        below: Any = values.get("below") if isinstance(values, dict) else None
        use: Any = values.get("use") if isinstance(values, dict) else None
        if type(below) not in (int, float) or not 0 <= below <= 1 or type(use) is not bool or (use and not below):
            raise self.refuse(
                "label_lm", "`below` from 0 to 1 and `use`, true or false, and false if below is 0", values
            )
        return float(below), use

    def variants(self) -> dict[str, list[str]]:
        variants = self.get("variants")
        if not isinstance(variants, dict) or "cpu" not in variants or not set(variants) <= set(DEVICES):
            raise self.refuse("variants", "the variants of cpu and cuda", variants)
        for names in variants.values():
            if not isinstance(names, list) or not all(
                isinstance(name, str) and VARIANT.fullmatch(name) for name in names
            ):
                raise self.refuse("variants", "lists of names of up to 40 letters, digits, - and _", names)
            if len(set(names)) < len(names):
                raise self.refuse("variants", "different from each other", names)
        return {device: variants.get(device, []) for device in DEVICES}

    def graphs(self, variants: Sequence[str]) -> dict[str, str]:
        """The file of each of these variants; whether it is there, the manifest says."""
        graphs = self.mapping("graphs")
        if not all(isinstance(graphs.get(name), str) for name in variants):
            raise self.refuse("graphs", "the file of each variant", graphs)
        return {name: graphs[name] for name in variants}


def is_label(label: Any) -> bool:
    """Whether this is O or a tag with a prefix of the scheme that training uses, and safe to print."""
    if not isinstance(label, str) or len(label) > LONGEST_LABEL:
        return False
    if any(unicodedata.category(char) in HIDDEN for char in label):
        return False
    try:
        return split_tag(label)[0] in (OUTSIDE, *SCHEMES[INNER_SCHEME])
    except ValueError:
        return False


def is_row(row: Any, size: int) -> bool:
    numbers = isinstance(row, list) and len(row) == size and all(type(value) in (int, float) for value in row)
    return numbers and all(abs(value) <= LARGEST_SCORE for value in row)


def shorten(value: Any) -> str:
    """A value as an error repeats it; only the beginning of a long list is formatted."""
    text = repr(value[:SHOWN] if isinstance(value, (str, list)) else value)
    return text if len(text) <= SHOWN else text[:SHOWN] + "…"
