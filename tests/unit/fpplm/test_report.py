import itertools
import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from fpplm.report.charts import DRAWN_POINTS, line_chart, ticks
from fpplm.report.data import heat_map, measurements
from fpplm.report.page import render
from fpplm.report.tagging_errors import ERROR_KINDS, EXAMPLES, classify_errors, mark_words, pick_examples
from fpplm_core.errors import DataError
from fpplm_core.evaluation.predictions import SentencePrediction
from fpplm_core.tagging.spans import Span
from fpplm_core.training.history import DevScore
from fpplm_core.training.result import FrozenPhase, TrainingFindings

HOSTILE = "\"'><script>alert(1)</script>"
VOID = {"meta", "link", "br"}
MODEL = "57096445e9d3" + "0" * 52


def row(gold, predicted, words=9, line=1):
    """A sentence as the predictions hold it; its counts do not matter here."""
    texts = tuple(f"w{number}" for number in range(words))
    spans = ([Span(*span) for span in part] for part in (gold, predicted))
    return SentencePrediction("t.conll", line, texts, *spans, tp=0, fp=0, fn=0)


# fmt: off
def scores(f1):
    return {
        "f1": f1, "precision": 0.51, "recall": 0.49, "f1_low": f1 - 0.05, "f1_high": f1 + 0.05, "macro_f1": 0.412,
        "token_accuracy": 0.9, "sentences": 12, "words": 1234, "illegal_paths": 0.25, "coverage": 1.0,
        "seen_f1": 0.751, "seen_support": 7, "unseen_f1": 0.398, "unseen_support": 11,
        "words_without_pieces": 31, "calibration_error": 0.1,
        "types": {"LOC": {"f1": 0.613, "precision": 0.6, "recall": 0.7, "support": 18}},
        "confusion": {"(spurious)": {"LOC": 5}, "LOC": {"(missed)": 4, "LOC": 14}},
    }


DUPLICATE = {"severity": "warning", "rows": 9, "found": 2, "failed": True, "examples": [f"t.conll:3: {HOSTILE}"]}
CHECK = {
    "errors": 0, "warnings": 1,
    "checks": {"duplicate": DUPLICATE},
    "statistics": {"train": {
        "sentences": 12, "documents": 2, "words": 1234, "words_in_entities": 120, "entities": {"LOC": 18},
        "length_median": 20.0, "length_p95": 47.2, "length_max": 83,
    }},
}
RULE = {"name": "test F1", "value": 0.47, "relation": "at least", "bound": 0.4, "passed": True}
SETTINGS = {
    "data": {"path": "data/some", "format": "conll"}, "model": {"encoder": f"bert{HOSTILE}"},
    "verify": {"max_logit_delta": 0.001, "max_f1_loss": 0.005, "max_f1_bound": 0.015},
}
MANIFEST = {
    "fpplm": "0.1.0", "commit": "648f7c1526", "uncommitted_changes": True, "parameters": SETTINGS,
    "data": {f"data/{HOSTILE}": "d" * 64}, "lock_sha256": None, "encoder_sha256": "e" * 64,
    "model_sha256": MODEL, "python": "3.11.7", "packages": {"torch": "2.13.0"}, "scores": {"test": {"f1": 0.4704}},
}
SAME = {
    "max_logit_delta": 1.1e-5, "sentences_with_other_spans": 0, "dev_f1": 0.56, "dev_f1_loss": 0.0,
    "dev_f1_loss_bound": 0.0, "test_f1": 0.47, "test_f1_loss": 0.0, "accepted": True,
}
WORSE = SAME | {"dev_f1_loss": 0.0123, "dev_f1_loss_bound": 0.0234, "accepted": False}
FILES = {
    "params.yaml": SETTINGS,
    "metrics/check.json": CHECK,
    "metrics/train.json": {
        "dev_f1": 0.56, "best_epoch": 2, "epochs": 3, "steps": 4, "precision": "float32",
        "encoder_sha256": "e" * 64, "model_sha256": MODEL,
    },
    "metrics/evaluate.json": {"test": scores(0.4704), "dev": scores(0.5623)},
    "metrics/gate.json": {"passed": True, "rules": [RULE]},
    "metrics/verify.json": {
        "variants": {"fp32 on cpu": SAME, "int8 on cpu": WORSE},
        "bytes": {"fp32": 90810917, "int8": 23226449}, "refused": ["int8"],
    },
    "reports/timings/verify.json": {"machine": "x86_64", "runs": [
        {"device": "cpu", "variant": "fp32", "words_per_s": 916.1, "latency_ms": 31.0, "latency_p95_ms": 58.4},
    ]},
    "reports/training/steps.csv": "step,lr,tag,label_lm\n1,1e-4,3,5\n2,3e-4,2,4\n3,2e-4,1,nan\n4,1e-4,1,3\n",
    "reports/training/findings.json": {
        "movement": [{"group": "head", "relative_change": 0.5}],
        "phases": {"late": {HOSTILE: [0.5, 0.75]}, "early": {"first": [0.0, 0.2], "never": [1.0, 1.0]}},
    },
    "reports/training/epochs.csv": "step,epoch,dev_f1\n1,1,0.4\n2,2,0.56\n4,3,0.5\n",
    "reports/data_docs/index.html": "",
    "build/predictions/test.jsonl": {
        "file": f"{HOSTILE}.conll", "line": 41, "words": [HOSTILE, "in", "Rome", "and", "Oslo"],
        "gold": [[0, 1, HOSTILE]], "predicted": [[2, 3, "LOC"], [4, 5, "LOC"]], "tp": 0, "fp": 2, "fn": 1,
    },
    "bundle/manifest.json": MANIFEST,
}
# fmt: on


