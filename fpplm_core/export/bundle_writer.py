"""The bundle: its files, its card, its seal."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from fpplm.pipeline.paths import BUNDLE, CORPUS, ENCODED, GRAPHS
from fpplm_core.data.corpus import load_corpus
from fpplm_core.files import write_json, write_text
from fpplm_core.params import Params
from fpplm_core.serving import Predictor
from fpplm_core.serving.bundle import (
    CARD,
    CONFIG,
    FORMAT,
    GOLDEN,
    LABEL_LM,
    MANIFEST,
    TOKENIZER,
    _digest,
    graph_name,
    sha256,
)
from fpplm_core.tagging.decoder import SpanDecoder


def seal(path: Path, facts: dict[str, Any]) -> dict[str, Any]:
    """Writes the manifest over all files of the folder, with `facts` beside the hashes, and returns it."""
    files = {
        str(file.relative_to(path)): {"sha256": sha256(file), "bytes": file.stat().st_size}
        for file in sorted(path.rglob("*"))
        if file.is_file() and file.name != MANIFEST
    }
    manifest = {"format": FORMAT, **facts, "files": files}
    manifest["digest"] = _digest(manifest)
    (path / MANIFEST).write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return manifest


# The order of preference by device; int8 has no CUDA kernels, float16 has hardly any on the CPU.
PREFERENCE = {"cpu": ["int8", "mixed", "fp32", "fp16"], "cuda": ["fp16", "fp32"]}
GOLDEN_SENTENCES = 8


def assemble(
    variants: list[str],
    blueprint: dict[str, Any],
    decoder: SpanDecoder,
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
        "words": settings.data.segmentation_rule,
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
    sentences = [s.words for s in load_corpus("test", CORPUS)[:GOLDEN_SENTENCES]]
    tagged = Predictor.load(BUNDLE, "cpu", "fp32").tag(sentences)
    return [{"words": w, "spans": [span for span, _ in row]} for w, row in zip(sentences, tagged, strict=True)]


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
