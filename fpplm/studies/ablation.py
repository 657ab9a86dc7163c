"""The cells of an ablation: what each of them trains and scores, and the digests that identify it.

A cell is one run. It is identified by digests of its parameters, data and encoder, and of its code. The ledger
(runs.jsonl) contains the finished ones, so that a killed ablation loses at most the runs in progress, and only changed
runs are repeated.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from fpplm.pipeline import paths
from fpplm.pipeline.fingerprint import digest, fingerprints
from fpplm.studies.plan import Changes, Choices, Plan, changed, read_choices, read_plan
from fpplm.studies.search import draw
from fpplm_core.errors import ParamsError
from fpplm_core.settings import read_yaml

SCRATCH = paths.SCRATCH / "ablation"
PREPARE = ("tasks.read", "tasks.encode")
OURS = ("tasks.train", "tasks.evaluate")
TRAINER = "benchmarks.peers.trainer"


class Cell(NamedTuple):
    """One run: its arm, corpus and seed, the content of its params.yaml, and the modules that run.

    A run that is not `final` never sees a test split. `trial` is the number of a draw of the search (None: no search),
    `values` are the parameters that were drawn or chosen. `train_sentences` and `dev_sentences` limit train and dev to
    that many evenly spread sentences (None: all); the share `noise` of train's mentions gets a wrong label.
    """

    corpus: str
    arm: str
    seed: int
    trial: int | None
    values: Changes
    final: bool
    settings: dict[str, Any]
    modules: tuple[str, ...]
    train_sentences: int | None
    dev_sentences: int | None
    noise: float

    @property
    def key(self) -> str:
        """The digest of the parameters that its stages read, of data and of the encoder."""
        sections = sections_of((*PREPARE, *OURS)) - ({"technique"} if TRAINER in self.modules else set())
        settings = {name: block for name, block in self.settings.items() if name in sections}
        return values_digest([settings, self.modules, *self._data()])

    @property
    def data_key(self) -> str:
        """The digest of what `read` and `encode` make for this run, which other runs share."""
        settings = [self.settings[section] for section in ("data", "model", "encode")]
        return values_digest([settings, code_of(PREPARE), *self._data()])

    def _data(self) -> list[Any]:
        data, model = self.settings["data"], self.settings["model"]
        paths = data["path"], data.get("unlabelled"), model["encoder"], model.get("start")
        contents = [content(path) for path in paths if path]
        return [self.final, self.train_sentences, self.dev_sentences, self.noise, *contents]

    @property
    def code(self) -> str:
        """The digest of the code that runs, and of its libraries."""
        return code_of((*PREPARE, *self.modules))


@cache
def sections_of(modules: tuple[str, ...]) -> set[str]:
    """The sections of params.yaml that these stages read, from dvc.yaml."""
    stages = read_yaml("dvc.yaml")["stages"]
    names = [str(name) for module in modules for name in stages[module.removeprefix("tasks.")].get("params", [])]
    return {name.partition(".")[0] for name in names}


@cache
def code_of(modules: tuple[str, ...]) -> str:
    return digest(fingerprints(modules).values())[:16]


def values_digest(values: list[Any]) -> str:
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()[:16]


@cache
def content(path: str) -> str:
    """The digest of a file or of all files in a folder; if there is none, the digest of no bytes.

    Files of the project count with their names in it, files elsewhere with their names in the folder.
    """
    whole, project, place = hashlib.sha256(), Path.cwd(), Path(path).absolute()
    base = project if place.is_relative_to(project) else place.parent
    for file in sorted(place.rglob("*") if place.is_dir() else [place]):
        if file.is_file() and file.suffix != ".pyc":
            whole.update(str(file.relative_to(base)).encode() + b"\0" + file.read_bytes())
    return whole.hexdigest()


def cells_of(plan: Path, results: Path, final: bool, only_chosen: bool = False) -> list[Cell]:
    """The runs of a plan file; `results` is the folder with the chosen values. Raises ParamsError as `grid`."""
    wanted = read_plan(plan)
    chosen = read_choices(plan, results) if final or wanted.choices else {}
    return list(grid(wanted, chosen, final, only_chosen))


def by_key(cells: Iterable[Cell]) -> dict[tuple[str, str], Cell]:
    """The cells by key and code, each run once: two draws of a small space, or two arms, may be the same run."""
    found: dict[tuple[str, str], Cell] = {}
    for cell in cells:
        found.setdefault((cell.key, cell.code), cell)
    return found


def grid(plan: Plan, choices: Choices, final: bool, only_chosen: bool = False) -> Iterator[Cell]:
    """Every run of a plan whose corpus exists: its trials on dev, or the final runs at the chosen values.

    The order is trial by trial, or seed by seed, so that the arms of an unfinished ablation are already paired. Raises
    ParamsError if an arm has an unknown parameter or a wrong value, or if a choice is missing (with `only_chosen`, its
    runs are left out).
    """
    search, base = None if final else plan.search, read_yaml(paths.PARAMS)
    draws = draw(search) if search else [{}]
    rounds = [(number, plan.seeds[0]) for number in range(len(draws))] if search else [(None, n) for n in plan.seeds]
    for number, seed in rounds:
        for corpus in plan.corpora:
            for arm, own in plan.arms.items():
                if number and own.get("search") is False:
                    continue
                drawn = draws[number] if number is not None and own.get("search") is not False else {}
                source = source_of(plan, corpus, arm, final)
                chosen = choices.get(source, {}).get(corpus, {}).get("values")
                cell = cell_of(base, plan, corpus, arm, chosen or {}, drawn, final)
                lacking = source and chosen is None
                if not Path(cell.settings["data"]["path"]).is_dir() or (lacking and only_chosen):
                    continue
                if lacking:
                    do = "run the trials; if every trial diverged, widen the search or remove the arm"
                    raise ParamsError("no choice for this arm and corpus", where=arm, got=f"{source}, {corpus}", do=do)
                yield seeded(cell._replace(trial=number), seed)


def seeded(cell: Cell, seed: int) -> Cell:
    settings = {**cell.settings, "train": {**cell.settings["train"], "seed": seed}}
    return cell._replace(seed=seed, settings=settings)


def source_of(plan: Plan, corpus: str, arm: str, final: bool) -> str:
    """The arm whose choice a cell takes; empty if it takes none."""
    own = {**plan.arms[arm], **plan.corpora[corpus].get("arms", {}).get(arm, {})}
    return own.get("like") or (arm if final and plan.search else "")


def cell_of(
    base: dict[str, Any], plan: Plan, corpus: str, arm: str, chosen: Changes, drawn: Changes, final: bool
) -> Cell:
    """The cell of an arm on a corpus, without its seed; `base` is the content of params.yaml. Raises ParamsError."""
    where, own = dict(plan.corpora[corpus]), dict(plan.arms[arm])
    data = [where.pop(*size) for size in (("train_sentences", None), ("dev_sentences", None), ("noise", 0.0))]
    own |= where.pop("arms", {}).get(arm, {})
    trainer, _, like = own.pop("trainer", False), own.pop("search", None), own.pop("like", None)
    parts = [plan.common, where, own, drawn]
    changes = {name: value for part in ([chosen, *parts] if like else [*parts, chosen]) for name, value in part.items()}
    for name, value in changes.items():
        if isinstance(value, str):
            changes[name] = value.replace("{corpus}", corpus)
    settings = changed(base, changes, f"{arm}, {corpus}")
    if not final and settings["data"]["dev"]:
        settings["data"]["test"] = settings["data"]["dev"]  # a run on dev drops its test sentences (runs.change_data)
    modules = (TRAINER,) if trainer else OURS if final else OURS[:1]
    return Cell(corpus, arm, 0, None, chosen or drawn, final, settings, modules, *data)
