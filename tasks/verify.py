"""verify: assembles the bundle and runs every graph through the serving code over dev and test.

The float32 graph must give torch's spans; another variant may lose a little F1, or it is left out of the bundle.
"""

from __future__ import annotations

import json
import platform
import shutil
import statistics
import subprocess
import time
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import fpplm_core
from fpplm_core import params
from fpplm_core.decoding import decode
from fpplm_core.errors import FpplmError
from fpplm_core.labels import Span, lenient_spans
from fpplm_core.metrics import count, total
from fpplm_core.params import Params
from fpplm_core.serving import Predictor
from fpplm_core.serving.bundle import CARD, CONFIG, GOLDEN, LABEL_LM, TOKENIZER, graph_name, seal, sha256
from fpplm_core.serving.sessions import has
from tasks import (
    BUNDLE,
    ENCODED,
    GRAPHS,
    METRICS,
    MODEL,
    PREDICTIONS,
    REPORTS,
    read_json,
    run,
    write_json,
    write_text,
)
from tasks.read import load_corpus
from tasks.report import render

# The order of preference by device; int8 has no CUDA kernels, float16 has hardly any on the CPU.
PREFERENCE = {"cpu": ["int8", "mixed", "fp32", "fp16"], "cuda": ["fp16", "fp32"]}
JUDGED = ("dev", "test")  # together: what rounding changes is a few mentions, which one split's F1 shows as noise
PACKAGES = ("torch", "transformers", "tokenizers", "onnx", "onnxscript", "numpy")
SOURCES = ("fpplm_core", "tasks", "data", "params.yaml", "dvc.yaml", "requirements.lock")
GOLDEN_SENTENCES = 8
LATENCY_SENTENCES = 200


def main() -> None:
    settings = params.load()
    blueprint = read_json(MODEL / "blueprint.json")
    sentences = [s for split in JUDGED for s in load_corpus(split)]
    words = [s.words for s in sentences]
    gold = [lenient_spans(s.tags) for s in sentences]
    decoder = Decoder(blueprint["labels"], np.load(MODEL / "transitions.npy"))
    answers = np.concatenate([np.load(PREDICTIONS / f"{split}_logits.npy") for split in JUDGED])
    reference = np.split(answers, np.cumsum([len(w) for w in words])[:-1])
    made = [v for v in ("fp32", "fp16", "int8", "mixed") if (GRAPHS / graph_name(v)).exists()]
    facts = lineage(settings)

    assemble(made, blueprint, decoder, settings, facts)
    judged = {}
    timings = []
    wanted = decoder.spans(reference)
    for device, variants in PREFERENCE.items():
        for variant in (v for v in variants if v in made):
            if device == "cuda" and not has("cuda"):
                continue
            predictor = Predictor.load(BUNDLE, device, variant)
            logits = predictor.logits(words, [s.document for s in sentences])
            timings.append({"device": device, "variant": variant, **measure(predictor, words)})
            verdict = judge(logits, reference, wanted, gold, decoder)
            judged[f"{variant} on {device}"] = verdict | accept(variant, verdict, settings)
    refused = {name.split()[0] for name, verdict in judged.items() if not verdict["accepted"]}
    sizes = {v: (GRAPHS / graph_name(v)).stat().st_size for v in made}
    write_json(METRICS / "verify.json", {"variants": judged, "bytes": sizes, "refused": sorted(refused)})
    write_json(
        REPORTS / "timings" / "verify.json", {"machine": platform.processor() or platform.machine(), "runs": timings}
    )
    show(judged, timings)
    if "fp32" in refused:
        raise FpplmError(
            "the exported graph does not give torch's answer",
            where="verify",
            got=json.dumps(judged["fp32 on cpu"]),
            do="report the encoder; or raise verify.max_logit_delta if the spans agree",
        )
    spare = {"mixed"} if "int8" not in refused else set()  # it stands in for int8
    kept = [v for v in made if v not in refused | spare]
    assemble(kept, blueprint, decoder, settings, facts | {"variants": judged})
    if settings.export.refine_below:
        outcome = try_label_lm()
        write_json(METRICS / "verify.json", read_json(METRICS / "verify.json") | {"label_lm": outcome})
        if outcome["used"]:
            assemble(kept, blueprint, decoder, settings, facts | {"variants": judged, "label_lm": outcome}, refine=True)
    print(f"bundle: {BUNDLE} with {', '.join(kept)}")
    print(f"report: {render()}")


