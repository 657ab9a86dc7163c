"""Commands that run a flow of the project: one that is missing, or fits another version, is an error in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.project import Project

OLDER = "def predict(bundle, sources, folder, kind='jsonl', device='auto'):\n    print('ran')\n"


@pytest.mark.parametrize(
    ("flow", "said"),
    [
        (None, "flows/predict.py: no such flow here"),
        (OLDER, "flows/predict.py: made for another version of fpplm, got unexpected keyword argument 'resume'"),
        ("import fpplm.nowhere\n", "flows/predict.py: made for another version of fpplm"),
    ],
    ids=["none", "other arguments", "other imports"],
)
def test_a_flow_that_does_not_fit_is_named(tmp_path: Path, flow: str | None, said: str) -> None:
    (tmp_path / "dvc.yaml").touch()
    if flow is not None:
        (tmp_path / "flows").mkdir()
        (tmp_path / "flows/__init__.py").touch()
        (tmp_path / "flows/predict.py").write_text(flow)
    done = Project(tmp_path).run("fpplm", "predict", "bundle", "texts.txt", "--folder", "out")
    assert done.returncode == 3 and done.stdout == ""
    assert said in done.stderr and "fpplm update" in done.stderr and done.stderr.count("\n") == 1
