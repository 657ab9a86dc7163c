"""Compares what a bundle's manifest says of its origin with the files of a commit."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

from fpplm.pipeline.paths import METRICS, PARAMS
from fpplm.registry.git import committed_yaml, read_committed, try_git
from fpplm.registry.lineage import Lineage
from fpplm_core.errors import BundleError, ParamsError, RegistryError
from fpplm_core.params import Params
from fpplm_core.serving.bundle import Bundle

GATE = f"{METRICS}/gate.json"
LOCK = "requirements.lock"
SHOWN = 5  # differences that an error names
LFS_POINTER = re.compile(rb"version https://git-lfs\.github\.com/spec/v1\n(?:.+\n)*oid sha256:([0-9a-f]{64})\n")


def require_agreement(bundle: Bundle, version: str, commit: str) -> None:
    """Raises BundleError if parameters, data in Git, requirements or scores are not those of the version's commit.

    Git has neither the encoder nor the packages; they and data elsewhere are as the manifest states. Raises
    RegistryError if the commit has no parameters or no gate.
    """
    if found := list(islice(disagreements(bundle.manifest, commit), SHOWN)):
        what = f"its manifest disagrees with the commit of {version}"
        do = f"do not rely on it; train it from the commit: fpplm reproduce {version}"
        raise BundleError(what, where=str(bundle.path), got="; ".join(found), do=do)


def disagreements(manifest: Mapping[str, Any], commit: str) -> Iterator[str]:
    parameters = committed_yaml(commit, str(PARAMS))
    data = {**manifest["data"], **committed_data(commit, parameters["data"], manifest["data"])}
    with suppress(ParamsError):  # those of an earlier version are compared as they are written
        parameters = Params.parse(parameters, str(PARAMS)).model_dump(mode="json")
    parameters.pop("promotion", None)  # no part of a model
    has_lock = try_git("cat-file", "-e", f"{commit}:./{LOCK}") is not None
    lock = committed_sha256(commit, LOCK, manifest["lock_sha256"]) if has_lock else None
    stated = Lineage(parameters=manifest["parameters"], data=manifest["data"], lock_sha256=manifest["lock_sha256"])
    for change in Lineage(parameters=parameters, data=data, lock_sha256=lock).diff(stated):
        yield f"{change.name} is {change.before} there, {change.after} in the manifest"
    scores = manifest["scores"]["test"]
    named = {"test F1": scores, **{f"test F1 of {name}": row for name, row in scores["types"].items()}}
    for rule in json.loads(read_committed(commit, GATE))["rules"]:
        if (row := named.get(rule["name"])) and row["f1"] != rule["value"]:
            yield f"{rule['name']} is {rule['value']} there, {row['f1']} in the manifest"


def committed_data(commit: str, settings: Mapping[str, Any], stated: Mapping[str, str]) -> dict[str, str]:
    """The sha256 of each file of the data that a commit has, as `committed_sha256`. DVC's files are not in Git."""
    names = []
    for folder in filter(None, (settings["path"], settings.get("unlabelled"))):
        for line in (try_git("ls-tree", "-r", "-z", commit, "--", folder) or "").split("\0"):
            facts, _, name = line.partition("\t")
            if facts.startswith("100") and Path(name).is_relative_to(folder):  # a file, and no link
                names.append(name)
    return {name: committed_sha256(commit, name, stated.get(name)) for name in names}


def committed_sha256(commit: str, name: str, stated: str | None) -> str:
    """The sha256 of a committed file; or the stated one, if Git checks the file out with that.

    It may do so with other line ends, from Git LFS, or through the filters of this clone.
    """
    content = read_committed(commit, name)
    digest = hashlib.sha256(content).hexdigest()
    if stated in (None, digest):
        return digest
    if pointer := LFS_POINTER.match(content):
        return stated if stated == pointer[1].decode() else digest
    forms = [re.sub(rb"\r?\n", b"\r\n", content)]
    with suppress(RegistryError):  # a filter that fails here
        forms.append(read_committed(commit, name, checked_out=True))
    return stated if stated in (hashlib.sha256(form).hexdigest() for form in forms) else digest
