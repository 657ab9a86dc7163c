"""check: Great Expectations over three tables of the corpus; errors stop the pipeline, with the rows listed."""

from __future__ import annotations

import shutil
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import great_expectations as gx
import pandas as pd
from rich.console import Console
from rich.table import Table

from fpplm_core import params, pretrained, quality
from fpplm_core.encoding import Encoder
from fpplm_core.errors import CheckFailed
from fpplm_core.params import Params
from fpplm_core.quality import Corpus
from tasks import CORPUS, METRICS, REPORTS, SPLITS, read_json, run, write_json
from tasks.read import open_corpus

DATA_DOCS = REPORTS / "data_docs"
EXAMPLES = 20  # of each check in metrics/check.json
LISTED = 200  # of each check in Data Docs and in the reasons of tasks/incoming.py, Great Expectations' own limit


def main() -> None:
    settings = params.load()
    corpus = {split: open_corpus(split) for split in SPLITS}
    verdict = check(corpus, read_json(CORPUS / "corpus.json")["scheme"], settings, DATA_DOCS)
    write_json(METRICS / "check.json", verdict)
    show(verdict)
    if verdict["errors"]:
        raise CheckFailed(
            f"{verdict['errors']} kind(s) of error in the data",
            where=settings.data.path,
            do=f"mend the rows above (more of them: {DATA_DOCS}/index.html), or lower check.NAME in params.yaml",
        )


def check(corpus: Corpus, scheme: str, settings: Params, docs: Path | None, examples: int = EXAMPLES) -> dict[str, Any]:
    """Runs every check that is not off; writes Data Docs to `docs` where it is given."""
    tokenizer = pretrained.load_tokenizer(settings.model.encoder, settings.model.revision)
    encoder = Encoder(tokenizer.backend_tokenizer, settings.encode.window, settings.encode.stride)
    statistics = quality.statistics(corpus)

    def piece_counts(words: list[str]) -> list[int]:
        return [len(pieces) for pieces in encoder.pieces(words)]

    tables = {
        "tokens": quality.tokens(corpus, scheme),
        "sentences": [quality.sentences(corpus, piece_counts, encoder.room, settings.check.leakage_words)],
        "splits": [quality.splits(corpus, statistics, settings.check.min_examples)],
    }
    severities = {name: level for name, level in settings.check.severities().items() if level != "off"}
    found = validate(tables, severities, docs, examples)
    return {
        "errors": sum(c["severity"] == "error" and c["found"] > 0 for c in found.values()),
        "warnings": sum(c["severity"] == "warning" and c["found"] > 0 for c in found.values()),
        "checks": found,
        "statistics": statistics,
    }


def validate(
    tables: Mapping[str, Iterable[pd.DataFrame]],
    severities: dict[str, str],
    docs: Path | None,
    examples: int = EXAMPLES,
) -> dict[str, Any]:
    """Each check as an expectation that its column is empty: by name its severity, rows, finds and examples.

    A table comes in one part or more. Great Expectations validates one after another, and the finds add up.
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
        for table, parts in tables.items():
            suite = context.suites.add(gx.ExpectationSuite(name=table))
            for name in (name for name in severities if name in quality.CHECKS[table]):
                level = "critical" if severities[name] == "error" else "warning"
                suite.add_expectation(gx.expectations.ExpectColumnValuesToBeNull(column=name, severity=level))
            asset = source.add_dataframe_asset(table)
            batch = asset.add_batch_definition_whole_dataframe(table)
            definition = gx.ValidationDefinition(name=table, data=batch, suite=suite)
            checkpoint = context.checkpoints.add(
                gx.Checkpoint(
                    name=table,
                    validation_definitions=[context.validation_definitions.add(definition)],
                    result_format={"result_format": "SUMMARY", "partial_unexpected_count": LISTED},
                )
            )
            for part in parts:
                (outcome,) = checkpoint.run(batch_parameters={"dataframe": part}).run_results.values()
                for result in outcome.results:
                    name = str(result.expectation_config.kwargs["column"])
                    new = {"severity": severities[name], "table": table, "rows": 0, "found": 0, "examples": []}
                    row = found.setdefault(name, new)
                    row["rows"] += result.result["element_count"]
                    row["found"] += result.result["unexpected_count"]
                    row["examples"] = [*row["examples"], *result.result["partial_unexpected_list"]][:examples]
        if docs is not None:
            context.build_data_docs()
    return {name: found[name] for name in severities}


def show(verdict: dict[str, Any]) -> None:
    """A table of all checks, then the first rows of each that found something."""
    console = Console()
    table = Table(title="data check", title_justify="left")
    for column in ("check", "severity", "found", "of rows"):
        table.add_column(column, justify="left" if column in ("check", "severity") else "right")
    for name, row in verdict["checks"].items():
        style = {"error": "bold red", "warning": "yellow"}[row["severity"]] if row["found"] else "dim"
        table.add_row(name, row["severity"], str(row["found"]), str(row["rows"]), style=style)
    console.print(table)
    for line in findings(verdict, shown=5):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def findings(verdict: Mapping[str, Any], shown: int) -> Iterator[str]:
    """A line for each of the first rows that a check has found, and for how many more there are."""
    for name, row in verdict["checks"].items():
        examples = row["examples"][:shown]
        yield from (f"{row['severity']} {name}: {example}" for example in examples)
        if row["found"] > len(examples):
            yield f"  … and {row['found'] - len(examples)} more rows of {name}"


if __name__ == "__main__":
    run(main)
