import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from fpplm.report.page import HERE, LIBRARIES, hash_of, render, render_trend
from fpplm.report.run import TrendPoint
from fpplm.report.scores import F1, ModelScores
from fpplm_core.errors import DataError

HOSTILE = "\"'><script>alert(1)</script>"
VOID = {"meta", "link", "br", "input"}
MODEL = "57096445e9d3" + "0" * 52


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
    "dev_f1_loss_low": 0.0, "dev_f1_loss_high": 0.0, "test_f1": 0.47, "test_f1_loss": 0.0, "accepted": True,
}
WORSE = SAME | {"dev_f1_loss": 0.0123, "dev_f1_loss_low": 0.0061, "dev_f1_loss_high": 0.0234, "accepted": False}
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
        "document": 0, "scores": [0.75, 0.5], "gold_seen": [False], "predicted_seen": [True, False],
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
        if data.strip() and self.open[-1] not in ("style", "script", "pre"):
            self.text[self.section] = " ".join([*self.text.get(self.section, "").split(), *data.split()])


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
    for title in ("loss: tag", "loss: label_lm", "learning rate", "2 0.560", "1 value not finite"):
        assert title in text["train"]
    for number in ("0.613", "0.412", "0.751 of 7", "0.398 of 11", "25.0 %", "31"):
        assert number in text["evaluate"]
    assert "LOC 14 78 % 4 22 % 18" in text["confusion"] and "The 0 predicted spans" in text["confusion"]
    assert "0.7 to 0.8 1 0.750 0.000 [0.000, 0.793]" in text["calibration"]
    assert "2 spurious" in text["errors"] and "1 missed" in text["errors"]
    assert "duplicate: 2 rows" in text["check"] and "47.2" in text["check"]
    for line in ("fp32 on cpu int8 on cpu", "size 90.8 MB 23.2 MB", "loss on dev 0.0000 0.0123", "words/s 916 –",
                 "in the bundle ✓ in ✗ left out", "ms a sentence, p95 58.4 –"):  # fmt: skip
        assert line in text["verify"]
    assert (
        "on cpu it loses 0.0123 of dev F1, at least 0.0061 and at most 0.0234 (allowed: 0.005 and 0.015)"
        in text["verify"]
    )
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


def test_a_graph_that_fails_is_shown_with_the_reason(whole_run):
    verify = FILES["metrics/verify.json"]
    failed = {"bytes": verify["bytes"] | {"fp16": 1}, "refused": ["fp16", "int8"], "failures": {"fp16 on cpu": "<b>∞"}}
    write(whole_run / "metrics/verify.json", verify | failed)
    text = Page(rendered(whole_run)).text["verify"]
    assert "fp16 on cpu fails and is left out: <b>∞" in text and "fp16 was left out" not in text
    assert "int8 was left out of the bundle: on cpu it loses" in text


def test_both_f1_are_shown_and_named_with_the_served_one_in_front(whole_run):
    text = Page(rendered(whole_run)).text
    assert "trained test F1, 95 % interval 0.470 [0.420, 0.520]" in text["header"] and "served" not in text["header"]
    write(whole_run / "metrics/verify.json", FILES["metrics/verify.json"] | {"served": SERVED})
    source = rendered(whole_run)
    text = Page(source).text
    assert "served test F1 (int8), 95 % interval 0.461 [0.411, 0.511]" in text["header"]
    assert "trained test F1 0.470 [0.420, 0.520]" in text["header"] and "trained dev F1 0.562" in text["header"]
    assert "served test F1 0.461 – fpplm report</title>" in source
    assert "The trained model: " in text["evaluate"] and "F1 on dev 0.560" in text["verify"]
    assert "The rules judge the trained model." in text.pop("gate")
    for part in text.values():
        assert not re.findall(r"(?<!trained )(?<!served )\btest F1", part)


def test_the_page_names_what_it_compares_with(whole_run):
    changes = [dict(zip(("kind", "name", "before", "after"), c, strict=True)) for c in RUN["compared"][0]["changes"]]
    first, *others = RUN["compared"]
    write(whole_run / "reports/run.json", RUN | {"compared": [first | {"changes": changes}, *others]})
    text = Page(rendered(whole_run)).text["run"]
    assert (
        "Changed since v2.0.0, put into production 2026-01-01 05:06 kind name before after parameters train.seed 1 2"
        in text
    )
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
    assert not re.search(r"url\(|@import|https?:", without_libraries(source))
    figures = re.findall(r'data-table="([^"]*)"', source)
    assert len(figures) == (7 if whole else 0) and {f"#{table}" for table in figures} <= ids


