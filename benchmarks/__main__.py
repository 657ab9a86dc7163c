"""`fpplm bench`: our path and its peers, in turn on the same machine, data and model; medians, spread, ratios, a plot.

train      words/s and memory of training: the Trainer and ours, with as much in a step
techniques what a step costs with each technique by itself, and with all
predict    words/s over a corpus and the latency of one sentence: the bundle, transformers' pipeline, a plain ONNX
           Runtime loop, and those of the peers that `python -m benchmarks.peers` has installed
pipeline   what stands around the work: commands and stages with nothing to do

Run it on an idle machine, after `make retrain`; results go to benchmarks/results/.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks import peers
from benchmarks.harness import tagging
from benchmarks.harness.bars import bars
from benchmarks.harness.turns import FOLDER, floor, in_turn, ratios, spread, start

HERE = Path(__file__).parent
SHOWN = (
    "words_per_s",
    "ms_per_step",
    "latency_ms",
    "seconds",
    "ratio",
    "latency_ratio",
    "share_of_peak",
    "padding",
    "peak_bytes",
)
STAGES = ("read", "check", "encode", "train", "evaluate", "gate", "export", "verify")
TRAIN: dict[str, tuple[str, dict[str, Any], str | None]] = {  # script, task, the rival with as much in a step
    "Trainer": ("trainer", {"batch": 8, "bf16": False}, None),
    "Trainer, bf16": ("trainer", {"batch": 8, "bf16": True}, None),
    "Trainer, 32 sentences": ("trainer", {"batch": 32, "bf16": False}, None),
    "fpplm plain": ("fpplm_train", {"techniques": [], "batch_pieces": 256, "precision": "auto"}, "Trainer"),
    "fpplm plain, float32": ("fpplm_train", {"techniques": [], "batch_pieces": 256, "precision": "float32"}, "Trainer"),
    "fpplm plain, 1,024 pieces": (
        "fpplm_train",
        {"techniques": [], "batch_pieces": 1024, "precision": "auto"},
        "Trainer, 32 sentences",
    ),
    "fpplm, all six": ("fpplm_train", {"techniques": None, "batch_pieces": 256, "precision": "auto"}, "Trainer"),
}


def train(options: argparse.Namespace) -> dict[str, Any]:
    chosen = {"device": options.device}
    arms = {
        name: (sys.executable, HERE / f"arms/{script}.py", task | chosen) for name, (script, task, _) in TRAIN.items()
    }
    running = start(arms | {"floor": (sys.executable, HERE / "arms/floor.py", chosen)})
    answers = in_turn(running, options.rounds, warm_up=0)
    limits = floor(answers)
    rates = {name: [one["words"] / one["seconds"] for one in jobs["train"]] for name, jobs in answers.items()}
    memory = {name: max(one["peak_bytes"] for one in jobs["train"]) for name, jobs in answers.items()}
    rivals = {name: rival for name, (_, _, rival) in TRAIN.items() if rival in rates and name in rates}
    rows = {name: jobs["train"][-1] for name, jobs in answers.items() if "pieces" in jobs["train"][-1]}
    weights = encoder_weights()
    return {
        "words_per_s": {name: spread(values) for name, values in rates.items()},
        "ratio": {f"{n} / {r}": ratios(rates[n], rates[r]) for n, r in rivals.items()},
        "peak_bytes": memory,
        "padding": {name: one["padded_pieces"] / one["pieces"] - 1 for name, one in rows.items()},
        # Forward and backward are three products with each weight, two operations a product.
        "share_of_peak": {
            name: 6 * weights * one["pieces"] / one["words"] * statistics.median(rates[name]) / limits[one["precision"]]
            for name, one in rows.items()
            if "plain" in name
        },
        "floor": limits,
        "arms": {name: running[name].facts for name in rates},
        "runs": answers,
        "plot": {
            "training, words/s": {name: spread(values) for name, values in rates.items()},
            "peak memory, GB": {name: [value / 1e9] * 3 for name, value in memory.items()},
        },
    }


def techniques(options: argparse.Namespace) -> dict[str, Any]:
    from fpplm_core.training.techniques import names

    on = {"plain": [], **{name: [name] for name in names()}, "all six": None}
    base = {"device": options.device, "batch_pieces": 256, "precision": "auto"}
    script = HERE / "arms/fpplm_train.py"
    running = start({name: (sys.executable, script, base | {"techniques": which}) for name, which in on.items()})
    answers = in_turn(running, options.rounds, warm_up=0)
    steps = {n: [1000 * one["seconds"] / one["steps"] for one in jobs["train"]] for n, jobs in answers.items()}
    return {
        "ms_per_step": {name: spread(values) for name, values in steps.items()},
        "ratio": {f"{name} / plain": ratios(values, steps["plain"]) for name, values in steps.items()},
        "peak_bytes": {name: max(one["peak_bytes"] for one in jobs["train"]) for name, jobs in answers.items()},
        "arms": {name: running[name].facts for name in steps},
        "plot": {"a step of training, ms": {name: spread(values) for name, values in steps.items()}},
    }


def predict(options: argparse.Namespace) -> dict[str, Any]:
    from benchmarks.harness.tagger import prepare
    from fpplm_core.serving import open_bundle

    words = prepare(FOLDER)
    gpu = options.device != "cpu"
    base = {"folder": str(FOLDER), "device": options.device}
    arms: dict[str, tuple[str, Path, Mapping[str, Any]]] = {
        f"fpplm {variant}": (sys.executable, HERE / "arms/fpplm_predict.py", base | {"variant": variant})
        for variant in open_bundle(FOLDER / "bundle").config.variants["cuda" if gpu else "cpu"]
    }
    sizes = [8, 32, 128, 512] if gpu else list(tagging.SIZES)
    kinds = ["float16", "float32"] if gpu else ["float32"]
    for kind in kinds:
        task = base | {"dtype": kind, "sizes": sizes}
        arms[f"transformers pipeline, {kind}"] = (sys.executable, HERE / "arms/pipeline.py", task)
    arms["ONNX Runtime loop"] = (sys.executable, HERE / "arms/onnxruntime_loop.py", base | {"sizes": sizes})
    for name in filter(peers.ready, peers.NAMES):
        arms[name] = (str(peers.python(name)), peers.script(name), base)
    running = start(arms | {"floor": (sys.executable, HERE / "arms/floor.py", {"device": "cuda" if gpu else "cpu"})})
    answers = in_turn(running, options.rounds, warm_up=1)
    limits = floor(answers)
    rates = {name: [words / one["seconds"] for one in jobs["corpus"]] for name, jobs in answers.items()}
    latency = {name: [one["median_ms"] for one in jobs["each"]] for name, jobs in answers.items()}
    rivals = [name for name in rates if not name.startswith("fpplm")]
    ours = [name for name in rates if name.startswith("fpplm")]
    weights, pieces = encoder_weights(), pieces_per_word(FOLDER)
    half = "float16" if gpu else "float32"  # hardly a CPU computes in float16
    formats = {"fpplm int8": "int8", "fpplm fp32": "float32", "fpplm fp16": half}
    return {
        "words": words,
        "words_per_s": {name: spread(values) for name, values in rates.items()},
        "latency_ms": {name: spread(values) for name, values in latency.items()},
        "latency_p95_ms": {name: spread(one["p95_ms"] for one in jobs["each"]) for name, jobs in answers.items()},
        "ratio": {f"{n} / {r}": ratios(rates[n], rates[r]) for n in ours for r in rivals},
        "latency_ratio": {f"{n} / {r}": ratios(latency[n], latency[r]) for n in ours for r in rivals},
        "peak_bytes": {name: max(one["peak_bytes"] for one in jobs["corpus"]) for name, jobs in answers.items()},
        "share_of_peak": {
            name: 2 * weights * pieces * statistics.median(rates[name]) / limits[formats[name]]
            for name in ours
            if name in formats
        },
        "floor": limits,
        "arms": {name: running[name].facts for name in rates},
        "plot": {
            "tagging a corpus, words/s": {name: spread(values) for name, values in rates.items()},
            "one sentence, median ms": {name: spread(values) for name, values in latency.items()},
        },
    }


def pipeline(options: argparse.Namespace) -> dict[str, Any]:
    fpplm = Path(sys.executable).parent / "fpplm"
    commands: dict[str, list[str]] = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "fpplm --help": [str(fpplm), "--help"],
        "import fpplm_core.serving.predictor": [sys.executable, "-c", "import fpplm_core.serving.predictor"],
        "fpplm predict, one sentence": [str(fpplm), "predict", "bundle", str(FOLDER / "one.txt")],
        "dvc repro, nothing to do": [str(fpplm.with_name("dvc")), "repro", "--quiet"],
        "fpplm retrain, nothing to do": [str(fpplm), "retrain"],
        **{f"import tasks.{n}": [sys.executable, "-c", f"import tasks.{n}"] for n in STAGES},
    }
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / "one.txt").write_text("Angela Merkel visited Paris .\n", encoding="utf-8")
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for turn in range(-1, options.rounds):
        for name, command in commands.items():
            began = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True)
            if turn >= 0:
                seconds[name].append(time.perf_counter() - began)
        print(f"round {turn + 1} of {options.rounds}", file=sys.stderr, flush=True)
    found = {name: spread(values) for name, values in seconds.items()}
    return {"seconds": found, "plot": {"seconds": found}}


def encoder_weights() -> int:
    """The weights that a piece is multiplied with: those of the encoder's matrices, embeddings left out."""
    import torch

    from fpplm_core.model.pretrained import load_encoder
    from fpplm_core.params import load

    settings = load().model
    encoder = load_encoder(settings.encoder, settings.revision)
    return sum(m.weight.numel() for m in encoder.modules() if isinstance(m, torch.nn.Linear))


