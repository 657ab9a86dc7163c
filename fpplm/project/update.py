"""`fpplm update`: updates a project's copies of the template's files to the installed fpplm."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fpplm.pipeline.paths import PARAMS
from fpplm.project.creation import refuse_own_modules
from fpplm.project.overrides import write_values
from fpplm.project.template import TemplateLock, read_lock, template_files, template_lock, write_lock
from fpplm.registry.git import try_git
from fpplm_core.data.segmenter import RENAMED
from fpplm_core.errors import ParamsError
from fpplm_core.files import file_sha256
from fpplm_core.params import MOVED, load
from fpplm_core.quality.checks import BY_NAME
from fpplm_core.settings import read_yaml

SEGMENTATION, SEVERITY = "data.segmentation", "check.severity"
CHECKOUT = Path("fpplm_core")  # exists in a checkout of fpplm, which is its own template


def update_due() -> bool:
    """Whether the template of the installed fpplm differs from the one that this project's files come from."""
    if CHECKOUT.exists():
        return False
    lock = read_lock()
    return lock is None or lock.files != template_lock().files


def update() -> list[str]:
    """Updates this project's copies; returns one line for each file that it changed or could not change.

    An unedited copy is replaced. Next to an edited copy, the new version is written as FILE.new. The new params.yaml
    keeps the project's values.

    Raises:
        DataError: the project's packages would hide a tasks.py or flows.py of the user's.
    """
    if CHECKOUT.exists():
        return ["nothing to do: a checkout of fpplm is its own template"]
    refuse_own_modules(Path())
    before, after = read_lock(), template_lock()
    lines = [line for name in after.files if (line := bring_up_to_date(name, before, after))]
    if before is not None:
        for name in sorted(before.files.keys() - after.files.keys()):
            lines += take_away(name, before)
    lines += update_params()
    write_lock(after)
    if not lines:
        return [f"up to date with fpplm {after.fpplm}"]
    return [*lines, f"updated to fpplm {after.fpplm}; review the changes with git diff, then commit them"]


def bring_up_to_date(name: str, before: TemplateLock | None, after: TemplateLock) -> str:
    """Replaces or adds one file, or writes the new version next to it; returns what it did, "" for nothing."""
    file, known = Path(name), before.files.get(name) if before else None
    if file == PARAMS or known == after.files[name]:  # the template has not changed: keep whatever the user did
        return ""
    if not file.exists() and known:
        return ""  # the user has deleted it
    source = template_files()[name]
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, file)
        return f"{name}: added"
    if file_sha256(file) == after.files[name]:
        return ""
    if is_as_copied(file, before):
        shutil.copyfile(source, file)
        return f"{name}: replaced"
    shutil.copyfile(source, f"{name}.new")
    return f"{name}: kept, because you have edited it; merge {name}.new into it, then delete {name}.new"


def take_away(name: str, before: TemplateLock) -> list[str]:
    """Deletes a file that the template no longer has, unless it was edited."""
    file = Path(name)
    if not file.exists():
        return []
    if not is_as_copied(file, before):
        return [f"{name}: kept, because you have edited it; fpplm no longer has this file"]
    file.unlink()
    return [f"{name}: deleted; fpplm no longer has this file"]


def is_as_copied(file: Path, before: TemplateLock | None) -> bool:
    """Whether a file is as `fpplm init` or an earlier update wrote it.

    Without template.lock, as in a project made by fpplm 0.1, compares the file with the Git commit that added it.
    """
    if before is not None:
        return file_sha256(file) == before.files.get(file.as_posix())
    commit = try_git("log", "-1", "--diff-filter=A", "--format=%H", "--", str(file))
    return bool(commit) and try_git("rev-parse", f"{commit}:./{file.as_posix()}") == try_git("hash-object", str(file))


def update_params() -> list[str]:
    """Writes the template's params.yaml with the project's values if keys have changed; returns the changes.

    This loses the user's comments, so it writes params.yaml.new if the current params.yaml is not committed.
    """
    source = template_files()[str(PARAMS)]
    if not PARAMS.exists():
        return []
    own, template = read_yaml(PARAMS), read_yaml(source)
    if dict(leaves(own, template)).keys() == dict(leaves(template, template)).keys():
        return []
    values, lines = carry_over(own, template)
    is_committed = try_git("ls-files", str(PARAMS)) and not try_git("status", "--porcelain", "--", str(PARAMS))
    target = PARAMS if is_committed else Path(f"{PARAMS}.new")
    shutil.copyfile(source, target)
    write_values(target, values)
    lines.append(f"{target}: written from fpplm's new version, with your values")
    try:
        load(target)
    except ParamsError as error:
        lines.append(str(error))
    return lines


def carry_over(own: dict[str, Any], template: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The template's values replaced by the project's own, under their new names, and a list of the changes."""
    found, known = dict(leaves(own, template)), dict(leaves(template, template))
    renamed, gone = [], []
    for old, new in MOVED.items():  # keys, or whole blocks
        for key in [key for key in found if key == old or key.startswith(f"{old}.")]:
            value, name = found.pop(key), f"{new}{key.removeprefix(old)}"
            if new and is_default_severity(name, value):
                continue
            if new and put(found, name, value):
                renamed.append(f"{key} → {name}")
            else:
                gone.append(f"{key} (was {value})")
    if found.get(SEGMENTATION) in RENAMED:
        found[SEGMENTATION] = RENAMED[found[SEGMENTATION]]
    gone += [f"{key} (was {found[key]})" for key in found if key not in known]
    new_keys = [key for key in known if key not in found]
    notes = {"renamed": renamed, "no longer there": gone, "new": new_keys}
    lines = [f"{PARAMS}: {title}: {', '.join(names)}" for title, names in notes.items() if names]
    return nested({key: found.get(key, value) for key, value in known.items()}), lines


def is_default_severity(key: str, value: Any) -> bool:
    """Whether a check has its default severity."""
    block, _, check = key.rpartition(".")
    return block == SEVERITY and BY_NAME[check].severity == value


def put(found: dict[str, Any], key: str, value: Any) -> bool:
    """Sets a renamed key; False if another key with the same new name has set a different value."""
    block, _, name = key.rpartition(".")
    if block == SEVERITY:
        found[SEVERITY] = {**found.get(SEVERITY, {}), name: value}
        return True
    return bool(found.setdefault(key, value) == value)


def leaves(values: Mapping[str, Any], template: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every value by its dotted key. A value of the template, such as an empty block, is not split."""
    for key, value in values.items():
        block = template.get(key, value)
        if isinstance(value, Mapping) and value and isinstance(block, Mapping) and block:
            yield from leaves(value, block, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """The blocks of dotted keys."""
    blocks: dict[str, Any] = {}
    for key, value in values.items():
        *path, last = key.split(".")
        block = blocks
        for part in path:
            block = block.setdefault(part, {})
        block[last] = value
    return blocks
