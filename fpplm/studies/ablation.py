"""The ablation: runs the real stages for arms × corpora × seeds from one small file, each run in its own folder.

A run is named by digests of its parameters, data and encoder, and of code and lock. The ledger (runs.jsonl) holds the
finished runs, so that a killed ablation loses at most the run in progress, and only changed runs are repeated.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Iterator
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

from fpplm.pipeline import paths
from fpplm.pipeline.fingerprint import digest, fingerprints
from fpplm.studies.forest import forest
from fpplm.studies.ledger import read_ledger
from fpplm.studies.markdown import table
from fpplm_core.errors import ParamsError
from fpplm_core.params import Params
from fpplm_core.settings import read_yaml

ROOT = Path.cwd()  # the project, as for every command
SCRATCH = paths.SCRATCH / "ablation"
OURS = ("tasks.read", "tasks.encode", "tasks.train", "tasks.evaluate")


class Cell(NamedTuple):
    """One cell of the grid: its arm, corpus and seed, the content of its params.yaml, and the modules to run.

    `train_sentences` and `dev_sentences` limit train and dev to that many evenly spread sentences (None: all); the
    share `noise` of train's mentions gets a wrong label.
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
        """Whether our own code trains, and not the Trainer of transformers, which uses none of it."""
        return self.modules[-1] == [OURS[-1]]

    @property
    def key(self) -> str:
        """The digest of parameters, data and encoder."""
        settings = {name: block for name, block in self.settings.items() if self.ours or name != "technique"}
        inputs: list[Any] = [settings, self.modules, self.train_sentences, self.dev_sentences, self.noise]
        inputs += [content(settings["data"]["path"]), content(settings["model"]["encoder"])]
        return digest_of(inputs)

    @property
    def code(self) -> str:
        """The digest of the code that runs, and of its libraries."""
        return code_of(tuple(module for module, *_ in self.modules))


@cache
def code_of(modules: tuple[str, ...]) -> str:
    return digest(fingerprints(modules).values())[:16]


def digest_of(values: list[Any]) -> str:
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()[:16]


@cache
def content(path: str) -> str:
    """The digest of a file of the project, or of all files in a folder; that of nothing if it is missing."""
    whole = hashlib.sha256()
    for file in sorted((ROOT / path).rglob("*") if (ROOT / path).is_dir() else [ROOT / path]):
        if file.is_file() and file.suffix != ".pyc":
            whole.update(str(file.relative_to(ROOT)).encode() + b"\0" + file.read_bytes())
    return whole.hexdigest()


def grid(plan: Path) -> Iterator[Cell]:
    """Every cell of a plan whose corpus exists.

    Raises ParamsError for a plan that cannot be read, or that names an unknown parameter.
    """
    try:
        wanted = read_yaml(plan)
        axes = product(wanted["seeds"], wanted["corpora"].items(), wanted["arms"].items())
    except (KeyError, AttributeError, TypeError) as error:
        raise ParamsError(f"not an ablation plan ({error})", where=str(plan)) from None
    base = read_yaml(ROOT / "params.yaml")
    for seed, (corpus, where), (arm, own) in axes:
        settings, limits = copy.deepcopy(base), dict(where)
        changes = {**own, **limits.pop("arms", {}).get(arm, {})}
        trainer = changes.pop("trainer", None)
        common = {"train.seed": seed, "train.epochs": wanted["epochs"], "train.patience": wanted["epochs"]}
        data = [limits.pop(*size) for size in (("train_sentences", None), ("dev_sentences", None), ("noise", 0.0))]
        for name, value in {**common, **limits, **changes}.items():
            change(settings, name, value, f"{plan}: {arm}")
        Params.parse(settings, f"{plan}: {arm}")
        modules = [[name] for name in OURS]
        if trainer:
            modules = [["tasks.read"], ["benchmarks.peers.trainer", *(f"--{k}={v}" for k, v in trainer.items())]]
        if (ROOT / settings["data"]["path"]).is_dir():
            yield Cell(corpus, arm, seed, settings, modules, *data)


def change(settings: dict[str, Any], name: str, value: Any, where: str) -> None:
    """Sets the value of a dotted name. Raises ParamsError if there is no such parameter."""
    *path, last = name.split(".")
    place = settings
    for part in path:
        place = place.get(part, {})
    if last not in place:
        raise ParamsError("unknown parameter", where=where, got=repr(name))
    place[last] = value


def write_outcome(plan: Path, results: Path) -> str:
    """Writes the table and the forest plot of a plan's finished runs, and returns the table as Markdown.

    If a run was made with several versions of the code, the last one counts; the commits are named.
    """
    wanted = read_yaml(plan)
    keys = {cell.key for cell in grid(plan)}
    rows = list({row.key: row for row in read_ledger(results / "runs.jsonl") if row.key in keys}.values())
    parts, groups = [], {}
    for reference in wanted["references"]:
        text, differences = table(rows, reference)
        parts.append(f"# against {reference}\n\n{text}")
        groups[f"against {reference}"] = differences
    commits = ", ".join(sorted({str(row.commit) for row in rows}))
    text = "\n".join(parts) + f"\n{len(rows)} runs, made at {commits or 'no commit'}.\n"
    (results / f"{plan.stem}.md").write_text(text, encoding="utf-8")
    (results / f"{plan.stem}.svg").write_text(forest(groups), encoding="utf-8")
    return text
