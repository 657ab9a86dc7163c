"""What the arms that tag text share: the texts, and the jobs over one function that tags. Standard library alone."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.harness import arm

THREADS = os.cpu_count() or 1
SIZES = (1, 8, 32)
LATENCY_TEXTS = 100


def offline() -> None:
    """No look at a hub, and no progress bars; to be said before a library is imported."""
    os.environ |= {"HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1"}


def words(task: dict[str, Any]) -> list[list[str]]:
    """The texts of the task, each a list of words."""
    found: list[list[str]] = json.loads(Path(task["folder"], "texts.json").read_text(encoding="utf-8"))
    return found


def plain(task: dict[str, Any]) -> list[str]:
    """The texts of the task, words joined by a blank."""
    return [" ".join(text) for text in words(task)]


def jobs(
    tag: Callable[[Sequence[Any], int], Sequence[Sequence[Any]]], texts: Sequence[Any], sizes: Sequence[int] = SIZES
) -> tuple[dict[str, arm.Job], dict[str, Any]]:
    """The jobs `corpus` and `each`, and the batch size, of a few the fastest on the first texts.

    `tag` gives the entities of each text, and takes a batch size, one of `sizes`.
    """
    few = texts[:LATENCY_TEXTS]
    best = arm.fastest(lambda size: tag(few, size), sizes)
    made = {
        "corpus": lambda: {"entities": sum(map(len, tag(texts, best)))},
        "each": lambda: arm.one_by_one(lambda text: tag([text], 1), few),
    }
    return made, {"batch": best, "threads": THREADS}
