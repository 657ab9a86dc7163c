"""`fpplm predict`: it needs neither a project nor torch."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Literal

import typer

from fpplm.cli.bundle import AllowLinks, BundlePath, Device, Digest, Segmentation, Threads, Variant, load_segmenter
from fpplm.cli.common import require_project, run_flow
from fpplm.cli.reading import (
    EncodingOption,
    OnErrorOption,
    SeparatorOption,
    TagColumn,
    WordColumn,
    as_column,
    name_options,
    naming_options,
)
from fpplm.terminal.progress import show_progress
from fpplm_core.errors import DataError, ParamsError

app = typer.Typer()


@app.command(epilog="Example: fpplm predict bundle texts.txt --output entities.jsonl")
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
    encoding: EncodingOption = "utf-8",
    on_error: OnErrorOption = "stop",
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
        str | None,
        typer.Option(help="write one output per file to this folder, with the project's flow `predict`; or see --ray"),
    ] = None,
    cluster: Annotated[
        str | None,
        typer.Option("--ray", help="tag on a Ray cluster into --folder: auto, HOST:PORT, or local, which starts one"),
    ] = None,
    sketch: Annotated[
        Path | None,
        typer.Option(help="write counts of these texts to this file, for fpplm drift: no text and no word"),
    ] = None,
    threads: Threads = None,
) -> None:
    """Tags text and writes one JSON line per text: entities with text, label, start, end (characters) and score."""
    from fpplm.prediction.formats import Placed
    from fpplm.prediction.inputs import accepted, read_all, reading_options, require_format
    from fpplm.prediction.lines import STDIN, known_encoding, require_files, require_folder, require_rereadable
    from fpplm.prediction.outputs import tag_texts
    from fpplm.prediction.records import without_unwritable
    from fpplm.prediction.shards import count_chunks, parse_shard, texts_of_shard
    from fpplm.prediction.sketches import sketching
    from fpplm_core.data.notes import Notes
    from fpplm_core.serving import Predictor

    if cluster is not None:
        allowed = {"device", "variant", "digest", "allow_links", "on_error", "resume", "folder", "threads"}
        require_alone(context, "--ray", allowed)
        if folder is None:
            raise ParamsError("needs --folder, which takes one output per part", where="--ray")
        from fpplm.prediction.cluster import Options, tag_on_cluster

        options = Options.of(bundle, device, variant, digest, allow_links, threads or 1, on_error == "skip")
        with show_progress("predict"):
            report_speed(tag_on_cluster(cluster, inputs, folder, options, resume))
        return
    if folder is not None:
        require_alone(context, "--folder", {"to", "device", "resume"})
        require_project()
        require_folder(Path(folder))
        run_flow(
            "predict",
            bundle=bundle,
            sources=[Path(name) for name in inputs],
            folder=Path(folder),
            kind=to,
            device=device,
            resume=resume,
        )
        return
    if resume and (output == "-" or explain):
        raise ParamsError(
            "nothing to resume", where="--resume", do="name the output file with --output and omit --explain"
        )
    require_whole(sketch, resume, explain)
    part = None if shard is None else parse_shard(shard)
    encoding = known_encoding(encoding)
    with naming_options(context):
        require_format(input_format)
    require_files(inputs, output, str(sketch or STDIN))
    if part:
        require_rereadable(inputs)
    predictor = Predictor.load(
        bundle, device, variant, threads, load_segmenter(segmenter), digest=digest, allow_links=allow_links
    )
    print(f"{predictor.variant} on {predictor.device}", file=sys.stderr)
    notes, skip = Notes(), on_error == "skip"
    columns = {"word_column": as_column(word_column), "tag_column": as_column(tag_column), "separator": separator}

    def found(notes: Notes) -> Iterator[Placed]:
        options = reading_options(predictor.word_ranges, notes=notes, **columns)
        for place, item in without_unwritable(read_all(inputs, input_format, options, encoding), to):
            yield place, name_options(context, item) if isinstance(item, DataError) else item

    with naming_options(context), sketching(sketch, predictor) as counts, show_progress("predict"):
        texts = accepted(found(notes), skip)
        if part:
            texts = texts_of_shard(texts, part, count_chunks(found(Notes()), skip))
        try:
            report_speed(tag_texts(predictor, texts, output, to, resume, explain, counts))
        finally:
            for line in notes.lines():
                print(line, file=sys.stderr)


def require_whole(sketch: Path | None, resume: bool, explain: bool) -> None:
    """Raises ParamsError if the sketch would not count all texts of the output."""
    if sketch and (resume or explain):
        got = "--resume" if resume else "--explain"
        raise ParamsError("would not count all texts", where="--sketch", got=got, do="omit one of the two")


def report_speed(counts: Iterable[int]) -> None:
    """Reports the words tagged, and words per second, on stderr at the end, also where an error ends it."""
    start, words = time.perf_counter(), 0
    try:
        for count in counts:
            words += count
    finally:
        rate = words / max(1e-9, time.perf_counter() - start)
        print(f"{words:,} words, {rate:,.0f} words/s", file=sys.stderr)


def require_alone(context: typer.Context, option: str, allowed: set[str]) -> None:
    """Raises ParamsError if the command line also has an option that does not go with this one."""
    others = []
    for parameter in context.command.params:
        source = context.get_parameter_source(str(parameter.name))
        typed = source is not None and source.name == "COMMANDLINE" and parameter.param_type_name == "option"
        if typed and parameter.name not in allowed and option not in parameter.opts:
            others.append(parameter.opts[0])
    if others:
        raise ParamsError("these options do not go with it", where=option, got=", ".join(others), do="omit them")