def write(path: Path, content) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")


@pytest.fixture
def whole_run(tmp_path) -> Path:
    """A folder with all that a run that passed leaves."""
    for name, content in FILES.items():
        write(tmp_path / name, content)
    return tmp_path


def rendered(root: Path) -> str:
    path = render(root)
    assert path == root / "reports" / "report.html"
    return path.read_text(encoding="utf-8")


class Page(HTMLParser):
    """Reads a page and fails at a tag that is not closed in order; keeps attributes, and text by section."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.section = "header"
        self.text: dict[str, str] = {}
        self.attributes: list[tuple[str, str, str | None]] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag in ("section", "footer"):
            self.section = dict(attrs).get("id", tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, self.getpos()

    def handle_data(self, data):
        if data.strip() and self.open[-1] != "style":
            self.text[self.section] = " ".join([*self.text.get(self.section, "").split(), *data.split()])


@pytest.mark.parametrize(
    ("gold", "predicted", "kinds"),
    [
        ([], [], []),
        ([[0, 2, "A"], [2, 3, "B"]], [[0, 2, "A"], [2, 3, "B"]], []),
        ([[0, 2, "A"]], [[0, 2, "B"]], ["wrong type"]),
        ([[0, 3, "A"]], [[1, 3, "A"]], ["wrong borders"]),
        ([[0, 3, "A"]], [[2, 4, "B"]], ["wrong borders"]),
        ([], [[1, 2, "A"]], ["spurious"]),
        ([[1, 2, "A"]], [], ["missed"]),
        ([[0, 2, "A"]], [[2, 4, "A"]], ["spurious", "missed"]),  # side by side, not touching
        ([[0, 4, "A"]], [[0, 1, "A"], [1, 4, "B"]], ["wrong borders", "wrong borders"]),  # cut in two
        ([[0, 2, "A"], [2, 4, "B"]], [[0, 4, "A"]], ["wrong borders"]),  # two in one: neither is missed
        ([[0, 2, "A"], [4, 5, "B"]], [[0, 2, "A"], [6, 7, "B"]], ["spurious", "missed"]),
    ],
)
def test_every_error_has_its_kind(gold, predicted, kinds):
    errors = classify_errors(row(gold, predicted))
    assert [error.kind for error in errors] == kinds
    false_positives = [span for span in predicted if span not in gold]
    assert [list(error.predicted) for error in errors if error.predicted] == false_positives
    for error in errors:
        assert (error.gold is None) == (error.kind == "spurious")


def test_a_wrong_span_is_held_against_the_gold_span_that_it_shares_most_with():
    (error,) = classify_errors(row([[0, 2, "A"], [2, 6, "B"]], [[1, 6, "A"]]))
    assert error.gold == (2, 6, "B")


def test_examples_are_spread_over_the_split_and_show_no_sentence_twice():
    both = [row([[0, 1, "A"]], [[3, 4, "A"]], line=line) for line in range(100)]  # spurious and missed
    right = [row([[0, 1, "A"]], [[0, 1, "A"]], line=1000)]
    examples = pick_examples([*both, *right])
    assert list(examples) == list(ERROR_KINDS)
    lines = {kind: [example.sentence.line for example in found] for kind, found in examples.items()}
    assert lines["wrong type"] == lines["wrong borders"] == []
    assert len(lines["spurious"]) == len(lines["missed"]) == EXAMPLES
    assert not set(lines["spurious"]) & set(lines["missed"])
    assert min(lines["spurious"]) < 10 and max(lines["spurious"]) > 80
    assert {error.kind for example in examples["missed"] for error in example.errors} == {"missed"}


def test_words_lie_in_their_spans_and_leave_room_for_the_names():
    cells = mark_words(row([[1, 3, "CITY"]], [[2, 4, "TO"]], words=5))
    assert [cell.gold for cell in cells] == [None, (1, 3, "CITY"), (1, 3, "CITY"), None, None]
    assert [cell.predicted for cell in cells] == [None, None, (2, 4, "TO"), (2, 4, "TO"), None]
    assert [cell.room for cell in cells] == [0, 1, 0, 0, 0]  # " w2" gives CITY three of its four characters


@pytest.mark.parametrize(
    ("severity", "failed", "badge"),
    [("error", True, "badge bad|✗ 2"), ("warning", True, "badge|! 2"), ("error", False, "badge off|2")],
)
def test_a_find_is_bad_only_where_it_stops(whole_run, severity, failed, badge):
    """What the project's expectations tolerate is counted, and no more."""
    found = DUPLICATE | {"severity": severity, "failed": failed}
    write(whole_run / "metrics/check.json", CHECK | {"checks": {"duplicate": found}})
    look, text = badge.split("|")
    assert f'<span class="{look}">{text}</span>' in rendered(whole_run)


