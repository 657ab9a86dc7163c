"""Inputs that are optional or that DVC cannot see, such as the encoder, as digests in build/inputs/NAME.json.

The stage `environment` writes these files, and a stage that uses an input depends on its file. The file maps the parts
of the input to digests, or is "none" if the parameters name no such input.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from fpplm.pipeline.code import write_changed
from fpplm.pipeline.hashes import hash_files
from fpplm.pipeline.start import tracked_folder
from fpplm_core.data.text_files import require_name
from fpplm_core.model.source import encoder_source

if TYPE_CHECKING:
    from fpplm_core.params import Params

INPUTS = Path("build/inputs")
COMMIT = re.compile(r"[0-9a-f]{40}")
Parts = dict[str, str]


def encoder(params: Params) -> Parts:
    """Each file of the encoder's folder, or the commit of its snapshot on the hub.

    If the commit is neither cached nor available from the hub, the revision stands in for it: encode will fail too.
    Raises EncoderError if its package is missing.
    """
    source, revision = encoder_source(params.model.encoder), params.model.revision
    if Path(source).is_dir():
        return hash_files(Path(source))
    return {source: hub_commit(source, revision) or revision or "main"}


def unlabelled(params: Params) -> Parts:
    """The hash of each file of data.unlabelled; none if there is no such folder, which the stage read reports."""
    folder = params.data.unlabelled
    return hash_files(Path(folder)) if folder and Path(folder).is_dir() else {}


def data_files(params: Params) -> list[Path]:
    """All files of data and unlabelled text, which a manifest lists. Raises DataError if a name is not UTF-8."""
    folders = filter(None, (params.data.path, params.data.unlabelled))
    files = sorted(path for folder in folders for path in Path(folder).rglob("*") if path.is_file())
    for file in files:
        require_name(file)
    return files


def start(params: Params) -> Parts:
    """The hash of each file of the model to start from; none without such a folder, which the stage train reports."""
    folder = tracked_folder(params.model)
    return hash_files(folder) if folder and folder.is_dir() else {}


INPUT: dict[str, Callable[[Params], Parts]] = {
    "encoder": encoder,
    "unlabelled": unlabelled,
    "start": start,
}


def write_inputs(params: Params) -> dict[str, Parts]:
    """Writes build/inputs/NAME.json for every input that has changed; returns all inputs by name.

    Raises DataError as `data_files`, which DVC would not name, and EncoderError.
    """
    data_files(params)
    found = {name: parts_of(params) for name, parts_of in INPUT.items()}
    write_changed(INPUTS, {name: input_json(parts) for name, parts in found.items()})
    return found


def input_json(parts: Parts) -> str:
    """The content of build/inputs/NAME.json."""
    return json.dumps(parts or "none", indent=2, sort_keys=True) + "\n"


def hub_commit(name: str, revision: str | None) -> str | None:
    """The commit of a hub model: from the cache, else from the hub; None if neither knows it."""
    from huggingface_hub import model_info, try_to_load_from_cache

    if revision and COMMIT.fullmatch(revision):
        return revision
    try:
        cached = try_to_load_from_cache(name, "config.json", revision=revision)
        if isinstance(cached, str):
            return Path(cached).parent.name  # .../snapshots/COMMIT/config.json
        return model_info(name, revision=revision, timeout=10).sha
    except Exception:  # no network, offline, no such model, an invalid name: each library has its own errors
        return None
