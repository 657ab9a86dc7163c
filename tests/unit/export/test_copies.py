"""Copies of a bundle for the hub and for Triton, and the model that Triton's Python backend runs."""

from __future__ import annotations

import json
import re
import runpy
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from typer.testing import CliRunner

from fpplm.cli.main import app
from fpplm_core.errors import BundleError, ParamsError
from fpplm_core.export.bundle_writer import seal
from fpplm_core.export.copies import write_hub_repository, write_triton_repository
from fpplm_core.serving import Predictor, open_bundle
from tests.hostile_bundles.tiny import as_format_1, make_portable, write_tiny_bundle

INT8 = {"int8": "onnx/model.onnx"}
TEXTS = ["Ann met BOB in London", "", "Paris"]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_portable(write_tiny_bundle(tmp_path_factory.mktemp("copies") / "bundle", label_lm=None))


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_repository_for_the_hub_is_the_bundle(bundle: Path, tmp_path: Path) -> None:
    """A download of the repository is a bundle too."""
    assert not write_hub_repository(open_bundle(bundle), tmp_path / "hub")
    assert Predictor.load(tmp_path / "hub", "cpu").predict(TEXTS[0]) == Predictor.load(bundle, "cpu").predict(TEXTS[0])
    found = files(tmp_path / "hub")
    assert found.pop(".gitattributes").startswith(b"*.onnx filter=lfs")
    assert found == files(bundle)


def test_a_signature_goes_along_only_if_it_holds(tmp_path: Path) -> None:
    own = make_portable(write_tiny_bundle(tmp_path / "own"))
    (own / "model.sig").write_text("{}")
    (own / ".gitattributes").write_text("*.bin -text")
    assert write_hub_repository(open_bundle(own), tmp_path / "hub")
    assert not (tmp_path / "hub/model.sig").exists()
    lines = (tmp_path / "hub/.gitattributes").read_text().splitlines()
    assert lines == ["*.bin -text", "*.onnx filter=lfs diff=lfs merge=lfs -text"]
    (tmp_path / "hub/model.sig").write_text("{}")
    assert not write_hub_repository(open_bundle(tmp_path / "hub"), tmp_path / "again")
    assert files(tmp_path / "again") == files(tmp_path / "hub"), "nothing was added"
    done = CliRunner().invoke(app, ["bundle", "export", str(own), str(tmp_path / "told")])
    assert done.exit_code == 0 and "the signature is left out" in done.output


