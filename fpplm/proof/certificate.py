"""Certificates of versions: one in-toto statement (https://in-toto.io/Statement/v1) with SLSA provenance v1.

The statement says which bytes a version has, and what they were made from. All of it follows from the repository and
the bundle, and is computed anew to verify a certificate, except the claims: what reproducing the version gave, and what
it cost. Only a signature vouches for these. Encoder, packages and data that Git does not have are as the manifest of
the bundle states.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from fpplm.proof.agreement import GATE, LOCK, require_agreement
from fpplm.proof.envelope import open_envelope, seal_envelope
from fpplm.registry.git import read_committed
from fpplm.registry.locked import require_locked
from fpplm.registry.versions import bundle_of, commit_of, resolve
from fpplm_core.errors import BundleError, DataError, FpplmError
from fpplm_core.export.bill_of_materials import package_url
from fpplm_core.files import making, write_text
from fpplm_core.serving.bundle import LIMITS, MANIFEST, Bundle, open_bundle
from fpplm_core.serving.files import open_regular, parse_json, read_limited

STATEMENT = "https://in-toto.io/Statement/v1"
PROVENANCE = "https://slsa.dev/provenance/v1"
PIPELINE = "pkg:pypi/fpplm#fpplm/template/dvc.yaml"
CLAIMS = ("reproduction", "cost")
FACTS = ("fpplm", "parameters", "data", "encoder_sha256", "lock_sha256", "packages", "scores")  # of the manifest
DIFFERENCES = 5  # that an error names
DO = "do not rely on it; certify the version again: fpplm certify"
Claims = Mapping[str, Mapping[str, Any]]


def statement_of(version: str, bundle: Bundle, claims: Claims) -> dict[str, Any]:
    """The statement on a version, whose bundle this is; `claims` are the annotations of each of CLAIMS.

    Raises RegistryError if its commit is not here, BundleError if dvc.lock names another bundle or its manifest lacks
    facts or disagrees with the commit.
    """
    commit = commit_of(version)
    require_locked(bundle, version)
    manifest = bundle.manifest
    if missing := [name for name in FACTS if name not in manifest]:
        do = "an earlier fpplm made it; certify a version of this one"
        raise BundleError("too few facts for a certificate", where=version, got=f"no {', '.join(missing)}", do=do)
    require_agreement(bundle, version, commit)
    subjects = {name: facts["sha256"] for name, facts in manifest["files"].items()}
    subjects[MANIFEST] = bundle.manifest_sha256
    gate = read_committed(commit, GATE)
    packages = [{"uri": package_url(name, version)} for name, version in sorted(manifest["packages"].items())]
    start = manifest.get("start", {}).get("model_sha256")
    inputs = {"encoder": manifest["encoder_sha256"], **({"start": start} if start else {}), **manifest["data"]}
    locks = ["dvc.lock", *([LOCK] if manifest["lock_sha256"] else [])]
    return {
        "_type": STATEMENT,
        "subject": [described(name, digest) for name, digest in sorted(subjects.items())],
        "predicateType": PROVENANCE,
        "predicate": {
            "buildDefinition": {
                "buildType": PIPELINE,
                "externalParameters": {"version": version, "parameters": manifest["parameters"]},
                "resolvedDependencies": [
                    {"name": "commit", "digest": {"gitCommit": commit}},
                    *(committed(commit, name) for name in locks),
                    *(described(name, digest) for name, digest in inputs.items()),
                    *packages,
                ],
            },
            "runDetails": {
                "builder": {"id": package_url("fpplm", manifest["fpplm"])},
                "byproducts": [
                    described(GATE, sha256_of(gate)) | {"annotations": {"passed": json.loads(gate)["passed"]}},
                    *({"name": name, "annotations": dict(claims[name])} for name in CLAIMS),
                ],
            },
        },
    }


def write_certificate(file: Path, version: str, claims: Claims, key: Path | None) -> None:
    """Writes the certificate of a version, in an envelope signed by the private key if there is one.

    Raises RegistryError, BundleError, ParamsError.
    """
    statement = as_bytes(statement_of(version, open_bundle(bundle_of(version), allow_links=True), claims))
    with making(file):
        write_text(file, (statement if key is None else as_bytes(seal_envelope(statement, key))).decode())


def verify_certificate(file: Path, folder: Path | None, public_key: Path | None) -> tuple[str, Claims]:
    """Compares a certificate with this repository and a bundle; returns its version and its claims.

    The bundle is that in `folder`, or the version's in DVC. With `public_key`, this key must have signed it.

    Raises DataError if anything differs, and if a signature is there or wanted, but not both; BundleError if the bundle
    is damaged or another one; RegistryError if Git or DVC lacks something.
    """
    with open_regular(file, allow_links=True) as stream:
        raw = read_limited(stream, file, LIMITS[MANIFEST])
    values = parsed(raw, file)
    if is_signed := "payload" in values:
        if public_key is None:
            raise DataError("it is signed", where=str(file), do="name the key that is to have signed it: --public-key")
        raw = open_envelope(values, public_key, file)
        values = parsed(raw, file)
    if public_key and not is_signed:
        raise DataError("it is not signed", where=str(file), do="ask for one that is: fpplm certify --key")
    version, claims = version_and_claims(values, file)
    bundle = open_bundle(folder or bundle_of(version), allow_links=True)
    expected = statement_of(version, bundle, claims)
    if others := list(differences(expected, values)):
        raise DataError(f"not true of {version}", where=str(file), got="; ".join(others[:DIFFERENCES]), do=DO)
    if raw != as_bytes(expected):
        raise DataError("not written as fpplm certify writes it", where=str(file), do=DO)
    return version, claims


def parsed(raw: bytes, file: Path) -> dict[str, Any]:
    try:
        return parse_json(raw, str(file))
    except FpplmError as error:
        raise DataError("not a certificate", where=str(file), got=error.got, do=DO) from None


def version_and_claims(statement: Mapping[str, Any], file: Path) -> tuple[str, Claims]:
    """What `statement_of` needs of a statement from anywhere. Raises DataError."""
    try:
        predicate = statement["predicate"]
        version = resolve(predicate["buildDefinition"]["externalParameters"]["version"])
        named = {product["name"]: product for product in predicate["runDetails"]["byproducts"]}
        return version, {name: dict(named[name]["annotations"]) for name in CLAIMS}
    except (KeyError, TypeError, ValueError, AttributeError):
        raise DataError("not a certificate of a version", where=str(file), do=DO) from None


def differences(expected: Any, got: Any, place: str = "") -> Iterator[str]:
    """The places in which two statements differ; the items of lists are named by their names."""
    if isinstance(expected, list) and isinstance(got, list):
        expected, got = by_name(expected), by_name(got)
    if not (isinstance(expected, dict) and isinstance(got, dict)):
        if expected != got or type(expected) is not type(got):
            yield place
        return
    for name in [*expected, *(got.keys() - expected.keys())]:
        inner = f"{place}.{name}" if place else str(name)
        if name in expected and name in got:
            yield from differences(expected[name], got[name], inner)
        else:
            yield f"{inner} is {'missing' if name in expected else 'added'}"


def by_name(items: Sequence[Any]) -> dict[str, Any]:
    """A list of descriptors by name; other items, and those of a name that came before, by number."""
    found: dict[str, Any] = {}
    for number, item in enumerate(items):
        name = (item.get("name") or item.get("uri")) if isinstance(item, dict) else None
        found[name if isinstance(name, str) and name not in found else str(number)] = item
    return found


def committed(commit: str, name: str) -> dict[str, Any]:
    return described(name, sha256_of(read_committed(commit, name)))


def described(name: str, sha256: str) -> dict[str, Any]:
    return {"name": name, "digest": {"sha256": sha256}}


def sha256_of(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()


def as_bytes(values: Mapping[str, Any]) -> bytes:
    return (json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()
