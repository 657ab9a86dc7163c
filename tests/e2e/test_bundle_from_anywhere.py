"""A bundle of a real run, in the hands of an attacker and of other clients."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from fpplm_core.export.bundle_writer import seal
from tests.project import Project, altered_bundle

TEXT = "Angela Merkel met Barack Obama in Paris .\n"


def predict(project: Project, bundle: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return project.run("timeout", "60", "fpplm", "predict", str(bundle), "-", *options, stdin=TEXT)


def assert_refused(done: subprocess.CompletedProcess[str], said: str) -> None:
    """Exit code 5 and one line, however the bundle was made."""
    assert done.returncode == 5 and said in done.stderr and "Traceback" not in done.stderr, done.stderr
    assert len([line for line in done.stderr.splitlines() if "words/s" not in line]) <= 2 and not done.stdout


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"window": 2}, "`window` must be an integer from 8"),  # these two did not end
        ({"window": -5}, "`window` must be an integer from 8"),
        ({"words": "os:system"}, "names code"),  # this one ran each text as a command, once
        ({"variants": {"cpu": ["fp32"]}, "graphs": {"fp32": "../../evil"}}, "not in the manifest, got '../../evil'"),
        ({"labels": ["O"]}, "`transitions` must be 2 rows"),
    ],
    ids=str,
)
def test_hostile_values_end_in_one_line(trained: Project, tmp_path: Path, change, said) -> None:
    bundle = altered_bundle(trained.path / "bundle", tmp_path / "bundle", lambda config: config.update(change))
    assert_refused(predict(trained, bundle), said)


def test_a_tokenizer_that_hangs_is_refused(trained: Project, tmp_path: Path) -> None:
    bundle = Path(shutil.copytree(trained.path / "bundle", tmp_path / "bundle"))
    values = json.loads((bundle / "tokenizer.json").read_text())
    values["pre_tokenizer"] = {"type": "Split", "pattern": {"Regex": "(a+)+$"}, "behavior": "Isolated", "invert": False}
    (bundle / "tokenizer.json").write_text(json.dumps(values))
    seal(bundle, {})
    assert_refused(predict(trained, bundle), "pre_tokenizer that is not one of")


def test_links_and_other_files_are_refused(trained: Project, tmp_path: Path) -> None:
    bundle = Path(shutil.copytree(trained.path / "bundle", tmp_path / "bundle"))
    (bundle / "extra.py").write_text("")
    assert_refused(predict(trained, bundle), "not in the manifest, got 'extra.py'")
    (bundle / "extra.py").unlink()
    for name in ("onnx/model.onnx", "tokenizer.json"):
        (bundle / name).rename(tmp_path / Path(name).name)
    (bundle / "onnx/model.onnx").symlink_to(tmp_path / "model.onnx")
    os.link(tmp_path / "tokenizer.json", bundle / "tokenizer.json")
    assert_refused(predict(trained, bundle), "--allow-links")
    done = predict(trained, bundle, "--allow-links")
    assert done.returncode == 0 and json.loads(done.stdout)["text"] == TEXT.strip()


def test_a_digest_pins_a_bundle(trained: Project, tmp_path: Path) -> None:
    digest = json.loads((trained.path / "bundle/manifest.json").read_text())["digest"]
    assert predict(trained, trained.path / "bundle", "--digest", digest).returncode == 0
    forged = altered_bundle(trained.path / "bundle", tmp_path / "forged", lambda config: config.update(context=0))
    assert predict(trained, forged).returncode == 0, "anybody can seal a bundle"
    assert_refused(predict(trained, forged, "--digest", digest), "another bundle than the digest names")
    done = trained.run("fpplm", "evaluate", str(forged), "data/wikigold/test.conll", "--digest", digest)
    assert_refused(done, "another bundle than the digest names")


@pytest.mark.parametrize("file", ["bundle/tokenizer.json", "build/encoded/tokenizer.json"])
def test_no_tokenizer_that_leaves_the_project_cuts_or_pads(trained: Project, file: str) -> None:
    """The encoder came with a limit of 128 pieces, and pads to them."""
    encoder = json.loads((trained.path / "encoder/tokenizer.json").read_text())
    assert encoder["truncation"]["max_length"] == 128 and encoder["padding"]
    values = json.loads((trained.path / file).read_text())
    assert values["truncation"] is None and values["padding"] is None
    other_client = Tokenizer.from_file(str(trained.path / file))
    assert len(other_client.encode("word " * 1000).ids) == 1002
    assert len(other_client.encode("word").ids) == 3


def test_a_project_whose_dvc_cache_is_linked_opens_its_own_bundle(trained: Project, tmp_path: Path) -> None:
    """With cache.type, the bundle's files are links into DVC's cache."""
    project = trained.copy(tmp_path / "project")
    project.ok("dvc", "config", "cache.type", "symlink")
    project.ok("dvc", "checkout", "-q", "--relink", "bundle")
    assert (project.path / "bundle/config.json").is_symlink()
    assert_refused(predict(project, project.path / "bundle"), "--allow-links")
    code = "from fpplm.report.console import summary; print(summary())"
    assert "by default" in project.ok("python", "-c", code)
