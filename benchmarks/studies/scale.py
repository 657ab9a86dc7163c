"""read, check, encode and the first 200 steps of train on corpora of up to three million sentences: time and memory.

A corpus is WikiGold's training split over and over, perturbed from the second time on, so that sentences differ and the
vocabulary grows. Each stage is a process of its own, as DVC runs it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from importlib import metadata
from math import ceil, floor, log10
from pathlib import Path
from typing import Any

import numpy as np
from ruamel.yaml import YAML

from fpplm.studies.svg import svg
from fpplm_core.data.formats import get
from fpplm_core.data.options import Options
from fpplm_core.data.records import Sentence

ROOT = Path(__file__).parents[2]
WIKIGOLD = ROOT / "data" / "wikigold"
STAGES = {"read": "#2a7f62", "check": "#b3423a", "encode": "#3a66b3", "train": "#8a5fb0"}
PANELS = {"cpu_seconds": "processor seconds", "peak_mb": "peak resident memory, MB"}
SWAPPED, CHANGED = 0.1, 0.02  # shares of the words that become another word of the corpus, or a new one
CHARACTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
WIDTH, HEIGHT, LEFT, GAP = 860, 360, 56, 100  # pixels: the whole, beside a panel


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000, 3_000_000], help="sentences in train"
    )
    options = parser.parse_args()
    results: dict[str, dict[str, Any]] = {}
    for size in options.sizes:
        with tempfile.TemporaryDirectory() as scratch:
            project(Path(scratch), size)
            results[str(size)] = {stage: measure(module_of(stage), Path(scratch)) for stage in STAGES}
            counts = json.loads((Path(scratch) / "build/encoded/encoding.json").read_text())["counts"]["train"]
            results[str(size)]["words"] = counts["words"]
        print(size, json.dumps(results[str(size)]), flush=True)
    # Late: it takes torch, and what this process holds when a stage starts counts as the stage's peak.
    from benchmarks.harness import machine

    versions = {name: metadata.version(name) for name in ("pyarrow", "pandas", "great-expectations")}
    machine.save("scale.json", {"versions": versions, "sentences": results})
    (machine.RESULTS / "scale.svg").write_text(plot(results))


def project(folder: Path, size: int) -> None:
    """A params.yaml and a corpus with this many sentences in train."""
    data = folder / "data"
    data.mkdir()
    for split in ("dev", "test"):
        (data / f"{split}.conll").write_bytes((WIKIGOLD / f"{split}.conll").read_bytes())
    get("conll").write(sentences(size), data / "train.conll")
    yaml = YAML()
    values = yaml.load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    values["data"]["path"] = "data"
    with (folder / "params.yaml").open("w", encoding="utf-8") as stream:
        yaml.dump(values, stream)


def sentences(size: int) -> Iterator[Sentence]:
    random = np.random.default_rng(0)
    corpus = list(get("conll").read(WIKIGOLD / "train.conll", Options()))
    words = [word for sentence in corpus for word in sentence.words]
    documents = 1 + (corpus[-1].document or 0)
    for number in range(size):
        turn, place = divmod(number, len(corpus))
        sentence = corpus[place]
        found = list(sentence.words)
        if turn:
            chance = random.random(len(found))
            for index in np.flatnonzero(chance < SWAPPED + CHANGED).tolist():
                if chance[index] < CHANGED:
                    middle = int(random.integers(len(found[index])))
                    other = CHARACTERS[random.integers(len(CHARACTERS))]
                    found[index] = found[index][:middle] + other + found[index][middle + 1 :]
                else:
                    found[index] = words[random.integers(len(words))]
        yield replace(sentence, words=tuple(found), document=turn * documents + (sentence.document or 0))


def module_of(stage: str) -> str:
    """The module to run for a stage; of train, the first steps alone."""
    return "benchmarks.studies.first_steps" if stage == "train" else f"tasks.{stage}"


def measure(module: str, folder: Path) -> dict[str, float]:
    start = time.perf_counter()
    output = folder / f"{module}.log"
    with output.open("w") as log:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", module]
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{module} failed:\n{output.read_text()[-2000:]}")
    processor = usage.ru_utime + usage.ru_stime
    found = {"seconds": round(seconds, 1), "cpu_seconds": round(processor, 1), "peak_mb": usage.ru_maxrss // 1024}
    if module == module_of("train"):  # its peak has the pages of the encoded files that happen to be in memory
        found["own_mb"] = int(output.read_text().splitlines()[-1])
    return found


def plot(results: Mapping[str, Mapping[str, Any]]) -> str:
    """Processor time and peak memory against sentences, all axes logarithmic. Readable in light and dark."""
    sizes = sorted(results, key=int)
    width = (WIDTH - 2 * LEFT - 2 * GAP) / 2
    shapes = [f'<text x="{WIDTH / 2}" y="{HEIGHT - 2}" text-anchor="middle">sentences (dashed: proportional)</text>']
    for left, (name, title) in zip((LEFT, 2 * LEFT + width + GAP), PANELS.items(), strict=True):
        lines = {stage: [results[size][stage][name] for size in sizes] for stage in STAGES}
        shapes.append(f'<text x="{left}" y="20" font-weight="bold">{title}</text>')
        shapes += panel([int(size) for size in sizes], lines, left, width)
    return svg(WIDTH, HEIGHT, shapes)


def short(size: int) -> str:
    """1000 as 1k, and a million as 1M."""
    return f"{size // 1_000_000}M" if size >= 1_000_000 else f"{size // 1000}k"


def panel(sizes: list[int], lines: Mapping[str, list[float]], left: float, width: float) -> list[str]:
    values = [value for line in lines.values() for value in line]
    low, high = floor(log10(min(values))), ceil(log10(max(values)))
    top, bottom = 50, HEIGHT - 40

    def path(sizes: list[int], values: list[float]) -> list[tuple[float, float]]:
        across = [left + width * log10(size / first) / log10(last / first) for size in sizes]
        return [
            (x, bottom - (log10(v) - low) / (high - low) * (bottom - top)) for x, v in zip(across, values, strict=True)
        ]

    def drawn(points: list[tuple[float, float]], style: str) -> str:
        return f'<polyline points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in points)}" fill="none" {style}/>'

    first, last = min(sizes), max(sizes)
    shapes = []
    for power in range(low, high + 1):
        ends = path([first, last], [10.0**power] * 2)
        shapes.append(drawn(ends, 'stroke="#8a8a8a" stroke-opacity="0.3"'))
        shapes.append(f'<text x="{left - 6}" y="{ends[0][1] + 4:.1f}" text-anchor="end">{10**power:,}</text>')
    for size, (x, _) in zip(sizes, path(sizes, [1.0] * len(sizes)), strict=True):
        shapes.append(f'<text x="{x:.1f}" y="{HEIGHT - 20}" text-anchor="middle">{short(size)}</text>')
    if min(values) * last / first <= 10**high:
        guide = path([first, last], [min(values), min(values) * last / first])
        shapes.append(drawn(guide, 'stroke="#8a8a8a" stroke-dasharray="3"'))
    below = 0.0
    for stage, line in sorted(lines.items(), key=lambda item: -item[1][-1]):
        points, colour = path(sizes, line), STAGES[stage]
        below = max(points[-1][1] + 4, below + 15)  # names that would cover each other are moved apart
        shapes.append(drawn(points, f'stroke="{colour}" stroke-width="2"'))
        shapes += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>' for x, y in points]
        shapes.append(f'<text x="{left + width + 8}" y="{below:.1f}" fill="{colour}">{stage} {line[-1]:,.0f}</text>')
    return shapes


if __name__ == "__main__":
    main()
