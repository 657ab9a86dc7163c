"""Nights with model.start: production: what they start from, what they leave alone, what they refuse."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.project import Project, head, model_digest, shared

TRAIN = "data/wikigold/train.conll"


def night(project: Project, *options: str) -> str:
    return project.ok("fpplm", "retrain", "--promote", *options)


def manifest(project: Project) -> dict[str, Any]:
    return dict(json.loads((project.path / "bundle/manifest.json").read_text()))


def add_data(project: Project, sentences: int) -> None:
    """A train split of more sentences than before."""
    source = Path(__file__).parents[2] / TRAIN
    head(source, project.path / TRAIN, sentences)


@pytest.fixture(scope="module")
def first(trained: Project, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Project:
    """The first night: a cold start, v1.0.0 is in production."""

    def make() -> Project:
        project = trained.copy(tmp_path_factory.mktemp("nights") / "project")
        project.set(
            model={"start": "production"},
            promotion={"margin": 1, "max_type_loss": 1, "max_slice_loss": 1, "alpha": 0.001, "max_overlap": 1},
        )
        project.commit()
        output = night(project)
        assert "start: cold, nothing is in production" in output and "v1.0.0 is in production" in output
        assert manifest(project)["start"] == {}
        return project

    return shared(request, make)


@pytest.fixture(scope="module")
def second(first: Project, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Project:
    """A night with new data: v2.0.0 starts from v1.0.0."""

    def make() -> Project:
        project = first.copy(tmp_path_factory.mktemp("nights") / "project")
        add_data(project, 90)
        output = night(project)
        assert "start: v1.0.0" in output and "starts from data/start" in output, output
        assert "v2.0.0 is in production" in output, output
        return project

    return shared(request, make)


def test_a_night_without_data_trains_nothing(first: Project, second: Project, tmp_path: Path) -> None:
    for made, version in ((first, "v1.0.0"), (second, "v2.0.0")):
        project = made.copy(tmp_path / version)
        before, commit = model_digest(project), project.ok("git", "rev-parse", "HEAD")
        output = night(project)
        assert "0 of 9 stages ran" in output and "start:" not in output and "verdict  unchanged" in output, output
        assert model_digest(project) == before and project.ok("git", "rev-parse", "HEAD") == commit
        assert not project.ok("git", "status", "--porcelain").strip()
        assert f"{version}   production" in project.ok("fpplm", "models")


def test_lock_and_manifest_name_the_version_that_it_started_from(
    first: Project, second: Project, tmp_path: Path
) -> None:
    start = {"version": "v1.0.0", "model_sha256": manifest(first)["model_sha256"]}
    assert manifest(second)["start"] == start
    assert "data/start" not in str(manifest(second)["data"]), "it is no training data"
    lock = YAML(typ="safe").load(second.ok("git", "show", "HEAD:dvc.lock"))
    recorded = {dep["path"]: dep["md5"] for dep in lock["stages"]["train"]["deps"]}
    inputs = (second.path / "build/inputs/start.json").read_bytes()
    assert recorded["build/inputs/start.json"] == hashlib.md5(inputs).hexdigest()
    weights = second.path / "data/start/model.safetensors"
    assert json.loads(inputs)["model.safetensors"] == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert json.loads((second.path / "data/start/version.json").read_text()) == {"version": "v1.0.0"}
    assert second.ok("git", "show", "HEAD:data/start.dvc")
    changes = second.copy(tmp_path / "project").ok("fpplm", "diff", "v1", "v2")
    assert "model_sha256" in changes and "v1.0.0" in changes
    origin = json.loads((second.path / "build/model/origin.json").read_text())
    assert origin["starts"] == [start["model_sha256"]]


def test_the_run_is_reproduced_from_the_same_start(second: Project, tmp_path: Path) -> None:
    project = second.copy(tmp_path / "project")
    assert project.ok("fpplm", "reproduce", "v2").splitlines()[-1].startswith("identical: ")
    assert not project.ok("git", "status", "--porcelain").strip()


def test_dvc_repro_does_not_follow_what_is_promoted(second: Project, tmp_path: Path) -> None:
    project = second.copy(tmp_path / "project")
    before = (project.path / "data/start/version.json").read_bytes()
    project.set(train={"seed": 2})
    project.ok("dvc", "repro", "train")
    assert (project.path / "data/start/version.json").read_bytes() == before
    assert json.loads((project.path / "build/model/origin.json").read_text())["starts"] == [
        manifest(second)["start"]["model_sha256"]
    ]


def test_a_cold_start_now_and_then(second: Project, tmp_path: Path) -> None:
    project = second.copy(tmp_path / "project")
    add_data(project, 95)
    output = night(project, "--cold-every", "2")
    assert "start: cold, as one of 2 promoted models does" in output and "starts from" not in output, output
    assert manifest(project)["start"] == {}
    assert "0 of 9 stages ran" in night(project, "--cold-every", "2")


def test_a_sentence_of_test_that_the_start_learned_is_refused(second: Project, tmp_path: Path) -> None:
    project = second.copy(tmp_path / "project")
    sentences = (project.path / TRAIN).read_text().split("\n\n")
    moved = max(sentences, key=len)
    (project.path / TRAIN).write_text("\n\n".join(s for s in sentences if s != moved))
    with (project.path / "data/wikigold/test.conll").open("a") as test:
        test.write(f"{moved.strip()}\n\n")
    done = project.run("fpplm", "retrain", "--promote")
    assert done.returncode == 3
    assert "model.start: it was trained on sentences of dev or test, got data/start: 1, such as" in done.stderr
    assert "Traceback" not in done.stderr
    assert "start: cold" in night(project, "--cold-every", "1"), "what the message says helps"


def test_a_night_restores_the_start_that_git_names(second: Project, tmp_path: Path) -> None:
    """After a clone or a pull, data/start is missing, or that of another machine's last night."""
    project = second.copy(tmp_path / "project")
    pointer = (project.path / "data/start.dvc").read_bytes()
    for content in (None, '{"version": "v0.0.1"}'):
        shutil.rmtree(project.path / "data/start")
        if content:
            (project.path / "data/start").mkdir()
            (project.path / "data/start/version.json").write_text(content)
        output = night(project)
        assert "0 of 9 stages ran" in output and "start:" not in output, output
        assert (project.path / "data/start.dvc").read_bytes() == pointer
        assert json.loads((project.path / "data/start/version.json").read_text()) == {"version": "v1.0.0"}
    assert not project.ok("git", "status", "--porcelain").strip()


def test_no_version_is_made_from_a_start_that_no_clone_can_get(second: Project, tmp_path: Path) -> None:
    project = second.copy(tmp_path / "project")
    shutil.copytree(project.path / "build/model", project.path / "models/news")
    shutil.copytree(project.path / "build/model", tmp_path / "elsewhere")
    for folder in ("models/news", "../elsewhere"):
        project.set(model={"start": folder})
        done = project.run("fpplm", "retrain", "--promote")
        assert done.returncode == 12 and f"{folder}: neither DVC nor Git has it" in done.stderr, done.stderr
    project.set(model={"start": "models/news"})
    project.ok("dvc", "add", "models/news")
    night(project)
    assert "models/news.dvc" in project.ok("git", "ls-files")
    assert "identical" in project.ok("fpplm", "reproduce", "production")


def test_a_start_that_was_not_pulled_is_named(second: Project, tmp_path: Path) -> None:
    project = second.copy(tmp_path / "project")
    for file in (project.path / "data/start").iterdir():
        file.unlink()
    (project.path / "data/start").rmdir()
    done = project.run("dvc", "repro", "train")
    assert "no such folder, got data/start; dvc pull data/start.dvc" in done.stderr + done.stdout
