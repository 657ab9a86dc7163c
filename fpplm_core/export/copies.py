"""Copies of a bundle for other servers: a repository for the hub, and a model repository for Triton.

They contain the same files, byte for byte, but for what Git and a signature need. Writing them does not need torch.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from fpplm_core.errors import BundleError, ParamsError
from fpplm_core.serving.bundle import CONFIG, GIT_ATTRIBUTES, LIMITS, MANIFEST, SIGNATURE, UNLISTED, Bundle
from fpplm_core.serving.config import LOGITS, TAG_LOGITS
from fpplm_core.serving.files import FETCH, open_regular, parse_json, read_limited
from fpplm_core.serving.triton_model import BUNDLE, ENTITIES, TEXT

LARGE = b"*.onnx filter=lfs diff=lfs merge=lfs -text"  # the hub requires LFS for files of more than 10 MB
MODEL = "from fpplm_core.serving.triton_model import TritonPythonModel  # noqa: F401\n"
LONGEST_BATCH = 64
WAIT = 2000  # µs; the longest wait of a request for others
Ports = Mapping[str, Sequence[object]]
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def write_hub_repository(bundle: Bundle, folder: Path) -> bool:
    """Writes the files of a bundle, and .gitattributes; returns whether that voided a signature, which is left out.

    Raises ParamsError if the folder is not empty, BundleError.
    """
    require_format_2(bundle)
    require_empty(folder, bundle)
    copy_files(bundle, folder)
    attributes, signature = folder / GIT_ATTRIBUTES, folder / SIGNATURE
    lines = attributes.read_bytes().splitlines() if attributes.exists() else []
    if LARGE in lines:
        return False
    attributes.write_bytes(b"".join(line + b"\n" for line in [*lines, LARGE]))
    is_signed = signature.exists()
    signature.unlink(missing_ok=True)
    return is_signed


def write_triton_repository(bundle: Bundle, folder: Path, name: str) -> None:
    """Writes the models NAME, from texts to entities, and NAME_graph, from pieces to logits.

    NAME runs in Triton's Python backend, whose environment needs `fpplm[serve]`.

    Raises ParamsError if the folder is not empty or the name not plain, BundleError.
    """
    require_model_name(name)
    require_format_2(bundle)
    require_empty(folder, bundle)
    names = parse_json(bundle.read(CONFIG), CONFIG).get("id2label")
    if not isinstance(names, dict):
        raise BundleError("no labels for other clients", where=f"{bundle.path / CONFIG}: id2label", do=FETCH)
    if "fp32" not in bundle.config.graphs:
        got, do = ", ".join(bundle.config.graphs), "make the bundle again: fpplm retrain"
        raise BundleError("no float32 graph, which Triton runs", where=str(bundle.path), got=got, do=do)
    tagger, graph = folder / name, folder / f"{name}_graph"
    copy_files(bundle, tagger / "1" / BUNDLE)
    (tagger / "1" / "model.py").write_text(MODEL, encoding="utf-8")
    texts = model_config(name, 'backend: "python"', {TEXT: ("STRING", 1)}, {ENTITIES: ("STRING", 1)})
    (tagger / "config.pbtxt").write_text(texts, encoding="utf-8")
    (graph / "1").mkdir(parents=True)
    (graph / "1" / "model.onnx").write_bytes(bundle.read(bundle.config.graphs["fp32"]))
    types = {} if bundle.config.first_shape is None else {"token_type_ids": ("INT64", -1)}
    inputs = {"input_ids": ("INT64", -1), "attention_mask": ("INT64", -1), **types}
    outputs = {LOGITS: ("FP32", -1, len(names)), TAG_LOGITS: ("FP32", -1, len(bundle.config.labels))}
    tensors = model_config(f"{name}_graph", 'platform: "onnxruntime_onnx"', inputs, outputs)
    (graph / "config.pbtxt").write_text(tensors, encoding="utf-8")


def model_config(name: str, kind: str, inputs: Ports, outputs: Ports) -> str:
    """The content of config.pbtxt; a port is its type, then its sizes without the batch."""
    ports = ""
    for side, named in (("input", inputs), ("output", outputs)):
        for port, (data, *sizes) in named.items():
            dims = ", ".join(map(str, sizes))
            ports += f'{side} {{ name: "{port}" data_type: TYPE_{data} dims: [{dims}] }}\n'
    batching = f"dynamic_batching {{ max_queue_delay_microseconds: {WAIT} }}\n"
    return f'name: "{name}"\n{kind}\nmax_batch_size: {LONGEST_BATCH}\n{ports}{batching}'


def copy_files(bundle: Bundle, folder: Path) -> None:
    """Writes every file of the bundle as its manifest describes it, and those that are not in the manifest."""
    for name in bundle.manifest["files"]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(bundle.read(name))
    for file in (bundle.path / name for name in UNLISTED):
        if os.path.lexists(file):
            with open_regular(file, bundle.allow_links) as stream:
                (folder / file.name).write_bytes(read_limited(stream, file, LIMITS[MANIFEST]))


def require_model_name(name: str) -> None:
    """Raises ParamsError for a name that not every address and file system takes."""
    if not _NAME.fullmatch(name):
        raise ParamsError("not the name of a model", where="--name", got=repr(name), do="use letters, digits, _ and -")


def require_empty(folder: Path, bundle: Bundle) -> None:
    """Raises ParamsError if a copy cannot go there: into the bundle itself, or a folder that holds something."""
    if folder.resolve().is_relative_to(bundle.path.resolve()):
        raise ParamsError("is inside the bundle", where=str(folder), do="name a folder outside it")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ParamsError("is not an empty folder", where=str(folder), do="name a new one")


def require_format_2(bundle: Bundle) -> None:
    """Raises ParamsError for a bundle of format 1, which clients without fpplm cannot read."""
    if bundle.manifest["format"] < 2:
        do = "make the bundle again: fpplm retrain"
        raise ParamsError("fpplm alone can read a bundle of format 1", where=str(bundle.path / MANIFEST), do=do)
