"""`fpplm pretrain`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fpplm.cli.common import announce, require_project
from fpplm_core.errors import DataError
from fpplm_core.escaping import printable

app = typer.Typer()


@app.command(epilog="Example: fpplm pretrain ../corpora/wnut17 ../corpora/gum --out models/ner")
def pretrain(
    corpora: Annotated[
        list[Path], typer.Argument(help="folders of annotated corpora: train.*, and dev.* and test.* if there are any")
    ],
    out: Annotated[Path, typer.Option(help="new folder for the encoder, which model.encoder can name")],
    held_out: Annotated[
        list[Path] | None,
        typer.Option(help="annotated file that the encoder must not learn from, besides the project's dev and test"),
    ] = None,
    gazetteer: Annotated[
        list[str] | None,
        typer.Option(metavar="TYPE=FILE", help="names of this type, one a line, that count as entities in --text"),
    ] = None,
    text: Annotated[Path | None, typer.Option(help="plain text, one sentence a line, as one more corpus")] = None,
    steps: Annotated[int, typer.Option(min=1, help="steps of train.batch_pieces pieces")] = 3000,
) -> None:
    """Trains the encoder of params.yaml on other annotated corpora, whatever their labels, before yours."""
    require_project()
    gazetteers = [gazetteer_of(given) for given in gazetteer or ()]
    if bool(gazetteers) != bool(text) or (text and not text.exists()):
        do = "give an existing file or folder, and --gazetteer with it"
        raise DataError("text and gazetteers go together", where="--text", got=str(text), do=do)
    announce("pretraining")
    from fpplm.session.pretraining import RECORD, pretrain
    from fpplm.terminal.progress import show_progress
    from fpplm_core.params import load

    with show_progress("pretraining"):
        record = pretrain(load(), corpora, held_out or [], steps, out, gazetteers, text)
    for row in record.corpora:
        left_out = f", {row.left_out:,} like held-out ones left out" if row.left_out else ""
        said = f"{row.name}: {row.sentences:,} sentences{left_out}, {row.steps:,} steps, dev F1 {row.dev_f1:.4f}"
        typer.echo(printable(said))
    typer.echo(printable(f"{out}: the encoder and {RECORD}; next: fpplm retrain --set model.encoder={out}"))


def gazetteer_of(given: str) -> tuple[str, Path]:
    """The type and the file of TYPE=FILE. Raises DataError."""
    kind, _, file = given.partition("=")
    if not kind or not Path(file).is_file():
        raise DataError("not the type and the file of a gazetteer", where="--gazetteer", got=given, do="use TYPE=FILE")
    return kind, Path(file)
