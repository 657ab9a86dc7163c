"""What a result was measured on, and where results go."""

from __future__ import annotations

import json
import os
import platform
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

RESULTS = Path(__file__).parents[1] / "results"


def facts() -> dict[str, Any]:
    """Processor, cores, and versions of what is compared."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in ("torch", "transformers", "tokenizers")},
    }


def _processor() -> str:
    """With family and model, because clouds give many processors one name."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().split("\n\n")[0].splitlines() if path.exists() else []
    found = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if "cpu family" not in found:
        return platform.processor()
    return f"{found['model name']}, family {found['cpu family']}, model {found['model']}"


def save(name: str, result: dict[str, Any], folder: Path = RESULTS) -> None:
    """Writes the result with the machine and the command that made it."""
    command = " ".join(["python", *sys.orig_argv[1:]])
    text = json.dumps({"machine": facts(), "command": command, **result}, indent=2)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text + "\n", encoding="utf-8")
    print(f"saved {folder / name}", flush=True)
