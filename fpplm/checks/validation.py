"""check: Great Expectations over the tables of fpplm_core/quality; errors stop the pipeline, with the rows listed."""

from __future__ import annotations

import shutil
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import great_expectations as gx
import pandas as pd
from great_expectations.expectations.expectation import Expectation

from fpplm.checks.suites import SUITES, names_of
from fpplm.checks.suites import load as load_suites
from fpplm_core.errors import ParamsError
from fpplm_core.model import pretrained
from fpplm_core.params import Params
from fpplm_core.quality import statistics
from fpplm_core.quality.columns import Corpus
from fpplm_core.quality.document_table import documents
from fpplm_core.quality.mention_table import mentions
from fpplm_core.quality.sentence_table import sentences
from fpplm_core.quality.split_table import splits
from fpplm_core.quality.token_table import tokens
from fpplm_core.tagging.windows import WindowBuilder

EXAMPLES = 20  # of each check in metrics/check.json
LISTED = 200  # of each check in Data Docs and in the reasons of tasks/incoming.py, Great Expectations' own limit


def check(corpus: Corpus, scheme: str, settings: Params, docs: Path | None, examples: int = EXAMPLES) -> dict[str, Any]:
    """Runs every expectation that is not off; writes Data Docs to `docs` where it is given."""
    suites = load_suites(settings.check.severities())
    tokenizer = pretrained.load_tokenizer(settings.model.encoder, settings.model.revision)
    encoder = WindowBuilder(tokenizer.backend_tokenizer, settings.encode.window, settings.encode.stride)

    def piece_counts(words: list[str]) -> list[int]:
        return [len(pieces) for pieces in encoder.pieces(words)]

    wanted, room = settings.check, encoder.room
    figures = statistics.statistics(corpus, piece_counts, room, settings.encode.stride)
    least = wanted.min_sentences, wanted.min_examples, wanted.min_test_examples
    tables = {
        "tokens": tokens(corpus, scheme, encoder.unknown),
        "sentences": [sentences(corpus, piece_counts, room, wanted.leakage_words, wanted.near, wanted.max_word)],
        "documents": [documents(corpus, wanted.leakage_words)],
        "mentions": [mentions(corpus, scheme, wanted.conflict_share)],
        "splits": [splits(corpus, figures, scheme, *least, wanted.drift)],
    }
    found = validate(tables, suites, docs, examples)
    failed = Counter(row["severity"] for row in found.values() if row["failed"])
    return {"errors": failed["error"], "warnings": failed["warning"], "checks": found, "statistics": figures}


def validate(
    tables: Mapping[str, Iterable[pd.DataFrame]],
    suites: Mapping[str, list[Expectation]],
    docs: Path | None,
    examples: int = EXAMPLES,
) -> dict[str, Any]:
    """Each expectation by name: its severity, rows, finds, whether these are too many, and examples.

    A table comes in one part or more. Great Expectations validates one after another, and the finds add up; it takes
    what a table's index says for columns. Raises ParamsError for an expectation that cannot be tried.
    """
    found: dict[str, Any] = {}
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as scratch:
        warnings.simplefilter("ignore")
        context = gx.get_context(mode="ephemeral")
        context.variables.progress_bars = {"globally": False}
        site = Path(scratch) if docs is None else docs
        if docs is not None:
            shutil.rmtree(docs, ignore_errors=True)
        store = {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(site.resolve())}
        for name in list(context.get_site_names()):
            context.delete_data_docs_site(name)
        context.add_data_docs_site(
            "fpplm", {"class_name": "SiteBuilder", "store_backend": store, "show_how_to_buttons": False}
        )
        source = context.data_sources.add_pandas("fpplm")
        for table, suite in suites.items():
            if not suite:
                continue
            asset = source.add_dataframe_asset(table)
            batch = asset.add_batch_definition_whole_dataframe(table)
            definition = gx.ValidationDefinition(
                name=table, data=batch, suite=context.suites.add(gx.ExpectationSuite(name=table, expectations=suite))
            )
            checkpoint = context.checkpoints.add(
                gx.Checkpoint(
                    name=table,
                    validation_definitions=[context.validation_definitions.add(definition)],
                    result_format={"result_format": "SUMMARY", "partial_unexpected_count": max(LISTED, examples)},
                )
            )
            names = names_of(suite, table)
            for part in tables[table]:
                rows = part.reset_index() if isinstance(part.index, pd.MultiIndex) else part
                (outcome,) = checkpoint.run(batch_parameters={"dataframe": rows}).run_results.values()
                for result in outcome.results:
                    config = result.expectation_config
                    row = found.setdefault(names[str(config.id)], _row(config, table))
                    _add(row, result, len(part), examples)
        if docs is not None:
            context.build_data_docs()
    for row in found.values():
        allowed = (1 - row.pop("mostly")) * row["rows"]
        row["failed"] = row["found"] > allowed
    return found


def _row(config: Any, table: str) -> dict[str, Any]:
    severity = "error" if config.severity == "critical" else "warning"
    row: dict[str, Any] = {"severity": severity, "table": table, "rows": 0, "found": 0, "failed": False}
    return row | {"mostly": float(config.kwargs.get("mostly", 1)), "examples": []}


def _add(row: dict[str, Any], result: Any, rows: int, examples: int) -> None:
    """Adds what an expectation came to on one part of its table. One that is not about rows is found once a part.

    Raises ParamsError where it could not be tried, as for a column that the table lacks.
    """
    raised = result.exception_info or {}
    raised = raised if "raised_exception" in raised else next(iter(raised.values()), {})
    if raised.get("raised_exception"):
        said = str(raised["exception_message"]).splitlines()[0][:100]
        where = f"{SUITES}: {row['table']}, {result.expectation_config.type}"
        raise ParamsError(f"the expectation cannot be tried ({said})", where=where)
    seen = result.result
    row["rows"] += seen.get("element_count", rows)
    if "unexpected_count" in seen:
        row["found"] += seen["unexpected_count"]
        new = seen["partial_unexpected_list"]
    else:
        row["found"] += not result.success
        new = [] if result.success else [f"observed {seen.get('observed_value')}"]
    row["examples"] = [*row["examples"], *map(str, new)][:examples]
