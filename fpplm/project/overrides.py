"""Sets values in params.yaml for one run."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, get_origin

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedSeq

from fpplm.pipeline.paths import PARAMS, SCRATCH
from fpplm_core.data.segmenter import RULES
from fpplm_core.errors import ParamsError
from fpplm_core.files import whole_file, write_text
from fpplm_core.params import Params
from fpplm_core.settings import read_yaml

# What a deployment may set: whole sections, and of `data` how files are read and which ones.
OPEN_SECTIONS = ("encode", "train", "technique", "export")
OPEN_DATA = (
    "format",
    "word_column",
    "tag_column",
    "separator",
    "scheme",
    "describe",
    "repair",
    "misaligned",
    "overlap",
)
DATA_FILES = ("path", "train", "dev", "test")
BEFORE, DURING = SCRATCH / "params.before.yaml", SCRATCH / "params.during.yaml"


@contextmanager
def with_overrides(settings: Sequence[str]) -> Iterator[None]:
    """Sets values such as `train.lr=1e-4` in params.yaml, as `dvc exp run -S` does, and keeps comments.

    They are undone when the run ends, or when the next run starts if it was killed; `keep_overrides` keeps them.

    Raises:
        ParamsError: a setting is not `key=value`, its key is unknown, or a deployment may not set it.
    """
    from prefect.runtime import deployment

    keep_overrides()
    if settings:
        text = PARAMS.read_text(encoding="utf-8")
        write_text(DURING, text)
        # Of a deployment, whoever can use the server chose them, not the person at this keyboard.
        (set_values_of_deployment if deployment.id else set_values)(DURING, settings)
        write_text(BEFORE, text)
        write_text(PARAMS, DURING.read_text(encoding="utf-8"))
    try:
        yield
    finally:
        restore_params()


def set_values(file: Path, settings: Sequence[str]) -> None:
    """Writes values such as `train.lr=1e-4` into a params.yaml and leaves the rest alone. Raises ParamsError."""
    from dvc.exceptions import InvalidArgumentError
    from dvc.utils.hydra import apply_overrides

    with TemporaryDirectory() as folder:  # DVC's own output loses the style of lists, and is not always YAML
        copy = Path(folder) / "params.json"
        copy.write_text(json.dumps(read_yaml(file), default=str), encoding="utf-8")
        try:
            apply_overrides(str(copy), [_addable(setting) for setting in settings])
        except InvalidArgumentError as error:
            wrong = str(error.__cause__ or error).splitlines()[0]
            raise ParamsError(
                f"cannot be set ({wrong})", got=", ".join(settings), do="write for instance train.lr=1e-4"
            ) from None
        wanted = json.loads(copy.read_text(encoding="utf-8"))
    write_values(file, wanted)


def _addable(setting: str) -> str:
    """The setting with `++` before a mapping that may have any key, such as data.describe: Hydra refuses new keys."""
    kind: Any = Params
    for part in setting.partition("=")[0].split("."):
        field = getattr(kind, "model_fields", {}).get(part)
        if field is None:
            return setting
        kind = field.annotation
        if get_origin(kind) is dict:
            return f"++{setting}"
    return setting


def set_values_of_deployment(file: Path, settings: Sequence[str]) -> None:
    """Writes values as `set_values` does. Raises ParamsError, also for a value that a deployment may not set.

    It may set how a model is trained, and on which files of the project: never what is imported, loaded or moved, nor
    what decides about production. What is compared are values, in whatever way they were set.
    """
    if any("${" in setting for setting in settings):  # resolves to a variable of the environment, such as a password
        raise ParamsError("a scheduled run may not use ${...}", where="overrides", got=", ".join(settings)[:100])
    before = read_yaml(file)
    set_values(file, settings)
    after = read_yaml(file)
    for key, value in _changed(before, after, ""):
        section, _, name = key.partition(".")
        if section in OPEN_SECTIONS or (section == "data" and name.partition(".")[0] in OPEN_DATA):
            continue
        if section == "data" and name == "segmentation" and value in list(RULES):
            continue
        if section == "data" and name in DATA_FILES and _is_inside(after["data"]["path"], name, value):
            continue
        raise ParamsError(
            "a scheduled run may not set this",
            where="overrides",
            got=f"{key}={value}"[:100],
            do=f"set it in params.yaml; a scheduled run may set {', '.join(OPEN_SECTIONS)} and the data files",
        )


def _changed(before: Any, after: Any, key: str) -> Iterator[tuple[str, Any]]:
    """The dotted keys with other values, and their new values."""
    if isinstance(before, dict) and isinstance(after, dict):
        for name in before.keys() | after.keys():
            yield from _changed(before.get(name), after.get(name), f"{key}.{name}".lstrip("."))
    elif before != after or type(before) is not type(after):
        yield key, after


def _is_inside(folder: Any, name: str, value: Any) -> bool:
    """Whether a folder or file of data, after links, lies in the project and in no hidden folder."""
    if value is None or not isinstance(folder, str) or not isinstance(value, str):
        return value is None and name in ("dev", "test")
    root, path = Path.cwd().resolve(), (Path(folder) if name == "path" else Path(folder, value)).resolve()
    return path.is_relative_to(root) and not any(part.startswith(".") for part in path.relative_to(root).parts)


def write_values(file: Path, values: dict[str, Any]) -> None:
    """Sets the values of a YAML file atomically, and keeps its comments, order and layout."""
    yaml = YAML()
    yaml.width = 10_000
    yaml.representer.add_representer(type(None), lambda to, _: to.represent_scalar("tag:yaml.org,2002:null", "null"))
    document = yaml.load(file.read_text(encoding="utf-8"))
    _set(document, values)
    with whole_file(file) as partial:
        yaml.dump(document, partial)


def _set(own: Any, wanted: dict[str, Any]) -> None:
    """Sets the values of a document that differ from the wanted ones, and touches no others."""
    for key, value in wanted.items():
        if isinstance(value, dict) and isinstance(own.get(key), dict):
            _set(own[key], value)
        elif key not in own or own[key] != value:
            if isinstance(value, list) and isinstance(own.get(key), CommentedSeq):
                own[key][:] = value  # a new list would misplace the comments after the old one
                own[key].fa.set_flow_style()
            else:
                own[key] = value
    for key in own.keys() - wanted.keys():
        del own[key]


def keep_overrides() -> None:
    """Makes the current params.yaml permanent."""
    BEFORE.unlink(missing_ok=True)


def restore_params() -> bool:
    """Restores params.yaml as it was before a run set values in it, unless it has been edited since."""
    if not BEFORE.exists():
        return False
    same = PARAMS.read_bytes() == DURING.read_bytes()
    if same:
        write_text(PARAMS, BEFORE.read_text(encoding="utf-8"))
    keep_overrides()
    return same
