"""New data reach the remote repository before they leave data.incoming; a lost folder becomes no version."""

import shutil
import subprocess
from pathlib import Path

import pytest
from dvc.repo import Repo

from fpplm.intake import dvc_import
from fpplm.report.run import Verdict
from fpplm_core.errors import DataError, RegistryError

SPLITS = {"train": "Ann\tB-PER\nmet\tO\nBob\tB-PER\n", "dev": "he\tO\nsaw\tO\nEve\tB-PER\n", "test": "Kim\tB-PER\n"}
NEW = "Zoe\tB-PER\nsleeps\tO\n"


def git(*arguments):
    return subprocess.run(["git", *arguments], capture_output=True, text=True, check=True).stdout


@pytest.fixture
def settings(tmp_path, monkeypatch, params):
    """Of a project that DVC and Git track, with a remote repository and a file in data.incoming."""
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "t")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "t@localhost")
    git("init", "--quiet", "--bare", "--initial-branch=main", str(tmp_path / "remote"))
    monkeypatch.chdir(tmp_path)
    for folder in ("project/data/mine", "incoming"):
        Path(folder).mkdir(parents=True)
    Path("incoming/new.conll").write_text(NEW)
    monkeypatch.chdir(tmp_path / "project")
    for split, content in SPLITS.items():
        Path(f"data/mine/{split}.conll").write_text(content)
    git("init", "--quiet", "--initial-branch=main")
    git("remote", "add", "origin", str(tmp_path / "remote"))
    with Repo.init() as repo:
        with repo.config.edit("repo") as config:
            config["core"] |= {"remote": "store", "analytics": False}
            config["remote"] = {"store": {"url": str(tmp_path / "store")}}
        repo.add(["data/mine"])
    git("add", ".")
    git("commit", "--quiet", "--message", "first")
    git("push", "--quiet", "origin", "main")
    own = {"path": "data/mine", "incoming": "../incoming", "unlabelled": None}
    return params.model_copy(update={"data": params.data.model_copy(update=own)})


def arrived() -> list[str]:
    return sorted(path.name for path in Path("../incoming").iterdir())


def test_a_taken_in_file_is_pushed_before_it_leaves_the_incoming_folder(settings, tmp_path, monkeypatch):
    assert dvc_import.take_in(settings, commit=True) == [] and arrived() == []
    with monkeypatch.context() as patch:
        git("clone", "--quiet", str(tmp_path / "remote"), str(tmp_path / "clone"))
        patch.chdir(tmp_path / "clone")
        with Repo() as repo:
            repo.pull()
        assert [path.read_text() for path in Path("data/mine/drops").iterdir()] == [NEW]


def test_a_refused_push_leaves_the_file_for_the_next_run(settings, tmp_path, capsys):
    hook = tmp_path / "remote/hooks/pre-receive"
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    (said,) = dvc_import.take_in(settings, commit=True)
    assert (
        said.startswith("new data are committed here, but not pushed: git push failed")
        and said in capsys.readouterr().out
    )
    (kept,) = arrived()
    assert kept.endswith("-new.conll") and len(list(Path("data/mine/drops").iterdir())) == 1
    hook.unlink()
    assert dvc_import.take_in(settings, commit=True) == [] and arrived() == []
    assert git("rev-parse", "HEAD") == git("rev-parse", "origin/main")


def test_a_report_only_run_leaves_the_file_where_there_is_a_remote(settings):
    head = git("rev-parse", "HEAD")
    dvc_import.take_in(settings, commit=False)
    assert len(arrived()) == 1 and git("rev-parse", "HEAD") == head
    git("remote", "remove", "origin")
    dvc_import.take_in(settings, commit=False)
    assert arrived() == []


def test_an_emptied_folder_becomes_no_version(settings):
    shutil.rmtree("data/mine")
    Path("data/mine").mkdir()
    Path("../incoming/new.conll").unlink()
    before = Path("data/mine.dvc").read_text()
    with pytest.raises(DataError, match=r"data.train: no such file"):
        dvc_import.take_in(settings, commit=True)
    assert Path("data/mine.dvc").read_text() == before


def test_names_of_any_bytes_can_be_shown(settings):
    Path("../incoming/caf\udce9.conll").write_text(NEW)
    (said,) = dvc_import.take_in(settings, commit=True)
    assert said.encode() and said.startswith(r"caf\udce9.conll was quarantined: unprintable characters")


def test_a_file_is_told_as_quarantined_although_git_refuses_the_data(settings):
    Path("../incoming/bad.conll").write_text("no\tentity\n")
    hook = Path(".git/hooks/pre-commit")
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    with pytest.raises(RegistryError) as caught:
        dvc_import.take_in(settings, commit=True)
    reasons = Verdict.of_error(caught.value).reasons
    assert len(reasons) == 2 and reasons[1].startswith("bad.conll was quarantined: ")
