import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from fpplm.checks import suites
from fpplm.checks.console import findings
from fpplm.checks.page import write_page
from fpplm.checks.validation import EXAMPLES, check_corpus, validate
from fpplm_core.data.corpus import open_corpus, write_corpus
from fpplm_core.data.records import Sentence
from fpplm_core.errors import ParamsError
from fpplm_core.quality.checks import BY_NAME, TABLES, __doc__, check_names
from fpplm_core.quality.report import CheckReport
from tests.unit.quality.test_quality import add, clean, mark, tables, together

SHIPPED = Path(__file__).resolve().parents[3] / "expectations.yaml"
SEVERITIES: dict[str, Any] = dict.fromkeys(BY_NAME, "warning")
OFF: dict[str, Any] = dict.fromkeys(BY_NAME, "off")


def load_suites(folder: Path, content: Any, **severities: str) -> dict[str, list[Any]]:
    """The suites without the checks that are not named."""
    path = folder / "expectations.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return suites.load(OFF | severities, path)


def verdict(folder: Path, content: Any, made: Any = None, **severities: str) -> Any:
    return validate(made or tables(clean()), load_suites(folder, content, **severities))


def test_without_entries_every_check_is_expected_in_its_table(tmp_path):
    old = {table: [{"type": f"expect_no_{check}"} for check in check_names(table)] for table in TABLES}
    (tmp_path / "old.yaml").write_text(yaml.safe_dump(old))  # earlier releases wrote all of them
    (tmp_path / "empty.yaml").write_text("# nothing\n")
    for path in (SHIPPED, Path("no.yaml"), tmp_path / "old.yaml", tmp_path / "empty.yaml"):
        loaded = suites.load(SEVERITIES, path)
        names = {table: [suites.name_of(e, table) for e in suite] for table, suite in loaded.items()}
        assert names == {table: check_names(table) for table in TABLES}


def test_a_check_is_as_severe_as_the_params_say(tmp_path):
    content = {"sentences": [{"type": "expect_no_leakage", "mostly": 0.5}], "mentions": None}
    found = verdict(tmp_path, content, duplicate="error")
    assert {name: result.severity for name, result in found.items()} == {"duplicate": "error"}
    assert verdict(tmp_path, content, leakage="warning")["leakage"].severity == "warning"


@pytest.mark.parametrize(("mostly", "failed"), [(0.94, False), (0.95, False), (0.96, True), (1, True)])
def test_a_share_of_rows_is_tolerated_over_all_parts(tmp_path, mostly, failed):
    whole = pd.DataFrame({"empty_word": ["f:1: empty", *[None] * 19]}, dtype=object)
    content = {"tokens": [{"type": "expect_no_empty_word", "mostly": mostly}]}
    row = verdict(tmp_path, content, {"tokens": [whole.iloc[:2], whole.iloc[2:]]}, empty_word="error")["empty_word"]
    assert (row.found, row.rows, row.failed, row.examples) == (1, 20, failed, ["f:1: empty"])


@pytest.mark.parametrize(
    ("rows", "found", "mostly", "failed"),
    [(10, 1, 0.9, False), (5, 1, 0.8, False), (10, 2, 0.9, True), (1000, 100, 0.9, False), (1000, 101, 0.9, True)],
)
def test_a_share_that_is_exactly_tolerated_passes(tmp_path, rows, found, mostly, failed):
    whole = pd.DataFrame({"empty_word": ["f:1: empty"] * found + [None] * (rows - found)}, dtype=object)
    content = {"tokens": [{"type": "expect_no_empty_word", "mostly": mostly}]}
    row = verdict(tmp_path, content, {"tokens": [whole]}, empty_word="error")["empty_word"]
    assert (row.found, row.rows, row.failed) == (found, rows, failed)


@pytest.mark.parametrize(("mostly", "failed"), [(0.5, False), (0.6, True)])
def test_empty_cells_are_no_rows_that_pass(tmp_path, mostly, failed):
    whole = pd.DataFrame({"type": ["PER", "QQQ", *[None] * 8]}, dtype=object)
    own = {"type": "expect_column_values_to_be_in_set", "column": "type", "value_set": ["PER"], "mostly": mostly}
    (row,) = verdict(tmp_path, {"splits": [own]}, {"splits": [whole]}).values()
    assert (row.found, row.rows, row.failed) == (1, 10, failed)


def test_the_example_in_the_shipped_file_works_as_it_stands(tmp_path):
    tolerance, example = re.findall(r"^# +(- \{.*)$", SHIPPED.read_text(), re.MULTILINE)
    (row,) = verdict(tmp_path, f"sentences:\n  {example}\n").values()
    assert (row.severity, row.found, row.failed) == ("warning", 1, True)
    assert row.examples == [f"observed {sum([4, 4, 2, 2, 3, 2, 2, 3, 2, 2, 3, 2, 2]) / 13}"]
    (row,) = verdict(tmp_path, f"sentences:\n  {tolerance}\n", long_word="error").values()
    assert (row.severity, row.found, row.failed) == ("error", 0, False)
    long = clean()
    long["train"] += [s for _ in range(3) for s in long["train"]]
    add("dev", " ".join(["a/O"] * 100))(long)
    (row,) = verdict(tmp_path, f"sentences:\n  {example}\n", tables(long)).values()
    assert (row.found, row.failed) == (0, False)


