"""bom.cdx.json: what a model consists of and was made from, as CycloneDX 1.6 (https://cyclonedx.org/docs/1.6/json/).

The classes of cyclonedx-python-lib have no model card (CycloneDX/cyclonedx-python-lib#912), so this is plain JSON; the
tests validate it against the official schema. It has no date and no random number, so equal models have equal bills.
"""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

from fpplm_core.export.card import METRICS, TASK, dataset_name

MODEL = "model"  # its reference in the bill
LIMITS = "It knows the types of its training data, in text like its training data."
Facts = Mapping[str, Any]


def bill_of_materials(lineage: Facts, files: Mapping[str, Facts]) -> dict[str, Any]:
    """The bill of a bundle, from the facts of its manifest and the sha256 of its other files, by name."""
    components = list(materials(lineage))
    bill = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "tools": {"components": [{"type": "application", "name": "fpplm", "version": lineage["fpplm"]}]},
            "component": model(lineage, files),
        },
        "components": components,
        "dependencies": [{"ref": MODEL, "dependsOn": [component["bom-ref"] for component in components]}],
    }
    digest = hashlib.sha256(json.dumps(bill, sort_keys=True).encode()).hexdigest()
    return bill | {"serialNumber": uuid.uuid5(uuid.NAMESPACE_OID, digest).urn}


def model(lineage: Facts, files: Mapping[str, Facts]) -> dict[str, Any]:
    """The model: its files, and its card."""
    parameters = lineage["parameters"]
    license_name = parameters.get("export", {}).get("license")
    return {
        "type": "machine-learning-model",
        "bom-ref": MODEL,
        "name": f"{dataset_name(lineage)}-tagger",
        "version": lineage["model_sha256"],
        **({"licenses": [{"license": {"name": license_name}}]} if license_name else {}),
        "components": [component("file", f"file:{name}", name, facts["sha256"]) for name, facts in files.items()],
        "modelCard": {
            "modelParameters": {
                "approach": {"type": "supervised"},
                "task": TASK,
                "architectureFamily": "transformer",
                "datasets": [{"ref": f"data:{path}"} for path in lineage["data"]],
                "inputs": [{"format": "text"}],
                "outputs": [{"format": f"spans of the types {', '.join(lineage['scores']['test']['types'])}"}],
            },
            "quantitativeAnalysis": {"performanceMetrics": list(performance(lineage))},
            "considerations": {"technicalLimitations": [LIMITS]},
        },
    }


def performance(lineage: Facts) -> Iterator[dict[str, Any]]:
    """The scores of the trained model on dev and test, and those of the graph that serves."""
    for split, scores in lineage["scores"].items():
        for kind, name in METRICS.items():
            interval = interval_of(scores) if kind == "f1" else {}
            yield {"type": name, "value": f"{scores[kind]:.4f}", "slice": split, **interval}
    if served := lineage.get("served"):
        name = f"{METRICS['f1']}, served by {served['graph']}"
        yield {"type": name, "value": f"{served['f1']:.4f}", "slice": "test", **interval_of(served)}


def interval_of(scores: Facts) -> dict[str, Any]:
    """The interval of F1 as CycloneDX writes it."""
    low, high = (f"{scores[bound]:.4f}" for bound in ("f1_low", "f1_high"))
    return {"confidenceInterval": {"lowerBound": low, "upperBound": high}}


def materials(lineage: Facts) -> Iterator[dict[str, Any]]:
    """What the model was made from: the encoder, the data, the packages that the stages import, the lock file."""
    encoder = lineage["parameters"]["model"]["encoder"]
    yield component("machine-learning-model", "encoder", encoder, lineage["encoder_sha256"])
    if start := lineage.get("start"):
        name = start.get("version", lineage["parameters"]["model"]["start"])
        yield component("machine-learning-model", "start", name, start["model_sha256"])
    for path, digest in lineage["data"].items():
        yield component("data", f"data:{path}", path, digest) | {"data": [{"type": "dataset", "name": path}]}
    for name, version in sorted(lineage["packages"].items()):
        purl = package_url(name, version)
        yield {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}
    if lineage["lock_sha256"]:
        yield component("file", "file:requirements.lock", "requirements.lock", lineage["lock_sha256"])


def component(kind: str, reference: str, name: str, sha256: str) -> dict[str, Any]:
    """A component of the bill, with the digest of its content; others refer to it by `reference`."""
    return {"type": kind, "bom-ref": reference, "name": name, "hashes": [{"alg": "SHA-256", "content": sha256}]}


def package_url(name: str, version: str) -> str:
    """The address of a package on PyPI, as https://github.com/package-url/purl-spec writes it."""
    escaped = re.sub("[^A-Za-z0-9._~-]", lambda found: f"%{ord(found[0]):02X}", version)  # such as +cpu
    return f"pkg:pypi/{re.sub('[-_.]+', '-', name).lower()}@{escaped}"
