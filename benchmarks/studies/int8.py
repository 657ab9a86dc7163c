"""What 8 bits cost: one tagger for each corpus of `benchmarks.studies.fresh`, trained as it ships, in fp32 and int8.

    python -m benchmarks.studies.int8 FOLDER PROJECTS

FOLDER has the annotated corpora that `fresh` has cut, with their own dev and test; PROJECTS is a folder outside this
repository.

Each tagger is made as a user makes one, with `fpplm init` and `fpplm retrain`; the gate is open. Results go to
benchmarks/results/int8.json, by processor; a corpus that is there already is not repeated.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness.machine import RESULTS
from benchmarks.studies.fresh import OUTPUT, SENTENCES
from fpplm.pipeline.paths import METRICS, REPORTS

FILE = RESULTS / "int8.json"
MULTILINGUAL = {"uner_zh_gsdsimp", "uner_pt_bosque"}
ENCODER = Path("encoders/me5-small")  # the encoder of the MULTILINGUAL corpora
OPEN = [  # no threshold or check stops a small part of a corpus
    "gate.min_f1=0",
    "gate.min_type_f1=0",
    "gate.type_f1={}",
    "gate.max_check_warnings=1000",
    "+check.severity.unknown_type=warning",
]


def main() -> None:
    source, projects = map(Path, sys.argv[1:])
    results = json.loads(FILE.read_text()) if FILE.exists() else {}
    own = results.setdefault(processor(), {})
    for name in SENTENCES:
        if name not in own:
            own[name] = measure(name, source, projects / name)
            print(name, own[name], flush=True)
            FILE.write_text(json.dumps(results, indent=1) + "\n")
    for kind, rows in results.items():
        print(kind, *(f"{part} {mean_loss(rows, part)}" for part in ("dev", "test")), sep="; ")


def processor() -> str:
    """The processor's name and its instructions for 8 and 16 bits."""
    facts = {}
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        facts[name.strip()] = value.strip()
    known = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16")
    own = [flag for flag in known if flag in facts["flags"].split()]
    return f"{facts['model name']} ({', '.join(own)})"


def measure(name: str, source: Path, folder: Path) -> dict[str, Any]:
    """F1 of float32 on dev and test, what int8 loses of it, and the speed of both."""
    if not folder.exists():
        files = [OUTPUT / name / "train.conll", *(source / name / f"{split}.conll" for split in ("dev", "test"))]
        train, dev, test = (str(file.resolve()) for file in files)
        run(["init", str(folder), train, "--dev", dev, "--test", test])
    encoder = [f"model.encoder={ENCODER.resolve()}", "model.revision=null"] if name in MULTILINGUAL else []
    run(["retrain", *(part for value in (*OPEN, *encoder) for part in ("-S", value))], folder)
    verdicts = json.loads((folder / METRICS / "verify.json").read_text())["variants"]
    speeds = {
        row["variant"]: row["words_per_s"]
        for row in json.loads((folder / REPORTS / "timings/verify.json").read_text())["runs"]
        if row["device"] == "cpu"
    }
    exact, small = verdicts["fp32 on cpu"], verdicts["int8 on cpu"]
    loss = {key: round(100 * small[key], 2) for key in ("dev_f1_loss", "dev_f1_loss_high", "test_f1_loss")}
    f1 = {key: round(100 * exact[key], 2) for key in ("dev_f1", "test_f1")}
    return f1 | loss | {"accepted": small["accepted"], "speed_ratio": round(speeds["int8"] / speeds["fp32"], 2)}


def run(arguments: list[str], folder: Path | None = None) -> None:
    command = [str(Path(sys.executable).with_name("fpplm")), *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{command} failed:\n{done.stdout[-1000:]}\n{done.stderr[-2000:]}")


def mean_loss(rows: dict[str, dict[str, Any]], part: str) -> str:
    """The mean loss over the corpora in points, with its 95 % interval (t)."""
    from scipy.stats import sem, t

    losses = [row[f"{part}_f1_loss"] for row in rows.values()]
    half = t.ppf(0.975, len(losses) - 1) * sem(losses) if len(losses) > 1 else np.nan
    return f"{np.mean(losses):.2f} [{np.mean(losses) - half:.2f}, {np.mean(losses) + half:.2f}]"


if __name__ == "__main__":
    main()
