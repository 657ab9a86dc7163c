"""The bill of materials: valid by CycloneDX's own schema, equal for equal models, and sealed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from fpplm_core.errors import BundleError
from fpplm_core.export.bill_of_materials import bill_of_materials, package_url
from fpplm_core.serving import open_bundle
from tests.unit.fpplm.proof import CHANGES, FACTS, SCORE, write_bundle

FILES = {"onnx/model.onnx": {"sha256": "a" * 64, "bytes": 1}, "README.md": {"sha256": "b" * 64, "bytes": 2}}
SERVED = {"graph": "int8", "f1": 0.74, "f1_low": 0.7, "f1_high": 0.78}


def errors(bill: dict[str, Any]) -> object:
    return JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(bill))


@pytest.mark.parametrize("more", [{}, {"served": SERVED}, {"lock_sha256": None}, {"data": {}, "packages": {}}])
def test_it_is_valid(more: dict[str, Any]) -> None:
    assert errors(bill_of_materials(FACTS | more, FILES)) is None


def test_the_schema_would_find_a_mistake() -> None:
    bill = bill_of_materials(FACTS, FILES)
    card = bill["metadata"]["component"]["modelCard"]
    assert errors(bill | {"colour": "red"}) and errors(bill | {"serialNumber": "1"})
    card["quantitativeAnalysis"]["performanceMetrics"][0]["value"] = 0.75
    assert errors(bill)


def test_it_says_what_the_model_is_and_was_made_from() -> None:
    bill = bill_of_materials(FACTS | {"served": SERVED, "parameters": licensed("mit")}, FILES)
    model, components = bill["metadata"]["component"], {one["bom-ref"]: one for one in bill["components"]}
    assert {file["name"]: file["hashes"][0]["content"] for file in model["components"]} == {
        name: facts["sha256"] for name, facts in FILES.items()
    }
    assert model["modelCard"]["modelParameters"]["task"] == "token-classification"
    assert model["licenses"] == [{"license": {"name": "mit"}}]
    for dataset in model["modelCard"]["modelParameters"]["datasets"]:
        assert components[dataset["ref"]]["hashes"][0]["content"] == FACTS["data"][components[dataset["ref"]]["name"]]
    metrics = model["modelCard"]["quantitativeAnalysis"]["performanceMetrics"]
    assert [(one["type"], one["value"], one["slice"]) for one in metrics] == [
        ("F1 (micro, exact spans)", "0.7500", "test"),
        ("Precision (micro)", "0.7000", "test"),
        ("Recall (micro)", "0.8100", "test"),
        ("F1 (micro, exact spans), served by int8", "0.7400", "test"),
    ]
    assert metrics[0]["confidenceInterval"] == {"lowerBound": "0.7100", "upperBound": "0.7900"}
    assert components["pkg:pypi/ruamel-yaml@0.19.1"]["version"] == "0.19.1"
    assert components["encoder"]["hashes"][0]["content"] == FACTS["encoder_sha256"]
    assert components["file:requirements.lock"]["hashes"][0]["content"] == FACTS["lock_sha256"]
    assert set(bill["dependencies"][0]["dependsOn"]) == set(components)


def licensed(name: str) -> dict[str, Any]:
    return FACTS["parameters"] | {"export": {"license": name}}


def test_equal_models_have_equal_bills_and_others_another_number() -> None:
    first = bill_of_materials(FACTS, FILES)
    assert json.dumps(first) == json.dumps(bill_of_materials(dict(FACTS), dict(FILES)))
    changed = ({"fpplm": "9"}, {"data": {}}, {"scores": {"test": FACTS["scores"]["test"] | {"f1": 0.1}}})
    numbers = {bill_of_materials(FACTS | facts, FILES)["serialNumber"] for facts in changed}
    assert len(numbers | {first["serialNumber"]}) == len(changed) + 1


def test_a_package_url_escapes_what_the_specification_wants_escaped() -> None:
    from packageurl import PackageURL

    for name, version in (("ruamel.yaml", "0.19.1"), ("A__b", "1!2.0+cu.1"), ("torch", "2.13.0+cpu")):
        found = PackageURL.from_string(package_url(name, version))
        assert (found.type, found.version) == ("pypi", version)
    assert package_url("A__b", "1+x") == "pkg:pypi/a-b@1%2Bx"


def test_a_changed_bill_is_refused(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "bundle", served=SERVED | SCORE)
    open_bundle(folder)
    CHANGES["a byte of the bill of materials"](folder)
    with pytest.raises(BundleError, match=r"bom\.cdx\.json: changed"):
        open_bundle(folder)
    (folder / "bom.cdx.json").unlink()
    with pytest.raises(BundleError, match=r"bom\.cdx\.json: missing"):
        open_bundle(folder)
