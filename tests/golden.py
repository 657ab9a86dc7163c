"""The bytes that a change of structure must keep: `python -m tests.golden OUT.json` runs the stages and hashes them.

Two runs, in float32 and with one thread, through read, check, encode, train, evaluate, gate, export and verify:

wikigold  the bundled corpus and encoder, one epoch
second    a small corpus with documents, document context, a second task, two processes, and a tiny encoder

Compare two files with diff. Timings, hashes of code and the commit are no part of them.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from tests.conftest import save_tiny_encoder

ROOT = Path(__file__).resolve().parents[1]
STAGES = ("read", "check", "encode", "train", "evaluate", "gate", "export", "verify")
HASHED = ("build/corpus", "build/encoded", "build/model", "build/predictions", "build/onnx", "bundle", "metrics")
VARYING = ("manifest.json", "README.md")
COMMON = {
    "train": {"precision": "float32"},
    "gate": {"min_f1": 0.0, "min_type_f1": 0.0},
    "verify": {"max_f1_loss": 0.5, "max_f1_bound": 1.0},
}
RUNS: dict[str, dict[str, dict[str, Any]]] = {
    "wikigold": {"train": {"epochs": 1}},
    "second": {
        "data": {"path": "data", "word_column": 0, "tag_column": -1, "second": {"tag_column": 1}},
        "model": {"encoder": "encoder", "shapes": "on"},
        "encode": {"window": 64, "stride": 16, "context": 8},
        "train": {"epochs": 3, "lr": 1e-3, "head_lr": 1e-2, "processes": 2},
        "technique": {"multi_task": {"second": 0.5}},
    },
}


def golden(name: str, folder: Path) -> dict[str, str]:
    """Runs the stages in `folder`; the sha256 of every file that they make, by its path."""
    values = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    for settings in (COMMON, RUNS[name]):
        for section, changes in settings.items():
            for key, change in changes.items():
                own = values[section].get(key)
                values[section][key] = own | change if isinstance(own, dict) and isinstance(change, dict) else change
    if name == "wikigold":
        shutil.copytree(ROOT / "data/wikigold", folder / "data/wikigold")
    else:
        write_second_corpus(folder / "data")
        save_tiny_encoder(folder / "encoder")
    (folder / "params.yaml").write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
    for file in ("expectations.yaml", "slices.yaml", "requirements.lock", "dvc.yaml"):
        (folder / file).write_bytes((ROOT / file).read_bytes())
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    for stage in STAGES:
        print(f"{name}: {stage}", file=sys.stderr, flush=True)
        subprocess.run([sys.executable, "-m", f"tasks.{stage}"], cwd=folder, env=environment, check=True)
    files = [file for place in HASHED for file in sorted((folder / place).rglob("*")) if file.is_file()]
    return {
        f"{name}/{file.relative_to(folder)}": hashlib.sha256(file.read_bytes()).hexdigest()
        for file in files
        if file.name not in VARYING
    }


def write_second_corpus(folder: Path) -> None:
    """The first sentences of each split, five to a document, with a part of speech of sorts in the middle column."""
    folder.mkdir()
    for split, size in {"train": 80, "dev": 30, "test": 30}.items():
        blocks = (ROOT / f"data/wikigold/{split}.conll").read_text(encoding="utf-8").split("\n\n")[:size]
        parts = []
        for number, block in enumerate(blocks):
            if number % 5 == 0:
                parts.append("-DOCSTART- L0 O")
            rows = [line.split() for line in block.splitlines() if line.strip()]
            parts.append("\n".join(f"{row[0]} L{len(row[0]) % 3} {row[-1]}" for row in rows))
        (folder / f"{split}.conll").write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def main() -> None:
    hashes: dict[str, str] = {}
    for name in RUNS:
        with TemporaryDirectory() as place:
            hashes |= golden(name, Path(place))
    Path(sys.argv[1]).write_text(json.dumps(hashes, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
