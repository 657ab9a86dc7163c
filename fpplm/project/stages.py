"""The stages of dvc.yaml: orders them, and brings one up to date with DVC."""

from __future__ import annotations

import logging
import os
import re
import signal
import sys
from asyncio import CancelledError
from pathlib import Path

import networkx as nx
import psutil
from dvc.exceptions import ReproductionError
from dvc.repo import Repo
from dvc.stage import PipelineStage
from prefect.settings import PREFECT_API_URL

from fpplm.pipeline.dvc import open_repo
from fpplm.pipeline.failures import INTERRUPTED, StageError
from fpplm.pipeline.paths import LAST_ERROR
from fpplm.project.repair import keep_lock_file
from fpplm_core.errors import ParamsError

os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"  # stages say `python`

logging.getLogger("dvc").setLevel(logging.WARNING)  # the stages print their own messages


def stage_names() -> list[str]:
    """The names of dvc.yaml's stages, each after those it depends on. Raises ParamsError if DVC can read none."""
    with open_repo() as repo:
        ordered = nx.dfs_postorder_nodes(repo.index.graph)
        names = [stage.name for stage in ordered if isinstance(stage, PipelineStage)]  # the others are .dvc files
    if not names:
        raise ParamsError("no stages", where="dvc.yaml", do="restore it with Git")
    return names


def reproduce_stage(name: str) -> bool:
    """Brings a stage up to date, as `dvc repro --single-item`; returns whether it changed. Raises StageError."""
    LAST_ERROR.unlink(missing_ok=True)
    others = set(psutil.Process().children(recursive=True))  # Prefect's temporary server
    with Repo() as repo:
        before = [out.hash_info for out in repo.stage.load_one(name=name).outs]
        try:
            done = repo.reproduce(name, single_item=True)
        except ReproductionError as error:
            code = _exit_code(error)
            if code is None:  # DVC failed before it ran the stage
                raise
            raise StageError(name, code) from None
        except CancelledError:  # it exceeded the time limit of its task
            for child in set(psutil.Process().children(recursive=True)) - others:
                child.kill()  # a hanging process may ignore SIGTERM too
            raise
    keep_lock_file()
    # A stage that always runs has changed something only if its output differs.
    return bool(done) and not (done[0].always_changed and [out.hash_info for out in done[0].outs] == before)


def _exit_code(error: ReproductionError) -> int | None:
    """The exit code of the stage in DVC's error; on Ctrl-C with a temporary server, exits this process."""
    status = re.search(r"exited with (-?\d+)", str(error.__cause__))
    if status is None:
        return None
    # On Ctrl-C the stage exits with 130; a `sh` in between dies of the signal before the stage ends.
    code = INTERRUPTED if int(status[1]) == -signal.SIGINT else int(status[1])
    if code == INTERRUPTED and PREFECT_API_URL.value() is None:
        # Ctrl-C has also ended Prefect's temporary server, and Prefect would look for it for minutes.
        os._exit(INTERRUPTED)
    return code
