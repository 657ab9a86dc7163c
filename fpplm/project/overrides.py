"""Sets values in params.yaml for one run."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedSeq

from fpplm.pipeline.paths import SCRATCH
from fpplm_core.errors import ParamsError
from fpplm_core.files import write_text
from fpplm_core.settings import read_yaml

PARAMS = Path("params.yaml")


BEFORE, DURING = SCRATCH / "params.before.yaml", SCRATCH / "params.during.yaml"


@contextmanager
def with_overrides(settings: Sequence[str]) -> Iterator[None]:
    """Sets values such as `train.lr=1e-4` in params.yaml, as `dvc exp run -S` does, and keeps comments.

    They are undone when the run ends, or when the next run starts if it was killed; `keep_overrides` keeps them.

    Raises:
        ParamsError: a setting is not `key=value`, or its key is unknown.
    """
    keep_overrides()
    if settings:
        text = PARAMS.read_text(encoding="utf-8")
        write_text(DURING, text)
        set_values(DURING, settings)
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
        copy.write_text(json.dumps(read_yaml(file)), encoding="utf-8")
        try:
            apply_overrides(str(copy), list(settings))
        except InvalidArgumentError as error:
            wrong = str(error.__cause__ or error).splitlines()[0]
            raise ParamsError(
                f"cannot be set ({wrong})", got=", ".join(settings), do="write for instance train.lr=1e-4"
            ) from None
        wanted = json.loads(copy.read_text(encoding="utf-8"))
    write_values(file, wanted)


def write_values(file: Path, values: dict[str, Any]) -> None:
    """Sets the values of a YAML file, and keeps its comments, order and layout."""
    yaml = YAML()
    yaml.width = 10_000
    yaml.representer.add_representer(type(None), lambda to, _: to.represent_scalar("tag:yaml.org,2002:null", "null"))
    document = yaml.load(file.read_text(encoding="utf-8"))
    _set(document, values)
    with file.open("w", encoding="utf-8") as stream:
        yaml.dump(document, stream)


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
