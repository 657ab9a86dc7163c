"""The folder of the model that training continues from (model.start), and what is known of it without torch.

For `production` it is data/start, which `registry.start.pin_start` fills: with `version.json` and the model of that
version, or with that file alone, for a cold start. DVC tracks the folder, so a commit names one model, no moving tag.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from fpplm.pipeline.paths import MODEL
from fpplm_core.errors import DataError, ParamsError
from fpplm_core.files import read_json

if TYPE_CHECKING:
    from fpplm_core.model.settings import ModelSettings

PRODUCTION = "production"
START = Path("data/start")
POINTER = Path(f"{START}.dvc")
VERSION, ORIGIN = "version.json", "origin.json"


def tracked_folder(model: ModelSettings) -> Path | None:
    """The folder that model.start names, whether it is there or not; None if it names none.

    Raises ParamsError for a folder that DVC empties before the training.
    """
    if model.start is None:
        return None
    folder = START if model.start == PRODUCTION else Path(model.start)
    if folder.resolve().is_relative_to(MODEL.parent.resolve()):
        do = f"copy it out of {MODEL.parent}/, for instance to models/news"
        raise ParamsError("names what this training writes", where="model.start", got=str(folder), do=do)
    return folder


def start_folder(model: ModelSettings) -> Path | None:
    """The folder of the model to start from; None for a cold start.

    Raises DataError if it is missing.
    """
    folder = tracked_folder(model)
    if folder is None or (model.start == PRODUCTION and not START.is_dir() and not POINTER.exists()):
        return None  # nothing was in production yet
    if not folder.is_dir():
        do = f"dvc pull {POINTER}" if folder == START else "name build/model of a finished run, or set it to null"
        raise DataError("no such folder", where="model.start", got=str(folder), do=do)
    return None if pinned_version(folder) == "" else folder


def pinned_version(folder: Path) -> str | None:
    """The version in a folder that `pin_start` filled, "" if it chose a cold start; None for any other folder."""
    pinned = _read(folder / VERSION)
    return str(pinned["version"] or "") if "version" in pinned else None


def start_facts(model: ModelSettings) -> dict[str, str]:
    """The version, if it is known, and the digest of the weights of the model to start from; empty for a cold start.

    Raises DataError if the folder is missing.
    """
    folder = start_folder(model)
    if folder is None:
        return {}
    facts = {"version": pinned_version(folder), "model_sha256": _read(folder / ORIGIN).get("model_sha256")}
    return {name: str(value) for name, value in facts.items() if value}


def _read(file: Path) -> dict[str, Any]:
    """The content of a JSON file; nothing if it is missing or damaged: train then refuses the start."""
    try:
        found = read_json(file)
    except (DataError, OSError):
        return {}
    return found if isinstance(found, dict) else {}
