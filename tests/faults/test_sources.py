"""Where new data come from: an import that DVC keeps up to date, a folder under DVC, drops."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from fpplm_core.settings import read_yaml
from tests.project import Project

TAKE_IN = (
    "from fpplm.intake import dvc_import; from fpplm_core import params; dvc_import.take_in(params.load(), commit=True)"
)


@pytest.fixture
def project(trained: Project, tmp_path: Path) -> Project:
    project = trained.copy(tmp_path / "project")
    project.commit()
    return project


def take_in(project: Project) -> str:
    return project.ok("python", "-c", TAKE_IN)


def message(project: Project) -> str:
    return project.ok("git", "log", "-1", "--format=%s").strip()


def test_an_import_follows_its_source(project: Project, tmp_path: Path) -> None:
    source = Path(shutil.copytree(project.path / "data/wikigold", tmp_path / "source"))
    project.ok("dvc", "import-url", "-q", str(source), "data/mine")
    project.set(data={"path": "data/mine"})
    project.commit()
    head = project.ok("git", "rev-parse", "HEAD")
    take_in(project)
    assert project.ok("git", "rev-parse", "HEAD") == head, "nothing new, no commit"
    with (source / "train.conll").open("a") as file:
        file.write("New\tB-LOC\nwords\tO\n\n")
    take_in(project)
    assert (project.path / "data/mine/train.conll").read_text().endswith("New\tB-LOC\nwords\tO\n\n")
    assert message(project) == "Data: data/mine"
    project.set(data={"incoming": "incoming"})
    (project.path / "incoming").mkdir()
    done = project.run("python", "-c", TAKE_IN)
    assert "incoming files cannot be added to an imported folder" in done.stderr


def test_drops_make_a_new_version_of_a_folder_under_dvc(project: Project) -> None:
    shutil.copytree(project.path / "data/wikigold", project.path / "data/mine")
    project.ok("dvc", "add", "-q", "data/mine")
    (project.path / "incoming").mkdir()
    project.set(data={"path": "data/mine", "incoming": "incoming"})
    project.commit()
    first = read_yaml(project.path / "data/mine.dvc")["outs"][0]["md5"]
    (project.path / "incoming/good.conll").write_text("Ann\tB-PER\nslept\tO\n\n")
    (project.path / "incoming/bad.jsonl").write_text('{"tokens": ["a"], "tags": []}\n')
    output = take_in(project)
    assert "good.conll: taken in, 1 sentences" in output and "bad.jsonl: quarantined" in output
    assert message(project) == "Data: good.conll"
    assert read_yaml(project.path / "data/mine.dvc")["outs"][0]["md5"] != first
    assert not (project.path / "incoming/good.conll").exists()
    project.ok("git", "checkout", "-q", "HEAD~", "--", "data/mine.dvc")
    project.ok("dvc", "checkout", "-q", "data/mine.dvc")
    assert not (project.path / "data/mine/drops").exists(), "DVC has both versions"


def test_drops_are_committed_where_git_holds_the_data(project: Project) -> None:
    (project.path / "incoming").mkdir()
    project.set(data={"incoming": "incoming"})
    project.commit()
    (project.path / "incoming/good.conll").write_text("Ann\tB-PER\nslept\tO\n\n")
    take_in(project)
    (name,) = project.ok("git", "diff", "--name-only", "HEAD~", "HEAD").split()
    assert name.startswith("data/wikigold/drops/") and name.endswith("-good.conll")
