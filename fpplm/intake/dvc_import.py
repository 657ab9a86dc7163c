"""Takes in new data before a run: from a folder of incoming files, or from an import that DVC updates."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dvc.exceptions import DvcException
from dvc.repo import Repo

from fpplm.intake import incoming
from fpplm.pipeline.dvc import using_dvc
from fpplm.pipeline.start import POINTER, PRODUCTION, tracked_folder
from fpplm.registry.git import REMOTE, git, has_remote, is_repository, save, try_git
from fpplm.registry.versions import push_bytes
from fpplm_core.data.reading import DROPS, text_files
from fpplm_core.errors import DataError, FpplmError, RegistryError
from fpplm_core.escaping import printable
from fpplm_core.params import Params
from fpplm_core.settings import read_yaml


def take_in(settings: Params, commit: bool) -> list[str]:
    """Takes in new data as a new version of data.path, in DVC if it tracks that folder, else in Git.

    A new version of data.unlabelled, or of the model to start from, is recorded too if DVC tracks that folder. Where
    there is a remote repository, incoming files stay in data.incoming too until a commit with them has been pushed.
    Returns one line for each file that was quarantined, and one if the push was refused. Dev and test are never
    touched: incoming files go to the training split.

    Raises:
        DataError: a file of the data is missing, or incoming files cannot be added to an imported folder.
        RegistryError: Git or DVC refuses; with `commit`, as `tracked` does.
    """
    paths = tracked(settings) if commit and is_repository() else []
    pointer, *others = (pointer_of(folder) for folder in folders(settings))
    imported = pointer.exists() and bool(read_yaml(pointer).get("deps"))
    if imported and settings.data.incoming:
        raise DataError(
            "incoming files cannot be added to an imported folder",
            where="data.incoming",
            got=str(pointer),
            do="set data.incoming to null",
        )
    if not imported:
        require_data(settings)
    found = incoming.take_in(settings)
    for file in found:
        kept = f"taken in, {file.sentences} sentences" if file.accepted else "quarantined"
        print(printable("; ".join(filter(None, (f"{file.name}: {kept}", file.reason, file.note)))), flush=True)
    refused = [f"{printable(file.name)} was quarantined: {file.reason}" for file in found if not file.accepted]
    try:
        record([one for one in (pointer, *others) if one.exists()])
        if paths:
            taken = [file.name for file in found if file.accepted]
            save(paths, f"Data: {', '.join(taken) or settings.data.path}")
    except FpplmError as error:
        for line in refused:  # the next run will not see them
            error.add_note(line)
        raise
    if not (is_repository() and has_remote()):
        incoming.release(settings)
    elif paths and incoming.accepted_files(settings):
        try:
            push(pointer)
            incoming.release(settings)
        except RegistryError as error:
            refused.append(f"new data are committed here, but not pushed: {error}")
            print(printable(refused[-1]), flush=True)
    return refused


def record(pointers: Sequence[Path]) -> None:
    """Records the present content of the folders of these .dvc files, of imported ones a new version.

    Raises RegistryError.
    """
    for pointer in pointers:
        with using_dvc("update the data", pointer) as repo:
            if read_yaml(pointer).get("deps"):
                repo.update([str(pointer)])
            else:
                repo.add([str(pointer.with_suffix(""))])


def require_data(settings: Params) -> None:
    """Raises DataError if a file that data names is missing: an emptied folder must not become a version."""
    for name in ("train", "dev", "test"):
        file = getattr(settings.data, name)
        if file and not (path := Path(settings.data.path, file)).exists():
            do = f"restore it: dvc checkout, dvc pull or git restore; or correct data.{name}"
            raise DataError("no such file", where=f"data.{name}", got=str(path), do=do)
    if settings.data.unlabelled:
        text_files(Path(settings.data.unlabelled), "data.unlabelled")


def push(pointer: Path) -> None:
    """Pushes the data, where DVC tracks them and has a remote, and then this branch. Raises RegistryError."""
    if pointer.exists():
        push_bytes([str(pointer)], do="")
    git("push", "--quiet", REMOTE, f"HEAD:refs/heads/{git('branch', '--show-current')}")


def folders(settings: Params) -> list[str]:
    """The folders of a user's data: data.path and, if they are set, data.unlabelled and the model to start from.

    Not data/start, which `registry.start.pin_start` fills and records.
    """
    start = None if settings.model.start == PRODUCTION else tracked_folder(settings.model)
    return [str(folder) for folder in (settings.data.path, settings.data.unlabelled, start) if folder]


def pointer_of(folder: str) -> Path:
    """The .dvc file of a folder or, if DVC tracks a folder around it, of that one; it may not exist."""
    candidates = [Path(f"{path}.dvc") for path in (Path(folder), *Path(folder).parents) if path.name]
    return next(filter(Path.exists, candidates), Path(f"{folder.rstrip('/')}.dvc"))


def tracked(settings: Params) -> list[str]:
    """The paths in Git that identify the data, and the model to start from: .dvc files, or the folders themselves.

    Raises RegistryError if one of them is in neither DVC nor Git, so that no clone could train on it.
    """
    paths = list[str]()
    for folder in folders(settings):
        if (pointer := pointer_of(folder)).exists():
            paths += map(str, (pointer, pointer.with_name(".gitignore")))
            continue
        is_data = folder == settings.data.path
        new = ["--cached", "--others", "--exclude-standard"] if is_data else []  # the promotion commits new data
        for path in data_files(settings) if is_data else [folder]:
            if not (try_git("ls-files", *new, "--", path) or is_output(path)):
                what = "neither DVC nor Git has it, so nobody could reproduce the model"
                raise RegistryError(what, where=path, do=f"put it into the project and run: dvc add {folder}")
        paths.append(folder)
    return paths + [str(path) for path in (POINTER, POINTER.with_name(".gitignore")) if POINTER.exists()]


def data_files(settings: Params) -> list[str]:
    """The files or folders in data.path that read uses, and that exist."""
    data, second = settings.data, settings.data.second
    names = (data.train, data.dev, data.test, second and second.train, DROPS)
    return [str(path) for path in (Path(data.path, name) for name in names if name) if path.exists()]


def is_output(path: str) -> bool:
    """Whether DVC has a path as an output, or in one, of any .dvc file or stage."""
    try:
        with Repo() as repo:
            return bool(repo.find_outs_by_path(path, strict=False))
    except DvcException:
        return False
