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
from asyncio import CancelledError
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import networkx as nx
import psutil
from dvc.exceptions import ReproductionError
from dvc.repo import Repo
from dvc.stage import PipelineStage
from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.settings import PREFECT_API_URL
from prefect.states import Completed, State

from fpplm.intake import dvc_import
from fpplm.pipeline.failures import FAULTS, INTERRUPTED, StageError
from fpplm.pipeline.paths import LAST_ERROR, METRICS
from fpplm.pipeline.sigterm import end_on_sigterm
from fpplm.project import dvc_cache
from fpplm.project.lock import Busy, alone
from fpplm.project.overrides import overridden
from fpplm.project.repair import keep_lock_file, mend
from fpplm.promotion import decision, history
from fpplm.promotion.history import Run, Verdict
from fpplm.registry import lineage
from fpplm.registry.git import is_repository
from fpplm.registry.versions import require_committed_code
from fpplm.report.prefect import publish, show, tell, told
from fpplm_core.errors import FpplmError, WorkspaceBusy
from fpplm_core.files import read_json
from fpplm_core.params import Params, load

os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"  # stages say `python`

logging.getLogger("dvc").setLevel(logging.WARNING)  # the stages speak for themselves
ENDED = Verdict("failed", ["ended before its end"])


def is_fault(_task: Any, _run: Any, state: State[Any]) -> bool:
    """Whether trying again may help: after a crash, a full disk, a remote that was away; not after a verdict."""
    error = state.result(raise_on_failure=False)
    if isinstance(error, StageError):
        return not error.decided
    return not isinstance(error, FpplmError) or isinstance(error, FAULTS)


def again(delays: Sequence[float]) -> dict[str, Any]:
    """Options of a task that is tried again after so many seconds each; DVC is the cache."""
    return {
        "cache_policy": NO_CACHE,
        "retries": len(delays),
        "retry_delay_seconds": list(delays),
        "retry_condition_fn": is_fault,
    }


@task(task_run_name="{name}", **again([2, 20]))
def stage(name: str) -> State[Any]:
    """Brings one stage up to date. Raises StageError."""
    print(f"── {name}", flush=True)
    LAST_ERROR.unlink(missing_ok=True)
    others = set(psutil.Process().children(recursive=True))  # Prefect's temporary server
    with Repo() as repo:
        before = [out.hash_info for out in repo.stage.load_one(name=name).outs]
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
        except CancelledError:  # it took longer than its task may
            for child in set(psutil.Process().children(recursive=True)) - others:
                child.kill()  # what hangs may hang on SIGTERM as well
            raise
    keep_lock_file()
    # A stage that is to run always has changed something only where its output is another one.
    if not done or (done[0].always_changed and [out.hash_info for out in done[0].outs] == before):
        print("   unchanged", flush=True)
        return Completed(name="Cached", message="unchanged since the last run", data=False)
    with told():
        publish(name)
    return Completed(message="ran", data=True)


@task(**again([10, 60, 300]))
def decide(settings: Params, promote: bool) -> Verdict:
    """The new bundle against production, and into production where that is asked for. Raises RegistryError."""
    return decision.decide(settings, promote)


@flow(name="retrain", log_prints=False)
def retrain(
    overrides: list[str] | None = None,
    data: str | None = None,
    promote: bool = True,
    busy: Busy = "wait",
    stage_hours: float = 24,
    notify: str | None = None,
) -> tuple[Run, Verdict]:
    """From new data to a verdict: takes in drops, runs all stages, compares, promotes; renders the report in any case.

    Args:
        overrides: values of params.yaml for this run, such as `train.lr=1e-4`.
        data: the same for data.path.
        promote: commit, register and put into production what earns it; otherwise only say so.
        busy: what to do where another retraining is at work in this folder: wait, skip, fail.
        stage_hours: after which a stage counts as hanging, is ended and tried again.
        notify: a Prefect notification block, such as `slack-webhook/ops`, told of every verdict but `unchanged`.

    Raises:
        StageError, or another FpplmError.
    """
    end_on_sigterm()
    wanted = [*(overrides or []), *([f"data.path={data}"] if data else [])]
    run, verdict = Run.begin(overrides=wanted, promote=promote), ENDED
    try:
        with alone(busy):
            for mended in (*mend(), *dvc_cache.mend()):
                print(f"mended: {mended}", flush=True)
            with overridden(wanted):
                verdict = work(run, promote, stage_hours)
    except WorkspaceBusy as error:
        verdict = Verdict("skipped", [str(error)])
        if busy == "fail":
            raise
    except Exception as error:
        verdict = Verdict("failed", [str(error)])
        raise
    finally:
        run.end(verdict)
        tell(verdict, notify)
    return run, verdict


def work(run: Run, promote: bool, stage_hours: float) -> Verdict:
    """What `retrain` does once the folder is its own. Raises as it does."""
    settings = load()  # a wrong key is said before anything starts
    if promote and is_repository():
        require_committed_code()  # likewise
    verdict = ENDED
    try:
        dvc_import.take_in(settings, commit=promote)
        run.note(facts=lineage.facts(settings))
        timed = stage.with_options(timeout_seconds=3600 * stage_hours)
        for name in stages():
            with run.timing(name):
                run.ran[name] = run_stage(timed, name)
            if name == "check":
                run.note(statistics=read_json(METRICS / "check.json")["statistics"])
                for change in history.drift(run, settings.check.drift):
                    print(f"since the last run: {change}", flush=True)
        verdict = decide(settings, promote)
    except Exception as error:
        verdict = Verdict("failed", [str(error)])
        raise
    finally:
        show(run, verdict, settings.check.drift)
    return verdict


def run_stage(timed: Any, name: str) -> bool:
    """Runs the task; False where DVC found nothing to do. Raises StageError."""
    state = timed(name, return_state=True)
    if not state.is_completed():
        state.result()  # raises what the task raised
    return bool(state.name != "Cached")


def stages() -> list[str]:
    """The names of dvc.yaml's stages, each after those it depends on."""
    with Repo() as repo:
        found = nx.dfs_postorder_nodes(repo.index.graph)
        return [one.name for one in found if isinstance(one, PipelineStage)]  # the others are .dvc files
