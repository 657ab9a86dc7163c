"""The ablation: arms × corpora × seeds from one small file, each run the real stages in a folder of its own.

A run is named by digests of its parameters, data and encoder, and of code and lock; the ledger (runs.jsonl) holds what
is finished, so that an ablation that was killed loses at most the run in progress, and what has changed is run anew.
"""

from __future__ import annotations

import copy
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import tasks  # first: it switches telemetry off before the libraries look

os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")

import numpy as np
import yaml
from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.futures import as_completed
from prefect.task_runners import ThreadPoolTaskRunner

from flows import end_on_sigterm
from flows.forest import forest
from flows.outcome import table
from fpplm_core import params
from fpplm_core.errors import FpplmError, ParamsError
from fpplm_core.labels import lenient_spans, to_tags
from fpplm_core.metrics import types_of
from fpplm_core.text import Sentence
from tasks.read import load_corpus, write_corpus

ROOT = Path.cwd()  # the project, as for every command
SCRATCH = tasks.SCRATCH / "ablation"
CODE = ("read", "encode", "checkpoint", "training_data", "train", "evaluate")  # of tasks/: what a result depends on
OURS = ("tasks.read", "tasks.encode", "tasks.train", "tasks.evaluate")


class Run(NamedTuple):
    """One cell of the grid: its place, the whole content of its params.yaml, and the modules to run.

    Of train and dev, `train_sentences` and `dev_sentences` are taken, evenly spread (None: all), and `noise` of train's
    mentions get a wrong label.
    """

    corpus: str
    arm: str
    seed: int
    settings: dict[str, Any]
    modules: list[list[str]]
    train_sentences: int | None
    dev_sentences: int | None
    noise: float

    @property
    def ours(self) -> bool:
        """Whether our own code trains; the Trainer knows no technique and none of our code."""
        return self.modules[-1] == [OURS[-1]]

    @property
    def key(self) -> str:
        """The digest of what is asked for: parameters, data and encoder."""
        settings = {name: block for name, block in self.settings.items() if self.ours or name != "technique"}
        inputs = [settings, self.modules, self.train_sentences, self.dev_sentences, self.noise]
        inputs += [content(settings["data"]["path"]), content(settings["model"]["encoder"])]
        return digest_of(inputs)

    @property
    def code(self) -> str:
        """The digest of what answers: code and lock."""
        own = ("fpplm_core", *(f"tasks/{name}.py" for name in CODE)) if self.ours else ("benchmarks/peers/trainer.py",)
        return digest_of([content(path) for path in (*own, "requirements.lock")])


def digest_of(values: list[Any]) -> str:
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()[:16]


