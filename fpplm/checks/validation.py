"""Validates the tables of fpplm_core/quality, for the check stage, `fpplm check` and incoming files."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import great_expectations as gx
import pandas as pd
from great_expectations.expectations.expectation import Expectation

from fpplm.checks.page import write_page
from fpplm.checks.suites import SUITES, names_of
from fpplm.checks.suites import load as load_suites
from fpplm_core.data.settings import EncodeSettings
from fpplm_core.errors import ParamsError
from fpplm_core.model import pretrained
from fpplm_core.model.settings import ModelSettings
from fpplm_core.quality.columns import Corpus
from fpplm_core.quality.document_table import documents
from fpplm_core.quality.mention_table import mentions
from fpplm_core.quality.report import CheckReport, CheckResult
from fpplm_core.quality.sentence_table import sentences
from fpplm_core.quality.settings import CheckSettings
from fpplm_core.quality.split_table import splits
from fpplm_core.quality.statistics import statistics
from fpplm_core.quality.token_table import tokens
from fpplm_core.tagging.windows import WindowBuilder

EXAMPLES = 20  # per check in metrics/check.json
LISTED = 200  # per check on the page and for an incoming file


def check_corpus(
    corpus: Corpus,
    scheme: str,
    check: CheckSettings,
    model: ModelSettings,
    encode: EncodeSettings,
    docs: Path | None,
    examples: int = EXAMPLES,
    types: Collection[str] = (),
) -> CheckReport:
    """Validates every expectation that is not switched off; writes a page to the folder `docs` if it is given.

    The page lists up to LISTED rows of each check, the report up to `examples`. `types` are the admitted ones
    (data.types); without any, all are. Raises ParamsError for an invalid expectation.
    """
    suites = load_suites(check.severities())
    tokenizer = pretrained.load_tokenizer(model.encoder, model.revision)
    builder = WindowBuilder(tokenizer.backend_tokenizer, encode.window, encode.stride)

    def piece_counts(words: list[str]) -> list[int]:
        return [len(pieces) for pieces in builder.pieces(words)]

    sizes = statistics(corpus, piece_counts, builder.capacity, encode.stride)
    tables: dict[str, Iterable[pd.DataFrame]] = {
        "tokens": tokens(corpus, scheme, builder.unknown),
        "sentences": [sentences(corpus, piece_counts, builder.capacity, check.leakage_words, check.near)],
        "documents": [documents(corpus, check.leakage_words)],
        "mentions": [mentions(corpus, scheme)],
        "splits": [splits(corpus, sizes, scheme, check.min_sentences, check.min_examples, check.drift, types)],
    }
    results = validate(tables, suites, examples if docs is None else max(LISTED, examples))
    failed = Counter(result.severity for result in results.values() if result.failed)
    report = CheckReport(failed["error"], failed["warning"], results, sizes)
    if docs is not None:
        write_page(docs, report)
    short = {name: replace(result, examples=result.examples[:examples]) for name, result in results.items()}
    return replace(report, checks=short)


def validate(
    tables: Mapping[str, Iterable[pd.DataFrame]],
    suites: Mapping[str, list[Expectation]],
    examples: int = EXAMPLES,
) -> dict[str, CheckResult]:
    """The result of each expectation by its name.

    A table comes in one or more parts, which Great Expectations validates in turn; findings add up. It sees the
    levels of a table's index as columns. Raises ParamsError for an expectation that cannot be evaluated.
    """
    tallies: dict[str, _Tally] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        context = gx.get_context(mode="ephemeral")
        context.variables.progress_bars = {"globally": False}  # type: ignore[assignment]
        source = context.data_sources.add_pandas("fpplm")
        result_format: Any = {"result_format": "SUMMARY", "partial_unexpected_count": examples}
        for table, suite in suites.items():
            if not suite:
                continue
            batches = source.add_dataframe_asset(table).add_batch_definition_whole_dataframe(table)
            expected = context.suites.add(gx.ExpectationSuite(name=table, expectations=suite))  # gives them ids
            names = names_of(suite, table)
            for part in tables[table]:
                rows = part.reset_index() if isinstance(part.index, pd.MultiIndex) else part
                batch = batches.get_batch(batch_parameters={"dataframe": rows})
                for result in batch.validate(expected, result_format=result_format).results:
                    config: Any = result.expectation_config
                    tally = tallies.setdefault(names[str(config.id)], _Tally.of(config, table))
                    tally.add(result, len(part), examples)
    return {name: tally.result() for name, tally in tallies.items()}


@dataclass
class _Tally:
    """What an expectation found in the parts of its table so far."""

    severity: str
    table: str
    mostly: float
    rows: int = 0
    judged: int = 0  # of these rows; an expectation about a column judges no empty cells
    found: int = 0
    examples: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, config: Any, table: str) -> _Tally:
        severity = "error" if config.severity == "critical" else "warning"
        return cls(severity, table, float(config.kwargs.get("mostly", 1)))

    def add(self, result: Any, rows: int, examples: int) -> None:
        """Adds the result of one part. An expectation about no single rows counts once per part.

        Raises ParamsError if it could not be evaluated, for instance because the table lacks the column.
        """
        raised = result.exception_info or {}
        raised = raised if "raised_exception" in raised else next(iter(raised.values()), {})
        if raised.get("raised_exception"):
            reason = str(raised["exception_message"]).splitlines()[0][:100]
            where = f"{SUITES}: {self.table}, {result.expectation_config.type}"
            raise ParamsError(f"the expectation cannot be evaluated ({reason})", where=where)
        seen = result.result
        self.rows += seen.get("element_count", rows)
        self.judged += seen.get("element_count", rows) - seen.get("missing_count", 0)
        if "unexpected_count" in seen:
            self.found += seen["unexpected_count"]
            new = seen["partial_unexpected_list"]
        else:
            self.found += not result.success
            new = [] if result.success else [f"observed {seen.get('observed_value')}"]
        self.examples = [*self.examples, *map(str, new)][:examples]

    def result(self) -> CheckResult:
        right = (self.judged - self.found) / max(1, self.judged)
        failed = self.found > 0 and right < self.mostly
        return CheckResult(self.severity, self.table, self.rows, self.found, failed, self.examples)
