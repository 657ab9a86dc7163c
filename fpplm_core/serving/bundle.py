"""A bundle: a folder that holds all that tagging needs, and a manifest that proves it is whole.

model.<variant>.onnx   graphs: fp32, fp16, int8
label_lm.onnx          on request: the label language model, which reads labels and states and writes labels
tokenizer.json         words to pieces
config.json            labels, transition scores, window, variants by device in order of preference
golden.json            sentences with the entities they must give
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

FORMAT = 1
MANIFEST = "manifest.json"
CONFIG = "config.json"
TOKENIZER = "tokenizer.json"
GOLDEN = "golden.json"
CARD = "README.md"
LABEL_LM = "label_lm.onnx"


def graph_name(variant: str) -> str:
    return f"model.{variant}.onnx"


@dataclass(frozen=True)
class Bundle:
    """A bundle whose every file has been found as its manifest says."""

    path: Path
    manifest: dict[str, Any]
    config: dict[str, Any]

    @property
    def variants(self) -> dict[str, list[str]]:
        """Device (cpu, cuda) to variants, the preferred first."""
        return dict(self.config["variants"])


def open_bundle(path: Path | str) -> Bundle:
    """Raises BundleError, naming the file, where anything is missing, changed or of another format."""
    path = Path(path)
    manifest = _json(path, MANIFEST)
    if manifest.get("format") != FORMAT:
        raise BundleError(
            "another bundle format",
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
    return Bundle(path, manifest, _json(path, CONFIG))


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
