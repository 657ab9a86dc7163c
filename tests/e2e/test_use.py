"""What a bundle's user does: predict, evaluate, and meet a bundle that is not whole."""

from __future__ import annotations

import json
import shutil
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from fpplm_core.errors import BundleError, DeviceError
from fpplm_core.serving import Predictor, open_bundle
from fpplm_core.serving.onnx_session import is_available
from tests.project import ROOT, Project, altered_bundle

TEXTS = ["Angela Merkel met Barack Obama in Paris .", "", "  naïve café — 東京 \u200b x", "word " * 300]


@pytest.fixture
def copy(trained: Project, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained.path / "bundle", tmp_path / "bundle"))


def test_a_bundle_is_whole_and_says_where_it_comes_from(trained: Project) -> None:
    manifest = open_bundle(trained.path / "bundle").manifest
    assert set(manifest["data"]) == {f"data/wikigold/{split}.conll" for split in ("train", "dev", "test")}
    assert manifest["parameters"]["train"]["epochs"] == 4
    assert len(manifest["commit"]) == 40 and not manifest["uncommitted_changes"]
    assert {"torch", "transformers"} <= set(manifest["packages"])
    listed = set(manifest["files"]) | {"manifest.json"}
    assert listed == {
        str(p.relative_to(trained.path / "bundle")) for p in (trained.path / "bundle").rglob("*") if p.is_file()
    }


