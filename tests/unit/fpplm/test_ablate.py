import json
import shutil
from collections import Counter
from xml.etree import ElementTree

import numpy as np
import pytest
import yaml

from fpplm.studies import ablation
from fpplm.studies.ablation import content, grid, write_outcome
from fpplm.studies.forest import WIDTH, forest
from fpplm.studies.ledger import read_ledger
from fpplm.studies.markdown import table
from fpplm.studies.runs import mislabelled, spread
from fpplm_core.data.records import Sentence
from fpplm_core.errors import ParamsError
from fpplm_core.evaluation.significance import Difference
from tests.conftest import ROOT

PLAN = {
    "epochs": 3,
    "seeds": [1, 2],
    "references": ["plain"],
    "corpora": {
        "small": {"data.path": "data/wikigold", "train_sentences": 7, "dev_sentences": 5, "noise": 0.5},
        "whole": {"data.path": "data/wikigold"},
        "elsewhere": {"data.path": "data/not/here"},
    },
    "arms": {
        "plain": {"technique.active": []},
        "all six": {},
        "Trainer": {"trainer": {"rate": 5.0e-5, "batch": 8}},
    },
}


@pytest.fixture
def plan(tmp_path):
    def write(**changes):
        file = tmp_path / "plan.yaml"
        file.write_text(yaml.safe_dump(PLAN | changes))
        return file

    return write


def test_the_grid_is_every_arm_on_every_corpus_with_every_seed(plan):
    runs = list(grid(plan()))
    cells = [(run.seed, run.corpus, run.arm) for run in runs]
    assert len(set(cells)) == len(cells) == 12
    assert cells == sorted(cells, key=lambda cell: cell[0])  # seed by seed: what is finished is paired
    for run in runs:
        assert run.settings["train"]["seed"] == run.seed
        assert run.settings["train"]["epochs"] == run.settings["train"]["patience"] == 3
        assert (run.train_sentences, run.dev_sentences, run.noise) == {
            "small": (7, 5, 0.5),
            "whole": (None, None, 0.0),
        }[run.corpus]
        assert (run.settings["technique"]["active"] == []) == (run.arm == "plain")
    assert {run.modules[-1][0] for run in runs if run.arm == "Trainer"} == {"benchmarks.peers.trainer"}


def test_a_key_names_all_that_a_result_depends_on_and_nothing_else(plan):
    keys = [run.key for run in grid(plan())]
    assert len(set(keys)) == len(keys)
    assert [run.key for run in grid(plan())] == keys
    other = list(grid(plan(arms=PLAN["arms"] | {"plain": {"technique.active": [], "train.lr": 1e-5}})))
    changed = {run.arm for run, key in zip(other, keys, strict=True) if run.key != key}
    assert changed == {"plain"}


def test_a_technique_does_not_change_the_trainer(plan):
    corpora = {name: where | {"technique.adversarial.epsilon": 0.1} for name, where in PLAN["corpora"].items()}
    before = list(grid(plan()))
    after = list(grid(plan(corpora=corpora)))
    assert {one.arm for one, other in zip(before, after, strict=True) if one.key == other.key} == {"Trainer"}


def test_a_corpus_may_want_an_arm_otherwise(plan):
    own = {"Trainer": {"trainer": {"rate": 2.0e-4, "batch": 4}}, "plain": {"train.lr": 1.0e-4}}
    corpora = PLAN["corpora"] | {"small": PLAN["corpora"]["small"] | {"arms": own}}
    runs = {(run.corpus, run.arm): run for run in grid(plan(corpora=corpora)) if run.seed == 1}
    before = {(run.corpus, run.arm): run for run in grid(plan()) if run.seed == 1}
    assert {"--rate=0.0002", "--batch=4"} < set(runs["small", "Trainer"].modules[1])
    assert runs["small", "plain"].settings["train"]["lr"] == 1.0e-4
    assert runs["small", "plain"].settings["technique"]["active"] == []
    assert {cell for cell in runs if runs[cell].key != before[cell].key} == {("small", "Trainer"), ("small", "plain")}


@pytest.mark.parametrize(
    ("arms", "message"),
    [
        ({"x": {"train.lrr": 1}}, r"unknown parameter, got 'train.lrr'"),
        ({"x": {"no.such.thing": 1}}, r"unknown parameter, got 'no.such.thing'"),
        ({"x": {"train.lr": 2}}, r"train.lr"),
    ],
)
def test_a_plan_with_a_wrong_parameter_is_an_error_before_anything_runs(plan, arms, message):
    with pytest.raises(ParamsError, match=message):
        list(grid(plan(arms=arms)))


def test_a_plan_that_is_none_is_an_error(tmp_path):
    with pytest.raises(ParamsError, match="no such file"):
        list(grid(tmp_path / "missing.yaml"))
    (tmp_path / "odd.yaml").write_text("- 1\n- 2\n")
    with pytest.raises(ParamsError, match="not an ablation plan"):
        list(grid(tmp_path / "odd.yaml"))


def test_a_part_of_train_is_spread_over_it():
    sentences = [Sentence((str(n),), ("O",), "f", (n,)) for n in range(10)]
    assert [s.words[0] for s in spread(sentences, 4)] == ["0", "2", "5", "7"]
    assert spread(sentences, None) == spread(sentences, 10) == spread(sentences, 99) == sentences


