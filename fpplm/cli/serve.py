"""The command `fpplm serve`: it needs neither a project nor torch."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from fpplm.cli.bundle import AllowLinks, BundlePath, Device, Digest, Segmentation, Variant, load_segmenter
from fpplm.cli.flow import announce
from fpplm.service.limits import Limits

app = typer.Typer()


Host = Annotated[str, typer.Option(help="address to listen on; whoever reaches it can use the model")]
Deadline = Annotated[float, typer.Option(min=0.01, help="seconds after which a request gets 503 instead of an answer")]
Wait = Annotated[float, typer.Option(min=0, help="milliseconds that a request waits for others to share its batch")]


@app.command()
def serve(
    bundle: BundlePath,
    host: Host = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="port to listen on; 0 takes a free one")] = 8000,
    name: Annotated[str, typer.Option(help="name of the model in /v2/models/NAME")] = "tagger",
    device: Device = "auto",
    variant: Variant = "auto",
    threads: Annotated[int | None, typer.Option(min=1, help="number of cores to use; all by default")] = None,
    max_body: Annotated[int, typer.Option(min=1, help="largest request, in bytes")] = Limits.body,
    max_texts: Annotated[int, typer.Option(min=1, help="most texts in a request")] = Limits.texts,
    max_characters: Annotated[int, typer.Option(min=1, help="longest text, in characters")] = Limits.characters,
    queue: Annotated[int, typer.Option(min=1, help="characters that may wait; more get 503")] = Limits.queue,
    deadline: Deadline = Limits.deadline,
    wait: Wait = Limits.wait * 1000,
    segmenter: Segmentation = None,
    digest: Digest = None,
    allow_links: AllowLinks = False,
) -> None:
    """Serves a bundle over HTTP: POST /predict, the Open Inference Protocol, metrics, and a page to try it."""
    announce(f"loading {bundle}")
    from functools import partial

    from fpplm.schedule.access import listening_address, url
    from fpplm.service.app import Service
    from fpplm.service.metrics import Metrics
    from fpplm.service.model import load_model
    from fpplm.service.server import bind, run
    from fpplm_core.serving import Predictor

    limits = Limits(max_body, max_texts, max_characters, queue, deadline, wait / 1000)
    listener = bind(listening_address(host, port)[0], port)
    load = partial(
        Predictor.load,
        device=device,
        variant=variant,
        threads=threads,
        segmenter=load_segmenter(segmenter),
        digest=digest,
        allow_links=allow_links,
    )
    metrics = Metrics()
    model = load_model(name, bundle, load, limits, metrics, "served")
    what = f"{model.name} {model.version}, {model.predictor.variant} on {model.predictor.device}"
    print(f"{what}, at {url(*listener.getsockname()[:2])}", file=sys.stderr, flush=True)
    run(Service(model, limits, metrics), listener)
