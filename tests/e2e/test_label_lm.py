"""The label language model as a second graph of the bundle, and what `fpplm predict --explain` prints."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from fpplm_core.serving import Predictor
from fpplm_core.tagging.viterbi import softmax
from tests.e2e.conftest import Project

TEXT = "Anna Berg met IBM in Paris .\n"


@pytest.fixture(scope="module")
def refined(trained: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The trained project with the second graph: the tagger is not trained anew for it."""
    project = trained.copy(tmp_path_factory.mktemp("refined") / "project")
    project.set(export={"refine_below": 0.9})
    output = project.ok("dvc", "repro")
    assert "Running stage 'export'" in output and "Running stage 'train'" not in output
    return project


def test_explain_prints_a_line_a_word_with_both_answers(refined: Project) -> None:
    lines = refined.ok("fpplm", "predict", "bundle", "-", "--explain", stdin=TEXT + "\n" + TEXT).split("\n")
    first, empty, second = lines[:7], lines[7:9], lines[9:16]
    assert first == second and empty == ["", ""]
    labels = json.loads((refined.path / "bundle/config.json").read_text())["labels"]
    for word, line in zip(TEXT.split(), first, strict=True):
        cells = line.split("\t")
        assert cells[0] == word and {cells[1], cells[3]} <= set(labels)
        assert 0 <= float(cells[2]) <= 1 and 0 <= float(cells[4]) <= 1
        assert (cells[5:] == ["≠"]) == (cells[1] != cells[3])


def test_the_second_graph_is_used_only_where_dev_gains(refined: Project) -> None:
    outcome = json.loads((refined.path / "metrics/verify.json").read_text())["label_lm"]
    assert outcome["used"] == (outcome["dev_f1_refined"] > outcome["dev_f1"])
    config = json.loads((refined.path / "bundle/config.json").read_text())
    assert config["label_lm"] == {"below": 0.9, "use": outcome["used"]}


def test_only_doubtful_words_are_refined(refined: Project) -> None:
    predictor = Predictor.load(refined.path / "bundle", "cpu", "fp32")
    sentences = [TEXT.split(), ["word"], ["in", "the", "city", "of", "London"] * 30]
    predictor.use_label_lm = False
    own = predictor.logits(sentences)
    predictor.use_label_lm = True
    refined_logits = predictor.logits(sentences)
    changed = 0
    for before, after in zip(own, refined_logits, strict=True):
        doubtful = softmax(before).max(axis=1) < 0.9
        assert np.array_equal(before[~doubtful], after[~doubtful])
        assert not np.isclose(before[doubtful], after[doubtful]).all(axis=1).any()
        changed += int(doubtful.sum())
    assert changed


def test_without_the_second_graph_explain_says_how_to_get_it(trained: Project) -> None:
    done = trained.run("fpplm", "predict", "bundle", "-", "--explain", stdin=TEXT)
    assert done.returncode == 5 and "export.refine_below" in done.stderr and done.stdout == ""


def test_a_second_graph_without_label_lm_is_an_error(trained: Project, tmp_path: Path) -> None:
    project = trained.copy(tmp_path / "project")
    save_file({}, project.path / "build/model/extras.safetensors")
    project.set(export={"refine_below": 0.9}, technique={"active": []})
    done = project.run("python", "-m", "tasks.export")
    assert done.returncode == 2 and "add label_lm to technique.active" in done.stderr