@cache
def content(path: str) -> str:
    """The digest of a file, or of all files of a folder, of the project; of nothing where there is none such."""
    digest = hashlib.sha256()
    for file in sorted((ROOT / path).rglob("*") if (ROOT / path).is_dir() else [ROOT / path]):
        if file.is_file() and file.suffix != ".pyc":
            digest.update(str(file.relative_to(ROOT)).encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


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
    for corpus in params.read_yaml(plan)["corpora"].keys() - {run.corpus for run in runs}:
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


def grid(plan: Path) -> Iterator[Run]:
    """All runs of a plan on the corpora that are there.

    Raises ParamsError for a plan that cannot be read or names an unknown parameter.
    """
    try:
        wanted = params.read_yaml(plan)
        axes = product(wanted["seeds"], wanted["corpora"].items(), wanted["arms"].items())
    except (KeyError, AttributeError, TypeError) as error:
        raise ParamsError(f"not a plan of an ablation ({error})", where=str(plan)) from None
    base = params.read_yaml(ROOT / "params.yaml")
    for seed, (corpus, where), (arm, own) in axes:
        settings, limits = copy.deepcopy(base), dict(where)
        changes = {**own, **limits.pop("arms", {}).get(arm, {})}
        trainer = changes.pop("trainer", None)
        common = {"train.seed": seed, "train.epochs": wanted["epochs"], "train.patience": wanted["epochs"]}
        data = [limits.pop(*size) for size in (("train_sentences", None), ("dev_sentences", None), ("noise", 0.0))]
        for name, value in {**common, **limits, **changes}.items():
            change(settings, name, value, f"{plan}: {arm}")
        params.parse(settings, f"{plan}: {arm}")
        modules = [[name] for name in OURS]
        if trainer:
            modules = [["tasks.read"], ["benchmarks.peers.trainer", *(f"--{k}={v}" for k, v in trainer.items())]]
        if (ROOT / settings["data"]["path"]).is_dir():
            yield Run(corpus, arm, seed, settings, modules, *data)


def change(settings: dict[str, Any], name: str, value: Any, where: str) -> None:
    """Sets one dotted name. Raises ParamsError where there is none such."""
    *path, last = name.split(".")
    place = settings
    for part in path:
        place = place.get(part, {})
    if last not in place:
        raise ParamsError("unknown parameter", where=where, got=repr(name))
    place[last] = value


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
    environment = {**os.environ, "PYTHONPATH": str(ROOT), tasks.WATCHED: str(os.getpid())}
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
            train = spread(load_corpus("train", folder / tasks.CORPUS), run.train_sentences)
            write_corpus(folder / tasks.CORPUS / "train.parquet", mislabelled(train, run.noise))
            dev = spread(load_corpus("dev", folder / tasks.CORPUS), run.dev_sentences)
            write_corpus(folder / tasks.CORPUS / "dev.parquet", dev)
        if module[0] in ("tasks.train", "benchmarks.peers.trainer"):
            seconds, memory = time.perf_counter() - start, usage.ru_maxrss
    row = result(run, folder) | {"seconds": seconds, "peak_mb": memory // 1024}
    shutil.rmtree(folder)
    return row


def spread(sentences: list[Sentence], number: int | None) -> list[Sentence]:
    """This many sentences, evenly from the first to the last."""
    if number is None or number >= len(sentences):
        return sentences
    return [sentences[place * len(sentences) // number] for place in range(number)]


def mislabelled(sentences: list[Sentence], share: float) -> list[Sentence]:
    """The sentences with this share of their mentions given another type, or none; the same ones for every arm."""
    if not share:
        return sentences
    random = np.random.default_rng(0)
    types: list[str | None] = [*types_of(s.tags for s in sentences), None]
    changed = []
    for sentence in sentences:
        kept = []
        for span in lenient_spans(sentence.tags):
            kind: str | None = span.type
            if random.random() < share:
                kind = random.choice([other for other in types if other != span.type])
            if kind is not None:
                kept.append(span._replace(type=kind))
        changed.append(replace(sentence, tags=tuple(to_tags(kept, len(sentence.words), "IOB2"))))
    return changed


def result(run: Run, folder: Path) -> dict[str, Any]:
    """One line of the ledger: where it stands, its scores, and tp, fp, fn of every test sentence."""
    scores = json.loads((folder / tasks.METRICS / "evaluate.json").read_text(encoding="utf-8"))
    trained = json.loads((folder / tasks.METRICS / "train.json").read_text(encoding="utf-8"))
    lines = (folder / tasks.PREDICTIONS / "test.jsonl").read_text(encoding="utf-8").splitlines()
    counts = [[row["tp"], row["fp"], row["fn"]] for row in map(json.loads, lines)]
    keys = ("f1", "precision", "recall", "seen_f1", "unseen_f1", "illegal_paths", "calibration_error")
    return {
        "key": run.key,
        "code": run.code,
        "commit": commit(),
        "corpus": run.corpus,
        "arm": run.arm,
        "seed": run.seed,
        "dev_f1": trained["dev_f1"],
        "test": {key: scores["test"][key] for key in keys},
        "counts": counts,
    }


def commit() -> str | None:
    """The commit that stands here; None where Git does not know."""
    command = ["git", "describe", "--always", "--dirty"]
    asked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return asked.stdout.strip() or None


def read_ledger(ledger: Path) -> list[dict[str, Any]]:
    if not ledger.exists():
        return []
    return [json.loads(line) for line in ledger.read_text(encoding="utf-8").splitlines()]


def write_outcome(plan: Path, results: Path) -> str:
    """Writes the table and the forest plot of a plan's finished runs, and gives the table as Markdown.

    Of a run that was made with several versions of the code, the last one counts; the commits are named.
    """
    wanted = params.read_yaml(plan)
    keys = {run.key for run in grid(plan)}
    rows = list({row["key"]: row for row in read_ledger(results / "runs.jsonl") if row["key"] in keys}.values())
    parts, groups = [], {}
    for reference in wanted["references"]:
        text, differences = table(rows, reference)
        parts.append(f"# against {reference}\n\n{text}")
        groups[f"against {reference}"] = differences
    commits = ", ".join(sorted({str(row["commit"]) for row in rows}))
    text = "\n".join(parts) + f"\n{len(rows)} runs, made at {commits or 'no commit'}.\n"
    (results / f"{plan.stem}.md").write_text(text, encoding="utf-8")
    (results / f"{plan.stem}.svg").write_text(forest(groups), encoding="utf-8")
    return text
