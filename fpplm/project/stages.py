"""The stages of dvc.yaml: orders them, and brings one up to date with DVC."""

from __future__ import annotations

import logging
import os
import re
import signal
import sys
from asyncio import CancelledError
from pathlib import Path
from typing import Any

import networkx as nx
import psutil
from dvc.exceptions import ReproductionError
from dvc.repo import Repo
from dvc.stage import PipelineStage
from prefect.settings import PREFECT_API_URL

from fpplm.pipeline.changes import dotted, first_names
from fpplm.pipeline.dvc import open_repo
from fpplm.pipeline.failures import INTERRUPTED, StageError
from fpplm.pipeline.paths import LAST_ERROR
from fpplm.project.repair import keep_lock_file
from fpplm_core.errors import InputsChanged, ParamsError
from fpplm_core.settings import read_yaml

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


def require_one_state() -> None:
    """Raises InputsChanged if stages were run with different states of the same file or parameter.

    DVC runs one stage after the other and looks at the inputs of each: what is edited in between reaches only the
    later ones, whose records would then describe data or parameters that the model was not made of.
    """
    recorded = read_yaml("dvc.lock")["stages"]
    seen: dict[str, Any] = {}
    for name in stage_names():
        stage = recorded.get(name, {})
        found = {one["path"]: one.get("md5") for one in (*stage.get("deps", ()), *stage.get("outs", ()))}
        found |= dotted(stage.get("params", {}))
        if other := [key for key, value in found.items() if seen.setdefault(key, value) != value]:
            do = "run fpplm retrain, which starts from the present state"
            raise InputsChanged("edited between two stages", where=first_names(other), do=do)


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
