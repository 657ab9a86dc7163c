"""The commands of `fpplm` that use a bundle: they need neither a project nor torch."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer

from fpplm.cli.flow import announce, load_flow, require_project
from fpplm.cli.reading import (
    MisalignedOption,
    OverlapOption,
    RepairOption,
    SeparatorOption,
    TagColumn,
    WordColumn,
    as_column,
    name_options,
    naming_options,
)
from fpplm_core.errors import DataError, ParamsError
from fpplm_core.escaping import printable
from fpplm_core.tagging.words import Segmenter

app = typer.Typer()
Device = Annotated[str, typer.Option(help="device to run on: auto, cpu, cuda or tensorrt")]
Variant = Annotated[str, typer.Option(help="model variant: auto, fp32, fp16 or int8")]
Segmentation = Annotated[
    str | None,
    typer.Option("--segmenter", help="MODULE:FUNCTION of your own segmenter, for a bundle that was trained with it"),
]
Digest = Annotated[
    str | None,
    typer.Option("--digest", help="`digest` in manifest.json of the only bundle to accept"),
]
AllowLinks = Annotated[
    bool, typer.Option("--allow-links", help="accept links to files, as in DVC's and the hub's caches")
]
BundlePath = Annotated[Path, typer.Argument(help="bundle folder, such as ./bundle")]


def load_segmenter(name: str | None) -> Segmenter | None:
    """The function that --segmenter names. Raises ParamsError."""
    from fpplm_core.data import segmenter

    return None if name is None else segmenter.load_segmenter(name, "--segmenter")


copies = typer.Typer(no_args_is_help=True)
app.add_typer(copies, name="bundle", help="Writes copies of a bundle for other servers.")
NewFolder = Annotated[Path, typer.Argument(help="new or empty folder")]


@copies.command()
def triton(
    bundle: BundlePath,
    folder: NewFolder,
    name: Annotated[str, typer.Option(help="name of the model that answers with entities")] = "tagger",
    allow_links: AllowLinks = False,
) -> None:
    """Writes a model repository for Triton Inference Server: a model from texts to entities, and one of the graph."""
    from fpplm_core.export.copies import write_triton_repository
    from fpplm_core.serving import open_bundle

    write_triton_repository(open_bundle(bundle, allow_links=allow_links), folder, name)
    typer.echo(f"{folder}: the models {name} (texts) and {name}_graph (pieces)")


@copies.command()
def export(
    bundle: BundlePath,
    folder: NewFolder,
    to: Annotated[Literal["hf"], typer.Option(help="hf: a repository for the Hugging Face hub")] = "hf",
    allow_links: AllowLinks = False,
) -> None:
    """Writes a repository for the Hugging Face hub, which can be uploaded as it is."""
    from fpplm_core.export.copies import write_hub_repository
    from fpplm_core.serving import open_bundle

    write_hub_repository(open_bundle(bundle, allow_links=allow_links), folder)
    typer.echo(f"{folder}: upload it with hf upload, or git push")


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


@app.command()
def evaluate(
    context: typer.Context,
    bundle: BundlePath,
    file: Annotated[Path, typer.Argument(help="annotated file to score on")],
    input_format: Annotated[
        str, typer.Option("--format", help="a format from docs/data.md, or auto to detect it")
    ] = "auto",
    word_column: WordColumn = None,
    tag_column: TagColumn = None,
    separator: SeparatorOption = "auto",
    scheme: Annotated[str, typer.Option(help="tag scheme of the file, or auto to detect it")] = "auto",
    repair: RepairOption = "conlleval",
    misaligned: MisalignedOption = "refuse",
    overlap: OverlapOption = "refuse",
    as_json: Annotated[bool, typer.Option("--json", help="print all scores as JSON")] = False,
    device: Device = "auto",
    variant: Variant = "auto",
    segmenter: Segmentation = None,
    digest: Digest = None,
    allow_links: AllowLinks = False,
) -> None:
    """Scores a bundle on an annotated file: seqeval's strict span scores, overall and by type."""
    announce(f"scoring {bundle} on {file}")
    from fpplm.prediction.evaluation import read_gold
    from fpplm_core.data.options import Options
    from fpplm_core.evaluation.scores import TypeScore, score_spans
    from fpplm_core.serving import Predictor

    predictor = Predictor.load(
        bundle, device, variant, segmenter=load_segmenter(segmenter), digest=digest, allow_links=allow_links
    )
    columns = as_column(word_column), as_column(tag_column)
    options = Options(*columns, separator, predictor.word_ranges, misaligned, overlap)
    with naming_options(context):
        sentences, gold = read_gold(file, input_format, options, predictor.labels, scheme, repair)
    tagged = predictor.tag([s.words for s in sentences], [s.document for s in sentences])
    scores = score_spans(sentences, gold, [[span for span, _ in row] for row in tagged], set())
    notes = list(options.notes.lines())
    if as_json:
        typer.echo(json.dumps(asdict(scores) | {"notes": notes}, indent=2, ensure_ascii=False))
        return
    for line in notes:
        typer.echo(line)
    micro = TypeScore(scores.f1, scores.precision, scores.recall, sum(map(len, gold)))
    typer.echo(f"{'type':<16}{'precision':>10}{'recall':>10}{'F1':>10}{'mentions':>10}")
    for name, row in {**scores.types, "all (micro)": micro}.items():
        typer.echo(f"{printable(name):<16}{row.precision:>10.4f}{row.recall:>10.4f}{row.f1:>10.4f}{row.support:>10}")
    interval = f"micro F1 interval [{scores.f1_low:.4f}, {scores.f1_high:.4f}]"
    typer.echo(f"{interval}, token accuracy {scores.token_accuracy:.4f}, {predictor.variant}")
