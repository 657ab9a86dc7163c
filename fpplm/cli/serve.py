"""The command `fpplm serve`: it needs neither a project nor torch."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from fpplm.cli.bundle import AllowLinks, Device, Digest, Segmentation, Variant, load_segmenter
from fpplm.cli.common import announce, require_project
from fpplm.service.limits import Limits
from fpplm_core.errors import ParamsError

app = typer.Typer()
LONGEST = 86_400  # s that a request or a batch may wait
Host = Annotated[str, typer.Option(help="address to listen on; whoever reaches it can use the model")]
Deadline = Annotated[float, typer.Option(min=0.01, help="seconds after which a request gets 503 instead of an answer")]
Wait = Annotated[float, typer.Option(min=0, help="longest wait of a batch for more requests, in milliseconds")]
Watch = Annotated[bool, typer.Option("--watch", help="change to a new version when the folder or production changes")]
Report = Annotated[Path | None, typer.Option(help="JSON file for the differences and latencies of both models")]


@app.command(epilog="Example: fpplm serve bundle --port 8080")
def serve(
    bundle: Annotated[Path, typer.Argument(help="bundle folder, or `production` for this project's version there")],
    host: Host = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="port to listen on; 0 takes a free one")] = 8000,
    name: Annotated[str, typer.Option(help="name of the model in /v2/models/NAME")] = "tagger",
    device: Device = "auto",
    variant: Variant = "auto",
    threads: Annotated[int | None, typer.Option(min=1, help="number of cores to use; all by default")] = None,
    max_body: Annotated[int, typer.Option(min=1, help="largest request, in bytes")] = Limits.body,
    max_texts: Annotated[int, typer.Option(min=1, help="most texts in a request")] = Limits.texts,
    max_characters: Annotated[int, typer.Option(min=1, help="longest text, in characters")] = Limits.characters,
    queue: Annotated[int, typer.Option(min=1, help="characters that may wait; then requests get 503")] = Limits.queue,
    deadline: Deadline = Limits.deadline,
    wait: Wait = Limits.wait * 1000,
    watch: Watch = False,
    shadow: Annotated[Path | None, typer.Option(help="second bundle, to compare with the first")] = None,
    shadow_share: Annotated[float, typer.Option(min=0, max=1, help="share of the requests, from 0 to 1")] = 0.1,
    shadow_report: Report = None,
    shadow_texts: Annotated[bool, typer.Option("--shadow-texts", help="write texts into the report too")] = False,
    sketches: Annotated[
        Path | None, typer.Option(help="folder for counts of the texts, for fpplm drift: no text and no word")
    ] = None,
    segmenter: Segmentation = None,
    digest: Digest = None,
    allow_links: AllowLinks = False,
) -> None:
    """Serves a bundle over HTTP: POST /predict, the Open Inference Protocol, metrics, and a demo page."""
    for option, seconds in (("--deadline", deadline), ("--wait", wait / 1000)):
        if seconds > LONGEST:
            do = f"use at most {LONGEST:,} s"
            raise ParamsError("not a time to wait", where=option, got=f"{seconds:g} s", do=do)
    if watch and digest:
        raise ParamsError("accepts only one bundle", where="--digest", do="omit --watch or --digest")
    if shadow_report and not shadow:
        raise ParamsError("there is no shadow to report on", where="--shadow-report", do="name a bundle with --shadow")
    if shadow_report and not shadow_report.resolve().parent.is_dir():
        raise ParamsError("its folder does not exist", where="--shadow-report", got=str(shadow_report), do="make it")
    announce(f"loading {bundle}")
    from functools import partial

    from fpplm.service import sources, watching
    from fpplm.service.address import listening_address, url
    from fpplm.service.app import Service
    from fpplm.service.metrics import Metrics
    from fpplm.service.model import load_model
    from fpplm.service.server import CONNECTIONS, bind, run
    from fpplm.service.shadow import Shadow
    from fpplm.service.sketches import write_sketches
    from fpplm_core.export.copies import require_model_name
    from fpplm_core.serving import Predictor
    from fpplm_core.serving.onnx_session import cores

    require_model_name(name)
    limits = Limits(max_body, max_texts, max_characters, queue, deadline, wait / 1000)
    listener = bind(listening_address(host, port)[0], port)
    source = sources.source_of(bundle, require_project)
    own = load_segmenter(segmenter)
    links = allow_links or isinstance(source, sources.Production)
    load = partial(
        Predictor.load,
        device=device,
        variant=variant,
        threads=threads or cores(),
        segmenter=own,
        digest=digest,
        allow_links=links,
    )
    metrics = Metrics()
    open_model = partial(load_model, name, limits=limits, metrics=metrics)
    seen, second = source.state() if watch else None, None
    open_served = partial(open_model, load, "served", sketches=sketches)
    model = open_served(source.path())
    if shadow:
        beside = open_model(partial(load, digest=None, allow_links=allow_links), "shadow", shadow)
        second = Shadow(beside, shadow_share, metrics, shadow_texts)
    service = Service(model, limits, metrics, second)
    jobs = [watching.watch(service, source, seen, open_served)] if watch else []
    jobs += [second.write(shadow_report)] if second and shadow_report else []
    jobs += [write_sketches(lambda: service.model.sketch_file)] if sketches else []
    what = f"{model.name} {model.version}, {model.predictor.variant} on {model.predictor.device}"
    listener.listen(CONNECTIONS)  # before the next line, whose readers may connect at once
    print(f"{what}, at {url(*listener.getsockname()[:2])}", file=sys.stderr, flush=True)
    run(service, listener, jobs)
