"""`fpplm queue`: it needs neither a project nor torch."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from fpplm.cli.bundle import AllowLinks, Device, Digest, Segmentation, Variant, load_segmenter
from fpplm.cli.predict import report_speed
from fpplm.cli.reading import EncodingOption, OnErrorOption, naming_options
from fpplm.terminal.progress import show_progress
from fpplm_core.escaping import printable
from fpplm_core.files import making

if TYPE_CHECKING:
    from fpplm_core.data.records import Sentence
    from fpplm_core.serving.entities import SegmentedText

app = typer.Typer()


@app.command(epilog="Example: fpplm queue texts.txt --n 200 --to label-studio --out tasks.json")
def queue(
    context: typer.Context,
    inputs: Annotated[list[str], typer.Argument(help="files of texts, as `fpplm predict` reads them; - reads stdin")],
    out: Annotated[Path, typer.Option(help="file to write")],
    to: Annotated[
        Literal["label-studio", "prodigy", "doccano", "jsonl"], typer.Option(help="annotation tool to write for")
    ],
    n: Annotated[int, typer.Option(min=1, help="number of texts to choose")] = 200,
    bundle: Annotated[Path, typer.Option(help="bundle folder")] = Path("bundle"),
    annotated: Annotated[
        list[str] | None,
        typer.Option(help="file of texts that are annotated already; in a project, those of train, dev and test are"),
    ] = None,
    input_format: Annotated[str, typer.Option("--format", help="format of the texts, as of `fpplm predict`")] = "auto",
    encoding: EncodingOption = "utf-8",
    on_error: OnErrorOption = "stop",
    device: Device = "auto",
    variant: Variant = "auto",
    segmenter: Segmentation = None,
    digest: Digest = None,
    allow_links: AllowLinks = False,
) -> None:
    """Chooses the texts to annotate next, uncertain and different ones, and writes them with the tagger's entities."""
    from fpplm.prediction.inputs import accepted, read_all, reading_options, require_format
    from fpplm.prediction.lines import known_encoding, require_files
    from fpplm.queue.candidates import POOL, Pool, fill, sentence_of
    from fpplm.queue.selection import choose
    from fpplm.queue.tasks import write_tasks
    from fpplm_core.data.notes import Notes
    from fpplm_core.data.overlap import HeldOut
    from fpplm_core.serving import Predictor

    encoding = known_encoding(encoding)
    with naming_options(context):
        require_format(input_format)
    require_files([*inputs, *(annotated or [])], str(out))
    predictor = Predictor.load(
        bundle, device, variant, segmenter=load_segmenter(segmenter), digest=digest, allow_links=allow_links
    )
    print(f"{predictor.variant} on {predictor.device}", file=sys.stderr)
    notes, pool = Notes(), Pool(POOL * n)

    def texts(names: list[str], kind: str, notes: Notes) -> Iterator[SegmentedText]:
        found = read_all(names, kind, reading_options(predictor.word_ranges, notes=notes), encoding)
        return accepted(found, on_error == "skip")

    with naming_options(context), show_progress("queue"):
        known = HeldOut(chain(corpus_here(), map(sentence_of, texts(annotated or [], "auto", Notes()))))
        report_speed(fill(pool, predictor, texts(inputs, input_format, notes), known, notes))
    chosen = choose(pool.best(), n)
    with making(out):
        write_tasks(chosen, out, to, predictor.bundle.manifest["digest"][:12])
    for line in notes.lines():
        print(line, file=sys.stderr)
    said = f"{len(chosen):,} texts" if len(chosen) == n else f"{len(chosen):,} of {n:,} texts (no other is new)"
    typer.echo(printable(f"{out}: {said} for {to}"))


def corpus_here() -> Iterator[Sentence]:
    """The sentences of train, dev and test in this folder's project, if its stage read has run."""
    from fpplm.pipeline.paths import CORPUS

    if not (CORPUS / "train.parquet").exists():
        return
    from fpplm_core.data.corpus import SPLITS, stream_corpus

    for split in SPLITS:
        yield from stream_corpus(split, CORPUS)
