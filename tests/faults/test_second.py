"""A second task learned beside the first: another column, or another corpus, through the real stages."""

import json
from pathlib import Path

import pytest

from fpplm_core.settings import read_yaml
from tests.project import Project


def with_second(trained: Project, path: Path, second: dict[str, object]) -> Project:
    project = trained.copy(path)
    folder = project.path / "data/wikigold"
    for file in folder.glob("*.conll"):
        rows = [line.split("\t") for line in file.read_text().splitlines()]
        # A part of speech of sorts, in the middle.
        lines = ["\t".join([row[0], f"L{len(row[0]) % 3}", *row[1:]]) if row[0] else "" for row in rows]
        file.write_text("\n".join(lines) + "\n")
    (folder / "other.conll").write_text("Paris\tx\tB-CITY\nis\tx\tO\n\nRome\tx\tB-CITY\n\n" * 20)
    project.set(data={"second": second}, train={"epochs": 2})
    values = read_yaml(project.path / "params.yaml")["technique"]["multi_task"]
    project.set(technique={"multi_task": values | {"second": 0.5}})
    return project


def run(project: Project, *stages: str) -> None:
    for stage in stages:
        project.ok("python", "-m", f"tasks.{stage}")


@pytest.mark.parametrize(
    ("second", "labels"),
    [({"tag_column": 1}, ["L0", "L1", "L2"]), ({"train": "other.conll"}, ["B-CITY", "O"])],
    ids=["column", "corpus"],
)
def test_a_second_task_is_trained_and_not_exported(
    trained: Project, tmp_path: Path, second: dict[str, object], labels: list[str]
) -> None:
    project = with_second(trained, tmp_path / "project", second)
    run(project, "read", "encode", "train", "evaluate")
    encoding = json.loads((project.path / "build/encoded/encoding.json").read_text())
    assert encoding["second"] == labels
    header, *steps = (project.path / "reports/training/steps.csv").read_text().splitlines()
    assert "multi_task.second" in header.split(",")
    column = header.split(",").index("multi_task.second")
    values = [float(step.split(",")[column]) for step in steps]
    assert all(value > 0 for value in values)
    assert sum(values[-10:]) < 0.9 * sum(values[:10])
    sizes = [json.loads((p.path / "metrics/evaluate.json").read_text())["test"]["words"] for p in (trained, project)]
    assert sizes[0] == sizes[1]


def test_a_second_task_that_is_the_first_is_an_error(trained: Project, tmp_path: Path) -> None:
    project = with_second(trained, tmp_path / "project", {"tag_column": -1})
    done = project.run("python", "-m", "tasks.read")
    assert done.returncode == 3 and "data.second: the second task is the same as the first" in done.stderr


def test_a_second_column_that_is_not_there_is_an_error(trained: Project, tmp_path: Path) -> None:
    project = with_second(trained, tmp_path / "project", {"tag_column": 5})
    done = project.run("python", "-m", "tasks.read")
    assert done.returncode == 3 and "no such column" in done.stderr and "got column 5 of 3" in done.stderr
