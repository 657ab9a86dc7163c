"""Probable annotation errors: of dev and test by the trained tagger, of train by taggers of the rest of it."""

from __future__ import annotations

import json
from pathlib import Path

from tests.project import Project


def test_each_split_is_reviewed_unless_the_predictions_are_of_other_sentences(trained: Project, tmp_path: Path) -> None:
    project = trained.copy(tmp_path / "project")
    data, report = project.path / "data/wikigold", project.path / "reports/review.jsonl"
    shown = project.ok("fpplm", "review", "--folds", "2").splitlines()
    rows = [json.loads(line) for line in report.read_text().splitlines()]
    assert {Path(row["place"].partition(":")[0]).stem for row in rows} == {"train", "dev", "test"}
    assert [row["score"] for row in rows] == sorted(row["score"] for row in rows)
    assert all(row["given"] != row["likelier"] for row in rows) and shown
    assert not list((project.path / ".fpplm/review").iterdir()), "what the folds have made is gone"
    before = report.read_bytes()
    for name in ("dev", "test"):
        text = (data / f"{name}.conll").read_text()
        (data / f"{name}.conll").write_text(text + "\nParis\tB-LOC\n")
        project.ok("dvc", "repro", "read")
        done = project.run("fpplm", "review")
        assert done.returncode == 3 and f"{name}.jsonl: the last run has tagged other sentences" in done.stderr
        (data / f"{name}.conll").write_text(text)
    assert report.read_bytes() == before
    project.ok("dvc", "repro", "read")
    assert project.run("fpplm", "review", "--folds", "1").returncode == 2
