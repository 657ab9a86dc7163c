"""Tags many files with a bundle, one task for each: retried after a crash, skipped if its output is complete."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prefect import flow, task
from prefect.client.schemas.objects import State
from prefect.states import Completed

from fpplm.pipeline.flow import end_on_sigterm, retry_policy
from fpplm.prediction.files import is_current, tag_file, targets_of
from fpplm.prediction.records import Kind
from fpplm_core.serving import Predictor


@task(task_run_name="{source.name}", **retry_policy([2, 20]))
def tag(predictor: Predictor, source: Path, target: Path, kind: Kind, resume: bool) -> State[Any]:
    """Tags one file, unless its output was made of it by the same bundle. Raises DataError."""
    if is_current(predictor, source, target):
        return Completed(name="Cached", message="tagged before", data=0)
    words = tag_file(predictor, source, target, kind, resume)
    print(f"{target}: {words:,} words", flush=True)
    return Completed(message=f"{words:,} words", data=words)


@flow(name="predict", log_prints=False)
def predict(
    bundle: Path,
    sources: list[Path],
    folder: Path,
    kind: Kind = "jsonl",
    device: str = "auto",
    resume: bool = False,
) -> int:
    """Tags every file into `folder` and returns the number of words. A file that fails does not stop the others.

    With `resume`, an output that an interruption left incomplete is continued after its last complete record.

    Raises:
        DataError: a file cannot be read.
        BundleError: the bundle is damaged.
    """
    end_on_sigterm()
    targets = targets_of(sources, folder, kind)
    predictor = Predictor.load(bundle, device, allow_links=True)
    states: list[Any] = [
        tag(predictor, *pair, kind, resume, return_state=True) for pair in zip(sources, targets, strict=True)
    ]
    return sum(int(state.result()) for state in states)
