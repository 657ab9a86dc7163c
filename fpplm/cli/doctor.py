"""The lines that `fpplm doctor` prints."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from fpplm.pipeline.hashes import version_of
from fpplm.pipeline.paths import PARAMS
from fpplm_core.errors import FpplmError

PACKAGES = ("torch", "transformers", "datasets", "prefect", "dvc", "seqeval", "great-expectations", "onnx")
RUNTIMES = ("onnxruntime-gpu", "onnxruntime")
NEEDED_GB = 5
Line = tuple[str, str, str | None]  # name, finding, advice (None if all is well)


def lines() -> Iterator[Line]:
    yield "python", platform.python_version(), None
    if not any(map(version_of, PACKAGES)):  # a service: fpplm[serve]
        yield "pipeline", "not installed; to train, install the extra pipeline of fpplm", None
        yield _runtime()
        return
    for package in PACKAGES:
        yield _package(package)
    yield _runtime()
    yield "ray", version_of("ray") or "not installed; to use a cluster, install the extra ray of fpplm", None
    yield _devices()
    yield _git()
    if PARAMS.exists():
        yield from _template()
        yield _guarded(str(PARAMS), _params)
        yield _guarded("encoder", _encoder)
        yield _guarded("data", _data)
    else:
        yield "project", "none in this folder", None
    yield _disk()


def _package(package: str) -> Line:
    found = version_of(package)
    do = "install the extra pipeline of fpplm, with -c requirements.lock"
    return package, found or "not installed", None if found else do


def _runtime() -> Line:
    found = [f"{name} {version}" for name in RUNTIMES if (version := version_of(name))]
    if not found:
        return "onnxruntime", "not installed", "install the extra serve of fpplm"
    if len(found) > 1:
        return "onnxruntime", ", ".join(found), "they overwrite each other: pip uninstall both, then install one"
    from fpplm_core.serving.onnx_session import is_available

    return "onnxruntime", f"{found[0]}, {'CUDA' if is_available('cuda') else 'CPU only'}", None


def _devices() -> Line:
    try:
        import torch
    except ModuleNotFoundError:
        return "devices", "unknown without torch", None

    cuda = torch.cuda.get_device_name() if torch.cuda.is_available() else "no CUDA device"
    return "devices", f"{torch.get_num_threads()} CPU threads, {cuda}", None


def _git() -> Line:
    found = shutil.which("git")
    return "git", found or "not found", None if found else "apt-get install git, or https://git-scm.com"


def _template() -> Iterator[Line]:
    from fpplm.project.update import update_due

    due = update_due()
    yield "project's copies", "older than fpplm" if due else "up to date", "fpplm update" if due else None


def _guarded(name: str, look: Callable[[], str]) -> Line:
    try:
        return name, look(), None
    except FpplmError as error:
        return name, str(error), error.do or "see docs/errors.md"
    except ModuleNotFoundError as error:
        return name, f"needs the Python package {error.name}", "install the extra pipeline of fpplm"


def _params() -> str:
    from fpplm_core.params import load

    return f"valid, techniques: {', '.join(load().technique.blocks()) or 'none (plain fine-tuning)'}"


def _encoder() -> str:
    from fpplm_core.model import pretrained
    from fpplm_core.params import load

    settings = load()
    tokenizer = pretrained.load_tokenizer(settings.model.encoder, settings.model.revision)
    config = pretrained.load_config(settings.model.encoder, settings.model.revision)
    pretrained.check_window(settings.encode.window, config, tokenizer)
    return f"{settings.model.encoder} ({config.model_type}, {config.num_hidden_layers} layers)"


def _data() -> str:
    from fpplm_core.data.notes import Notes
    from fpplm_core.data.splits import given_splits
    from fpplm_core.params import load

    splits = given_splits(load().data, Notes())
    return ", ".join(f"{split} {sum(1 for _ in sentences)} sentences" for split, sentences in splits.items())


def _disk() -> Line:
    free = shutil.disk_usage(Path.cwd()).free / 1e9
    return "disk", f"{free:.0f} GB free", None if free > NEEDED_GB else f"free at least {NEEDED_GB} GB"