def test_the_same_mentions_are_mislabelled_each_time_and_no_other_tag_changes():
    tags = ("B-X", "I-X", "O", "B-Y", "O", "B-X")
    sentences = [Sentence(("a",) * 6, tags, "f", (1, 2, 3, 4, 5, 6)) for _ in range(500)]
    changed = mislabelled(sentences, 0.4)
    assert changed == mislabelled(sentences, 0.4)
    assert mislabelled(sentences, 0) == sentences
    outcomes: Counter[str] = Counter()
    for sentence in changed:
        kinds = [sentence.tags[place] for place in (0, 3, 5)]
        assert sentence.words == sentences[0].words and sentence.tags[2] == sentence.tags[4] == "O"
        assert sentence.tags[1] == kinds[0].replace("B-", "I-")
        outcomes.update(f"{one}>{other}" for one, other in zip(("B-X", "B-Y", "B-X"), kinds, strict=True))
    kept = outcomes["B-X>B-X"] + outcomes["B-Y>B-Y"]
    assert kept / 1500 == pytest.approx(0.6, abs=0.04)
    assert outcomes["B-X>B-Y"] / outcomes["B-X>O"] == pytest.approx(1, abs=0.25)
    assert sum(outcomes.values()) == 1500 and len(outcomes) == 6


def test_a_key_is_the_same_in_another_checkout(plan, tmp_path, monkeypatch):
    keys = [run.key for run in grid(plan())]
    for name in ("data", "benchmarks"):
        shutil.copytree(ROOT / name, tmp_path / "other" / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "params.yaml", tmp_path / "other")

    def keys_there():
        content.cache_clear()
        monkeypatch.setattr(ablation, "ROOT", tmp_path / "other")
        return [run.key for run in grid(plan())]

    assert keys_there() == keys
    (tmp_path / "other/data/wikigold/train.conll").write_text("a\tO\n")
    assert not set(keys_there()) & set(keys)
    content.cache_clear()


def row(corpus, arm, seed, counts):
    test = {"f1": 0.5, "seen_f1": 0.5, "unseen_f1": 0.25, "illegal_paths": 0.1, "calibration_error": 0.02}
    facts = {
        "key": f"{corpus}{arm}{seed}",
        "code": "c",
        "commit": "1234567",
        "corpus": corpus,
        "arm": arm,
        "seed": seed,
        "dev_f1": 0.6,
        "test": test,
    }
    return facts | {"counts": counts, "seconds": 10.0, "peak_mb": 100}


def test_the_table_compares_on_shared_seeds(tmp_path):
    good, bad = [[2, 0, 0]] * 30, [[1, 1, 1]] * 30
    rows = [row(corpus, "plain", seed, bad) for corpus in ("a", "b") for seed in (1, 2, 3)]
    rows += [row(corpus, "six", seed, good) for corpus in ("a", "b") for seed in (1, 2)]
    rows += [row("a", "same", 1, bad)]
    ledger = tmp_path / "runs.jsonl"
    ledger.write_text("".join(json.dumps(r) + "\n" for r in rows))
    text, differences = table(read_ledger(ledger), "plain")
    assert set(differences) == {"six, a", "six, b", "same, a", "six, mean"}
    lines = {line.split(" | ")[0]: line for line in text.split("## b")[0].splitlines()}
    assert "| six | 2 | 60.00 | 100.00 | +50.00 [+50.00, +50.00] | 0.002 |  |" in lines["| six"]
    assert "| +0.00 [+0.00, +0.00] | 1.000 | yes |" in lines["| same"]
    assert "| plain | 3 | 60.00 | 50.00 |  |  |  |" in lines["| plain"]
    assert "## mean over corpora" in text and "| six | +50.00 [+50.00, +50.00] |" in text
    assert text.count("| same |") == 1  # not on every corpus, so not in the mean


def test_an_empty_ledger_gives_an_empty_table(tmp_path):
    text, differences = table(read_ledger(tmp_path / "none.jsonl"), "plain")
    assert text.strip() == "" and differences == {}


def test_the_forest_plot_is_xml_with_every_interval_inside(tmp_path):
    one = Difference(0.02, 0.01, 0.03, 0.01, np.zeros(1))
    other = Difference(-0.05, -0.09, 0.01, 0.2, np.zeros(1))
    root = ElementTree.fromstring(forest({"against <plain>": {"six & more": one}, "again": {"six": other}}))
    words = [node.text for node in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "six & more" in words and "+2.0 [+1.0, +3.0]" in words and "-5.0 [-9.0, +1.0]" in words
    ends = [float(node.get(key)) for node in root.iter("{http://www.w3.org/2000/svg}line") for key in ("x1", "x2")]
    assert 0 < min(ends) < max(ends) < WIDTH
    assert "NaN" not in forest({})


def test_of_several_versions_of_a_run_the_last_counts_and_strangers_do_not(plan, tmp_path):
    file = plan(seeds=[1])
    runs = [run for run in grid(file) if run.corpus == "whole"]
    good, bad = [[2, 0, 0]] * 30, [[1, 1, 1]] * 30
    rows = []
    for counts, commit in ((bad, "old"), (good, "new")):
        for run in runs:
            own = counts if run.arm == "all six" else bad
            rows.append(row("whole", run.arm, 1, own) | {"key": run.key, "commit": commit})
    rows.append(row("whole", "stranger", 1, good))
    (tmp_path / "runs.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    text = write_outcome(file, tmp_path)
    assert "stranger" not in text and "old" not in text
    assert "| all six | 1 | 60.00 | 100.00 | +50.00" in text and "3 runs, made at new." in text
    assert (tmp_path / "plan.md").read_text() == text
    assert "all six, whole" in (tmp_path / "plan.svg").read_text()
