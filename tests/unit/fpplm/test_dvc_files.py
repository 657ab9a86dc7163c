"""The project's YAML files, broken in each way: one line that names file and line, before any work."""

from __future__ import annotations

from pathlib import Path

import pytest
from dvc.repo import Repo

from fpplm.pipeline.dvc import open_repo, require_readable
from fpplm.project.stages import stage_names
from fpplm_core.errors import ParamsError

FILES = {
    "dvc.yaml": "stages:\n  read:\n    cmd: cat ${data}\n    params: [data]\n  train:\n    cmd: cat x\n",
    "params.yaml": "data: here\nseed: 1\n",
    "prefect.yaml": "deployments:\n  - name: retrain\n",
    "expectations.yaml": "tokens: []\n",
    "data/corpus.dvc": "outs:\n- md5: d41d8cd98f00b204e9800998ecf8427e\n  size: 0\n  hash: md5\n  path: corpus\n",
}


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Repo.init(no_scm=True).close()
    for name, text in FILES.items():
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text(text)
    return tmp_path


def test_whole_files_are_read() -> None:
    require_readable()
    assert sorted(stage_names()) == ["read", "train"]


CONFLICT = "<<<<<<< HEAD\n{0}=======\n{0}>>>>>>> other\n"


@pytest.mark.parametrize("name", [name for name in FILES if name != "params.yaml"])
@pytest.mark.parametrize(
    ("breaks", "line", "said"),
    [
        (lambda text: text.replace("\n", "\n<<<<<<< HEAD\n", 1), 2, "a merge conflict"),
        (lambda text: text + "\tx: 1\n", None, "not valid YAML"),
        (lambda text: text + text, None, "not valid YAML .found duplicate key"),
    ],
    ids=["conflict", "tab", "twice"],
)
def test_a_broken_file_is_named_with_its_line(name: str, breaks, line: int | None, said: str) -> None:
    Path(name).write_text(breaks(FILES[name]))
    with pytest.raises(ParamsError, match=rf"^{name}:{line or r'[0-9]+'}: .*{said}"):
        require_readable()


@pytest.mark.parametrize("name", ["dvc.yaml", "data/corpus.dvc", "params.yaml"])
def test_so_it_is_where_dvc_meets_it_first(name: str) -> None:
    Path(name).write_text(FILES[name].replace("\n", "\n<<<<<<< HEAD\n", 1))
    with pytest.raises(ParamsError, match=rf"^{name}:2: not valid YAML \(a merge conflict\)"), open_repo():
        pass


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("dvc.yaml", "stages: [1]\n", "dvc.yaml: DVC cannot read the project, got expected a dictionary"),
        ("dvc.yaml", "stages: {read: {cmd: x, depz: [y]}}\n", "dvc.yaml: .*extra keys not allowed.*depz"),
        (
            "dvc.yaml",
            "stages: {a: {cmd: x, outs: [y]}, b: {cmd: x, outs: [y]}}\n",
            "DVC cannot.*output 'y' is specified",
        ),
        (
            "dvc.yaml",
            "stages: {a: {cmd: x, deps: [y], outs: [z]}, b: {cmd: x, deps: [z], outs: [y]}}\n",
            "DVC cannot.*both a dependency and an output",
        ),
        ("dvc.yaml", "", "dvc.yaml: no stages; restore it with Git"),
        ("dvc.yaml", "artifacts: {}\n", "dvc.yaml: no stages; restore it with Git"),
        ("data/corpus.dvc", "outs: 3\n", "data/corpus.dvc: DVC cannot read the project"),
        ("params.yaml", "seed: 1\n", "DVC cannot read the project, got .*Could not find 'data'"),
        (".dvc/config", "<<<<<<< HEAD\n", "DVC cannot read the project, got .*at line 1"),
    ],
)
def test_valid_yaml_that_is_no_project_is_one_line(name: str, text: str, said: str) -> None:
    Path(name).write_text(text)
    with pytest.raises(ParamsError, match=said) as caught:
        stage_names()
    assert "\n" not in str(caught.value)


def test_bytes_that_are_no_text() -> None:
    Path("dvc.yaml").write_bytes(b"stages:\n  caf\xe9: {}\n")
    for refuse in (require_readable, stage_names):
        with pytest.raises(ParamsError, match=r"dvc.yaml:2: not UTF-8, got byte 0xe9"):
            refuse()
