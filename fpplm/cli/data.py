"""The commands of `fpplm` that work on annotated files: most need no project."""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from fpplm.cli.common import announce
from fpplm.cli.pipeline import Overrides
from fpplm.cli.reading import (
    MisalignedOption,
    OverlapOption,
    RepairOption,
    SeparatorOption,
    TagColumn,
    WordColumn,
    as_column,
    naming_options,
)
from fpplm_core.escaping import printable

app = typer.Typer()


@app.command(epilog="Example: fpplm check train.conll --dev dev.conll --docs pages/")
def check(
    context: typer.Context,
    files: Annotated[list[Path], typer.Argument(help="annotated files, which together form the training split")],
    dev: Annotated[Path | None, typer.Option(help="annotated file of the dev split")] = None,
    test: Annotated[Path | None, typer.Option(help="annotated file of the test split")] = None,
    overrides: Overrides = None,
    as_json: Annotated[bool, typer.Option("--json", help="print the findings as JSON")] = False,
    docs: Annotated[
        Path | None, typer.Option(help="folder to write index.html to, a page with the rows that the checks found")
    ] = None,
) -> None:
    """Checks annotated files as the pipeline does, with the settings in ./params.yaml; exits with code 10 on errors."""
    announce(f"checking {', '.join(map(str, files))}")
    from fpplm.checks.console import show
    from fpplm.checks.validation import check_corpus
    from fpplm.project.template import settings_here
    from fpplm.terminal.progress import show_progress
    from fpplm_core.data.notes import Notes
    from fpplm_core.data.reading import corpus_of_files
    from fpplm_core.errors import CheckFailed
    from fpplm_core.files import making

    settings, notes = settings_here(overrides or []), Notes()
    if docs is not None:
        with making(docs):
            docs.mkdir(parents=True, exist_ok=True)
    given = {"train": files, "dev": [dev] if dev else [], "test": [test] if test else []}
    with tempfile.TemporaryDirectory() as folder:
        splits = {split: paths for split, paths in given.items() if paths}
        with naming_options(context):
            corpus, scheme, evidence = corpus_of_files(splits, settings.data, Path(folder), notes)
        with show_progress("check"):
            report = check_corpus(
                corpus, scheme, settings.check, settings.model, settings.encode, docs, types=settings.data.types
            )
    lines = [f"tag scheme {scheme}: {evidence}", *notes.lines()]
    if as_json:
        typer.echo(json.dumps(asdict(report) | {"notes": lines}, indent=2, ensure_ascii=False))
    else:
        typer.echo("\n".join(lines))
        show(report)
    if report.errors:
        raise CheckFailed(f"{report.errors} check(s) found errors", where=", ".join(map(str, files)))


@app.command(epilog="Example: fpplm convert export.json train.conll --from label_studio")
def convert(
    context: typer.Context,
    source: Annotated[Path, typer.Argument(help="annotated file, or a brat folder")],
    target: Annotated[Path, typer.Argument(help="file to create, or folder for brat")],
    from_format: Annotated[str, typer.Option("--from", help="format; auto detects it from the content")] = "auto",
    to_format: Annotated[str, typer.Option("--to", help="format; auto takes it from the suffix")] = "auto",
    scheme: Annotated[str, typer.Option(help="tag scheme to write; auto keeps the scheme of the source")] = "auto",
    repair: RepairOption = "refuse",
    segmentation: Annotated[
        str, typer.Option(help="how to split text into words, as data.segmentation in params.yaml")
    ] = "unicode",
    misaligned: MisalignedOption = "split",
    overlap: OverlapOption = "refuse",
    word_column: WordColumn = None,
    tag_column: TagColumn = None,
    separator: SeparatorOption = "auto",
    escape_formulas: Annotated[
        bool, typer.Option("--escape-formulas", help="csv: put ' before cells that spreadsheets would run")
    ] = False,
) -> None:
    """Converts annotated text to another format (docs/data.md) or tag scheme, and reports what changed."""
    announce(f"converting {source}")
    from fpplm_core.data import segmenter
    from fpplm_core.data.conversion import convert as run
    from fpplm_core.data.options import Options

    columns = as_column(word_column), as_column(tag_column)
    with naming_options(context):
        segment = segmenter.segmentation(segmentation)
        options = Options(*columns, separator, segment, misaligned, overlap)
        number = run(source, target, options, from_format, to_format, scheme, repair, escape_formulas)
    typer.echo(printable(f"{target}: {number} records"))
    for line in options.notes.lines():
        typer.echo(line)


@app.command(epilog="Example: fpplm review --folds 3")
def review(
    folds: Annotated[int, typer.Option(min=0, help="0: review dev and test only; N: also train, with N trainings")] = 0,
    shown: Annotated[int, typer.Option(min=0, help="number of lines to show")] = 20,
) -> None:
    """Lists probable annotation errors after a training, most suspicious first; writes all to reports/review.jsonl."""
    announce("reviewing the annotations")
    from fpplm.studies.review import lines
    from fpplm.studies.review import review as review_annotations
    from fpplm_core.errors import ParamsError

    if folds == 1:
        raise ParamsError("one fold leaves nothing to train on", where="--folds", got="1", do="use 0, or 2 or more")
    for line in lines(review_annotations(folds), shown):
        typer.echo(line)