@pytest.mark.parametrize("name", ["onnx/model.onnx", "tokenizer.json", "config.json", "README.md", "manifest.json"])
def test_a_changed_byte_is_refused_by_name(copy: Path, name: str) -> None:
    raw = bytearray((copy / name).read_bytes())
    raw[len(raw) // 2] ^= 1
    (copy / name).write_bytes(raw)
    with pytest.raises(BundleError, match=name):
        open_bundle(copy)


def test_a_missing_file_and_a_missing_bundle_are_refused(copy: Path) -> None:
    (copy / "onnx/model_quantized.onnx").unlink()
    with pytest.raises(BundleError, match=r"model_quantized\.onnx"):
        open_bundle(copy)
    with pytest.raises(BundleError, match=r"manifest\.json"):
        open_bundle(copy / "nowhere")


@pytest.mark.skipif(is_available("cuda"), reason="CUDA is here")
def test_cuda_asked_for_and_not_there_is_an_error(copy: Path) -> None:
    with pytest.raises(DeviceError, match="--device cpu"):
        Predictor.load(copy, device="cuda")
    assert Predictor.load(copy).device == "cpu"


def test_entities_are_characters_of_the_text(copy: Path) -> None:
    predictor = Predictor.load(copy)
    found = list(predictor.predict_many(TEXTS * 3))
    assert len(found) == len(TEXTS) * 3 and found[: len(TEXTS)] == found[len(TEXTS) : 2 * len(TEXTS)]
    assert any(found), "or the test would show nothing"
    for text, entities in zip(TEXTS, found, strict=False):
        for entity in entities:
            assert text[entity.start : entity.end] == entity.text and 0 < entity.score <= 1
            assert f" {entity.text} " in f" {text} ", "whole words"


def test_one_text_and_many_agree(copy: Path) -> None:
    predictor = Predictor.load(copy, variant="fp32")
    assert [[e[:4] for e in row] for row in predictor.predict_many(TEXTS)] == [
        [e[:4] for e in predictor.predict(text)] for text in TEXTS
    ]


def test_golden_sentences_of_the_bundle(copy: Path) -> None:
    rows = json.loads((copy / "golden.json").read_text())
    found = Predictor.load(copy, variant="fp32").tag([row["words"] for row in rows], [row["document"] for row in rows])
    assert any(found), "or the test would show nothing"
    assert [[list(span) for span, _ in row] for row in found] == [row["spans"] for row in rows]


def test_predict_reads_text_jsonl_and_conll(trained: Project, tmp_path: Path) -> None:
    text = TEXTS[0]
    out = [json.loads(line) for line in trained.ok("fpplm", "predict", "bundle", "-", stdin=f"{text}\n\n").splitlines()]
    assert [row["text"] for row in out] == [text, ""]
    (tmp_path / "in.jsonl").write_text(json.dumps({"text": text}) + "\n")
    (row,) = trained.ok("fpplm", "predict", "bundle", str(tmp_path / "in.jsonl")).splitlines()
    assert json.loads(row) == out[0]
    (tmp_path / "in.conll").write_text("\n".join(f"{word}\tO" for word in text.split()) + "\n")
    tagged = trained.ok("fpplm", "predict", "bundle", str(tmp_path / "in.conll"), "--to", "conll").splitlines()
    assert [line.split("\t")[0] for line in tagged if line] == text.split()


def test_evaluate_agrees_with_the_pipeline(trained: Project, tmp_path: Path) -> None:
    """Which scores the tagger alone."""
    bundle = altered_bundle(trained.path / "bundle", tmp_path / "alone", lambda c: c["label_lm"].update(use=False))
    command = ("fpplm", "evaluate", str(bundle), "data/wikigold/test.conll", "--variant", "fp32", "--json")
    scores = json.loads(trained.ok(*command))
    expected = json.loads((trained.path / "metrics/evaluate.json").read_text())["test"]
    for key in ("f1", "precision", "recall", "words", "types", "confusion"):
        assert scores[key] == expected[key]


def test_predict_goes_on_from_what_is_written(trained: Project, tmp_path: Path) -> None:
    texts, out = tmp_path / "in.txt", tmp_path / "out.jsonl"
    texts.write_text("".join(f"Paris {n} .\n" for n in range(1500)))
    command = ("fpplm", "predict", "bundle", str(texts), "-o", str(out))
    trained.ok(*command)
    whole = out.read_bytes()
    out.write_bytes(whole[:-1000])
    trained.ok(*command, "--resume")
    assert out.read_bytes() == whole
    done = trained.run("fpplm", "predict", "bundle", str(texts), "--resume")
    assert done.returncode == 2 and "--resume" in done.stderr


def test_files_are_tagged_one_by_one_and_one_that_fails_keeps_no_other_from_it(
    trained: Project, tmp_path: Path
) -> None:
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text("Ann met Bob in Paris .\n" * 3)
    (tmp_path / "bad.txt").write_bytes(b"\xff\n")
    command = ("fpplm", "predict", "bundle", *(str(tmp_path / name) for name in ("a.txt", "bad.txt", "b.txt")))
    project = trained.copy(tmp_path / "project")
    done = project.run(*command, "--folder", str(tmp_path / "out"))
    assert done.returncode == 3 and "bad.txt" in done.stderr and "Traceback" not in done.stderr
    outputs = sorted(path.name for path in (tmp_path / "out").glob("*.jsonl"))
    assert outputs == ["a.txt.jsonl", "b.txt.jsonl"]
    assert len((tmp_path / "out/a.txt.jsonl").read_text().splitlines()) == 3
    before = (tmp_path / "out/a.txt.jsonl").stat().st_mtime_ns
    (tmp_path / "bad.txt").write_text("Ann .\n")
    assert "bad.txt.jsonl" in project.ok(*command, "--folder", str(tmp_path / "out"))
    assert (tmp_path / "out/a.txt.jsonl").stat().st_mtime_ns == before, "tagged before"


BLOCK = """
import importlib.abc, sys

class Block(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top not in {*sys.stdlib_module_names, *ALLOWED} and not top.startswith("_"):  # _sysconfigdata_…
            raise ModuleNotFoundError(f"No module named {top!r}", name=top)

sys.meta_path.insert(0, Block())
from importlib import metadata
_version = metadata.version

def version(name):
    if name.replace("-", "_") not in ALLOWED:
        raise metadata.PackageNotFoundError(name)
    return _version(name)

metadata.version = version
"""


def names_of_extra(extra: str) -> set[str]:
    """What an installation with this extra has: its packages and those that they require, and their modules."""
    tops: dict[str, set[str]] = {}
    for module, names in metadata.packages_distributions().items():
        for name in names:
            tops.setdefault(name.lower().replace("_", "-"), set()).add(module)
    own = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"][extra]
    todo = [Requirement(requirement) for requirement in own]
    done: dict[str, None] = {}
    while todo:
        wanted = todo.pop()
        name = wanted.name.lower().replace("_", "-")
        if name == "onnxruntime" and name not in tops:
            name = "onnxruntime-gpu"
        if name not in done and name in tops and (wanted.marker is None or wanted.marker.evaluate({"extra": ""})):
            done[name] = None
            todo += map(Requirement, metadata.requires(name) or [])
    return {module for name in done for module in (*tops[name], name.replace("-", "_"))}


@pytest.fixture(scope="module")
def serving_only(trained: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A folder without a project, where only what fpplm[serve] installs can be imported."""
    place = Project(tmp_path_factory.mktemp("service"))
    (place.path / "guard").mkdir()
    allowed = {*names_of_extra("serve"), "fpplm", "fpplm_core"}
    (place.path / "guard/sitecustomize.py").write_text(f"ALLOWED = {sorted(allowed)!r}\n{BLOCK}")
    shutil.copytree(trained.path / "bundle", place.path / "bundle")
    shutil.copyfile(trained.path / "data/wikigold/test.conll", place.path / "test.conll")
    (place.path / "some.parquet").write_bytes(b"PAR1xxxxPAR1")
    return place


def test_with_serve_alone_a_bundle_is_used_in_full(serving_only: Project, trained: Project) -> None:
    assert "retrain" in serving_only.ok("fpplm", "--help")
    assert serving_only.ok("fpplm", "--version").startswith("fpplm ")
    said = serving_only.ok("fpplm", "predict", "bundle", "-", stdin=TEXTS[0] + "\n")
    assert json.loads(said)["text"] == TEXTS[0]
    said = serving_only.ok("fpplm", "evaluate", "bundle", "test.conll")
    assert said == trained.ok("fpplm", "evaluate", "bundle", "data/wikigold/test.conll").replace("data/wikigold/", "")
    serving_only.ok("fpplm", "convert", "test.conll", "test.jsonl")
    assert serving_only.ok("fpplm", "evaluate", "bundle", "test.jsonl")
    said = serving_only.ok("fpplm", "doctor")
    assert "MISS" not in said and "install the extra pipeline of fpplm" in said


OF_PROJECTS = (  # outside a project too, this is their only error
    ("ablate", "test.conll"),
    ("tune",),
    ("retrain",),
    ("why", "train"),
    ("pretrain", "corpora", "--out", "new"),
    ("predict", "bundle", "test.conll", "--folder", "new"),
)
NEED_MORE = (
    ("check", "test.conll"),
    ("init", "new", "test.conll"),
    ("evaluate", "bundle", "some.parquet"),
    ("review",),
    *OF_PROJECTS,
)


@pytest.mark.parametrize("command", NEED_MORE, ids=" ".join)
def test_what_serve_lacks_is_one_line_with_the_extra(serving_only: Project, command: tuple[str, ...]) -> None:
    done = serving_only.run("fpplm", *command)
    error = done.stderr.splitlines()[-1]
    assert done.returncode == 1 and error.startswith("error: this needs the Python package ")
    assert error.endswith("; install the extra pipeline of fpplm") and "Traceback" not in done.stderr
    assert done.stderr.count("\n") == 1 or command not in OF_PROJECTS
    assert not (serving_only.path / "new").exists()
