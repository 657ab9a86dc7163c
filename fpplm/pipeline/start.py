"""The folder of the model that training continues from (model.start), and what is known of it without torch.

For `production` it is data/start, which `registry.start.pin_start` fills: with `version.json` and the model of that
version, or with that file alone, for a cold start. DVC tracks the folder, so a commit names one model, no moving tag.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from fpplm_core.errors import DataError
from fpplm_core.files import read_json

if TYPE_CHECKING:
    from fpplm_core.model.settings import ModelSettings

PRODUCTION = "production"
START = Path("data/start")
POINTER = Path(f"{START}.dvc")
VERSION, ORIGIN = "version.json", "origin.json"


def tracked_folder(model: ModelSettings) -> Path | None:
    """The folder that model.start names, whether it is there or not; None if it names none."""
    return None if model.start is None else START if model.start == PRODUCTION else Path(model.start)


def start_folder(model: ModelSettings) -> Path | None:
    """The folder of the model to start from; None for a cold start.

    Raises DataError if it is missing.
    """
    folder = tracked_folder(model)
    if folder is None or (folder == START and not START.is_dir() and not POINTER.exists()):
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
    version = pinned_version(folder)
    return ({"version": version} if version else {}) | {"model_sha256": str(_read(folder / ORIGIN).get("model_sha256"))}


def _read(file: Path) -> dict[str, Any]:
    """The content of a JSON file; nothing if there is no such file, or it has none: train then refuses the start."""
    found = read_json(file) if file.exists() else {}
    return found if isinstance(found, dict) else {}