NATIVE = {
    "sentences": [
        {"type": "expect_column_values_to_not_be_null", "column": "split"},
        {"type": "expect_column_values_to_be_between", "column": "words", "max_value": 3, "severity": "warning"},
        {"type": "expect_column_values_to_be_between", "column": "words", "min_value": 1},
        {"type": "expect_column_max_to_be_between", "column": "pieces", "max_value": 4},
    ],
    "documents": [
        {"type": "expect_column_values_to_be_between", "column": "sentences", "min_value": 2, "mostly": 0.5},
        {"type": "expect_column_values_to_be_in_set", "column": "split", "value_set": ["dev", "test"]},
    ],
    "mentions": [
        {"type": "expect_column_values_to_not_match_regex", "column": "mention", "regex": "^New"},
        {"type": "expect_column_sum_to_be_between", "column": "count", "min_value": 13, "max_value": 13},
    ],
    "splits": [
        {"type": "expect_column_values_to_not_be_null", "column": "split"},
        {"type": "expect_column_distinct_values_to_equal_set", "column": "type", "value_set": ["LOC", "PER"]},
        {"type": "expect_column_sum_to_be_between", "column": "count", "min_value": 26, "max_value": 26},
        {"type": "expect_table_row_count_to_equal", "value": 15},
    ],
}


def test_expectations_about_values_are_of_the_tables_and_each_counts_by_itself(tmp_path):
    corpus = clean()
    mark("dev", 0, 0, 1)(corpus)
    found = verdict(tmp_path, NATIVE, tables(corpus))
    failed = {name: (row.severity, row.found, row.rows) for name, row in found.items() if row.failed}
    assert failed == {
        "expect_column_values_to_be_between(sentences.words)": ("warning", 2, 13),
        "expect_column_values_to_not_match_regex(mentions.mention)": ("error", 1, 8),
        "expect_column_distinct_values_to_equal_set(splits.type)": ("error", 2, 15),
    }
    assert len(found) == sum(map(len, NATIVE.values()))
    assert found["expect_column_values_to_be_between(sentences.words)"].examples == ["4", "4"]
    assert found["expect_column_values_to_not_match_regex(mentions.mention)"].examples == ["New York"]
    tolerated = found["expect_column_values_to_be_between(documents.sentences)"]
    assert (tolerated.found, tolerated.rows) == (1, 2)


def test_what_rows_are_is_their_index():
    corpus = clean()
    together(mark("train", *[0] * 7), mark("dev", 0, 0, 1))(corpus)
    made = {name: part for name, (part,) in tables(corpus, pieces=lambda words: [len(w) for w in words]).items()}
    assert made["sentences"].index.to_list()[:2] == [("train", 4, 19), ("train", 4, 15)]
    assert made["documents"].index.to_list() == [("dev", 2), ("dev", 1)]
    assert made["mentions"].index.to_list() == [
        ("EU", 2), ("German", 2), ("Paris", 1), ("New York", 1), ("Ann", 3), ("Bob", 2), ("Berlin", 1), ("Rome", 1)
    ]  # fmt: skip
    of_splits = made["splits"].reset_index()[["split", "type", "count"]].fillna("")
    assert [tuple(row) for row in of_splits.to_numpy().tolist()[:6]] == [
        ("train", "", 9), ("train", "LOC", 2), ("train", "MISC", 2), ("train", "ORG", 2), ("train", "PER", 3),
        ("dev", "", 2),
    ]  # fmt: skip
    names = {name: list(part.index.names) for name, part in made.items() if name != "tokens"}
    said = dict(re.findall(r"^(\w+) +one row .*: (.*)$", __doc__ or "", re.MULTILINE))
    assert {name: re.sub(r" \(.*?\)", "", columns).split(", ") for name, columns in said.items()} == names


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("sentences: [{type: expect_foo}]", "sentences, entry 1: no such expectation (expect_foo not found)"),
        ("sentences: [{type: expect_no_foo}]", "sentences, entry 1: this table has no such check, got 'expect_no_foo'"),
        ("sentences: [{type: expect_no_empty_word}]", "sentences, entry 1: this table has no such check"),
        ("splits: [{type: expect_no_empty_split}, {tpe: a}]", "splits, entry 2: an expectation needs a type"),
        ("sentences: [expect_no_duplicate]", "sentences, entry 1: an expectation needs a type"),
        ("sentences: [{type: [a]}]", "sentences, entry 1: an expectation needs a type"),
        ("sentences: [{type: expect_no_duplicate, mostli: 1}]", "entry 1: a check takes only mostly, got 'mostli'"),
        (
            "sentences: [{type: expect_no_duplicate, severity: error}]",
            "set the severity in params.yaml (check.severity: {duplicate",
        ),
        ("sentences: [{type: expect_no_duplicate, column: leakage}]", "a check takes only mostly, got 'column'"),
        ("sentences: [{type: expect_no_duplicate, mostly: 1.5}]", "entry 1: mostly is a share of rows"),
        ("sentences: [{type: expect_no_duplicate, mostly: {$PARAMETER: a}}]", "entry 1: mostly is a share of rows"),
        ("tokens: [{type: expect_column_mean_to_be_between}]", "tokens, entry 1: no such expectation"),
        *(
            (f"sentences: [{{type: expect_column_mean_to_be_between, column: words, {rest}}}]", said)
            for rest, said in [
                ("min_valu: 5", "sentences, entry 1: no such expectation (1 validation error"),
                ("min_value: five", "sentences, entry 1: no such expectation"),
                ("min_value: 5, severity: fatal", "sentences, entry 1: unknown severity, got 'fatal'; use error or"),
                ("min_value: 5, severity: [error]", "sentences, entry 1: unknown severity, got ['error']"),
            ]
        ),
        (
            "words: []",
            "expected a mapping of tables, got {'words': []}; use tokens, sentences, documents, mentions, splits",
        ),
        ("[sentences]", "expected a mapping of tables"),
        ("sentences: 3", "sentences: expected a list, got 3"),
        ("sentences: {type: expect_no_duplicate}", "sentences: expected a list"),
        ("sentences: [", "not valid YAML"),
    ],
)
def test_an_entry_that_cannot_be_used_is_an_error_with_its_place(tmp_path, content, said):
    with pytest.raises(ParamsError) as caught:
        load_suites(tmp_path, content)
    message = str(caught.value)
    assert message.startswith(f"{tmp_path}/expectations.yaml:") and said in message
    assert "\n" not in message


