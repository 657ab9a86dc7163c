"""`fpplm init`: creates a project for the user's data, with its own copies of the template's files."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from pathlib import Path

from dvc.exceptions import DvcException
from dvc.repo import Repo

from fpplm.pipeline.paths import PARAMS
from fpplm.project.overrides import set_values
from fpplm.project.template import copy_template, template_lock, write_lock
from fpplm.registry.git import git, is_repository, save, try_git
from fpplm.registry.repository import check_new_project
from fpplm_core.data.formats import POINTER, detect
from fpplm_core.data.options import Options
from fpplm_core.data.reading import text_files
from fpplm_core.data.text_files import require_name
from fpplm_core.data.unlabelled import read_texts
from fpplm_core.errors import DataError, RegistryError
from fpplm_core.files import making, write_text
from fpplm_core.params import load

logging.getLogger("dvc").setLevel(logging.WARNING)  # silences its advice on what to commit, which this module does
DATA = Path("data/corpus")
TEXT = Path("data/unlabelled")
OWN_MODULES = ("tasks.py", "flows.py")  # the project's packages tasks and flows would hide them
README = """# {name}

A tagger that fpplm retrains from the annotated text in `data/corpus`.

    fpplm check data/corpus/{train} # lists the problems of the data, line by line
    fpplm retrain                          # runs the stages that have changed, from the data to a verified bundle
    fpplm gate --write                     # sets floors for the gate from the scores of the last run
    fpplm schedule                         # retrains every night
    fpplm models                           # lists the versions, and which one is in production
    fpplm rollback                         # puts the previous version back into production
    fpplm update                           # after an upgrade of fpplm: updates the files below

| | |
| --- | --- |
| `params.yaml` | all parameters: encoder, training, severities of the checks, thresholds of the gate |
| `slices.yaml` | parts of dev and test that are scored by themselves |
| `dvc.yaml` | the stages, with their inputs and outputs |
| `tasks` | one file for each stage; to add a stage, write a file and an entry in `dvc.yaml` |
| `flows` | the Prefect flows: `fpplm retrain` runs `flows/retrain.py` |
| `data/corpus` | the data; `fpplm retrain` records a change of it in DVC, with `--promote` also in Git |
| `reports/report.html` | the report of the last run |
| `bundle` | the tagger: `echo "…" \\| fpplm predict bundle -` |

The first model goes into production once the gate has floors: `fpplm gate` proposes them after a run, and `fpplm gate
--write` sets them in `params.yaml`. The stages call the installed packages `fpplm` and `fpplm_core`, and run again if
the code or a package that they use changes.
"""


def create(directory: Path, train: Path, dev: Path | None, test: Path | None, unlabelled: Path | None = None) -> None:
    """Creates a project in a new or empty folder: the template's files, a copy of the data in DVC, a first commit.

    Inside a Git repository, it becomes part of that repository. A split that is not given is split off from train. The
    text files of the folder `unlabelled` are copied. If anything fails, nothing is left behind.

    Raises:
        DataError: the folder is not empty, a file is missing or of an unknown format, or `unlabelled` has no text.
        RegistryError: Git or DVC failed.
    """
    files = {split: file.resolve() for split, file in (("train", train), ("dev", dev), ("test", test)) if file}
    check(directory, files)
    texts = text_files(unlabelled.resolve(), "--unlabelled") if unlabelled else []
    if texts and not any(sentence for file in texts for sentence in read_texts(file, Options())):
        raise DataError(
            "no text in its files", where="--unlabelled", got=repr(str(unlabelled)), do="write a sentence on each line"
        )
    suffixes = {split: POINTER if file.name.endswith(POINTER) else file.suffix for split, file in files.items()}
    names = {split: f"{split}{suffix}" for split, suffix in suffixes.items()}
    settings = {"path": str(DATA)} | {split: names.get(split, "null") for split in ("train", "dev", "test")}
    settings |= {"unlabelled": str(TEXT)} if texts else {}
    overrides = [f"data.{key}={value}" for key, value in settings.items()] + ["gate.min_f1=0", "gate.min_type_f1=0"]
    with nothing_left_behind(directory):
        with making(directory):
            (directory / DATA).mkdir(parents=True)
        with chdir(directory):
            for split, file in files.items():
                copy = shutil.copytree if file.is_dir() else shutil.copyfile
                copy(file, DATA / names[split])
            for file in texts:
                TEXT.mkdir(exist_ok=True)
                shutil.copyfile(file, TEXT / file.name)
            lock = template_lock()
            copy_template(list(lock.files))
            write_lock(lock)
            set_values(PARAMS, overrides)
            load()
            write_text(Path("README.md"), README.format(name=Path.cwd().name, train=names["train"].ljust(14)))
            record()


@contextmanager
def nothing_left_behind(directory: Path) -> Iterator[None]:
    """If an error or Ctrl-C ends the block, removes what it has put into this new or empty folder, and new parents."""
    new = next((folder for folder in reversed([directory, *directory.parents]) if not folder.exists()), None)
    kept = set(directory.iterdir()) if new is None else set()
    try:
        yield
    except BaseException:
        if directory.is_dir():
            with chdir(directory):  # the index of a repository around it, in which DVC and `record` put files
                try_git("reset", "--quiet", "--", ".")
        for path in [new] if new else set(directory.iterdir()) - kept:
            shutil.rmtree(path, ignore_errors=True) if path == new or path.is_dir() else path.unlink()
        raise


def check(directory: Path, files: dict[str, Path]) -> None:
    """Checks everything that can be wrong before anything is written. Raises DataError, ParamsError, RegistryError."""
    require_name(directory.absolute())
    refuse_own_modules(directory)
    if directory.exists() and (not directory.is_dir() or any(path.name != ".git" for path in directory.iterdir())):
        raise DataError("not empty", where=str(directory), do="name a new folder, or an empty one")
    check_new_project(directory)
    for file in files.values():
        name, reason = detect(file)
        if name == "brat" and file.is_file():
            raise DataError(
                "half of a pair of files", where=str(file), got=reason, do="name the folder that holds them"
            )


def refuse_own_modules(directory: Path) -> None:
    """Raises DataError if the project's packages tasks and flows would hide a module of the user's."""
    if own := [name for name in OWN_MODULES if (directory / name).exists()]:
        where, name = str(directory / own[0]), own[0].removesuffix(".py")
        raise DataError(
            f"the project's package {name} would hide it", where=where, do="rename it, or choose a new folder"
        )


def record() -> None:
    """Sets up Git and DVC for this folder, puts the data into DVC, and commits. Raises RegistryError."""
    if not is_repository():
        git("init", "--quiet", "--initial-branch=main")
    inside = bool(git("rev-parse", "--show-prefix"))
    try:
        with Repo.init(subdir=inside) as repo:
            with repo.config.edit() as settings:
                settings["core"] |= {"analytics": False, "check_update": False}
            repo.add([str(folder) for folder in (DATA, TEXT) if folder.exists()])
    except DvcException as error:
        raise RegistryError("DVC cannot be set up", where=str(Path.cwd()), got=str(error)) from None
    save(["."], "A new project, by fpplm init")
