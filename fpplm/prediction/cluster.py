"""Tags parts of files on a Ray cluster: each actor has a Predictor, reads its parts and writes their outputs itself.

Only the list of parts travels through Ray, which restarts actors, repeats what they had begun and uses nodes that join.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import ray
import ray.data
import ray.exceptions
from pyarrow.fs import FileSelector, FileSystem, FileType, LocalFileSystem

from fpplm.prediction.lines import require_folder
from fpplm.prediction.parts import PARTIAL, Part, locate, parts_of, tag_part, whole_output
from fpplm_core.data.text_files import unreadable
from fpplm_core.errors import DataError, FpplmError, ParamsError
from fpplm_core.serving import Predictor, open_bundle
from fpplm_core.tracking import track

REACHED = 5.0  # seconds to reach a cluster
RUN = "_run.json"  # in the output folder: what its parts were made of; readers of Parquet folders ignore `_`


class Options(NamedTuple):
    """How the parts are tagged, with `threads` CPUs for each actor, and one GPU if `device` is cuda."""

    bundle: str
    device: str
    variant: str
    digest: str
    allow_links: bool
    threads: int
    skip: bool

    @classmethod
    def of(
        cls, bundle: Path, device: str, variant: str, digest: str | None, allow_links: bool, threads: int, skip: bool
    ) -> Options:
        """With the digest of the bundle, as every actor opens it by its path. Raises BundleError."""
        found = open_bundle(bundle, digest, allow_links).manifest["digest"]
        return cls(str(bundle.resolve()), device, variant, found, allow_links, threads, skip)


class PartTagger:
    """An actor: its Predictor lives as long as it does. Errors are values, so that Ray does not repeat them."""

    def __init__(self, options: Options, folder: str) -> None:
        self.options, self.folder = options, folder
        self.predictor = Predictor.load(
            options.bundle,
            options.device,
            options.variant,
            options.threads,
            digest=options.digest,
            allow_links=options.allow_links,
        )

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        part = Part(**row)
        try:
            words, notes = tag_part(self.predictor, part, self.folder, self.options.skip)
        except FpplmError as error:
            return {
                "part": part.number,
                "words": 0,
                "notes": [],
                "error": [error.what, error.where, error.got, error.do],
            }
        return {"part": part.number, "words": words, "notes": notes, "error": []}


@contextmanager
def session(address: str) -> Iterator[None]:
    """A connection to a cluster; `local` starts one that asks for a token. Raises FpplmError."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if address == "local":
        os.environ.setdefault("RAY_worker_niceness", "0")  # Ray's 15 would wait for every other process here
        os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # errors of its own are in its log files
        options: dict[str, Any] = {"include_dashboard": False, "_node_ip_address": "127.0.0.1"}
    else:
        options = {}
        if os.environ.get("RAY_AUTH_MODE") != "token":
            print("warning: without RAY_AUTH_MODE=token, whoever reaches the cluster runs code on it", file=sys.stderr)
    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        if ":" in address:  # Ray itself tries for minutes
            host, _, port = address.removeprefix("ray://").rpartition(":")
            socket.create_connection((host, int(port)), timeout=REACHED).close()
        _connect(address, options)
    except Exception as error:  # of many kinds
        do = "use local, auto, or HOST:PORT of a running cluster"
        raise FpplmError("no Ray cluster", where="--ray", got=f"{address} ({error})", do=do) from None
    try:
        yield
    finally:
        ray.shutdown()


def _connect(address: str, options: dict[str, Any]) -> None:
    """Ray gives itself 30 seconds to start, which a busy machine exceeds: then it is started again, up to twice."""
    for again in (True, True, False):
        try:
            ray.init(address=address, logging_level=logging.ERROR, log_to_driver=False, **options)
            return
        except Exception as error:
            if not again or "timed out during startup" not in str(error):
                raise
            ray.shutdown()


@contextmanager
def errors_in_one_line() -> Iterator[None]:
    try:
        yield
    except ray.exceptions.RayError as error:
        *_, last = filter(None, map(str.strip, str(error).splitlines()))
        raise FpplmError(
            "a process of the cluster failed", where="--ray", got=last, do="mend it, then continue with --resume"
        ) from None


