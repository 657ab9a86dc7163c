"""Odd names of types pass through the whole life of a model: they are data in every file, table and page."""

from __future__ import annotations

import json
from collections.abc import Callable

from tests.project import STAGES, Project

NAMES = [
    "a[/b]",
    "x y",
    "a/b",
    'it\'s "q"',
    "<b>&amp;",
    "a=b:c|d",
    "a,b",
    ":smile:",
    "-X",
    "组织😀",
    "per",
    "PER",
    "micro avg",
]


def corpus(sentences: int, word: str) -> str:
    """Each name in turn, in every split."""
    rows = []
    for number in range(sentences):
        name = NAMES[number % len(NAMES)]
        rows.append(f"in\tO\nPar{word}{number}\tB-{name}\nLon{word}\tI-{name}\nslept\tO\n\n")
    return "".join(rows)


def test_odd_names_of_types_pass_through_the_whole_life(make_project: Callable[[], Project]) -> None:
    project = make_project()
    data = project.path / "data/wikigold"
    for split, rounds, word in (("train", 4, "is"), ("dev", 2, "don"), ("test", 2, "ch")):
        (data / f"{split}.conll").write_text(corpus(rounds * len(NAMES), word), encoding="utf-8")
    project.set(train={"epochs": 2}, check={"severity": {}}, gate={"min_f1": 0.0})  # it learns nothing
    project.commit()
    said = project.ok("fpplm", "retrain")
    assert f"{len(STAGES)} of {len(STAGES)} stages ran" in said
    for name in NAMES:
        assert f"test F1 of {name} " in said
    project.ok("fpplm", "promote")
    manifest = json.loads((project.path / "bundle/config.json").read_text())
    assert {label[2:] for label in manifest["fpplm"]["labels"] if label != "O"} == set(NAMES)
    assert set(json.loads((project.path / "metrics/evaluate.json").read_text())["test"]["types"]) == set(NAMES)
    page = (project.path / "reports/report.html").read_text()
    assert "&lt;b&gt;&amp;amp;" in page and "<b>&amp;" not in page

    text = "in Paris1 London slept\n"
    said = project.ok("fpplm", "predict", "bundle", "-", stdin=text * 3)
    assert all({row["label"] for row in json.loads(line)["entities"]} <= set(NAMES) for line in said.splitlines())
    project.ok("fpplm", "predict", "bundle", "-", "--to", "conll", stdin=text)
    said = project.ok("fpplm", "evaluate", "bundle", str(data / "test.conll"))
    _, _, table = said.partition("mentions\n")
    assert [line[: line.index("  ")] for line in table.splitlines()[:-2]] == sorted(NAMES)
    assert "production" in project.ok("fpplm", "models")
    assert "promoted" in project.ok("fpplm", "runs")
    assert "F1 difference of a[/b]" in project.ok("fpplm", "diff", "v1", "bundle")
