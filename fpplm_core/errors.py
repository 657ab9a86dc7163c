"""All errors that a user can meet. Each is one line: what is wrong, where, what fpplm got, and what to do.

    FpplmError            exit 1
    ├── ParamsError       exit 2   params.yaml: unknown key, value out of range
    ├── DataError         exit 3   a file or an annotation that cannot be read or used
    ├── EncoderError      exit 4   the pretrained encoder cannot be found or loaded
    ├── BundleError       exit 5   a bundle is incomplete, changed or too new
    ├── DeviceError       exit 6   a requested device or provider is missing
    ├── StorageError      exit 7   the disk is full or not writable
    ├── InputsChanged     exit 8   a file or parameter was edited while a stage used it
    ├── WorkspaceBusy     exit 9   another retraining, or another study, is running in this folder
    ├── CheckFailed       exit 10  the data check found errors
    ├── GateFailed        exit 11  the model is not good enough to be exported
    ├── RegistryError     exit 12  Git, DVC or one of their remotes failed; nothing in production has changed
    └── TrainingDiverged  exit 13  the loss or its gradient is not finite

Codes 10 and 11 are verdicts: running the same thing again gives the same answer, so nothing retries them.
"""

from __future__ import annotations

import reprlib
from typing import Any, Self

from fpplm_core.escaping import printable

LONGEST_PART = 2000  # characters of what an error says or got: it names ten refused annotations, never a whole file


class _Short(reprlib.Repr):
    """Writes nothing and booleans as YAML and JSON do."""

    def repr_NoneType(self, value: None, level: int) -> str:  # noqa: N802
        return "null"

    def repr_bool(self, value: bool, level: int) -> str:
        return str(value).lower()


_short = _Short()
_short.maxlevel, _short.maxstring, _short.maxlong, _short.maxother = 3, 60, 60, 60


def shown(value: Any) -> str:
    """A value as a message shows it: at most 61 characters, however large or deep it is."""
    try:
        text = _short.repr(value)
    except ValueError:  # Python does not format numbers of more than 4300 digits
        return "a number too long to show"
    return text if len(text) <= 60 else text[:60] + "…"


class FpplmError(Exception):
    """A message in four parts; `str()` gives the one line that is shown."""

    exit_code = 1

    def __init__(self, what: str, *, where: str = "", got: str = "", do: str = "") -> None:
        what, got = (part if len(part) <= LONGEST_PART else part[:LONGEST_PART] + "…" for part in (what, got))
        self.what, self.where, self.got, self.do = what, where, got, do
        what = "\n".join(map(printable, what.split("\n")))  # several errors in params.yaml have a line each
        where, got, do = printable(where), printable(got), printable(do)
        head = f"{where}: {what}" if where else what
        super().__init__(head + (f", got {got}" if got else "") + (f"; {do}" if do else ""))

    @property
    def parts(self) -> dict[str, str]:
        return {"what": self.what, "where": self.where, "got": self.got, "do": self.do}

    def replace(self, **changes: str) -> Self:
        """An error of the same class with these parts in place of its own."""
        return type(self)(**{**self.parts, **changes})


class ParamsError(FpplmError):
    exit_code = 2


class DataError(FpplmError):
    exit_code = 3


class EncoderError(FpplmError):
    exit_code = 4


class BundleError(FpplmError):
    exit_code = 5


class DeviceError(FpplmError):
    exit_code = 6


class StorageError(FpplmError):
    exit_code = 7


class InputsChanged(FpplmError):
    exit_code = 8


class WorkspaceBusy(FpplmError):
    exit_code = 9


class CheckFailed(FpplmError):
    exit_code = 10


class GateFailed(FpplmError):
    exit_code = 11


class RegistryError(FpplmError):
    exit_code = 12


class TrainingDiverged(FpplmError):
    exit_code = 13
