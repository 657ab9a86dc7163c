"""A bundle: a folder with everything that tagging needs, and a manifest of the hashes of its files.

onnx/model.onnx         the float32 graph; model_fp16.onnx; model_quantized.onnx, that of 8 bits. Each also answers
                        clients without fpplm, which find these files by name (fpplm_core/export/portable.py)
label_lm.onnx           optional: the label language model, which reads labels and states and writes labels
tokenizer.json          words to pieces
tokenizer_config.json   for such clients
config.json             for such clients; under `fpplm`: labels, transition scores, window, variants by device in order
                        of preference, and their files
golden.json             texts with the pieces and entities that they must yield
sketch.json             optional: counts of the training data, to find drift (fpplm_core/serving/sketch.py)
README.md               model card
bom.cdx.json            bill of materials (CycloneDX)
manifest.json           sha256 of every file, parameters, data hashes, commit, versions, scores; its digest

Two files may be added later, so the manifest does not list them: model.sig, a signature of all files (`fpplm sign`),
and .gitattributes, which a repository on the hub has. Loading reads neither. docs/deploy.md says what opening checks.

This is format 2. In format 1, which still loads, the graphs are model.<variant>.onnx, which fpplm alone can read, and
config.json has nothing but the keys of `fpplm`.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fpplm_core.errors import BundleError
from fpplm_core.serving.config import BundleConfig, shorten
from fpplm_core.serving.files import FETCH, open_regular, parse_json, read_limited

FORMATS = (1, 2)
FORMAT = FORMATS[-1]  # of the bundles that this version writes
MANIFEST = "manifest.json"
CONFIG = "config.json"
TOKENIZER = "tokenizer.json"
GOLDEN = "golden.json"
SKETCH = "sketch.json"
TOKENIZER_CONFIG = "tokenizer_config.json"
CARD = "README.md"
GRAPHS = "onnx"  # the only folder in a bundle
LABEL_LM = "label_lm.onnx"
SIGNATURE = "model.sig"  # the name that OpenSSF Model Signing gives it
BILL_OF_MATERIALS = "bom.cdx.json"
GIT_ATTRIBUTES = ".gitattributes"  # of a repository on the hub
UNLISTED = {MANIFEST, SIGNATURE, GIT_ATTRIBUTES}
# The same file on every system: Windows drops a dot at the end, and takes some names for devices, such as nul.json.
_DEVICE = r"(?i:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\.|\Z)"
_NAME = re.compile(rf"(?:{GRAPHS}/)?(?!{_DEVICE})[A-Za-z0-9](?:[A-Za-z0-9._-]{{0,98}}[A-Za-z0-9_-])?")
_SHA256 = re.compile(r"[0-9a-f]{64}")
MEGABYTE = 1 << 20
# Bytes. A graph without external data, which no bundle has, is smaller than 2 GiB.
LIMITS = {MANIFEST: 16 * MEGABYTE, CONFIG: 64 * MEGABYTE, TOKENIZER: 128 * MEGABYTE}
LARGEST_FILE = 2048 * MEGABYTE


def graph_name(variant: str) -> str:
    """The name of a variant's graph in build/onnx, and in a bundle of format 1."""
    return f"model.{variant}.onnx"


@dataclass(frozen=True)
class Bundle:
    """A bundle whose files all match its manifest."""

    path: Path
    manifest: dict[str, Any]
    config: BundleConfig
    manifest_sha256: str  # of the bytes that were read
    allow_links: bool = False

    def read(self, name: str) -> bytes:
        """The content of a file: these very bytes have the hash in the manifest. Raises BundleError otherwise."""
        return _read(self.path, name, self.manifest["files"], self.allow_links)


def open_bundle(path: Path | str, digest: str | None = None, allow_links: bool = False) -> Bundle:
    """Opens a bundle and verifies its files; `digest` is that of the manifest of the only bundle to accept.

    `allow_links` accepts links to regular files, as DVC and the hub make them for their caches.

    Raises BundleError, naming the file, if anything is missing, unlisted, no regular file, changed, out of range or of
    another format.
    """
    path = Path(path)
    manifest, manifest_sha256 = _read_manifest(path, allow_links)
    if digest is not None and manifest["digest"] != digest.lower():
        do = "load the bundle that you mean, or pass the digest of this one if you trust it"
        raise BundleError(
            "another bundle than the digest names", where=str(path), got=f"the digest {manifest['digest']}", do=do
        )
    files = manifest["files"]
    _require_listed(path, files)
    for name in files:
        _verify(path, name, files, allow_links)
    config = BundleConfig.from_json(
        parse_json(_read(path, CONFIG, files, allow_links), f"{path / CONFIG}"), manifest["format"], f"{path / CONFIG}"
    )
    graphs = {*config.graphs.values()} | ({LABEL_LM} if config.label_lm_threshold else set())
    for name in sorted({TOKENIZER, *graphs} - set(files)):
        raise BundleError("named by config.json and not in the manifest", where=str(path), got=shorten(name), do=FETCH)
    return Bundle(path, manifest, config, manifest_sha256, allow_links)


