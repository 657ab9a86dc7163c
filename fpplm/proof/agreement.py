"""Compares what a bundle's manifest says of its origin with the files of a commit."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

from fpplm.pipeline.paths import METRICS, PARAMS
from fpplm.registry.git import committed_yaml, git, read_committed, try_git
from fpplm.registry.lineage import Lineage
from fpplm_core.errors import BundleError, ParamsError
from fpplm_core.params import Params
from fpplm_core.serving.bundle import Bundle

GATE = f"{METRICS}/gate.json"
LOCK = "requirements.lock"
SHOWN = 5  # differences that an error names
CONVERSIONS = ("filter", "text", "eol", "crlf", "ident", "working-tree-encoding")  # attributes of Git


def require_agreement(bundle: Bundle, version: str, commit: str) -> None:
    """Raises BundleError if parameters, data in Git, requirements or scores are not those of the version's commit.

    Git has neither the encoder nor the packages; they, data elsewhere, and files that Git converts (`converted`) are as
    the manifest states. Raises RegistryError if the commit has no parameters or no gate.
    """
    if found := list(islice(disagreements(bundle.manifest, commit), SHOWN)):
        what = f"its manifest disagrees with the commit of {version}"
        do = f"do not rely on it; train it from the commit: fpplm reproduce {version}"
        raise BundleError(what, where=str(bundle.path), got="; ".join(found), do=do)


def disagreements(manifest: Mapping[str, Any], commit: str) -> Iterator[str]:
    parameters = committed_yaml(commit, str(PARAMS))
    data = {**manifest["data"], **committed_data(commit, parameters["data"])}
    with suppress(ParamsError):  # those of an earlier version are compared as they are written
        parameters = Params.parse(parameters, str(PARAMS)).model_dump(mode="json")
    parameters.pop("promotion", None)  # no part of a model
    lock = committed_sha256(commit, LOCK) if try_git("cat-file", "-e", f"{commit}:./{LOCK}") is not None else None
    if lock and converted([LOCK]):
        lock = manifest["lock_sha256"]
    stated = Lineage(parameters=manifest["parameters"], data=manifest["data"], lock_sha256=manifest["lock_sha256"])
    for change in Lineage(parameters=parameters, data=data, lock_sha256=lock).diff(stated):
        yield f"{change.name} is {change.before} there, {change.after} in the manifest"
    scores = manifest["scores"]["test"]
    named = {"test F1": scores, **{f"test F1 of {name}": row for name, row in scores["types"].items()}}
    for rule in json.loads(read_committed(commit, GATE))["rules"]:
        if (row := named.get(rule["name"])) and row["f1"] != rule["value"]:
            yield f"{rule['name']} is {rule['value']} there, {row['f1']} in the manifest"


def committed_data(commit: str, settings: Mapping[str, Any]) -> dict[str, str]:
    """The sha256 of each file of the data that a commit has and Git does not convert. DVC's files are not in Git."""
    names = []
    for folder in filter(None, (settings["path"], settings.get("unlabelled"))):
        for line in (try_git("ls-tree", "-r", "-z", commit, "--", folder) or "").split("\0"):
            facts, _, name = line.partition("\t")
            if facts.startswith("100") and Path(name).is_relative_to(folder):  # a file, and no link
                names.append(name)
    left_out = converted(names)
    return {name: committed_sha256(commit, name) for name in names if name not in left_out}


def converted(names: Iterable[str]) -> set[str]:
    """The files whose bytes Git changes when it checks them out, by .gitattributes: Git LFS, line ends, encodings."""
    facts = iter(git("check-attr", "-z", "--stdin", *CONVERSIONS, stdin="\0".join(names)).split("\0"))
    return {name for name, _, value in zip(facts, facts, facts, strict=False) if value not in ("unspecified", "unset")}


def committed_sha256(commit: str, name: str) -> str:
    return hashlib.sha256(read_committed(commit, name)).hexdigest()
