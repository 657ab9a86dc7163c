"""Reproduces a registered version from its code, parameters and data, and compares the results."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dvc.config import Config
from dvc.repo import Repo

import fpplm_core
from fpplm.pipeline.paths import BUNDLE, METRICS, PARAMS, SCRATCH
from fpplm.project.lock import reproduction_lock
from fpplm.project.overrides import set_values
from fpplm.registry.git import git, try_git
from fpplm.registry.lineage import Lineage
from fpplm.registry.repository import fetch
from fpplm.registry.versions import commit_of, manifest_of, resolve
from fpplm_core.errors import FpplmError, RegistryError
from fpplm_core.files import read_json
from fpplm_core.serving.bundle import open_bundle


def reproduce(version: str) -> str:
    """Trains `version` again in a clone under .fpplm/reproduce; returns one line on how the result compares.

    Raises:
        RegistryError: its code, data or bundle cannot be fetched, or it needs another version of fpplm.
        FpplmError: a stage failed, the scores differ from the registered ones, or another reproduction is running.
    """
    with reproduction_lock():
        fetch()
        name = resolve(version)
        wanted = manifest_of(name)
        require_stages(name, wanted["fpplm"])
        folder = clone(name)
        for change in Lineage.from_manifest(wanted).diff(Lineage.of_environment()):
            if change.kind in ("environment", "packages"):
                print(f"the environment differs: {change.name} was {change.before}, is {change.after}", flush=True)
        trained = read_json(folder / METRICS / "train.json")
        precision = trained["precision"]  # it may have been chosen by measurement
        set_values(folder / PARAMS, [f"train.precision={precision}"])
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
        command = [sys.executable, "-m", "dvc", "repro", "--quiet", "--force", "--no-run-cache"]  # the stages speak
        threads = str(trained["threads"])  # sums round differently with another number of threads
        variables = os.environ | {"PATH": path, "OMP_NUM_THREADS": threads}
        done = subprocess.run(command, cwd=folder, env=variables, check=False)
        if done.returncode:
            raise FpplmError(
                "a stage failed", where=str(folder), got=f"exit code {done.returncode}", do="see its message above"
            )
        return verdict(wanted, open_bundle(folder / BUNDLE, allow_links=True).manifest)


def require_stages(version: str, made_by: str) -> None:
    """Raises RegistryError if a version's commit has no stages: fpplm 0.1 ran those of the installed package."""
    if try_git("cat-file", "-e", f"{commit_of(version)}:./tasks/train.py") is None:
        do = f"install fpplm {made_by} in a new environment, then reproduce it there"
        raise RegistryError(f"made by fpplm {made_by} and needs the stages of that version", where=version, do=do)
    if made_by != fpplm_core.__version__:
        print(f"the fpplm version differs: was {made_by}, is {fpplm_core.__version__}", flush=True)


def clone(name: str) -> Path:
    """Clones the version's commit into a folder, with its data and this project's DVC cache and remotes."""
    whole = SCRATCH / "reproduce" / name
    shutil.rmtree(whole, ignore_errors=True)
    whole.parent.mkdir(parents=True, exist_ok=True)
    git("clone", "--quiet", "--no-checkout", git("rev-parse", "--show-toplevel"), str(whole))
    git("-C", str(whole), "checkout", "--quiet", "--detach", commit_of(name))
    folder = whole / git("rev-parse", "--show-prefix")
    with Repo() as repo:
        remotes, cache = repo.config["remote"], repo.cache.local_cache_dir
    with Config(dvc_dir=str((folder / ".dvc").resolve())).edit("local") as local:
        local["cache"] = {"dir": cache}
        local["core"] = {"check_update": False}
        local["remote"] = dict(remotes)  # with absolute paths: those in .dvc/config are relative to the project
    with Repo(str(folder)) as copy:
        data = [stage.addressing for stage in copy.index.stages if stage.is_data_source]
        if data:
            copy.pull(data)
    return folder


def verdict(wanted: Mapping[str, Any], made: Mapping[str, Any]) -> str:
    """Compares a reproduced bundle with the registered one by their manifests. Raises FpplmError."""
    names = sorted(wanted["files"].keys() | made["files"].keys())
    others = [name for name in names if wanted["files"].get(name) != made["files"].get(name)]
    if not others:
        size = sum(file["bytes"] for file in made["files"].values())
        return f"identical: {len(names)} files of the bundle, {size:,} bytes"
    scores = [manifest["scores"]["test"]["f1"] for manifest in (wanted, made)]
    if wanted["model_sha256"] == made["model_sha256"]:
        both = f"trained test F1 {scores[0]:.4f} and {scores[1]:.4f}"
        return f"the same weights, but different bytes in {', '.join(others)}; {both}"
    if scores[0] == scores[1]:
        return f"different weights, but the same scores: trained test F1 {scores[1]:.4f}"
    raise FpplmError(
        "the reproduced model differs",
        got=f"trained test F1 {scores[1]:.4f}, registered {scores[0]:.4f}",
        do="bytes are equal only on the same kind of machine and environment; see the differences above",
    )
