"""Compares what a bundle's manifest says of its origin with the files of a commit."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from fpplm.pipeline.paths import METRICS, PARAMS
from fpplm.registry.git import read_committed, try_git
from fpplm.registry.lineage import Lineage
from fpplm_core.errors import BundleError
from fpplm_core.serving.bundle import Bundle

GATE = f"{METRICS}/gate.json"
LOCK = "requirements.lock"
SHOWN = 5  # differences that an error names


def require_agreement(bundle: Bundle, version: str, commit: str) -> None:
    """Raises BundleError if parameters, data in Git, requirements or scores are not those of the version's commit.

    Git has neither the encoder nor the packages; they, and data elsewhere, are as the manifest states. Raises
    RegistryError if the commit has no parameters or no gate.
    """
    if found := list(islice(disagreements(bundle.manifest, commit), SHOWN)):
        what = f"its manifest disagrees with the commit of {version}"
        do = f"do not rely on it; train it from the commit: fpplm reproduce {version}"
        raise BundleError(what, where=str(bundle.path), got="; ".join(found), do=do)


def disagreements(manifest: Mapping[str, Any], commit: str) -> Iterator[str]:
    from ruamel.yaml import YAML

    parameters = YAML(typ="safe", pure=True).load(read_committed(commit, str(PARAMS)))
    parameters.pop("promotion", None)  # no part of a model
    data = {**manifest["data"], **committed_data(commit, parameters["data"])}
    lock = digest_of(commit, LOCK) if try_git("cat-file", "-e", f"{commit}:./{LOCK}") is not None else None
    stated = Lineage(parameters=manifest["parameters"], data=manifest["data"], lock_sha256=manifest["lock_sha256"])
    for change in Lineage(parameters=parameters, data=data, lock_sha256=lock).diff(stated):
        yield f"{change.name} is {change.before} there, {change.after} in the manifest"
    scores = manifest["scores"]["test"]
    named = {"test F1": scores, **{f"test F1 of {name}": row for name, row in scores["types"].items()}}
    for rule in json.loads(read_committed(commit, GATE))["rules"]:
        if (row := named.get(rule["name"])) and row["f1"] != rule["value"]:
            yield f"{rule['name']} is {rule['value']} there, {row['f1']} in the manifest"


def committed_data(commit: str, settings: Mapping[str, Any]) -> dict[str, str]:
    """The sha256 of each file of the data that a commit has. Git has none of data that DVC tracks."""
    found = {}
    for folder in filter(None, (settings["path"], settings.get("unlabelled"))):
        for line in (try_git("ls-tree", "-r", "-z", commit, "--", folder) or "").split("\0"):
            facts, _, name = line.partition("\t")
            if facts.startswith("100") and Path(name).is_relative_to(folder):  # a file, and no link
                found[name] = digest_of(commit, name)
    return found


def digest_of(commit: str, name: str) -> str:
    return hashlib.sha256(read_committed(commit, name)).hexdigest()