def without_libraries(source: str) -> str:
    for name in LIBRARIES:
        source = source.replace((HERE / name).read_text(encoding="utf-8"), "")
    return source


def scripts(source: str) -> list[str]:
    return re.findall(r"<script>(.*?)</script>", source, re.DOTALL)


def test_only_the_scripts_of_the_page_may_run(whole_run):
    """The policy has their hashes; those of the libraries are of the files as they were reviewed."""
    source = rendered(whole_run)
    (policy,) = re.findall(r"script-src ([^;]*);", source)
    assert [f"'{hash_of(script)}'" for script in scripts(source)] == policy.split()
    assert {hash_of((HERE / name).read_text(encoding="utf-8")) for name in LIBRARIES} == set(LIBRARIES.values())
    assert "unsafe" not in policy and "default-src 'none'" in source


def test_all_text_of_the_data_is_escaped(whole_run):
    source = rendered(whole_run)
    assert len(re.findall("<script", without_libraries(source))) == 5  # two libraries, two of the page, the errors
    text = Page(source).text
    for section in ("header", "check", "lineage"):
        assert HOSTILE in text[section]
    (data,) = re.findall(r'<script type="application/json" id="errors-data">(.*?)</script>', source)
    assert "<" not in data and json.loads(data)["rows"][0][3][0] == HOSTILE


def test_a_run_that_judged_another_model_is_not_shown_as_this_one(whole_run):
    write(whole_run / "bundle/manifest.json", MANIFEST | {"digest": "b"})
    for model, shown in (("a", False), ("b", True), (None, True)):
        write(whole_run / "reports/run.json", RUN | {"model": model, "compared": []})
        assert ("run" in Page(rendered(whole_run)).text) == shown
    assert "Hold so ✓ Gate passed" in Page(rendered(whole_run)).text["header"]


def test_a_promotion_is_no_warning(whole_run):
    write(whole_run / "reports/run.json", RUN | {"verdict": "promote", "version": "v2.0.0", "compared": []})
    source = rendered(whole_run)
    assert '<header class="good">' in source and '<p class="call good"><b>v2.0.0 is in production:' in source


DIFFERENCE = {"before": 0.5, "after": 0.52, "mean": 0.02, "low": -0.01, "high": 0.05, "support": 18, "p": 0.3}
COMPARISON = {
    "candidate": "b", "incumbent": "v1.0.0", "verdict": "promote", "reasons": ["better"],
    "rules": [{"name": "F1 difference, p", "value": 0.3, "bound": 0.05, "outcome": "pass"}],
    "f1": {"candidate": 0.52, "incumbent": 0.5}, "difference": {"mean": 0.02, "low": -0.01, "high": 0.05},
    "p": {"permutation": 0.3, "mcnemar": 0.4}, "types": {HOSTILE: DIFFERENCE}, "slices": {"long": DIFFERENCE},
    "words_per_s": {"candidate": 1, "incumbent": 1}, "bytes": {"candidate": 1, "incumbent": 1}, "examples": [],
}  # fmt: skip
SLICE = {"precision": 0.5, "recall": 0.5, "support": 40, "sentences": 12, "decides": True}


def test_slices_are_shown_the_worst_first_and_those_that_decide_nothing_last(whole_run):
    values = {"good": 0.8, "small": 0.1, HOSTILE: 0.3}
    slices = {
        name: SLICE | {"f1": f1, "f1_low": f1 - 0.1, "f1_high": f1 + 0.1, "decides": name != "small"}
        for name, f1 in values.items()
    }
    split = scores(0.47)
    assert "slices" not in Page(rendered(whole_run)).text
    write(whole_run / "metrics/evaluate.json", {"dev": split, "test": split | {"slices": slices}})
    text = Page(rendered(whole_run)).text["slices"]
    assert text.index(HOSTILE) < text.index("good") < text.index("small")
    assert "0.300 [0.200, 0.400] 40 12 yes" in text and "0.100 [0.000, 0.200] 40 12 no" in text


