"""What must not reach production by itself: dev and test in train, unknown types, a first model without floors."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from fpplm_core.data.corpus import load_corpus
from fpplm_core.data.likeness import tokens_of
from fpplm_core.settings import read_yaml
from tests.project import ROOT, Project, shared

DATA = Path("data/wikigold")
WEAK_TYPE = re.compile(r"(\w+): test F1 0\.0000 on \d+ mention\(s\)")
TYPE = "Zorro\tB-WEAPON\n"


@pytest.fixture(scope="module")
def first(trained: Project, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Project:
    """A project whose first model waits for floors.

    The model knows three types well enough for floors above 0, and MISC, which train has once, not at all.
    """

    def make() -> Project:
        project = trained.copy(tmp_path_factory.mktemp("first") / "project")
        for name in ("params.yaml", ".gitignore"):  # with its comments
            shutil.copyfile(ROOT / name, project.path / name)
        values = read_yaml(trained.path / "params.yaml") | {"gate": read_yaml(ROOT / "params.yaml")["gate"]}
        values["train"] |= {"epochs": 12}
        values["gate"] |= {"min_f1": 0, "min_type_f1": 0}
        project.ok("python", "-c", WRITE, json.dumps(values))
        train = project.path / DATA / "train.conll"
        before, mention, after = train.read_text().partition("-MISC")
        train.write_text(before + mention + after.replace("-MISC", "-ORG"))
        with (project.path / ".gitignore").open("a") as ignored:
            ignored.write("/.prefect/\n/retrain.log\n/plots/\n/incoming/\n")
        (project.path / "incoming").mkdir()
        project.commit()
        (project.path / "first.log").write_text(project.ok("fpplm", "retrain", "--promote"))
        return project

    return shared(request, make)


WRITE = """
import json, sys
from fpplm.pipeline.paths import PARAMS
from fpplm.project.overrides import write_values
write_values(PARAMS, json.loads(sys.argv[1]))
"""


@pytest.fixture(scope="module")
def promoted(first: Project, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Project:
    """The same with the proposed floors, in production."""

    def make() -> Project:
        project = first.copy(tmp_path_factory.mktemp("promoted") / "project")
        (project.path / "gate.log").write_text(project.ok("fpplm", "gate", "--write"))
        (project.path / "second.log").write_text(project.ok("fpplm", "retrain", "--promote"))
        return project

    return shared(request, make)


def last_run(project: Project) -> dict[str, object]:
    return dict(json.loads((project.path / ".fpplm/runs.jsonl").read_text().splitlines()[-1]))


def training_texts(project: Project) -> set[tuple[str, ...]]:
    return {tokens_of(s.words) for s in load_corpus("train", project.path / "build/corpus")}


def test_the_first_model_waits_for_floors(first: Project) -> None:
    said = (first.path / "first.log").read_text()
    assert "verdict  hold: no floor is set for the first model (gate.min_f1, gate.min_type_f1)" in said
    assert "fpplm gate --write" in said and WEAK_TYPE.search(said)
    assert not first.ok("git", "tag").strip() and last_run(first)["verdict"] == "hold"
    before = (first.path / "params.yaml").read_bytes()
    assert re.search(r"gate.min_f1: 0\.\d", first.ok("fpplm", "gate"))
    assert (first.path / "params.yaml").read_bytes() == before, "without --write it only proposes"


def test_with_the_proposed_floors_it_goes_into_production(promoted: Project) -> None:
    said = (promoted.path / "second.log").read_text()
    assert "verdict  v1.0.0 is in production: the first model" in said
    weak = WEAK_TYPE.search(said)
    assert weak, "not without a word"
    gate = read_yaml(promoted.path / "params.yaml")["gate"]
    assert gate["min_f1"] > 0 and gate["type_f1"][weak[1]] == 0
    assert "# least test span F1, in [0, 1]" in (promoted.path / "params.yaml").read_text(), "comments stay"


def test_drops_bring_neither_test_sentences_nor_unknown_types(promoted: Project, tmp_path: Path) -> None:
    project = promoted.copy(tmp_path / "project")
    project.ok("python", "-c", WRITE, json.dumps(with_checks_off(project)))
    project.commit()
    test = (project.path / DATA / "test.conll").read_text()
    copied = test.replace("-DOCSTART-\tO\n\n", "").upper()
    new = (ROOT / DATA / "train.conll").read_text().split("\n\n")[200:206]
    (project.path / "incoming/copy.conll").write_text(copied + "\n\n".join(new) + "\n")
    (project.path / "incoming/type.conll").write_text(TYPE)
    (project.path / "incoming/whole.conll").write_text(test)
    output = project.ok("fpplm", "retrain", "--promote")
    held_out = {tokens_of(s.words) for s in load_corpus("test", project.path / "build/corpus")}
    before = training_texts(promoted)
    assert not (training_texts(project) - before) & held_out
    assert training_texts(project) - before, "the new sentences of the same file are in train"
    assert "WEAPON" not in (project.path / "build/model/blueprint.json").read_text()
    page = (project.path / "reports/report.html").read_text()
    for place in (output, project.ok("fpplm", "runs"), page):
        assert "incoming sentences that dev or test have, left out of train: 29" in place.replace("</td><td>", ": ")
        assert "type.conll was quarantined: the type" in place and "WEAPON" in place
        assert "whole.conll was quarantined: dev or test have all of its sentences" in place


def with_checks_off(project: Project) -> dict[str, object]:
    values = dict(read_yaml(project.path / "params.yaml"))
    off = dict.fromkeys(("leakage", "near_leakage", "unknown_type", "few_examples", "conflicting_duplicate"), "off")
    return values | {"data": values["data"] | {"incoming": "incoming"}, "check": values["check"] | {"severity": off}}


def test_a_gain_from_test_sentences_in_an_edited_train_is_held(promoted: Project, tmp_path: Path) -> None:
    project = promoted.copy(tmp_path / "project")
    test = (project.path / DATA / "test.conll").read_text()
    with (project.path / DATA / "train.conll").open("a") as train:
        train.write("\n" + test + "\n" + test)
    project.set(train={"epochs": 12}, check={"severity": dict.fromkeys(("leakage", "duplicate"), "off")})
    project.commit()
    output = project.ok("fpplm", "retrain", "--promote")
    assert "verdict  hold" in output
    assert "more than promotion.max_overlap, 0.05; remove them from train" in output
    found = json.loads((project.path / "reports/comparison.json").read_text())
    overlap = found["overlap"]
    assert (
        f"train has {overlap['sentences']} of {overlap['sentences']} test sentences, whole or in part (100.0%" in output
    )
    assert overlap["candidate"] == overlap["sentences"] and overlap["incumbent"] == 0
    assert overlap["new"] == overlap["candidate"]
    rules = {rule["name"]: rule["outcome"] for rule in found["rules"]}
    assert rules["test sentences in train, share"] == rules["test sentences in train, new"] == "hold"
    assert found["difference"]["mean"] > 0, "it is a gain"
    assert project.ok("git", "tag").split() == ["tagger#production#1", "tagger@v1.0.0"]
