"""Compares a bundle with the hash that dvc.lock has of it: neither DVC's cache nor its remote is needed."""

from __future__ import annotations

import hashlib
import json

from fpplm.pipeline.paths import BUNDLE
from fpplm.registry.git import committed_yaml
from fpplm.registry.versions import commit_of
from fpplm_core.errors import BundleError, RegistryError
from fpplm_core.serving.bundle import MANIFEST, Bundle
from fpplm_core.serving.files import open_regular


def require_locked(bundle: Bundle, version: str) -> None:
    """Raises BundleError if dvc.lock at the version's commit names another bundle, RegistryError if it names none."""
    lock = committed_yaml(commit_of(version), "dvc.lock")
    outs = [out for stage in lock["stages"].values() for out in stage.get("outs", []) if out["path"] == str(BUNDLE)]
    if not outs:
        raise RegistryError("no bundle in dvc.lock", where=version, do="see: fpplm models")
    if folder_hash(bundle) != outs[0]["md5"]:
        do = f"fetch the bundle of {version}"
        raise BundleError(f"another bundle than that of {version} in dvc.lock", where=str(bundle.path), do=do)


def folder_hash(bundle: Bundle) -> str:
    """What dvc.lock has as the hash of a bundle's folder: the MD5 of the list of its files and their MD5."""
    files = [{"md5": _md5(bundle, name), "relpath": name} for name in sorted([*bundle.manifest["files"], MANIFEST])]
    return hashlib.md5(json.dumps(files, sort_keys=True).encode(), usedforsecurity=False).hexdigest() + ".dir"


def _md5(bundle: Bundle, name: str) -> str:
    with open_regular(bundle.path / name, bundle.allow_links) as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