@pytest.mark.parametrize("table", ["tokens", "sentences", "mentions"])
def test_a_column_that_the_table_lacks_is_an_error_with_table_and_entry(tmp_path, table):
    entry = {"type": "expect_column_values_to_not_be_null", "column": "colour"}
    with pytest.raises(ParamsError) as caught:
        verdict(tmp_path, {table: [entry]}, **{check_names(table)[0]: "warning"})
    assert re.match(rf"expectations.yaml: {table}, expect_column_values_to_not_be_null.*colour", str(caught.value))


def test_an_expectation_that_fails_while_it_is_tried_is_an_error(tmp_path):
    entry = {"type": "expect_column_mean_to_be_between", "column": "mention", "min_value": 1}
    with pytest.raises(ParamsError, match=r"expectations.yaml: mentions, expect_column_mean_to_be_between"):
        verdict(tmp_path, {"mentions": [entry]})


def test_the_page_says_what_was_found_what_it_means_and_what_to_do(tmp_path):
    corpus = clean()
    add("train", "the/O EU/B-ORG")(corpus)
    content = {"sentences": [{"type": "expect_no_duplicate"}, NATIVE["sentences"][1]]}
    found = verdict(tmp_path, content, tables(corpus), duplicate="warning")
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "mine.html").touch()
    write_page(docs, CheckReport(0, 2, found, {}))
    assert {path.name for path in docs.iterdir()} == {"mine.html", "index.html"}, "nothing else is written or removed"
    text = (docs / "index.html").read_text()
    advice = BY_NAME["duplicate"].advice
    of_project = "An expectation of this project"
    for said in (BY_NAME["duplicate"].meaning, advice, "also at train.conll:14", "2 kinds of warning", of_project):
        assert said in text
    assert list(findings(found, 1)) == [
        "warning duplicate: train.conll:100: also at train.conll:14",
        f"  → {advice}",
        "warning expect_column_values_to_be_between(sentences.words): 4",
        "  … and 1 more rows of expect_column_values_to_be_between(sentences.words)",
    ]


def test_the_page_lists_more_rows_than_the_report(tmp_path, params):
    words = [f"w\u200b{number}" for number in range(300)]  # each has an invisible character
    write_corpus(
        tmp_path / "train.parquet", [Sentence((word,), ("O",), "t.conll", (n,)) for n, word in enumerate(words)]
    )
    corpus = {"train": open_corpus("train", tmp_path)}
    report = check_corpus(corpus, "IOB2", params.check, params.model, params.encode, tmp_path / "docs")
    zero_width = report.checks["zero_width"]
    assert (zero_width.found, len(zero_width.examples)) == (300, EXAMPLES)
    page = (tmp_path / "docs/index.html").read_text()
    assert page.count("t.conll:199:") and "t.conll:200:" not in page and "The first 200 of 300 rows." in page