def test_a_heat_map_has_every_cell_and_shares_of_the_row():
    matrix = heat_map({"(spurious)": {"B": 3}, "A": {"(missed)": 1, "A": 3}})
    assert matrix.columns == ["A", "B", "(missed)"]
    assert matrix.rows == [
        ("A", 4, [(3, 0.75), (0, 0.0), (1, 0.25)]),
        ("B", 0, [(0, 0.0), (0, 0.0), (0, 0.0)]),
        ("(spurious)", 3, [(0, 0.0), (3, 1.0), (0, 0.0)]),
    ]


@pytest.mark.parametrize("values", [[0.0], [0.5, 0.5], [1, 2], [-3.0, 2.5], [2.9e-4, 3e-4], [1, 1234], [0.377, 0.562]])
def test_ticks_reach_around_all_values_in_few_even_steps(values):
    found = ticks(values)
    assert found[0] <= min(values) + 1e-12 and max(values) - 1e-12 <= found[-1]
    assert 2 <= len(found) <= 7
    steps = [b - a for a, b in itertools.pairwise(found)]
    assert all(step > 0 and math.isclose(step, steps[0]) for step in steps)
    assert all(tick == int(tick) for tick in ticks(values, whole=True))


def test_a_chart_marks_the_first_of_the_best_points():
    chart = line_chart("dev F1", "epoch", [1, 2, 3, 4], [0.4, 0.6, 0.5, 0.6], dots=True)
    assert chart.best == (2, 0.6)
    assert [best for _, _, best in chart.dots] == [False, True, False, False]
    (x1, y1, _), (x2, y2, _), *_ = chart.dots
    assert x1 < x2 and y1 > y2  # later is to the right, better is higher up


