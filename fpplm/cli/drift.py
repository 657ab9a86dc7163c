"""`fpplm drift`: it needs a bundle, and a project only for a version."""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from operator import add
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fpplm.cli.bundle import AllowLinks, Digest
from fpplm.cli.common import bundle_named
from fpplm.terminal.tables import Section, as_text
from fpplm_core.errors import CheckFailed, DataError

if TYPE_CHECKING:
    from fpplm_core.evaluation.drift import Drift, FeatureDrift

MIN_DISTANCE, ALPHA = 0.02, 0.05

app = typer.Typer()
Sketches = Annotated[
    list[Path], typer.Argument(help="files of fpplm predict --sketch or fpplm serve --sketches; several add up")
]
BundleName = Annotated[
    str, typer.Option(help="bundle that tagged these texts: folder, or registered version, such as v1 or production")
]
MinDistance = Annotated[float, typer.Option(min=0, max=1, help="smallest Jensen-Shannon distance that matters")]
Alpha = Annotated[float, typer.Option(min=0.001, max=0.5, help="chance of an alarm where nothing has drifted")]
Emit = Annotated[bool, typer.Option("--emit", help="tell Prefect's server, where `fpplm schedule --when drift` waits")]


@app.command(epilog="Example: fpplm drift monday.json --bundle production")
def drift(
    sketches: Sketches,
    bundle: BundleName = "bundle",
    min_distance: MinDistance = MIN_DISTANCE,
    alpha: Alpha = ALPHA,
    emit: Emit = False,
    digest: Digest = None,
    allow_links: AllowLinks = False,
) -> None:
    """Compares the texts that a tagger saw with its training data; exit code 10 if a difference matters."""
    from fpplm_core.evaluation.drift import compare_sketches
    from fpplm_core.serving.bundle import open_bundle
    from fpplm_core.serving.sketch import read_reference, read_sketch

    opened = open_bundle(bundle_named(bundle), digest, allow_links or not Path(bundle).is_dir())
    try:
        live = reduce(add, map(read_sketch, sketches))
        found = compare_sketches(read_reference(opened, live), live, min_distance, alpha)
    except DataError as error:
        raise error.replace(where=error.where or ", ".join(map(str, sketches))) from None
    typer.echo(as_text(sections_of(found)))
    if names := ", ".join(one.feature for one in found.matters):
        if emit:
            from fpplm.schedule.events import emit_drift

            typer.echo(emit_drift(found, opened.manifest["digest"]))
        do = "annotate such texts (docs/deploy.md), then run: fpplm retrain"
        raise CheckFailed("the texts have drifted from the training data", got=names, do=do)


def sections_of(found: Drift) -> Iterator[Section]:
    head = ("feature", "distance", "95 % interval", "p", "", "changed most: share in training data, and now")
    title = f"{found.texts:,} texts, {found.words:,} words, compared with the training data"
    yield Section(title, head, [row_of(one) for one in found.features])
    if found.skipped:
        yield Section(f"not compared, as too few texts have them: {', '.join(found.skipped)}")


def row_of(one: FeatureDrift) -> tuple[str, ...]:
    shares = [(change.bin, f"{change.before:.1%}", f"{change.after:.1%}") for change in one.changes]
    changes = ", ".join(f"{name} {before} to {after}" for name, before, after in shares if before != after)
    interval, mark = f"[{one.low:.3f}, {one.high:.3f}]", "drifted" if one.matters else ""
    return one.feature, f"{one.distance:.3f}", interval, f"{one.p:.4f}", mark, changes