class Decoder(NamedTuple):
    """Labels, and transition scores (K+1, K+1)."""

    labels: list[str]
    scores: NDArray[np.float32]

    def spans(self, logits: list[NDArray[np.float32]]) -> list[list[Span]]:
        return [lenient_spans([self.labels[label] for label in path]) for path in decode(logits, self.scores)]


def try_label_lm() -> dict[str, Any]:
    """Dev F1 of the bundle's preferred graph on the CPU, with and without the label language model."""
    sentences = load_corpus("dev")
    predictor = Predictor.load(BUNDLE, "cpu")
    scores = []
    for predictor.refines in (False, True):
        tagged = predictor.tag([s.words for s in sentences], [s.document for s in sentences])
        found = [[span for span, _ in row] for row in tagged]
        scores.append(total(count(lenient_spans(s.tags), f) for s, f in zip(sentences, found, strict=True)).f1)
    print(f"label language model: dev F1 {scores[0]:.4f}, with it {scores[1]:.4f}")
    return {"dev_f1": scores[0], "dev_f1_refined": scores[1], "used": scores[1] > scores[0]}


def assemble(
    variants: list[str],
    blueprint: dict[str, Any],
    decoder: Decoder,
    settings: Params,
    facts: dict[str, Any],
    refine: bool = False,
) -> None:
    """The bundle with these graphs, sealed."""
    shutil.rmtree(BUNDLE, ignore_errors=True)
    BUNDLE.mkdir()
    for variant in variants:
        shutil.copyfile(GRAPHS / graph_name(variant), BUNDLE / graph_name(variant))
    if settings.export.refine_below:
        shutil.copyfile(GRAPHS / LABEL_LM, BUNDLE / LABEL_LM)
    shutil.copyfile(ENCODED / "tokenizer.json", BUNDLE / TOKENIZER)
    config = {
        "labels": decoder.labels,
        "transitions": decoder.scores.tolist(),
        "window": settings.encode.window,
        "stride": settings.encode.stride,
        "context": settings.encode.context,
        "first_shape": blueprint["first_shape"],
        "words": settings.data.words,
        "label_lm": {"below": settings.export.refine_below, "use": refine},
        "variants": {device: [v for v in order if v in variants] for device, order in PREFERENCE.items()},
    }
    (BUNDLE / CONFIG).write_text(json.dumps(config) + "\n", encoding="utf-8")
    seal(BUNDLE, facts)
    write_json(BUNDLE / GOLDEN, golden())
    write_text(BUNDLE / CARD, card(settings, facts))
    seal(BUNDLE, facts)


def golden() -> list[dict[str, Any]]:
    """Sentences with the words' spans that the float32 graph gives, for a service to try after it has loaded."""
    sentences = [s.words for s in load_corpus("test")[:GOLDEN_SENTENCES]]
    tagged = Predictor.load(BUNDLE, "cpu", "fp32").tag(sentences)
    return [{"words": w, "spans": [span for span, _ in row]} for w, row in zip(sentences, tagged, strict=True)]


def judge(
    logits: list[NDArray[np.float32]],
    reference: list[NDArray[np.float32]],
    wanted: list[list[Span]],
    gold: list[list[Span]],
    decoder: Decoder,
) -> dict[str, Any]:
    """How far a graph is from torch: the largest logit difference, sentences with other spans, F1 and its loss."""
    found = decoder.spans(logits)
    scores = [total(count(g, p) for g, p in zip(gold, spans, strict=True)).f1 for spans in (wanted, found)]
    return {
        "max_logit_delta": max(float(np.abs(a - b).max()) for a, b in zip(logits, reference, strict=True)),
        "sentences_with_other_spans": sum(a != b for a, b in zip(wanted, found, strict=True)),
        "f1": scores[1],
        "f1_loss": scores[0] - scores[1],
    }