def test_a_chart_leaves_out_and_counts_what_is_not_finite():
    chart = line_chart("loss", "step", [1, 2, 3], [2.0, math.nan, 1.0], smoothed=True)
    assert chart.not_finite == 1
    assert "nan" not in chart.raw + chart.line
    assert line_chart("loss", "step", [1, 2], [math.nan, math.inf]).points == []


def test_a_long_curve_is_drawn_with_few_points_and_to_its_end():
    steps = list(range(1, 20_001))
    chart = line_chart("loss", "step", steps, [1 / step for step in steps])
    assert chart.line.count(" ") <= DRAWN_POINTS
    assert chart.line.endswith(line_chart("loss", "step", steps[:2], [1, 0]).line.split()[-1])


def test_a_page_without_any_input_says_what_has_not_run(tmp_path):
    page = Page(rendered(tmp_path))
    assert "Gate not reached" in page.text["header"]
    stages = {"gate": "gate", "train": "train", "evaluate": "evaluate", "confusion": "evaluate", "errors": "evaluate"}
    for section, stage in {**stages, "check": "check", "verify": "verify"}.items():
        assert f"{stage} has not run" in page.text[section]
    assert "There is no params.yaml" in page.text["lineage"]


def test_a_page_with_all_inputs_shows_them(whole_run):
    text = Page(rendered(whole_run)).text
    assert not any("has not run" in part for section, part in text.items() if section != "footer")
    assert "✓ Gate passed" in text["header"] and "0.470 [0.420, 0.520]" in text["header"]
    assert "2 of 3" in text["header"] and "1,234" in text["header"] and "data/some" in text["header"]
    assert "test F1 0.47 ≥ 0.4 ✓ pass" in text["gate"]
    for title in ("loss: tag", "loss: label_lm", "learning rate", "best 0.560, epoch 2", "1 value not finite"):
        assert title in text["train"]
    for number in ("0.613", "0.412", "0.751 of 7", "0.398 of 11", "25.0 %", "31"):
        assert number in text["evaluate"]
    assert "LOC 14 78 % 4 22 % 18" in text["confusion"]
    assert "2 spurious" in text["errors"] and "1 missed" in text["errors"] and ".conll:41" in text["errors"]
    assert "predicted LOC “Rome”, where no entity is" in text["errors"]
    assert "duplicate: 2 rows" in text["check"] and "47.2" in text["check"]
    assert "fp32 cpu 90.8 MB 0.560 0.0000 (0.0000) 0.470 0.0000 0 1.1e-05 916 31.0 (58.4) ✓ in" in text["verify"]
    assert "on cpu it loses 0.0123 of dev F1, at most 0.0234 (allowed: 0.005 and 0.015)" in text["verify"]
    assert "Not made: fp16" in text["verify"] and "Left out: int8" in text["header"]
    for part in ("648f7c1526", "d" * 64, "e" * 64, MODEL, "2.13.0", "0.005", "changes that the commit does not have"):
        assert part in text["lineage"]


SERVED = {"graph": "int8", "f1": 0.4611, "f1_low": 0.4111, "f1_high": 0.5111}
RUN = {
    "run": "a", "started": "2026-01-02", "ran": {"read": True}, "seconds": {"read": 1.0}, "verdict": "hold",
    "reasons": ["so"], "drift": ["train: PER is new"],
    "compared": [
        {"since": "v2.0.0, put into production 2026-01-01 05:06", "changes": [["parameters", "train.seed", "1", "2"]]},
        {"since": "the last finished run, 2026-01-01 03:00 (hold)", "changes": []},
        {"since": "v9", "changes": None},
    ],
}  # fmt: skip


