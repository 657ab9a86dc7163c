"""`fpplm init`: a new project for data of one's own. Its code is that of the installed package."""

from __future__ import annotations

import logging
import re
import shutil
import sys
from contextlib import chdir
from pathlib import Path
from tempfile import TemporaryDirectory

from dvc.exceptions import DvcException
from dvc.repo import Repo

from fpplm.project.overrides import set_values
from fpplm.registry.git import git, is_repository
from fpplm.registry.versions import save
from fpplm_core.data.formats import POINTER, detect
from fpplm_core.errors import DataError, RegistryError
from fpplm_core.files import write_text
from fpplm_core.params import Params, load
from fpplm_core.settings import read_yaml

logging.getLogger("dvc").setLevel(logging.WARNING)  # its advice on what to commit: that is done here
CHECKOUT = Path(__file__).resolve().parents[1]
TEMPLATES = CHECKOUT if (CHECKOUT / "dvc.yaml").exists() else Path(sys.prefix, "share/fpplm")  # where a wheel has them
COPIED = ("requirements.lock", ".gitignore", ".dvcignore", "prefect.yaml", "expectations.yaml")
DATA = Path("data/corpus")
README = """# {name}

A tagger, retrained by fpplm from the annotated text in `data/corpus`.

    fpplm check data/corpus/{train} # what is wrong with the data, line by line
    fpplm retrain                          # runs what has changed: from the data to a checked bundle
    fpplm schedule                         # the same every night
    fpplm models                           # the versions so far, and which one is in production
    fpplm rollback                         # the one before it again

| | |
| --- | --- |
| `params.yaml` | every knob: encoder, training, what the check stops at, what the gate wants |
| `dvc.yaml` | the stages, what they need and make |
| `data/corpus` | the data; after a change: `dvc add data/corpus`, and commit `data/corpus.dvc` |
| `reports/report.html` | what the last run came to |
| `bundle` | the tagger: `echo "…" \\| fpplm predict bundle -` |

The gate lets every model pass until `gate.min_f1` and `gate.min_type_f1` in `params.yaml` say what is good enough.
The code is the installed package's: another version of it, of Python or of torch runs every stage again.
"""


def create(directory: Path, train: Path, dev: Path | None, test: Path | None) -> None:
    """A project in a new or empty folder: settings, graph, a copy of the data in DVC, all in a first commit.

    Inside a Git repository it becomes a part of that one. A split that is not given will be cut from train.

    Raises:
        DataError: the folder holds something, or a file is missing or of no known format.
        RegistryError: Git or DVC has refused.
    """
    files = {split: file.resolve() for split, file in (("train", train), ("dev", dev), ("test", test)) if file}
    check(directory, files)
    suffixes = {split: POINTER if file.name.endswith(POINTER) else file.suffix for split, file in files.items()}
    names = {split: f"{split}{suffix}" for split, suffix in suffixes.items()}
    settings = {"path": str(DATA)} | {split: names.get(split, "null") for split in ("train", "dev", "test")}
    overrides = [f"data.{key}={value}" for key, value in settings.items()] + ["gate.min_f1=0", "gate.min_type_f1=0"]
    (directory / DATA).mkdir(parents=True)
    with chdir(directory):
        for split, file in files.items():
            copy = shutil.copytree if file.is_dir() else shutil.copyfile
            copy(file, DATA / names[split])
        for name in COPIED:
            if (TEMPLATES / name).exists():
                shutil.copyfile(TEMPLATES / name, name)
        shutil.copyfile(TEMPLATES / "params.yaml", "params.yaml")
        set_values(Path("params.yaml"), overrides)
        load()
        write_text(Path("dvc.yaml"), with_installed_code((TEMPLATES / "dvc.yaml").read_text(encoding="utf-8")))
        write_text(Path("README.md"), README.format(name=Path.cwd().name, train=names["train"].ljust(14)))
        record()


def check(directory: Path, files: dict[str, Path]) -> None:
    """Everything that can be wrong before the first byte is written. Raises DataError, ParamsError."""
    if directory.exists() and (not directory.is_dir() or any(path.name != ".git" for path in directory.iterdir())):
        raise DataError("not empty", where=str(directory), do="name a new folder, or an empty one")
    for file in files.values():
        name, reason = detect(file)
        if name == "brat" and file.is_file():
            raise DataError("one of two files", where=str(file), got=reason, do="name the folder that holds them")


def settings_here(overrides: list[str]) -> Params:
    """The settings of ./params.yaml, or a new project's, with these values set. Raises ParamsError."""
    own = Path("params.yaml") if Path("params.yaml").exists() else TEMPLATES / "params.yaml"
    with TemporaryDirectory() as folder:
        copy = Path(folder) / "params.yaml"
        shutil.copyfile(own, copy)
        set_values(copy, overrides)
        return Params.parse(read_yaml(copy), str(own))


def with_installed_code(graph: str) -> str:
    """dvc.yaml without the files of code: each stage depends on build/environment.json, which has their version."""
    code = r"(?:      - (?:fpplm_core|tasks)/.*\n)+"
    entry = "      - build/environment.json\n"
    graph = re.sub(rf"    deps:\n{code}(?!      - )", "", graph)  # the stage that makes it
    graph = graph.replace(f"{entry}      - requirements.lock\n", "      - requirements.lock\n")
    graph = re.sub(code, entry, graph)
    note = "# The code is the installed package's: all stages run where build/environment.json changes.\n"
    return re.sub(r"# A stage depends on every file of code.*\n", note, graph)


def record() -> None:
    """Git and DVC for this folder, the data in DVC, and a commit. Raises RegistryError."""
    if not is_repository():
        git("init", "--quiet", "--initial-branch=main")
    inside = bool(git("rev-parse", "--show-prefix"))
    try:
        with Repo.init(subdir=inside) as repo:
            with repo.config.edit() as settings:
                settings["core"] |= {"analytics": False, "check_update": False}
            repo.add(str(DATA))
    except DvcException as error:
        raise RegistryError("DVC cannot be set up", where=str(Path.cwd()), got=str(error)) from None
    save(["."], "A new project, by fpplm init")
