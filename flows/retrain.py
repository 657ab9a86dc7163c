"""The retraining flow: every stage of dvc.yaml as a Prefect task, in the order of the graph.

Prefect tries again after a crash or a full disk, never after a verdict or a mistake of the user: those exit with a code
of their own (fpplm_core.errors). DVC decides whether a stage has anything to do.
"""

from __future__ import annotations

import sys
from dataclasses import asdict, replace
from typing import Any

from prefect import flow, task
from prefect.client.schemas.objects import State
from prefect.states import Completed

from fpplm.intake import dvc_import
from fpplm.pipeline.dvc import require_readable
from fpplm.pipeline.dvc_cache import repair_cache
from fpplm.pipeline.flow import end_on_sigterm, retry_policy
from fpplm.pipeline.paths import METRICS
from fpplm.project.lock import Busy, project_lock
from fpplm.project.overrides import with_overrides
from fpplm.project.repair import repair_workspace
from fpplm.project.stages import reproduce_stage, require_one_state, stage_names
from fpplm.promotion import decision
from fpplm.promotion.history import INTERRUPTED_VERDICT, Run, drift, summarise
from fpplm.promotion.notification import notify as send
from fpplm.registry.lineage import Lineage
from fpplm.registry.repository import require_promotable, require_remote
from fpplm.registry.start import pin_start
from fpplm.report.prefect import ignore_server_errors, publish_run, publish_stage
from fpplm.report.run import Verdict
from fpplm.report.scores import model_scores
from fpplm_core.errors import FpplmError, WorkspaceBusy
from fpplm_core.files import read_json
from fpplm_core.params import Params, load


@task(task_run_name="{name}", **retry_policy([2, 20]))
def stage(name: str) -> State[Any]:
    """Brings one stage up to date. Raises StageError."""
    print(f"── {name}", flush=True)
    if not reproduce_stage(name):
        print("   unchanged", flush=True)
        return Completed(name="Cached", message="unchanged since the last run", data=False)
    with ignore_server_errors():
        publish_stage(name)
    return Completed(message="ran", data=True)


@task(**retry_policy([10, 60, 300]))
def reach_remote() -> None:
    """Raises RegistryError if the remote repository would refuse a push."""
    require_remote()


@task(**retry_policy([10, 60, 300]))
def decide(settings: Params, promote: bool) -> Verdict:
    """Compares the new bundle with production, and promotes it where `promote` allows that. Raises RegistryError."""
    return decision.decide(settings, promote)


@flow(name="retrain", log_prints=False)
def retrain(
    overrides: list[str] | None = None,
    promote: bool = True,
    busy: Busy = "wait",
    stage_hours: float = 24,
    notify: str | None = None,
    cold_every: int | None = None,
) -> tuple[Run, Verdict]:
    """From new data to a verdict: takes in drops, runs all stages, compares and promotes; always renders the report.

    Args:
        overrides: values of params.yaml for this run, such as `train.lr=1e-4`.
        promote: commit, register and put into production a model that passes; otherwise only report the verdict.
        busy: what to do if another retraining runs in this folder: wait, skip or fail.
        stage_hours: after so many hours, a stage or the decision counts as hanging; it is ended and retried.
        notify: a Prefect notification block, such as `slack-webhook/ops`, told of every verdict but `unchanged`.
        cold_every: with model.start production, one of so many models in a row starts cold; None = never.

    Raises:
        StageError, or another FpplmError.
    """
    end_on_sigterm()
    values, verdict = overrides or [], INTERRUPTED_VERDICT
    try:
        run = Run.begin(overrides=values, promote=promote)
        try:
            with project_lock(busy):
                for repair in (*repair_workspace(), *repair_cache()):
                    print(f"repaired: {repair}", flush=True)
                with with_overrides(values):
                    verdict = run_pipeline(run, promote, stage_hours, cold_every)
        except WorkspaceBusy as error:
            verdict = Verdict("skipped", [str(error)])
            if busy == "fail":
                raise
        except Exception as error:
            verdict = Verdict.of_error(error)
            raise
        finally:
            run.end(verdict)
    finally:
        send(verdict, notify)  # even if the disk is too full for the ledger
    return run, verdict


def run_pipeline(run: Run, promote: bool, stage_hours: float, cold_every: int | None) -> Verdict:
    """The part of `retrain` that runs while it holds the lock of the folder. Raises as `retrain` does."""
    require_readable()
    settings = load()  # a wrong key is reported before anything starts
    if promote:
        require_promotable()  # likewise what Git would refuse after the training
        reach_remote()
    verdict, refused = INTERRUPTED_VERDICT, list[str]()
    try:
        refused = dvc_import.take_in(settings, commit=promote)
        if chosen := pin_start(settings, promote, cold_every):
            print(chosen, flush=True)
        run.note(facts=asdict(Lineage.of(settings)), promotion=settings.promotion.model_dump())
        timed = stage.with_options(timeout_seconds=3600 * stage_hours)
        for name in stage_names():
            with run.timing(name):
                run.ran[name] = run_stage(timed, name)
            if name == "verify":
                run.note(scores=asdict(model_scores()))
            elif name == "check":
                run.note(statistics=read_json(METRICS / "check.json")["statistics"])
                for change in drift(run, settings.check.drift):
                    print(f"since the last finished run: {change}", flush=True)
        require_one_state()
        verdict = decide.with_options(timeout_seconds=3600 * stage_hours)(settings, promote)
        verdict = replace(verdict, reasons=[*verdict.reasons, *refused])
    except Exception as error:
        for line in refused:
            error.add_note(line)
        verdict = Verdict.of_error(error)
        raise
    finally:
        try:
            publish_run(summarise(run, verdict, settings.check.drift))
        except (FpplmError, OSError) as error:  # the outcome is settled, and must not be lost
            print(f"warning: the report was not written: {error}", file=sys.stderr, flush=True)
    return verdict


def run_stage(timed: Any, name: str) -> bool:
    """Runs the task; False where DVC found nothing to do. Raises StageError."""
    state = timed(name, return_state=True)
    if not state.is_completed():
        state.result()  # raises what the task raised
    return bool(state.name != "Cached")
