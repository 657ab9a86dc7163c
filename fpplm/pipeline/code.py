"""The fingerprint of every stage in build/code, by which DVC notices that a stage's code has changed.

The stages are the modules of the project's package `tasks`.
"""

from __future__ import annotations

from pathlib import Path

from fpplm.pipeline.changes import first_names
from fpplm.pipeline.fingerprint import Fingerprint, differences, fingerprint, fingerprints, modules_of
from fpplm_core.errors import InputsChanged
from fpplm_core.files import read_json, write_text

CODE = Path("build/code")


def write_code() -> dict[str, Fingerprint]:
    """Writes the fingerprints that have changed to build/code/STAGE.json; returns the fingerprints of all stages.

    Raises FpplmError if a file of code has a syntax error.
    """
    by_stage = {module.rpartition(".")[2]: code for module, code in fingerprints(modules_of("tasks")).items()}
    write_changed(CODE, {stage: code.to_json() for stage, code in by_stage.items()})
    return by_stage


def write_changed(folder: Path, texts: dict[str, str]) -> None:
    """Makes `folder` hold exactly these texts as NAME.json; an unchanged file keeps its modification time."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        path = folder / f"{name}.json"
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            write_text(path, text)
    for path in folder.glob("*.json"):
        if path.stem not in texts:
            path.unlink()


def read_code(stage: str) -> Fingerprint:
    """What `write_code` wrote for a stage. Raises DataError if it is missing."""
    return Fingerprint.from_json(read_json(CODE / f"{stage}.json"))


def check_code(stage: str) -> None:
    """Compares the code of a stage with its fingerprint in build/code.

    A stage calls it when it starts and when it ends. Otherwise DVC would record code that did not run, after
    `dvc repro -s` without `environment` or after an edit during the run.

    Raises:
        InputsChanged: the code was edited, or a package replaced, since the fingerprint was written.
        DataError: there is no fingerprint.
    """
    changed = differences(read_code(stage), fingerprint(f"tasks.{stage}"))
    if changed:
        raise InputsChanged(
            "the code has changed since its fingerprint was written",
            where=first_names([one.name for one in changed]),
            do="run `dvc repro`, which takes the new fingerprint first",
        )
