"""The commands of `fpplm` that use a bundle: they need neither a project nor torch."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import asdict
from itertools import chain, islice
from pathlib import Path
from typing import Annotated

import typer

from fpplm.cli.flow import announce, load_flow, require_project
from fpplm_core.errors import ParamsError
from fpplm_core.tagging.words import Segmenter

app = typer.Typer()


def as_column(given: str | None) -> int | str | None:
    """Converts a column given as text to its number, or keeps it as a name."""
    return int(given) if given is not None and given.lstrip("-").isdigit() else given


Device = Annotated[str, typer.Option(help="device to run on: auto, cpu, cuda or tensorrt")]
Variant = Annotated[str, typer.Option(help="model variant: auto, fp32, fp16, int8 or mixed")]
Segmentation = Annotated[
    str | None,
    typer.Option("--segmenter", help="MODULE:FUNCTION of your own segmenter, for a bundle that was trained with it"),
]
BundlePath = Annotated[Path, typer.Argument(help="bundle folder, such as ./bundle")]


def load_segmenter(name: str | None) -> Segmenter | None:
    """The function that --segmenter names. Raises ParamsError."""
    from fpplm_core.data import segmenter

    return None if name is None else segmenter.load_segmenter(name, "--segmenter")


@app.command()
def predict(
    bundle: BundlePath,
    inputs: Annotated[list[str], typer.Argument(help="files to tag; - reads standard input")],
    input_format: Annotated[
        str,
        typer.Option(
            "--format",
            help="text (one text per line), jsonl (objects with a `text` key), a format from docs/data.md, or auto",
        ),
    ] = "auto",
    to: Annotated[str, typer.Option(help="output format: jsonl or conll")] = "jsonl",
    output: Annotated[str, typer.Option("--output", "-o", help="output file; - writes to standard output")] = "-",
    device: Device = "auto",
    variant: Variant = "auto",
    segmenter: Segmentation = None,
    explain: Annotated[
        bool,
        typer.Option(
            "--explain", help="write one line per word, with the tagger's label and the label language model's"
        ),
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="continue an interrupted run at the end of --output")
    ] = False,
    folder: Annotated[
        Path | None,
        typer.Option(help="write one output per file to this folder, with the project's flow `predict`"),
    ] = None,
) -> None:
    """Tags text and writes one JSON line per text: entities with text, label, start, end (characters) and score."""
    from fpplm.prediction.inputs import read
    from fpplm.prediction.outputs import cut_to_chunks, write_conll, write_explained, write_jsonl
    from fpplm_core.serving import Predictor

    if to not in ("jsonl", "conll"):
        raise ParamsError("unknown output format", where="--to", got=repr(to), do="use jsonl or conll")
    if resume and (output == "-" or explain):
        raise ParamsError(
            "nothing to resume", where="--resume", do="name the output file with --output and omit --explain"
        )
    if folder is not None:
        if (output, explain, resume, input_format, variant) != ("-", False, False, "auto", "auto"):
            raise ParamsError("only --to and --device may be combined with it", where="--folder", do="omit the others")
        require_project()
        load_flow("predict").predict(bundle, [Path(name) for name in inputs], folder, to, device)
        return
    predictor = Predictor.load(bundle, device, variant, segmenter=load_segmenter(segmenter))
    print(f"{predictor.variant} on {predictor.device}", file=sys.stderr)
    done = cut_to_chunks(Path(output), to) if resume else 0
    with nullcontext(sys.stdout) if output == "-" else Path(output).open("a" if done else "w", encoding="utf-8") as out:
        write = write_jsonl if to == "jsonl" else write_conll
        write = write_explained if explain else write
        every = chain.from_iterable(read(name, input_format, predictor.segment) for name in inputs)
        progress(write(predictor, islice(every, done, None), out))


def progress(counts: Iterable[int]) -> None:
    """Reports words tagged on stderr: continuously on a terminal, otherwise in one line at the end."""
    start, words = time.perf_counter(), 0
    live = sys.stderr.isatty()
    for count in counts:
        words += count
        if live:
            print(f"\r{words:,} words, {words / (time.perf_counter() - start):,.0f} words/s", end="", file=sys.stderr)
    rate = words / max(1e-9, time.perf_counter() - start)
    print(f"{chr(13) if live else ''}{words:,} words, {rate:,.0f} words/s", file=sys.stderr)


@app.command()
def evaluate(
    bundle: BundlePath,
    file: Annotated[Path, typer.Argument(help="annotated file to score on")],
    input_format: Annotated[
        str, typer.Option("--format", help="a format from docs/data.md, or auto to detect it")
    ] = "auto",
    word_column: Annotated[
        str | None, typer.Option(help="column of words: number (0-based, negative from the right) or name")
    ] = None,
    tag_column: Annotated[str | None, typer.Option(help="column of tags: number or name")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print all scores as JSON")] = False,
    device: Device = "auto",
    variant: Variant = "auto",
    segmenter: Segmentation = None,
) -> None:
    """Scores a bundle on an annotated file: seqeval's strict span scores, overall and by type."""
    announce(f"scoring {bundle} on {file}")
    from fpplm.prediction.outputs import tags_words
    from fpplm_core.data.formats import read_sentences
    from fpplm_core.data.options import Options
    from fpplm_core.evaluation.scores import TypeScore, gold_spans, score_spans
    from fpplm_core.serving import Predictor
    from fpplm_core.tagging.spans import Span

    predictor = Predictor.load(bundle, device, variant, segmenter=load_segmenter(segmenter))
    options = Options(as_column(word_column), as_column(tag_column), segment=predictor.word_ranges)
    sentences = list(read_sentences(file, input_format, options))
    if tags_words(predictor.labels):
        gold = [[Span(i, i + 1, tag) for i, tag in enumerate(s.tags)] for s in sentences]
    else:
        gold = gold_spans(sentences)
    tagged = predictor.tag([s.words for s in sentences], [s.document for s in sentences])
    scores = score_spans(sentences, gold, [[span for span, _ in row] for row in tagged], set())
    if as_json:
        typer.echo(json.dumps(asdict(scores), indent=2, ensure_ascii=False))
        return
    micro = TypeScore(scores.f1, scores.precision, scores.recall, sum(map(len, gold)))
    typer.echo(f"{'type':<16}{'precision':>10}{'recall':>10}{'F1':>10}{'mentions':>10}")
    for name, row in {**scores.types, "all (micro)": micro}.items():
        typer.echo(f"{name:<16}{row.precision:>10.4f}{row.recall:>10.4f}{row.f1:>10.4f}{row.support:>10}")
    interval = f"micro F1 interval [{scores.f1_low:.4f}, {scores.f1_high:.4f}]"
    typer.echo(f"{interval}, token accuracy {scores.token_accuracy:.4f}, {predictor.variant}")