def test_the_data_are_compared_with_those_of_the_version_that_the_model_was_compared_with(whole_run):
    words = ["New", HOSTILE]
    mention = {"kind": "re-typed", "split": "train", "place": "t.conll:3", "words": words}
    mention |= {"before": [0, 1, "LOC"], "after": [1, 2, "ORG"]}
    fields = ("before", "after", "added", "removed", "moved", "to", "out_of", "arrived", "left")
    types = {"LOC": dict(zip(fields, range(11, 20), strict=True))}
    train = {
        "before": 5,
        "after": 6,
        "added": 1,
        "removed": 0,
        "moved_in": 0,
        "moved_out": 0,
        "corrected": 2,
        "types": types,
    }
    diff = {"before": "v1.0.0", "after": "b", "splits": {"train": train}, "mentions": [mention], "sentences": []}
    write(whole_run / "bundle/manifest.json", MANIFEST | {"digest": "b"})
    write(whole_run / "reports/comparison.json", COMPARISON)
    write(whole_run / "reports/data_diff.json", diff)
    page = Page(rendered(whole_run))
    assert "+0.020 [-0.010, +0.050] against v1.0.0, which was in production" in page.text["header"]
    write(whole_run / "reports/run.json", RUN | {"model": "b", "compared": []})
    text = Page(rendered(whole_run)).text["run"]
    assert f"{HOSTILE} 0.500 0.520 +0.020 [-0.010, +0.050] 18" in text and "long 0.500" in text
    text = page.text["check"]
    assert "Data against v1.0.0" in text and "train 5 6 1 0 0 2" in text and "train LOC 11 12 13 14 16 15" in text
    assert f"re-typed: LOC “ New ” → ORG “ {HOSTILE} ”" in text
    write(whole_run / "reports/data_diff.json", diff | {"after": "of another model"})
    assert "Data against" not in Page(rendered(whole_run)).text["check"]


def test_scores_come_before_the_curves_of_training(whole_run):
    sections = [*Page(rendered(whole_run)).text]
    assert sections.index("evaluate") < sections.index("errors") < sections.index("train")


POINT = TrendPoint("v1.0.0", "2026-01-01T02:03:04+00:00", "promoted", None, None, None)


def test_the_trends_show_each_model_with_what_is_known_of_it(tmp_path):
    scores = ModelScores(F1(0.5, 0.45, 0.55), F1(0.49, 0.44, 0.54))
    new = TrendPoint(HOSTILE, "2026-01-02T02:03:04+02:00", "hold", scores, 1234, 56.7, 89.1, True)
    render_trend([POINT, new], tmp_path / "runs.html")
    source = (tmp_path / "runs.html").read_text(encoding="utf-8")
    text = Page(source).text["trends"]
    assert "v1.0.0 promoted 2026-01-01 02:03 – – – – –" in text
    assert "hold, in production 2026-01-02 02:03 0.490 [0.440, 0.540] 0.500 [0.450, 0.550] 1234 57 89" in text
    assert HOSTILE in text
    assert source.count("data-chart") > 3
    render_trend([POINT], tmp_path / "runs.html")
    assert "trends begin with the second" in (tmp_path / "runs.html").read_text(encoding="utf-8")


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
        ("build/predictions/test.jsonl", "calibration", "The predictions have no scores"),
        ("reports/training/findings.json", "techniques", "findings.json is not there"),
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
    course = page[page.index('id="techniques"') : page.index('id="verify"')]
    assert course.index("early") < course.index("first") < course.index("alert(1)")
    assert "left:50.0%;width:25.0%" in course and "never" not in course


def test_what_reading_has_changed_stands_in_the_data_check_with_its_places(whole_run):
    repaired = {"tags repaired (discard)": {"count": 1234, "places": ["a.conll:3: I-X to O", "a.conll:9: I-X to O"]}}
    write(whole_run / "metrics/check.json", CHECK | {"scheme": "IOB2: 7 B-", "reading": repaired})
    page = rendered(whole_run)
    part = page[page.index('id="check"') :]
    for said in ("Tag scheme IOB2: 7 B-.", "tags repaired (discard): 1,234", "a.conll:3: I-X to O", "a.conll:9"):
        assert said in part
