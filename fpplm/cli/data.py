"""The commands of `fpplm` that take annotated files: they need no project."""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer

from fpplm.cli.bundle import as_column

app = typer.Typer()
Repair = Literal["refuse", "conlleval", "discard"]
Misaligned = Literal["refuse", "expand", "split"]
Overlap = Literal["refuse", "longest", "first"]
Overrides = Annotated[list[str] | None, typer.Option("--set", "-S", help="a value of params.yaml: data.scheme=IOB1")]


@app.command()
def check(
    files: Annotated[list[Path], typer.Argument(help="annotated files, taken together as one training split")],
    dev: Annotated[Path | None, typer.Option(help="to be held against them")] = None,
    test: Annotated[Path | None, typer.Option(help="likewise")] = None,
    overrides: Overrides = None,
    as_json: Annotated[bool, typer.Option("--json", help="the findings as JSON")] = False,
    docs: Annotated[Path | None, typer.Option(help="folder for Data Docs, as pages")] = None,
) -> None:
    """Checks annotated files as the pipeline does, with the settings of ./params.yaml; exits with 10 on errors."""
    from fpplm.checks.console import show
    from fpplm.checks.validation import check_corpus
    from fpplm.project.template import settings_here
    from fpplm_core.data.notes import Notes
    from fpplm_core.data.reading import corpus_of_files
    from fpplm_core.errors import CheckFailed

    settings, notes = settings_here(overrides or []), Notes()
    given = {"train": files, "dev": [dev] if dev else [], "test": [test] if test else []}
    with tempfile.TemporaryDirectory() as folder:
        splits = {split: paths for split, paths in given.items() if paths}
        corpus, scheme, evidence = corpus_of_files(splits, settings.data, Path(folder), notes)
        report = check_corpus(corpus, scheme, settings.check, settings.model, settings.encode, docs)
    lines = [f"tag scheme {scheme}: {evidence}", *notes.lines()]
    if as_json:
        typer.echo(json.dumps(asdict(report) | {"notes": lines}, indent=2, ensure_ascii=False))
    else:
        typer.echo("\n".join(lines))
        show(report)
    if report.errors:
        raise CheckFailed(f"{report.errors} kind(s) of error", where=", ".join(map(str, files)))


@app.command()
def convert(
    source: Annotated[Path, typer.Argument(help="an annotated file, or a folder of brat's")],
    target: Annotated[Path, typer.Argument(help="a new file, or a new folder for brat")],
    from_format: Annotated[str, typer.Option("--from", help="a format; auto is told from the content")] = "auto",
    to_format: Annotated[str, typer.Option("--to", help="a format; auto is told from the suffix")] = "auto",
    scheme: Annotated[str, typer.Option(help="of the tags that are written; auto keeps what there is")] = "auto",
    repair: Annotated[Repair, typer.Option(help="what becomes of illegal transitions")] = "refuse",
    segmentation: Annotated[
        str, typer.Option(help="how text becomes words, as data.segmentation in params.yaml")
    ] = "unicode",
    misaligned: Annotated[Misaligned, typer.Option(help="mentions that are no whole words")] = "split",
    overlap: Annotated[Overlap, typer.Option(help="mentions that overlap")] = "refuse",
    word_column: Annotated[str | None, typer.Option(help="number (0-based, negative from the right) or name")] = None,
    tag_column: Annotated[str | None, typer.Option(help="likewise")] = None,
) -> None:
    """Writes annotated text in another format (docs/data.md) or tag scheme, and says what was changed."""
    from fpplm_core.data import segmenter
    from fpplm_core.data.conversion import convert as run
    from fpplm_core.data.options import Options

    columns = as_column(word_column), as_column(tag_column)
    segment = segmenter.segmentation(segmentation)
    options = Options(*columns, segment=segment, misaligned=misaligned, overlap=overlap)
    number = run(source, target, options, from_format, to_format, scheme, repair)
    typer.echo(f"{target}: {number} records")
    for line in options.notes.lines():
        typer.echo(line)


@app.command()
def review(
    folds: Annotated[int, typer.Option(min=0, help="0: dev and test alone; N: also train, by N trainings")] = 0,
    shown: Annotated[int, typer.Option(min=0, help="lines to show")] = 20,
) -> None:
    """After a training: probable errors of annotation, the most doubtful first; all of them in reports/review.jsonl."""
    from fpplm.studies.review import lines
    from fpplm.studies.review import review as review_annotations
    from fpplm_core.errors import ParamsError

    if folds == 1:
        raise ParamsError("one part leaves nothing to train on", where="--folds", got="1", do="use 0, or 2 and more")
    for line in lines(review_annotations(folds), shown):
        typer.echo(line)
