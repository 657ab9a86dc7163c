"""`fpplm predict`: it needs neither a project nor torch."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Literal

import typer

from fpplm.cli.bundle import AllowLinks, BundlePath, Device, Digest, Segmentation, Variant, load_segmenter
from fpplm.cli.flow import load_flow, require_project
from fpplm.cli.reading import SeparatorOption, TagColumn, WordColumn, as_column, name_options, naming_options
from fpplm_core.errors import DataError, ParamsError

app = typer.Typer()


@app.command()
def predict(
    context: typer.Context,
    bundle: BundlePath,
    inputs: Annotated[list[str], typer.Argument(help="files to tag; - reads standard input")],
    input_format: Annotated[
        str,
        typer.Option(
            "--format",
            help="text (one text per line), jsonl (one object per line, with `text`, or words in `tokens`), "
            "a format from docs/data.md, or auto, which reads standard input as text",
        ),
    ] = "auto",
    word_column: WordColumn = None,
    tag_column: TagColumn = None,
    separator: SeparatorOption = "auto",
    encoding: Annotated[str, typer.Option(help="encoding of the input, such as latin-1 or utf-16")] = "utf-8",
    on_error: Annotated[
        Literal["stop", "skip"],
        typer.Option(help="at a line that cannot be read: stop with exit code 3, or skip it and go on"),
    ] = "stop",
    to: Annotated[Literal["jsonl", "conll"], typer.Option(help="output format")] = "jsonl",
    output: Annotated[str, typer.Option("--output", "-o", help="output file; - writes to standard output")] = "-",
    device: Device = "auto",
    variant: Variant = "auto",
    segmenter: Segmentation = None,
    digest: Digest = None,
    allow_links: AllowLinks = False,
    explain: Annotated[
        bool,
        typer.Option(
            "--explain", help="write one line per word, with the tagger's label and the label language model's"
        ),
    ] = False,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="go on after the last complete record of --output, or of a file in --folder"),
    ] = False,
    shard: Annotated[
        str | None,
        typer.Option(help="i/n: tag only the i-th of n parts; in order, their outputs are that of one run"),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option(help="write one output per file to this folder, with the project's flow `predict`"),
    ] = None,
) -> None:
    """Tags text and writes one JSON line per text: entities with text, label, start, end (characters) and score."""
    from fpplm.prediction.formats import Placed
    from fpplm.prediction.inputs import accepted, read_all, reading_options, require_format
    from fpplm.prediction.lines import STDIN, known_encoding, require_files
    from fpplm.prediction.outputs import tag_texts
    from fpplm.prediction.records import without_unwritable
    from fpplm.prediction.shards import count_chunks, parse_shard, texts_of_shard
    from fpplm_core.data.notes import Notes
    from fpplm_core.serving import Predictor

    if folder is not None:
        unset = (digest, segmenter, word_column, tag_column, shard) == (None,) * 5
        others = (output, explain, input_format, variant, encoding, on_error, separator)
        if not unset or others != ("-", False, "auto", "auto", "utf-8", "stop", "auto"):
            do = "omit the others"
            raise ParamsError("only --to, --device and --resume may be combined with it", where="--folder", do=do)
        require_project()
        further = {"resume": True} if resume else {}  # which a project's older copy of the flow does not take
        load_flow("predict").predict(bundle, [Path(name) for name in inputs], folder, to, device, **further)
        return
    if resume and (output == "-" or explain):
        raise ParamsError(
            "nothing to resume", where="--resume", do="name the output file with --output and omit --explain"
        )
    part = None if shard is None else parse_shard(shard)
    if part and STDIN in inputs:
        raise ParamsError("standard input cannot be read twice", where="--shard", do="name files")
    encoding = known_encoding(encoding)
    with naming_options(context):
        require_format(input_format)
    predictor = Predictor.load(
        bundle, device, variant, segmenter=load_segmenter(segmenter), digest=digest, allow_links=allow_links
    )
    require_files(inputs, output)
    print(f"{predictor.variant} on {predictor.device}", file=sys.stderr)
    notes, skip = Notes(), on_error == "skip"
    columns = {"word_column": as_column(word_column), "tag_column": as_column(tag_column), "separator": separator}

    def found(notes: Notes) -> Iterator[Placed]:
        options = reading_options(predictor.word_ranges, notes=notes, **columns)
        for place, item in without_unwritable(read_all(inputs, input_format, options, encoding), to):
            yield place, name_options(context, item) if isinstance(item, DataError) else item

    with naming_options(context):
        texts = accepted(found(notes), skip)
        if part:
            texts = texts_of_shard(texts, part, count_chunks(found(Notes()), skip))
        try:
            progress(tag_texts(predictor, texts, output, to, resume, explain))
        finally:
            for line in notes.lines():
                print(line, file=sys.stderr)


def progress(counts: Iterable[int]) -> None:
    """Reports words tagged on stderr: continuously on a terminal, otherwise in one line at the end."""
    start, words = time.perf_counter(), 0
    live = sys.stderr.isatty()
    try:
        for count in counts:
            words += count
            if live:
                rate = words / (time.perf_counter() - start)
                print(f"\r{words:,} words, {rate:,.0f} words/s", end="", file=sys.stderr)
    finally:
        rate = words / max(1e-9, time.perf_counter() - start)
        print(f"{chr(13) if live else ''}{words:,} words, {rate:,.0f} words/s", file=sys.stderr)
