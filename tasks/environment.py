"""environment: the versions that a result depends on beside code, data and parameters, build/environment.json.

It always runs, and what depends on it runs where the file has changed: the same lock may give another torch
(CPU or CUDA build), another Python, or not be installed at all.
"""

from __future__ import annotations

import platform
from importlib import metadata
from pathlib import Path

import fpplm_core
from fpplm.pipeline.stage import run
from fpplm_core.files import write_json

ENVIRONMENT = Path("build/environment.json")


def main() -> None:
    # torch tells its version without being imported, which would take seconds in every run.
    versions = {
        "fpplm": fpplm_core.__version__,
        "python": platform.python_version(),
        "torch": metadata.version("torch"),
    }
    write_json(ENVIRONMENT, versions)


if __name__ == "__main__":
    run(main)
