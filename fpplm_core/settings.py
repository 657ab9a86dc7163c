"""The base of every settings.py, and YAML 1.2."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from fpplm_core.errors import ParamsError

Share = Annotated[float, Field(ge=0, le=1)]
Cut = Annotated[float, Field(gt=0, le=0.5)]


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def read_yaml(path: Path | str) -> Any:
    """The plain values of a YAML 1.2 file, as DVC reads and writes it: `off` is a word, not false.

    Raises ParamsError naming the file and the line.
    """
    try:
        return YAML(typ="safe", pure=True).load(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ParamsError("no such file", where=str(path), do="run in the project's folder") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ParamsError(f"cannot be read ({error})", where=str(path)) from None
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "not valid YAML"
        raise ParamsError(f"not valid YAML ({problem})", where=f"{path}{line}") from None
