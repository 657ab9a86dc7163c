"""The commands of `fpplm` that use a bundle: they need neither a project nor torch."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer

from fpplm.cli.common import announce
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
from fpplm_core.files import making
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
Threads = Annotated[
    int | None,
    typer.Option(min=1, help="CPU threads; by default all cores, or with predict --ray 1 in each process"),
]
BundlePath = Annotated[Path, typer.Argument(help="bundle folder, such as ./bundle")]


def load_segmenter(name: str | None) -> Segmenter | None:
    """The function that --segmenter names. Raises ParamsError."""
    from fpplm_core.data import segmenter

    return None if name is None else segmenter.load_segmenter(name, "--segmenter")


copies = typer.Typer(no_args_is_help=True)
app.add_typer(copies, name="bundle", help="Writes copies of a bundle for other servers.")
NewFolder = Annotated[Path, typer.Argument(help="new or empty folder")]


@copies.command(epilog="Example: fpplm bundle triton bundle models/")
def triton(
    bundle: BundlePath,
    folder: NewFolder,
    name: Annotated[str, typer.Option(help="name of the model that answers with entities")] = "tagger",
    allow_links: AllowLinks = False,
) -> None:
    """Writes a model repository for Triton Inference Server: a model from texts to entities, and one of the graph."""
    from fpplm_core.export.copies import write_triton_repository
    from fpplm_core.serving import open_bundle

    opened = open_bundle(bundle, allow_links=allow_links)
    with making(folder):
        write_triton_repository(opened, folder, name)
    typer.echo(printable(f"{folder}: the models {name} (texts) and {name}_graph (pieces)"))


@copies.command(epilog="Example: fpplm bundle export bundle hub/ --to hf")
def export(
    bundle: BundlePath,
    folder: NewFolder,
    to: Annotated[Literal["hf"], typer.Option(help="hf: a repository for the Hugging Face hub")] = "hf",
    allow_links: AllowLinks = False,
) -> None:
    """Writes a repository for the Hugging Face hub, which can be uploaded as it is."""
    from fpplm_core.export.copies import write_hub_repository
    from fpplm_core.serving import open_bundle

    opened = open_bundle(bundle, allow_links=allow_links)
    with making(folder):
        unsigned = write_hub_repository(opened, folder)
    typer.echo(printable(f"{folder}: upload it with hf upload, or git push"))
    if unsigned:
        said = "the signature is left out, because .gitattributes was added: sign the folder again, fpplm sign"
        typer.echo(printable(f"{said} {folder}"))


@app.command(epilog="Example: fpplm evaluate bundle data/wikigold/test.conll")
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
    threads: Threads = None,
) -> None:
    """Scores a bundle on an annotated file: seqeval's strict span scores, overall and by type."""
    announce(f"scoring {bundle} on {file}")
    from fpplm.prediction.evaluation import read_gold
    from fpplm.terminal.progress import show_progress
    from fpplm.terminal.tables import table
    from fpplm_core.data.options import Options
    from fpplm_core.evaluation.scorer import score_spans
    from fpplm_core.evaluation.scores import TypeScore
    from fpplm_core.serving import Predictor

    predictor = Predictor.load(
        bundle, device, variant, threads, load_segmenter(segmenter), digest=digest, allow_links=allow_links
    )
    columns = as_column(word_column), as_column(tag_column)
    options = Options(*columns, separator, predictor.word_ranges, misaligned, overlap)
    with naming_options(context):
        sentences, gold = read_gold(file, input_format, options, predictor.labels, scheme, repair)
    with show_progress("evaluate"):
        tagged = predictor.tag([s.words for s in sentences], [s.document for s in sentences])
    scores = score_spans(sentences, gold, [[span for span, _ in row] for row in tagged], set())
    notes = list(options.notes.lines())
    if as_json:
        typer.echo(json.dumps(asdict(scores) | {"notes": notes}, indent=2, ensure_ascii=False))
        return
    for line in notes:
        typer.echo(line)
    micro = TypeScore(scores.f1, scores.precision, scores.recall, sum(map(len, gold)))
    rows = [
        (name, f"{row.precision:.4f}", f"{row.recall:.4f}", f"{row.f1:.4f}", f"{row.support:,}")
        for name, row in {**scores.types, "all (micro)": micro}.items()
    ]
    typer.echo(table(("type", "precision", "recall", "F1", "mentions"), rows))
    interval = f"micro F1 interval [{scores.f1_low:.4f}, {scores.f1_high:.4f}]"
    typer.echo(f"{interval}, token accuracy {scores.token_accuracy:.4f}, {predictor.variant}")
