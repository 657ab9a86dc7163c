"""Which data of a project a clone would have too."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from dvc.repo import Repo

from fpplm.intake.dvc_import import tracked
from fpplm.registry.lineage import own_folders
from fpplm_core.errors import RegistryError
from fpplm_core.params import Params

LOST = "neither DVC nor Git has it, so nobody could reproduce the model; put it into the project and run: dvc add"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository of Git and DVC with a corpus in data/mine, which Git ignores as the template's .gitignore does."""
    path = tmp_path / "project"
    write_corpus(path / "data/mine")
    monkeypatch.chdir(path)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    subprocess.run(["git", "init", "--quiet"], check=True)
    Repo.init().close()
    Path(".gitignore").write_text("/data/?*\n!/data/*.dvc\n")
    return path


def write_corpus(folder: Path) -> None:
    folder.mkdir(parents=True)
    for split in ("train", "dev", "test"):
        (folder / f"{split}.conll").write_text(f"{split}\tO\n\n")


def of(params: Params, path: object = "data/mine") -> Params:
    return params.model_copy(update={"data": params.data.model_copy(update={"path": str(path)})})


def add(path: str) -> None:
    with Repo() as repo:
        repo.add([path])


def test_data_that_git_ignores_and_dvc_does_not_know_are_refused(project: Path, params: Params) -> None:
    with pytest.raises(RegistryError, match=f"data/mine/train.conll: {LOST} data/mine"):
        tracked(of(params))
    Path(".gitignore").write_text("*.conll\n")
    add("data/mine/train.conll")
    with pytest.raises(RegistryError, match=r"data/mine/dev\.conll"):
        tracked(of(params))
    add("data/mine/dev.conll")
    add("data/mine/test.conll")
    assert tracked(of(params)) == ["data/mine"]


def test_data_outside_the_repository_are_refused(project: Path, params: Params) -> None:
    write_corpus(project.parent / "elsewhere")
    with pytest.raises(RegistryError, match=LOST):
        tracked(of(params, project.parent / "elsewhere"))
    Path("link").symlink_to(project.parent / "elsewhere")
    with pytest.raises(RegistryError, match=LOST):
        tracked(of(params, "link"))


def test_new_data_that_git_does_not_ignore_are_committed_later(project: Path, params: Params) -> None:
    Path(".gitignore").write_text("")
    assert tracked(of(params)) == ["data/mine"]


@pytest.mark.parametrize("folder", ["data/mine", "data"])
def test_a_folder_that_dvc_tracks_or_that_lies_in_one(project: Path, params: Params, folder: str) -> None:
    Path(".gitignore").write_text("")
    add(folder)
    pointer = Path(f"{folder}.dvc")
    assert tracked(of(params)) == [str(pointer), str(pointer.with_name(".gitignore"))]


def test_the_output_of_a_stage(project: Path, params: Params) -> None:
    Path("dvc.yaml").write_text("stages: {make: {cmd: 'true', outs: [data/mine]}}\n")
    assert tracked(of(params)) == ["data/mine"]


def test_the_commit_of_a_model_is_not_asked_of_data_outside(project: Path, params: Params) -> None:
    """`git status` and `git log` fail on such a path."""
    assert own_folders(of(params, project.parent)) == []
    assert own_folders(of(params)) == [Path("data/mine")]