def test_both_f1_are_shown_and_named_with_the_served_one_in_front(whole_run):
    text = Page(rendered(whole_run)).text
    assert "trained test F1, 95 % interval 0.470 [0.420, 0.520]" in text["header"] and "served" not in text["header"]
    write(whole_run / "metrics/verify.json", FILES["metrics/verify.json"] | {"served": SERVED})
    source = rendered(whole_run)
    text = Page(source).text
    assert "served test F1 (int8), 95 % interval 0.461 [0.411, 0.511]" in text["header"]
    assert "trained test F1 0.470 [0.420, 0.520]" in text["header"] and "trained dev F1 0.562" in text["header"]
    assert "served test F1 0.461 – fpplm report</title>" in source
    assert "The trained model: " in text["evaluate"] and "F1 on dev loss on dev (95 % bound)" in text["verify"]
    assert "The rules judge the trained model." in text.pop("gate")
    for part in text.values():
        assert not re.findall(r"(?<!trained )(?<!served )\btest F1", part)


def test_the_page_names_what_it_compares_with(whole_run):
    changes = [dict(zip(("kind", "name", "before", "after"), c, strict=True)) for c in RUN["compared"][0]["changes"]]
    first, *others = RUN["compared"]
    write(whole_run / "reports/run.json", RUN | {"compared": [first | {"changes": changes}, *others]})
    text = Page(rendered(whole_run)).text["run"]
    assert "Changed since v2.0.0, put into production 2026-01-01 05:06 before after parameters train.seed 1 2" in text
    assert "the last finished run, 2026-01-01 03:00 (hold) Neither parameters, data, code nor environment." in text
    assert "v9 Its bundle cannot be read." in text
    assert "Since the last finished run, the data have changed: train: PER is new" in text


def test_a_summary_of_an_earlier_version_is_still_shown(whole_run):
    earlier = {key: value for key, value in RUN.items() if key not in ("compared", "drift")}
    write(whole_run / "reports/run.json", earlier | {"before": "2026-01-01", "changes": []})
    text = Page(rendered(whole_run)).text["run"]
    assert "hold: so" in text and "neither a version in production nor an earlier finished run" in text


@pytest.mark.parametrize("whole", [True, False])
def test_a_page_fetches_nothing_and_names_what_it_draws(tmp_path, request, whole):
    source = rendered(request.getfixturevalue("whole_run") if whole else tmp_path)
    page = Page(source)
    links = [value for _, name, value in page.attributes if name in ("src", "href", "srcset", "data", "action")]
    outside = {link for link in links if not link.startswith("#")}
    assert outside == ({"data:,", "data_docs/index.html"} if whole else {"data:,"})
    ids = {f"#{value}" for _, name, value in page.attributes if name == "id"}
    assert {link for link in links if link.startswith("#")} <= ids
    assert not re.search(r"url\(|@import|<script|https?:", source)
    for drawing in re.findall(r"<svg[^>]*>", source):
        assert 'role="img"' in drawing and re.search(r'aria-label="[^"]{10}', drawing)
    assert len(re.findall("<svg", source)) == (4 if whole else 0)


def test_all_text_of_the_data_is_escaped(whole_run):
    source = rendered(whole_run)
    assert "<script" not in source
    text = Page(source).text
    for section in ("header", "errors", "check", "lineage"):
        assert HOSTILE in text[section]


def test_a_failed_gate_shows_no_graphs_of_an_earlier_run(whole_run):
    rule = RULE | {"bound": 0.9, "passed": False}
    write(whole_run / "metrics/gate.json", {"passed": False, "rules": [rule]})
    text = Page(rendered(whole_run)).text
    assert "✗ Gate failed" in text["header"] and "1 of 1 rules failed: test F1" in text["header"]
    assert "✗ FAIL" in text["gate"] and "0.613" in text["evaluate"]
    assert "verify has not run: the gate refused the model" in text["verify"] and "fp32" not in text["verify"]
    assert "model of an earlier run" in text["lineage"] and "648f7c1526" not in text["lineage"]


