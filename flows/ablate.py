"""The ablation: arms × corpora × seeds from one small file, each run the real stages in a folder of its own.

A run is named by digests of its parameters, data and encoder, and of code and lock; the ledger (runs.jsonl) holds what
is finished, so that an ablation that was killed loses at most the run in progress, and what has changed is run anew.
"""

from __future__ import annotations

import copy
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml
from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.futures import as_completed
from prefect.task_runners import ThreadPoolTaskRunner

from fpplm.pipeline.parent import WATCHED
from fpplm.pipeline.paths import CORPUS
from fpplm.pipeline.sigterm import end_on_sigterm
from fpplm.studies.ablation import ROOT, SCRATCH, Run, grid, read_ledger
from fpplm.studies.runs import mislabelled, result, spread
from fpplm_core.data.corpus import load_corpus, write_corpus
from fpplm_core.errors import FpplmError
from fpplm_core.settings import read_yaml


def ablate(plan: Path, ledger: Path, workers: int = 1) -> None:
    """Runs what the ledger lacks, seed by seed, so that an unfinished ablation is already paired.

    With several workers, so many runs at a time share the cores: more is done in an hour, and `seconds` compare arms
    of the same ablation alone.
    """
    run_missing.with_options(task_runner=ThreadPoolTaskRunner(max_workers=workers))(plan, ledger, workers)


@flow(name="ablate", log_prints=False)
def run_missing(plan: Path, ledger: Path, workers: int) -> None:
    end_on_sigterm()
    runs = list(grid(plan))
    for corpus in read_yaml(plan)["corpora"].keys() - {run.corpus for run in runs}:
        print(f"{corpus} is left out: its folder is not there")
    finished = {(row["key"], row["code"]) for row in read_ledger(ledger)}
    todo = [run for run in runs if (run.key, run.code) not in finished]
    print(f"{len(runs)} runs, {len(runs) - len(todo)} done")
    start = time.perf_counter()
    threads = max(1, (os.cpu_count() or 1) // workers) if workers > 1 else None
    waiting = {execute.submit(run, threads): run for run in todo}
    failed: list[FpplmError] = []
    for number, future in enumerate(as_completed(list(waiting)), start=1):
        run = waiting[future]
        try:
            row = future.result()
        except FpplmError as error:  # the others are worth their hours all the same
            print(f"{number}/{len(todo)} failed: {error}", flush=True)
            failed.append(error)
            continue
        ledger.parent.mkdir(parents=True, exist_ok=True)
        with ledger.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(row, ensure_ascii=False) + "\n")
        left = (time.perf_counter() - start) / number * (len(todo) - number)
        scores = f"dev {row['dev_f1']:.4f}, test {row['test']['f1']:.4f}, {row['seconds']:.0f} s"
        done = f"{number}/{len(todo)} (about {left / 60:.0f} min left)"
        print(f"{done} {run.corpus}, {run.arm}, seed {run.seed}: {scores}", flush=True)
    if failed:
        raise failed[0]


@task(task_run_name="{run.corpus}, {run.arm}, seed {run.seed}", cache_policy=NO_CACHE)
def execute(run: Run, threads: int | None) -> dict[str, Any]:
    """Runs the stages in a scratch folder, with so many threads (None: all cores).

    Raises FpplmError where one fails, with the end of its log.
    """
    folder = SCRATCH / run.key
    folder.mkdir(parents=True, exist_ok=True)
    settings = copy.deepcopy(run.settings)
    settings["data"]["path"] = str((ROOT / settings["data"]["path"]).resolve())
    encoder = ROOT / settings["model"]["encoder"]
    if encoder.is_dir():  # else the name of a package or of a model on the hub
        settings["model"]["encoder"] = str(encoder.resolve())
    (folder / "params.yaml").write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
    seconds, memory = 0.0, 0
    log = folder / "log.txt"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), WATCHED: str(os.getpid())}
    if threads:
        environment["OMP_NUM_THREADS"] = str(threads)
    for module in run.modules:
        start = time.perf_counter()
        with log.open("w", encoding="utf-8") as stream:
            process = subprocess.Popen(
                [sys.executable, "-m", *module], cwd=folder, env=environment, stdout=stream, stderr=subprocess.STDOUT
            )
            _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            end = log.read_text(encoding="utf-8", errors="replace")[-2000:]
            raise FpplmError(f"{module[0]} failed", where=f"{run.corpus}, {run.arm}, seed {run.seed}", got=end)
        if module[0] == "tasks.read":
            train = spread(load_corpus("train", folder / CORPUS), run.train_sentences)
            write_corpus(folder / CORPUS / "train.parquet", mislabelled(train, run.noise))
            dev = spread(load_corpus("dev", folder / CORPUS), run.dev_sentences)
            write_corpus(folder / CORPUS / "dev.parquet", dev)
        if module[0] in ("tasks.train", "benchmarks.peers.trainer"):
            seconds, memory = time.perf_counter() - start, usage.ru_maxrss
    row = result(run, folder) | {"seconds": seconds, "peak_mb": memory // 1024}
    shutil.rmtree(folder)
    return row
