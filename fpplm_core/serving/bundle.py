"""A bundle: a folder with everything that tagging needs, and a manifest that proves its integrity.

model.<variant>.onnx   graphs: fp32, fp16, int8
label_lm.onnx          optional: the label language model, which reads labels and states and writes labels
tokenizer.json         words to pieces
config.json            labels, transition scores, window, variants by device in order of preference
golden.json            sentences with the entities that they must yield
README.md              model card
manifest.json          sha256 of every file, parameters, data hashes, commit, versions, scores
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fpplm_core.errors import BundleError
from fpplm_core.tagging.words import CHARACTERS, UNICODE_1, WHITESPACE

FORMAT = 1
RENAMED = {"rules": UNICODE_1, "blanks": WHITESPACE, "characters": CHARACTERS}  # names that earlier releases wrote
MANIFEST = "manifest.json"
CONFIG = "config.json"
TOKENIZER = "tokenizer.json"
GOLDEN = "golden.json"
CARD = "README.md"
LABEL_LM = "label_lm.onnx"


def graph_name(variant: str) -> str:
    return f"model.{variant}.onnx"


@dataclass(frozen=True)
class BundleConfig:
    """What tagging needs to know about a model besides its graphs.

    `transitions` are the decoder's scores, (K+1, K+1); `segmentation` is the rule that split the training texts into
    words, or OWN; `label_lm_threshold` is the probability below which the label language model reads a word, 0 without
    that model.
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

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> BundleConfig:
        """Reads the content of config.json. Raises KeyError, TypeError or ValueError if it is invalid."""
        segmentation = str(values.get("words", UNICODE_1))  # the first bundles had only one rule and did not name it
        label_lm = values.get("label_lm") or {"below": 0.0, "use": False}
        return cls(
            list(values["labels"]),
            list(values["transitions"]),
            values["window"],
            values["stride"],
            values["context"],
            values["first_shape"],
            RENAMED.get(segmentation, segmentation),
            float(label_lm["below"]),
            bool(label_lm["use"]),
            dict(values["variants"]),
        )


@dataclass(frozen=True)
class Bundle:
    """A bundle whose files all match its manifest."""

    path: Path
    manifest: dict[str, Any]
    config: BundleConfig

    @property
    def variants(self) -> dict[str, list[str]]:
        """The variants by device (cpu, cuda), in order of preference."""
        return self.config.variants


def open_bundle(path: Path | str) -> Bundle:
    """Opens a bundle and verifies its files.

    Raises BundleError, naming the file, if anything is missing, has changed or has another format.
    """
    path = Path(path)
    manifest = _json(path, MANIFEST)
    if manifest.get("format") != FORMAT:
        raise BundleError(
            "unsupported bundle format",
            where=str(path / MANIFEST),
            got=repr(manifest.get("format")),
            do=f"this version reads format {FORMAT}",
        )
    if manifest.get("digest") != _digest(manifest):
        raise _changed(path / MANIFEST)
    for name, facts in manifest["files"].items():
        file = path / name
        if not file.is_file():
            raise BundleError("missing from the bundle", where=str(file), do="fetch the bundle again")
        if file.stat().st_size != facts["bytes"] or sha256(file) != facts["sha256"]:
            raise _changed(file)
    try:
        config = BundleConfig.from_json(_json(path, CONFIG))
    except (KeyError, TypeError, ValueError) as error:
        do = "load it with the version of fpplm that made it"
        raise BundleError("cannot be read", where=str(path / CONFIG), got=repr(error), do=do) from None
    return Bundle(path, manifest, config)


def _changed(file: Path) -> BundleError:
    return BundleError("changed since the bundle was made", where=str(file), do="fetch the bundle again")


def _json(path: Path, name: str) -> dict[str, Any]:
    try:
        return dict(json.loads((path / name).read_text(encoding="utf-8")))
    except (FileNotFoundError, NotADirectoryError):
        raise BundleError(
            "missing from the bundle", where=str(path / name), do="name the bundle's folder, such as ./bundle"
        ) from None
    except ValueError:
        raise _changed(path / name) from None


def _digest(manifest: dict[str, Any]) -> str:
    rest = {key: value for key, value in manifest.items() if key != "digest"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