def test_a_failed_check_shows_nothing_of_an_earlier_run_and_comes_first(whole_run):
    write(whole_run / "metrics/check.json", CHECK | {"errors": 1})
    text = Page(rendered(whole_run)).text
    assert "Gate not reached" in text["header"] and "1 kind of error" in text["header"]
    assert list(text)[1] == "check"
    for section in ("train", "evaluate", "confusion", "errors", "gate", "verify"):
        assert "has not run: the data check found errors" in text[section]
    assert "0.47" not in text["header"]


def test_a_bundle_of_another_model_is_not_shown_as_this_one(whole_run):
    write(whole_run / "bundle/manifest.json", MANIFEST | {"model_sha256": "f" * 64})
    text = Page(rendered(whole_run)).text
    assert "verify has not run" in text["verify"]
    assert MODEL in text["lineage"] and "f" * 12 in text["lineage"] and "648f7c1526" not in text["lineage"]


@pytest.mark.parametrize(
    ("missing", "section", "says"),
    [
        ("reports/timings/verify.json", "verify", "No timings"),
        ("build/predictions/test.jsonl", "errors", "test.jsonl is not there"),
        ("bundle/manifest.json", "lineage", "no bundle of this run"),
        ("params.yaml", "lineage", "0.005"),  # the manifest knows the parameters
    ],
)
def test_one_missing_file_costs_its_own_part_alone(whole_run, missing, section, says):
    (whole_run / missing).unlink()
    text = Page(rendered(whole_run)).text
    assert says in text[section]
    assert not any("has not run" in part for section, part in text.items() if section != "footer")


def test_curves_of_a_training_that_was_stopped_are_shown(whole_run):
    (whole_run / "metrics/train.json").unlink()
    text = Page(rendered(whole_run)).text
    assert "Training did not end" in text["train"] and "loss: tag" in text["train"]
    assert "evaluate has not run" in text["evaluate"]


def test_a_malformed_file_is_not_passed_over(whole_run):
    write(whole_run / "metrics/gate.json", "{")
    with pytest.raises(DataError, match="not valid JSON"):
        render(whole_run)


def test_graphs_that_an_earlier_version_verified_are_not_shown(whole_run):
    earlier = json.loads((whole_run / "metrics/verify.json").read_text())
    for verdict in earlier["variants"].values():
        verdict["f1"] = verdict.pop("dev_f1")
    write(whole_run / "metrics/verify.json", earlier)
    assert "verify has not run" in Page(rendered(whole_run)).text["verify"]


def test_the_course_of_the_training_shows_each_phase_where_it_lies(whole_run):
    page = rendered(whole_run)
    course = page[page.index("Course of training") :]
    assert course.index("first") < course.index("alert(1)")
    assert "left:50.0%;width:25.0%" in course and "never" not in course


def test_what_reading_has_changed_stands_in_the_data_check_with_its_places(whole_run):
    repaired = {"tags repaired (discard)": {"count": 1234, "places": ["a.conll:3: I-X to O", "a.conll:9: I-X to O"]}}
    write(whole_run / "metrics/check.json", CHECK | {"scheme": "IOB2: 7 B-", "reading": repaired})
    page = rendered(whole_run)
    part = page[page.index('id="check"') :]
    for said in ("Tag scheme IOB2: 7 B-.", "tags repaired (discard): 1,234", "a.conll:3: I-X to O", "a.conll:9"):
        assert said in part


def test_the_frozen_phase_and_the_shares_of_the_gradient_are_measurements():
    phase = FrozenPhase(100, 0.5, [DevScore(50, 0.5), DevScore(100, 0.4)])
    shares = {"tag": 0.75, "label_lm.write": 0.25}
    wanted = {("gradient_share", *row) for row in shares.items()}
    for frozen, own in ((phase, {("frozen_phase", "steps", 100), ("frozen_phase", "dev_f1", 0.5)}), (None, set())):
        written = json.loads(json.dumps(TrainingFindings({}, {}, [], frozen, shares).to_dict()))
        assert set(measurements(written)) == wanted | own