def tag_on_cluster(address: str, sources: list[str], folder: str, options: Options, resume: bool) -> Iterator[int]:
    """Tags every part that has no output in the folder, in a `session`; yields the words of each finished part.

    Raises:
        DataError: a source cannot be read.
        ParamsError: the folder holds outputs of something else, or of the same without `resume`.
        FpplmError: the cluster cannot be reached.
    """
    run = facts_of(sources, options)
    parts = parts_of(sources)
    done = outputs_in(folder, run, resume)
    todo = [part for part in parts if part.output not in done]
    if not todo:
        claim(folder, run, resume)
        return
    with session(address), errors_in_one_line():
        claim(folder, run, resume)  # not before the cluster is reached
        for row in track(rows_of(todo, folder, options), "parts", len(todo), lambda _: 1, lambda row: row["words"]):
            if row["error"]:
                what, where, got, do = row["error"]
                raise DataError(what, where=where, got=got, do=do)
            for note in row["notes"]:
                print(f"{parts[row['part']].output}: {note}", file=sys.stderr)
            yield int(row["words"])


def rows_of(parts: list[Part], folder: str, options: Options) -> Iterator[dict[str, Any]]:
    """What `PartTagger` returns for each part, as they are finished."""
    ray.data.DataContext.get_current().enable_progress_bars = False
    cpus = int(ray.available_resources().get("CPU", 1))  # type: ignore[no-untyped-call]
    tagged = ray.data.from_items([part._asdict() for part in parts], override_num_blocks=len(parts)).map(
        PartTagger,  # type: ignore[arg-type]
        fn_constructor_args=(options, folder),
        compute=ray.data.ActorPoolStrategy(
            min_size=1,  # more where the cluster has CPUs, also later
            initial_size=max(1, min(len(parts), cpus // options.threads)),
            max_tasks_in_flight_per_actor=1,  # otherwise the first actor takes two parts, and others none
        ),
        num_cpus=options.threads,
        num_gpus=1 if options.device == "cuda" else None,
    )
    return iter(tagged.iter_rows())


def facts_of(sources: list[str], options: Options) -> dict[str, Any]:
    """What a run's outputs are made of. Raises DataError if a source is no file."""
    return {"digest": options.digest, "variant": options.variant, "skip": options.skip, "sources": sizes(sources)}


def claim(folder: str, run: dict[str, Any], resume: bool) -> None:
    """Marks the folder as the output of this run, unless it is already. Raises ParamsError as `outputs_in`."""
    if RUN in outputs_in(folder, run, resume):
        return
    filesystem, root = locate(folder)
    filesystem.create_dir(root)
    with whole_output(filesystem, f"{root}/{RUN}") as stream:
        stream.write(json.dumps(run, indent=1).encode())


def outputs_in(folder: str, run: dict[str, Any], resume: bool) -> set[str]:
    """The names in the folder.

    Raises ParamsError if it is a file or in one, or if it holds outputs of another run, or any without `resume`.
    """
    filesystem, root = locate(folder)
    if isinstance(filesystem, LocalFileSystem):
        require_folder(Path(root))
    infos = filesystem.get_file_info(FileSelector(root, allow_not_found=True))
    names = {info.base_name for info in infos} - {f"{RUN}{PARTIAL}"}
    if RUN in names:
        if not resume:
            raise ParamsError("holds a tagging", where=folder, do="name another folder, or continue it with --resume")
        found = read_run(filesystem, f"{root}/{RUN}")
        if found != run:
            got = ", ".join(key for key in run if found.get(key) != run[key])
            raise ParamsError("holds a tagging of other inputs", where=folder, got=got, do="name another folder")
    elif names:
        raise ParamsError("not empty", where=folder, do="name a new folder")
    return names


def read_run(filesystem: FileSystem, path: str) -> dict[str, Any]:
    """What `claim` wrote. Raises ParamsError."""
    try:
        with filesystem.open_input_stream(path) as stream:
            found = json.loads(stream.read())
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise ParamsError("does not say what was tagged", where=path, do="name another folder")
    return found


def sizes(sources: list[str]) -> dict[str, int]:
    """The bytes of each source. Raises DataError if it is no file."""
    found = {}
    for source in sources:
        filesystem, path = locate(source)
        info = filesystem.get_file_info(path)
        if not info.is_file:
            kind = IsADirectoryError if info.type == FileType.Directory else FileNotFoundError
            raise unreadable(source, kind(), do="")
        found[source] = info.size
    return found