@pytest.fixture
def triton(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """What a model finds in Triton's process."""
    module = ModuleType("triton_python_backend_utils")
    module.get_input_tensor_by_name = lambda request, name: SimpleNamespace(as_numpy=lambda: request[name])
    module.Tensor = lambda name, values: (name, values)
    module.TritonError = str
    module.InferenceResponse = lambda output_tensors=(), error=None: error or dict(output_tensors)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return module


def batch(*texts: str | bytes) -> dict[str, Any]:
    raw = [text if isinstance(text, bytes) else text.encode() for text in texts]
    return {"TEXT": np.array(raw, dtype=object).reshape(-1, 1)}


def test_tritons_model_answers_with_entities(bundle: Path, tmp_path: Path, triton: ModuleType) -> None:
    """Requests are tagged together, and one that cannot be read spoils no other."""
    write_triton_repository(open_bundle(bundle), tmp_path / "models", "ner")
    model = runpy.run_path(str(tmp_path / "models/ner/1/model.py"))["TritonPythonModel"]()
    facts = {"model_repository": str(tmp_path / "models/ner"), "model_version": "1", "model_instance_kind": "CPU"}
    model.initialize(facts)
    first, broken, last = model.execute([batch(*TEXTS), batch(b"\xff"), batch("London")])
    assert "TEXT is not UTF-8" in broken
    wanted = [[entity._asdict() for entity in row] for row in Predictor.load(bundle, "cpu").predict_many(TEXTS)]
    assert [json.loads(row) for (row,) in first["ENTITIES"].tolist()] == wanted and any(wanted)
    assert [entity["text"] for entity in json.loads(last["ENTITIES"][0, 0])] == ["London"]


def test_tritons_graph_has_the_ports_of_its_config(bundle: Path, tmp_path: Path) -> None:
    write_triton_repository(open_bundle(bundle), tmp_path / "models", "ner")
    folder = tmp_path / "models/ner_graph"
    session = ort.InferenceSession(folder / "1/model.onnx", providers=["CPUExecutionProvider"])
    text = (folder / "config.pbtxt").read_text()
    assert text.startswith('name: "ner_graph"\nplatform: "onnxruntime_onnx"\n') and "dynamic_batching" in text
    types = {"tensor(int64)": "TYPE_INT64", "tensor(float)": "TYPE_FP32"}
    for side, ports in (("input", session.get_inputs()), ("output", session.get_outputs())):
        found = re.findall(rf'^{side} {{ name: "(\w+)" data_type: (\w+) dims: \[(.*)\] }}$', text, re.MULTILINE)
        said = {name: (kind, dims) for name, kind, dims in found}
        for port in ports:
            sizes = [size if isinstance(size, int) else -1 for size in port.shape[1:]]
            if port.name in said:
                assert said.pop(port.name) == (types[port.type], ", ".join(map(str, sizes)))
        assert not said


@pytest.mark.parametrize("name", ["../x", "", 'a"b', "x" * 200, ".x"])
def test_a_name_that_is_no_folder_is_refused(bundle: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(ParamsError, match="--name: not the name of a model"):
        write_triton_repository(open_bundle(bundle), tmp_path / "models", name)
    assert not (tmp_path / "models").exists()


def test_nothing_is_written_over_and_nothing_spoilt_is_copied(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full/mine.txt").write_text("mine")
    for write in (write_hub_repository, lambda one, folder: write_triton_repository(one, folder, "ner")):
        with pytest.raises(ParamsError, match="full: is not an empty folder"):
            write(open_bundle(bundle), tmp_path / "full")
        old = as_format_1(write_tiny_bundle(tmp_path / write.__name__))
        with pytest.raises(ParamsError, match="fpplm alone can read a bundle of format 1"):
            write(open_bundle(old), tmp_path / "new")
    spoilt = make_portable(write_tiny_bundle(tmp_path / "spoilt"))
    opened = open_bundle(spoilt)
    (spoilt / "golden.json").write_text("[]")
    with pytest.raises(BundleError, match=r"golden\.json: changed"):
        write_hub_repository(opened, tmp_path / "new")


@pytest.mark.parametrize("name", ["model.sig", ".gitattributes"])
def test_a_file_beside_the_manifest_brings_nothing_from_elsewhere(bundle: Path, tmp_path: Path, name: str) -> None:
    """A bundle from anywhere must not publish the files of whoever copies it."""
    own, secret = make_portable(write_tiny_bundle(tmp_path / "own")), tmp_path / "secret"
    secret.write_text("secret")
    for write in (write_hub_repository, lambda one, folder: write_triton_repository(one, folder, "ner")):
        (own / name).symlink_to(secret)
        with pytest.raises(BundleError, match="a link"):
            write(open_bundle(own), tmp_path / f"link-{write.__name__}")
        (own / name).unlink()
        (own / name).mkdir()
        with pytest.raises(BundleError, match="not a regular file"):
            write(open_bundle(own), tmp_path / f"folder-{write.__name__}")
        (own / name).rmdir()


def test_a_copy_inside_its_bundle_is_refused(bundle: Path) -> None:
    with pytest.raises(ParamsError, match="is inside the bundle"):
        write_hub_repository(open_bundle(bundle), bundle / "copy")


def test_labels_for_other_clients_are_required(tmp_path: Path) -> None:
    own = make_portable(write_tiny_bundle(tmp_path / "own"))
    config = json.loads((own / "config.json").read_text())
    (own / "config.json").write_text(json.dumps(config | {"id2label": 7}))
    seal(own, {})
    with pytest.raises(BundleError, match="no labels for other clients"):
        write_triton_repository(open_bundle(own), tmp_path / "models", "ner")
    assert not (tmp_path / "models").exists()


def test_a_float32_graph_is_required_for_triton(tmp_path: Path) -> None:
    own = make_portable(write_tiny_bundle(tmp_path / "own", variants={"cpu": ["int8"]}, graphs=INT8))
    with pytest.raises(BundleError, match="own: no float32 graph, which Triton runs, got int8"):
        write_triton_repository(open_bundle(own), tmp_path / "models", "ner")
    assert not (tmp_path / "models").exists()


def test_the_commands_say_what_they_wrote(bundle: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["bundle", "triton", str(bundle), str(tmp_path / "a"), "--name", "ner"])
    assert done.exit_code == 0 and "the models ner (texts) and ner_graph (pieces)" in done.output
    done = CliRunner().invoke(app, ["bundle", "export", str(bundle), str(tmp_path / "b"), "--to", "hf"])
    assert done.exit_code == 0 and open_bundle(bundle).manifest["digest"] in (tmp_path / "b/manifest.json").read_text()