def pieces_per_word(folder: Path) -> float:
    from tokenizers import Tokenizer

    sentences = json.loads((folder / "texts.json").read_text(encoding="utf-8"))
    tokenizer = Tokenizer.from_file(str(folder / "bundle/tokenizer.json"))
    tokenizer.no_padding()
    encoded = tokenizer.encode_batch(sentences, is_pretokenized=True)
    return sum(len(one.ids) for one in encoded) / sum(map(len, sentences))


def show(result: Mapping[str, Any]) -> None:
    for key in SHOWN:
        for name, value in result.get(key, {}).items():
            low, middle, high = value if isinstance(value, list) else [value] * 3
            extent = "" if low == high else f"  [{low:,.4g}, {high:,.4g}]"
            print(f"{key:<16}{name:<52}{middle:>12,.4g}{extent}")


def main() -> None:
    parser = argparse.ArgumentParser("fpplm bench", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    benches: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
        "train": train,
        "techniques": techniques,
        "predict": predict,
        "pipeline": pipeline,
    }
    parser.add_argument("bench", choices=benches)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", choices=("cpu", "cuda", "tensorrt"), default="cpu", help="tensorrt: predict alone")
    options = parser.parse_args()
    result = benches[options.bench](options)
    from benchmarks.harness import machine  # late: it takes torch, which the measured processes should not wait for

    name = options.bench if options.device == "cpu" else f"{options.bench}-{options.device}"
    (machine.RESULTS / f"{name}.svg").write_text(bars(result.pop("plot")), encoding="utf-8")
    machine.save(f"{name}.json", result)
    show(result)


if __name__ == "__main__":
    main()