def accept(variant: str, verdict: dict[str, Any], settings: Params) -> dict[str, bool]:
    if variant == "fp32":
        near = verdict["max_logit_delta"] <= settings.verify.max_logit_delta
        return {"accepted": near and not verdict["sentences_with_other_spans"]}
    return {"accepted": verdict["f1_loss"] <= settings.verify.max_f1_loss}


def measure(predictor: Predictor, words: list[tuple[str, ...]]) -> dict[str, float]:
    """Words/s over all sentences (median of three), and the median and 95th percentile latency of one, in ms."""
    rates = []
    for _ in range(3):
        start = time.perf_counter()
        predictor.tag(words)
        rates.append(sum(map(len, words)) / (time.perf_counter() - start))
    latencies = []
    for sentence in words[:LATENCY_SENTENCES]:
        start = time.perf_counter()
        predictor.tag([sentence])
        latencies.append(1000 * (time.perf_counter() - start))
    return {
        "words_per_s": statistics.median(rates),
        "latency_ms": statistics.median(latencies),
        "latency_p95_ms": float(np.quantile(latencies, 0.95)),
    }


def lineage(settings: Params) -> dict[str, Any]:
    """What the model is a function of, and what it scored; nothing that a clock says."""
    files = sorted(p for p in Path(settings.data.path).rglob("*") if p.is_file())
    trained, scores = read_json(METRICS / "train.json"), read_json(METRICS / "evaluate.json")
    return {
        "fpplm": fpplm_core.__version__,
        "commit": git("log", "-1", "--format=%H", "--", *SOURCES),
        "uncommitted_changes": bool(git("status", "--porcelain", "--", *SOURCES)),
        "parameters": settings.model_dump(exclude={"promotion"}),
        "data": {str(path): sha256(path) for path in files},
        "lock_sha256": sha256(Path("requirements.lock")) if Path("requirements.lock").exists() else None,
        "encoder_sha256": trained["encoder_sha256"],
        "model_sha256": trained["model_sha256"],
        "python": platform.python_version(),
        "packages": {name: metadata.version(name) for name in PACKAGES},
        "scores": {
            split: {key: row[key] for key in ("f1", "f1_low", "f1_high", "precision", "recall", "types")}
            for split, row in scores.items()
        },
    }


def git(*arguments: str) -> str | None:
    """What Git answers, or None where there is no Git or no repository."""
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip() or None


def card(settings: Params, facts: dict[str, Any]) -> str:
    """The model card, in the hub's layout."""
    test = facts["scores"]["test"]
    rows = "\n".join(
        f"| {kind} | {row['precision']:.4f} | {row['recall']:.4f} | {row['f1']:.4f} | {row['support']} |"
        for kind, row in test["types"].items()
    )
    return f"""---
pipeline_tag: token-classification
library_name: onnxruntime
---
# Tagger for {", ".join(test["types"])}

Trained by fpplm {facts["fpplm"]} on `{settings.data.path}` from the encoder `{settings.model.encoder}`.

| type | precision | recall | F1 | test mentions |
| --- | --- | --- | --- | --- |
{rows}
| all (micro) | {test["precision"]:.4f} | {test["recall"]:.4f} | {test["f1"]:.4f} | |

Exact span match (seqeval, strict). The micro F1's interval, by bootstrap over the test sentences, is
[{test["f1_low"]:.4f}, {test["f1_high"]:.4f}].

## Use

```python
from fpplm_core.serving import Predictor  # pip install 'fpplm[serve]'

Predictor.load("bundle").predict("…")
```

## Limits

It knows the types above in text like its training data; measure it on your own before you rely on it.
Where it comes from (parameters, data hashes, commit, versions) stands in `manifest.json`.
"""


def show(judged: dict[str, Any], timings: list[dict[str, Any]]) -> None:
    for row in timings:
        verdict = judged[f"{row['variant']} on {row['device']}"]
        print(
            f"{row['variant']} on {row['device']}: F1 {verdict['f1']:.4f} (loss {verdict['f1_loss']:+.4f}), "
            f"max |Δlogit| {verdict['max_logit_delta']:.2g}, {row['words_per_s']:,.0f} words/s, "
            f"{row['latency_ms']:.1f} ms a sentence: {'accepted' if verdict['accepted'] else 'LEFT OUT'}"
        )


if __name__ == "__main__":
    run(main)
