"""The label language model as a second graph of the bundle, and what `fpplm predict --explain` prints."""

import json

import numpy as np
import pytest

from fpplm_core.data.corpus import load_corpus
from fpplm_core.serving import Predictor
from fpplm_core.tagging.spans import spans_from_tags
from fpplm_core.tagging.viterbi import softmax
from tests.project import Project

TEXT = "Anna Berg met IBM in Paris .\n"


def test_explain_prints_a_line_a_word_with_both_answers(trained: Project) -> None:
    lines = trained.ok("fpplm", "predict", "bundle", "-", "--explain", stdin=TEXT + "\n" + TEXT).split("\n")
    first, empty, second = lines[:7], lines[7:9], lines[9:16]
    assert first == second and empty == ["", ""]
    labels = json.loads((trained.path / "bundle/config.json").read_text())["fpplm"]["labels"]
    for word, line in zip(TEXT.split(), first, strict=True):
        cells = line.split("\t")
        assert cells[0] == word and {cells[1], cells[3]} <= set(labels)
        assert 0 <= float(cells[2]) <= 1 and 0 <= float(cells[4]) <= 1
        assert (cells[5:] == ["≠"]) == (cells[1] != cells[3])


def test_the_second_graph_is_used_only_where_dev_gains(trained: Project) -> None:
    predictor = Predictor.load(trained.path / "bundle", "cpu")
    sentences = load_corpus("dev", trained.path / "build/corpus")
    gold = {(number, *span) for number, s in enumerate(sentences) for span in spans_from_tags(s.tags)}
    f1 = []
    for predictor.use_label_lm in (False, True):
        tagged = predictor.tag([s.words for s in sentences], [s.document for s in sentences])
        found = {(number, *span) for number, row in enumerate(tagged) for span, _ in row}
        f1.append(2 * len(gold & found) / (len(gold) + len(found)))
    outcome = json.loads((trained.path / "metrics/verify.json").read_text())["label_lm"]
    assert [outcome["dev_f1"], outcome["dev_f1_refined"]] == pytest.approx(f1) and f1[0] > 0
    config = json.loads((trained.path / "bundle/config.json").read_text())["fpplm"]
    assert config["label_lm"] == {"below": 0.9, "use": f1[1] > f1[0]}


def test_only_doubtful_words_are_refined(trained: Project) -> None:
    predictor = Predictor.load(trained.path / "bundle", "cpu", "fp32")
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
