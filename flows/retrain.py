"""The retraining flow: every stage of dvc.yaml as a Prefect task, in the order of the graph.

Prefect retries faults (a crash, a full disk), never a verdict or a mistake of the user: those exit with a code of
their own (fpplm_core.errors). DVC decides whether a stage has anything to do.
"""

from __future__ import annotations

import logging
import os
import re
import signal
import sys
from pathlib import Path
from typing import Any

import tasks  # first: it switches telemetry off before the libraries look

for _variable, _value in {
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",  # errors reach the terminal once, as our own line
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",  # the temporary server starts slowly on busy machines
}.items():
    os.environ.setdefault(_variable, _value)
os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"  # stages say `python`

import networkx as nx
from dvc.exceptions import ReproductionError
from dvc.repo import Repo
from prefect import flow, task
from prefect.artifacts import create_link_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.settings import PREFECT_API_URL
from prefect.states import Completed, State

from flows import end_on_sigterm
from fpplm_core import params
from fpplm_core.errors import FpplmError
from tasks import BUNDLE, METRICS, read_json
from tasks.report import render

logging.getLogger("dvc").setLevel(logging.WARNING)  # the stages speak for themselves
INTERRUPTED = 130
DECIDED = {kind.exit_code for kind in FpplmError.__subclasses__()} - {7} | {INTERRUPTED}


class StageError(FpplmError):
    """A stage ended with another exit code than 0; its own message has been printed by the stage."""

    def __init__(self, stage: str, code: int) -> None:
        super().__init__(f"the stage {stage} failed", got=f"exit code {code}", do=f"again by hand: dvc repro {stage}")
        self.exit_code = code if code > 0 else 1
        self.decided = code in DECIDED


def is_fault(_task: Any, _run: Any, state: State[Any]) -> bool:
    """Whether trying again may help."""
    error = state.result(raise_on_failure=False)
    return not (isinstance(error, StageError) and error.decided)


@task(
    task_run_name="{name}",
    cache_policy=NO_CACHE,  # DVC is the cache
    retries=2,
    retry_delay_seconds=[2, 20],
    retry_condition_fn=is_fault,
)
def stage(name: str) -> State[Any]:
    """Brings one stage up to date. Raises StageError."""
    print(f"── {name}", flush=True)
    with Repo() as repo:
        try:
            done = repo.reproduce(name, single_item=True)
        except ReproductionError as error:
            status = re.search(r"exited with (-?\d+)", str(error.__cause__))
            if status is None:
                raise
            # On Ctrl-C the stage says 130; `sh`, where it stands between, dies of the signal before the stage is done.
            code = INTERRUPTED if int(status[1]) == -signal.SIGINT else int(status[1])
            if code == INTERRUPTED and PREFECT_API_URL.value() is None:
                # Ctrl-C has also ended Prefect's temporary server, and Prefect would look for it for minutes.
                os._exit(INTERRUPTED)
            raise StageError(name, code) from None
    if not done:
        print("   unchanged", flush=True)
        return Completed(name="Cached", message="unchanged since the last run", data=False)
    publish(name)
    return Completed(message="ran", data=True)


@flow(name="retrain", log_prints=False)
def retrain() -> dict[str, bool]:
    """Runs all stages, renders the report whatever happens; which stages ran. Raises StageError."""
    end_on_sigterm()
    params.load()  # a wrong key is said before anything starts
    try:
        return {name: run_stage(name) for name in stages()}
    finally:
        create_link_artifact(key="report", link=render().resolve().as_uri(), link_text="report.html")


def run_stage(name: str) -> bool:
    """Runs the task; False where DVC found nothing to do. Raises StageError."""
    state = stage(name, return_state=True)
    if not state.is_completed():
        state.result()  # raises what the task raised
    return state.name != "Cached"


def stages() -> list[str]:
    """The names of dvc.yaml's stages, each after those it depends on."""
    with Repo() as repo:
        return [found.name for found in nx.dfs_postorder_nodes(repo.index.graph)]


def publish(name: str) -> None:
    """What a finished stage shows in Prefect: tables of the check, the scores and the gate, a link to the bundle."""
    if name == "check":
        checks = read_json(METRICS / "check.json")["checks"]
        rows = [{"check": key, **{k: row[k] for k in ("severity", "found", "rows")}} for key, row in checks.items()]
        create_table_artifact(key="check", table=rows, description="data check")
    elif name == "evaluate":
        scores = read_json(METRICS / "evaluate.json")
        keys = ("f1", "f1_low", "f1_high", "precision", "recall", "macro_f1", "coverage")
        rows = [{"split": split, **{key: row[key] for key in keys}} for split, row in scores.items()]
        create_table_artifact(key="scores", table=rows, description="span scores, seqeval strict")
    elif name == "gate":
        create_table_artifact(key="gate", table=read_json(METRICS / "gate.json")["rules"], description="gate")
    elif name == "verify":
        create_link_artifact(key="bundle", link=BUNDLE.resolve().as_uri(), link_text="bundle")


def summary() -> str:
    """The last run in a few lines: scores, verdict, where everything is, and one sentence tagged by the bundle."""
    from fpplm_core.serving import Predictor

    scores = read_json(METRICS / "evaluate.json")
    gate = read_json(METRICS / "gate.json")
    golden = " ".join(read_json(BUNDLE / "golden.json")[0]["words"])
    predictor = Predictor.load(BUNDLE)
    entities = [f"{e.text} [{e.label} {e.score:.2f}]" for e in predictor.predict(golden)]
    lines = [
        f"{split:<8} F1 {row['f1']:.4f}  [{row['f1_low']:.4f}, {row['f1_high']:.4f}]" for split, row in scores.items()
    ]
    return "\n".join(
        [
            *lines,
            f"gate     {'passed' if gate['passed'] else 'failed'}, {len(gate['rules'])} rules",
            f"bundle   {BUNDLE.resolve()}  ({predictor.variant} on {predictor.device} by default)",
            f"report   {(tasks.REPORTS / 'report.html').resolve()}",
            f"example  {golden}",
            f"      →  {', '.join(entities) or 'no entity'}",
        ]
    )
