"""The libraries that we are compared with.

transformers' Trainer (trainer.py) shares our environment. The pins of the others exclude each other's and ours, so each
has an environment of its own: NAME.txt has the exact versions, NAME.py is the arm, and
`python -m benchmarks.peers [NAME ...]` makes `.fpplm/peers/NAME`.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).parent
ENVIRONMENTS = HERE.parents[1] / ".fpplm" / "peers"
NAMES = tuple(sorted(path.stem for path in HERE.glob("*.txt")))


def python(name: str) -> Path:
    return ENVIRONMENTS / name / "bin" / "python"


def script(name: str) -> Path:
    return HERE / f"{name}.py"


def ready(name: str) -> bool:
    """Whether the environment is whole, and made from the requirements as they are now."""
    marker = _marker(name)
    return marker.exists() and marker.read_text() == _requirements(name).read_text()


def make(names: Sequence[str] = NAMES) -> dict[str, str]:
    """Makes the environments that are not ready, and gives why those that failed did, by name; they are removed."""
    failed = {}
    for name in names:
        if ready(name):
            print(f"{name}: ready", flush=True)
            continue
        start = time.perf_counter()
        try:
            install(name)
        except (OSError, subprocess.CalledProcessError) as error:
            failed[name] = str(getattr(error, "stderr", None) or error).strip()
            shutil.rmtree(ENVIRONMENTS / name, ignore_errors=True)
            print(f"{name}: failed", flush=True)
        else:
            shutil.copyfile(_requirements(name), _marker(name))
            print(f"{name}: made in {time.perf_counter() - start:.0f} s", flush=True)
    return failed


def install(name: str) -> None:
    """A new environment. torch goes in first and through pip, uv installs the rest: see the Makefile for why."""
    environment = ENVIRONMENTS / name
    shutil.rmtree(environment, ignore_errors=True)
    pins = _requirements(name)
    torch = re.findall(r"^torch==\S+", pins.read_text(), re.MULTILINE)
    uv: list[str | Path] = [Path(sys.executable).with_name("uv"), "pip", "install", "--quiet", "--compile-bytecode"]
    commands: tuple[list[str | Path], ...] = (
        [sys.executable, "-m", "venv", environment],
        [python(name), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *torch, "-c", pins],
        [*uv, "--python", python(name), "-r", pins],
    )
    for command in commands:
        subprocess.run(command, check=True, stderr=subprocess.PIPE, text=True)


def _requirements(name: str) -> Path:
    return HERE / f"{name}.txt"


def _marker(name: str) -> Path:
    return ENVIRONMENTS / name / ".ready"
