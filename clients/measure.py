"""The table "runtime, spans equal, F1" of docs/deploy.md: python -m clients.measure BUNDLE CORPUS.

CORPUS is an annotated file of any format that fpplm reads. Every client gets its sentences in the form of golden.json;
"spans equal" counts those that `Predictor.tag` finds too, over the same words; F1 compares with the annotations.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import onnxruntime

from fpplm.prediction.evaluation import read_gold
from fpplm_core.data.options import Options
from fpplm_core.evaluation.metrics import micro_f1
from fpplm_core.export.generic_client import over_characters, text_of
from fpplm_core.export.golden import golden_rows
from fpplm_core.serving import Predictor
from fpplm_core.tagging.spans import Span

HERE = Path(__file__).resolve().parent
Spans = list[list[Span]]
ENVIRONMENT = os.environ | {"ORT_DISABLE_TELEMETRY": "1", "HF_HUB_OFFLINE": "1"}


class Runtime(NamedTuple):
    """A client: its name, its command, and the key of golden.json with the spans that it finds: spans or entities."""

    name: str
    command: Sequence[str]
    finds: str


def runtimes(folder: Path) -> list[Runtime]:
    """Lists the clients; builds the C++ program in `folder`."""
    return [
        Runtime("JavaScript in Node", ("node", str(HERE / "javascript/conformance.mjs")), "spans"),
        Runtime("JavaScript in a page", (sys.executable, "-m", "clients.page"), "spans"),
        Runtime("C++, given pieces and offsets", (str(build_cpp(folder)),), "entities"),
        Runtime("Transformers.js `pipeline`", ("node", str(HERE / "javascript/transformers_js.mjs")), "entities"),
        Runtime("transformers `pipeline`", (sys.executable, "-m", "clients.transformers_pipeline"), "entities"),
    ]


def install_javascript() -> None:
    """Runs `npm ci`, unless it ran after the lock file changed. Raises CalledProcessError with npm's output."""
    lock, done = HERE / "javascript/package-lock.json", HERE / "javascript/node_modules/.package-lock.json"
    if not done.exists() or done.stat().st_mtime < lock.stat().st_mtime:
        subprocess.run(["npm", "ci"], cwd=lock.parent, check=True, capture_output=True, text=True)


def build_cpp(folder: Path) -> Path:
    """Compiles the C++ client against the library in onnxruntime's wheel; returns the program."""
    program, source = folder / "conformance", HERE / "cpp/conformance.cpp"
    library = next((Path(onnxruntime.__file__).parent / "capi").glob("libonnxruntime.so.*"))
    (folder / "libonnxruntime.so.1").symlink_to(library)  # the name that the loader looks for
    options = ("-std=c++17", "-O1", "-Wall", "-Wextra", "-Werror", f"-I{HERE / 'cpp/minimal'}")
    subprocess.run(["g++", *options, source, "-o", program, library, f"-Wl,-rpath,{folder}"], check=True)
    return program


def try_client(runtime: Runtime, bundle: Path, golden: Path) -> tuple[subprocess.CompletedProcess[str], Spans]:
    """Runs a client; returns how it ended, and the spans that it found. Raises RuntimeError if it gave no answer."""
    answers = golden.with_suffix(".answers")
    command = [*runtime.command, str(bundle), str(golden), str(answers)]
    done = subprocess.run(command, cwd=HERE.parent, capture_output=True, text=True, env=ENVIRONMENT, check=False)
    if done.returncode not in (0, 1) or not answers.exists():
        raise RuntimeError(f"{runtime.name}: {done.stdout}{done.stderr}")
    found = [[Span(*span) for span in spans] for spans in json.loads(answers.read_text(encoding="utf-8"))]
    answers.unlink()
    return done, found


def main(bundle: Path, corpus: Path) -> None:
    install_javascript()
    labels = Predictor.load(bundle, "cpu", "fp32").labels
    sentences, gold = read_gold(corpus, "auto", Options(), labels, "auto", "conlleval")
    places = [text_of(sentence)[1] for sentence in sentences]
    rows = golden_rows(bundle, sentences)
    annotated = [over_characters(*pair) for pair in zip(gold, places, strict=True)]
    own = [over_characters(row["spans"], words) for row, words in zip(rows, places, strict=True)]
    count = sum(map(len, own))
    print(f"| runtime | spans equal, of {count} | F1 |\n| --- | --- | --- |", flush=True)
    print(f"| `Predictor`, float32 | {count} | {micro_f1(annotated, own):.4f} |", flush=True)
    with tempfile.TemporaryDirectory() as name:
        golden = Path(name) / "golden.json"
        golden.write_text(json.dumps(rows), encoding="utf-8")
        for runtime in runtimes(Path(name)):
            _, found = try_client(runtime, bundle, golden)
            if runtime.finds == "spans":
                found = [over_characters(*pair) for pair in zip(found, places, strict=True)]
            equal = sum(len(set(ours) & set(theirs)) for ours, theirs in zip(own, found, strict=True))
            print(f"| {runtime.name} | {equal} | {micro_f1(annotated, found):.4f} |", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), Path(sys.argv[2]))
