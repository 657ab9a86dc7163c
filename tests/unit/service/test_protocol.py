"""The Open Inference Protocol, the OpenAPI document and the pages."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from unittest.mock import Mock

import pytest
from jsonschema import Draft202012Validator

from fpplm.service.app import Service
from fpplm.service.limits import Limits, Refused
from fpplm.service.metrics import Metrics
from fpplm.service.texts import texts_of

TEXTS = ["London and Paris", "no", ""]
INPUT = {"name": "text", "datatype": "BYTES", "shape": [3], "data": TEXTS}


@pytest.fixture(scope="module")
def version(server) -> str:
    return server.predict(texts=[]).json()["version"]


def test_health_and_metadata(server, version):
    get = server.client.get
    assert get("/v2/health/live").json() == {"live": True} and get("/v2/health/ready").json() == {"ready": True}
    assert get("/v2").json()["name"] == "fpplm"
    for place in ("/v2/models/tagger", f"/v2/models/tagger/versions/{version}"):
        assert get(place).json()["versions"] == [version]
        assert get(f"{place}/ready").json() == {"name": "tagger", "ready": True}
    for place in ("/v2/models/other", "/v2/models/tagger/versions/2", "/v2/models/tagger/versions/2/ready"):
        assert get(place).status_code == 404


@pytest.mark.parametrize("shape", [[3], [3, 1], [1, 3]])
def test_inference_gives_what_predict_gives(server, version, shape):
    wanted = server.predict(texts=TEXTS).json()["entities"]
    for place in ("/v2/models/tagger", f"/v2/models/tagger/versions/{version}"):
        body = {"id": "7", "inputs": [INPUT | {"shape": shape}], "outputs": [{"name": "entities"}]}
        found = server.client.post(f"{place}/infer", json=body).raise_for_status().json()
        (output,) = found["outputs"]
        assert (found["id"], found["model_name"], found["model_version"]) == ("7", "tagger", version)
        assert (output["name"], output["datatype"], output["shape"]) == ("entities", "BYTES", [3])
        assert [json.loads(row) for row in output["data"]] == wanted and any(wanted)


@pytest.mark.parametrize(
    ("tensor", "said"),
    [
        ({"name": "other"}, "the name `text`"),
        ({"datatype": "FP32"}, "the datatype BYTES"),
        ({"shape": [2]}, "shape must be [3]"),
        ({"shape": [-3, -1]}, "shape must be [3]"),
        ({"shape": [3, 1, 1]}, "shape must be [3]"),
        ({"shape": [10**400]}, "shape must be [3]"),
        ({"shape": None}, "shape must be [3]"),
        ({"data": None}, "`inputs[0].data` must be a list"),
        ({"data": ["a", 5, "b"]}, "inputs[0].data[1] must be a string, got int"),
        ({"parameters": {"binary_data_size": 9}}, "binary data"),
    ],
    ids=range(10),
)
def test_a_wrong_tensor_is_422(server, tensor, said):
    found = server.client.post("/v2/models/tagger/infer", json={"inputs": [INPUT | tensor]})
    assert found.status_code == 422 and said in found.json()["error"]
    assert server.client.post("/v2/models/tagger/infer", json={"inputs": []}).status_code == 422
    assert server.client.post("/v2/models/other/infer", json={"inputs": [INPUT]}).status_code == 404


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"outputs": [{"name": "entities"}]}, ""),
        ({"outputs": []}, ""),
        ({"outputs": None, "parameters": {"binary_data_output": False}}, ""),
        ({"outputs": [{"name": "entities"}, {"name": "spans"}]}, "outputs[1].name must be `entities`, got 'spans'"),
        ({"outputs": [{}]}, "outputs[0].name"),
        ({"outputs": {"name": "entities"}}, "`outputs` must be a list"),
        ({"outputs": ["entities"]}, "`outputs` must be a list"),
        ({"outputs": [{"name": "entities", "parameters": {"binary_data": True}}]}, "binary data"),
        ({"parameters": {"binary_data_output": True}}, "binary data"),
    ],
    ids=range(9),
)
def test_an_output_that_the_model_lacks_is_422(server, asked, said):
    found = server.client.post("/v2/models/tagger/infer", json={"inputs": [INPUT]} | asked)
    assert (found.status_code, said in found.json().get("error", "")) == (422 if said else 200, True), found.text


def test_an_error_formats_no_more_keys_than_it_names(monkeypatch):
    formatted = []
    monkeypatch.setattr("fpplm.service.texts.shown", lambda key: formatted.append(key) or key)
    with pytest.raises(Refused, match=r"got 0, 1, 2, 3, 4$"):
        texts_of({str(number): 0 for number in range(1000)}, Limits())
    assert len(formatted) == 5


def test_the_openapi_document_has_the_routes_and_no_others(server):
    document = server.client.get("/openapi.json").json()
    written = {(path, method) for path, item in document["paths"].items() for method in item if method != "parameters"}
    routes = Service(Mock(), Limits(), Metrics(), None).routes()
    assert written == {(r.path, method.lower()) for r in routes for method in r.methods - {"HEAD"}}
    for path, item in document["paths"].items():
        named = [one["name"] for one in item.get("parameters", [])]
        assert named == re.findall(r"{(\w+)}", path)


def test_answers_are_as_the_openapi_document_says(server, version):
    document = server.client.get("/openapi.json").json()
    components = {"components": document["components"]}
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)

    def schema(content: dict) -> Draft202012Validator:
        return Draft202012Validator(content["application/json"]["schema"] | components)

    words = {"words": [["a"]], "documents": [None]}
    bodies = [{"texts": TEXTS}, words, {"inputs": [INPUT]}, {"texts": 5}, {"inputs": []}]
    tried = set()
    for path, item in document["paths"].items():
        place = path.replace("{name}", "tagger").replace("{version}", version)
        if post := item.get("post"):
            for body in bodies:
                found = server.client.post(place, json=body)
                is_valid = schema(post["requestBody"]["content"]).is_valid(body)
                assert found.status_code == (200 if is_valid else 422), (path, body)
                schema(post["responses"][str(found.status_code)]["content"]).validate(found.json())
                tried.add((path, found.status_code))
        elif (content := item["get"]["responses"]["200"]["content"]).get("application/json"):
            schema(content).validate(server.client.get(place).json())
            missing = server.client.get(place.replace("tagger", "other"))
            if "404" in item["get"]["responses"]:
                schema(item["get"]["responses"]["404"]["content"]).validate(missing.json())
    assert len(tried) == 6
    largest = document["components"]["schemas"]["Request"]["properties"]["texts"]
    assert (largest["maxItems"], largest["items"]["maxLength"]) == (20, 5000)  # the limits of this server


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_pages_load_nothing_and_run_only_their_own_script(server, path):
    answer = server.client.get(path)
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "connect-src 'self'" in policy
    assert "unsafe-inline" not in policy.partition("style-src")[0]
    scripts = re.findall(r"<script>(.*?)</script>", answer.text, re.DOTALL)
    assert len(scripts) == answer.text.count("<script") == 1
    assert base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode() in policy
    assert not re.findall(r"(?:https?:)?//[\w.]+\.\w+|\s(?:src|on\w+)=|innerHTML", answer.text)
    for link in re.findall(r'href="([^"]+)"', answer.text):
        assert link == "data:," or server.client.get(link).status_code == 200