def _read_manifest(path: Path, allow_links: bool) -> tuple[dict[str, Any], str]:
    """The manifest, and the sha256 of its bytes."""
    file = path / MANIFEST
    with open_regular(file, allow_links) as stream:
        raw = read_limited(stream, file, LIMITS[MANIFEST])
    manifest = parse_json(raw, str(file))
    if type(manifest.get("format")) is not int or manifest["format"] not in FORMATS:
        do = f"this version reads formats {' and '.join(map(str, FORMATS))}"
        raise BundleError("unsupported bundle format", where=str(file), got=shorten(manifest.get("format")), do=do)
    if manifest.get("digest") != manifest_digest(manifest):
        raise _changed(file)
    files = manifest.get("files")
    if not isinstance(files, dict) or not all(_is_entry(name, facts) for name, facts in files.items()):
        wrong = (
            files if not isinstance(files, dict) else next(n for n, facts in files.items() if not _is_entry(n, facts))
        )
        do = f"a file needs a plain name, its sha256 and its bytes, at most {LARGEST_FILE:,}"
        raise BundleError("no list of files", where=str(file), got=shorten(wrong), do=do)
    names = {*files, *UNLISTED}
    if len({name.lower() for name in names}) < len(names):
        raise BundleError("two names differ in their case alone", where=str(file), do=FETCH)
    return manifest, hashlib.sha256(raw).hexdigest()


def _is_entry(name: str, facts: Any) -> bool:
    if not _NAME.fullmatch(name) or name == MANIFEST or not isinstance(facts, dict):
        return False
    size, digest = facts.get("bytes"), facts.get("sha256")
    sized = type(size) is int and 0 <= size <= LIMITS.get(name, LARGEST_FILE)
    return sized and isinstance(digest, str) and _SHA256.fullmatch(digest) is not None


def _require_listed(path: Path, files: Mapping[str, Any]) -> None:
    """Raises BundleError for an entry of the folder that the manifest does not list: it may be loaded by chance."""
    for name in scan(path):
        if name not in files and name not in UNLISTED:
            do = "remove it: a bundle has no files but those of its manifest"
            raise BundleError("not in the manifest", where=str(path), got=shorten(name), do=do)


def scan(path: Path) -> Iterator[str]:
    """The names of all entries of a bundle's folder, as onnx/NAME in its folder of graphs unless that is a link."""
    with os.scandir(path) as entries:
        for entry in entries:
            if entry.name == GRAPHS and entry.is_dir(follow_symlinks=False):
                with os.scandir(entry) as graphs:
                    yield from (f"{GRAPHS}/{graph.name}" for graph in graphs)
            else:
                yield entry.name


def _verify(path: Path, name: str, files: Mapping[str, Any], allow_links: bool) -> None:
    with open_regular(path / name, allow_links) as stream:
        same = os.fstat(stream.fileno()).st_size == files[name]["bytes"]
        if not same or hashlib.file_digest(stream, "sha256").hexdigest() != files[name]["sha256"]:
            raise _changed(path / name)


def _read(path: Path, name: str, files: Mapping[str, Any], allow_links: bool) -> bytes:
    if name not in files:
        raise BundleError("not in the manifest", where=str(path), got=shorten(name), do=FETCH)
    with open_regular(path / name, allow_links) as stream:
        raw = stream.read(files[name]["bytes"] + 1)
    if len(raw) != files[name]["bytes"] or hashlib.sha256(raw).hexdigest() != files[name]["sha256"]:
        raise _changed(path / name)
    return raw


def _changed(file: Path) -> BundleError:
    return BundleError("changed since the bundle was made", where=str(file), do=FETCH)


def manifest_digest(manifest: Mapping[str, Any]) -> str:
    """The sha256 of a manifest without its own digest, its keys in order."""
    rest = {key: value for key, value in manifest.items() if key != "digest"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()
