"""The bundle: its files, its card, its seal."""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import Any, get_args

from fpplm_core.data.records import Sentence
from fpplm_core.data.settings import DataSettings, EncodeSettings
from fpplm_core.escaping import markdown
from fpplm_core.export.settings import ExportSettings, Variant
from fpplm_core.files import write_json, write_text
from fpplm_core.serving import Predictor
from fpplm_core.serving.bundle import (
    CARD,
    CONFIG,
    FORMAT,
    GOLDEN,
    LABEL_LM,
    MANIFEST,
    TOKENIZER,
    UNLISTED,
    graph_name,
    manifest_digest,
)
from fpplm_core.serving.config import BundleConfig
from fpplm_core.serving.files import sha256
from fpplm_core.tagging.decoder import SpanDecoder

# The order of preference by device; int8 has no CUDA kernels, float16 has hardly any on the CPU.
PREFERENCE = {"cpu": ["int8", "fp32", "fp16"], "cuda": ["fp16", "fp32"]}
GOLDEN_SENTENCES = 8


def make_config(
    decoder: SpanDecoder,
    first_shape: int | None,
    data: DataSettings,
    encode: EncodeSettings,
    export: ExportSettings,
    variants: Collection[str],
) -> BundleConfig:
    """What serving needs to know about training, for a bundle with these variants."""
    return BundleConfig(
        labels=list(decoder.labels),
        transitions=decoder.scores.tolist(),
        window=encode.window,
        stride=encode.stride,
        context=encode.context,
        first_shape=first_shape,
        segmentation=data.segmentation_rule,
        label_lm_threshold=export.refine_below,
        use_label_lm=False,
        variants=by_device(variants),
    )


def by_device(variants: Collection[str]) -> dict[str, list[str]]:
    """These variants by device, in order of preference."""
    return {device: [v for v in order if v in variants] for device, order in PREFERENCE.items()}


def graph_sizes(graphs: Path) -> dict[str, int]:
    """The bytes of each variant whose graph is in the folder."""
    paths = {variant: graphs / graph_name(variant) for variant in get_args(Variant)}
    return {variant: path.stat().st_size for variant, path in paths.items() if path.exists()}


def assemble(
    bundle: Path,
    graphs: Path,
    tokenizer: Path,
    examples: Sequence[Sentence],
    config: BundleConfig,
    lineage: Mapping[str, Any],
) -> None:
    """Writes a sealed bundle with the graphs that `config` names, in place of the one before.

    `graphs` is the folder of the graphs, `tokenizer` a file. `lineage` goes into the manifest; it has the parameters
    and the scores. The first `examples` become the golden sentences.
    """
    shutil.rmtree(bundle, ignore_errors=True)
    bundle.mkdir()
    names = [graph_name(variant) for variant in dict.fromkeys(chain(*config.variants.values()))]
    if config.label_lm_threshold:
        names.append(LABEL_LM)
    for name in names:
        shutil.copyfile(graphs / name, bundle / name)
    shutil.copyfile(tokenizer, bundle / TOKENIZER)
    (bundle / CONFIG).write_text(json.dumps(config_json(config)) + "\n", encoding="utf-8")
    seal(bundle, lineage)
    write_golden(bundle, examples[:GOLDEN_SENTENCES])
    write_text(bundle / CARD, card(lineage))
    seal(bundle, lineage)


def config_json(config: BundleConfig) -> dict[str, object]:
    """The content of config.json; its keys are those of the first bundles, so that every version reads every bundle."""
    values = asdict(config)
    variants, segmentation = values.pop("variants"), values.pop("segmentation")
    label_lm = {"below": values.pop("label_lm_threshold"), "use": values.pop("use_label_lm")}
    return {**values, "words": segmentation, "label_lm": label_lm, "variants": variants}


def seal(bundle: Path, lineage: Mapping[str, Any]) -> None:
    """Writes the manifest: the hashes of all files in the folder, and `lineage`. Raises BundleError for a subfolder."""
    files = {
        file.name: {"sha256": sha256(file), "bytes": file.stat().st_size}
        for file in sorted(bundle.iterdir())
        if file.name not in UNLISTED
    }
    manifest = {"format": FORMAT, **lineage, "files": files}
    manifest["digest"] = manifest_digest(manifest)
    (bundle / MANIFEST).write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def write_golden(bundle: Path, sentences: Sequence[Sentence]) -> None:
    """Sentences with the spans over words that the float32 graph gives, for a service to try after it has loaded.

    All of them are tagged in one call; neighbouring sentences with the same document number are context for each other.
    """
    words, documents = [s.words for s in sentences], [s.document for s in sentences]
    tagged = Predictor.load(bundle, "cpu", "fp32").tag(words, documents)
    rows = [
        {"words": s.words, "document": s.document, "spans": [span for span, _ in row]}
        for s, row in zip(sentences, tagged, strict=True)
    ]
    write_json(bundle / GOLDEN, rows)


def card(lineage: Mapping[str, Any]) -> str:
    """The model card, in the hub's layout."""
    test, data, model = lineage["scores"]["test"], lineage["parameters"]["data"], lineage["parameters"]["model"]
    rows = "\n".join(
        f"| {markdown(kind)} | {row['precision']:.4f} | {row['recall']:.4f} | {row['f1']:.4f} | {row['support']} |"
        for kind, row in test["types"].items()
    )
    served = ""
    if graph := lineage.get("served"):
        served = f"""
The graph `{graph["graph"]}`, which serves on a CPU, has micro F1 {graph["f1"]:.4f} [{graph["f1_low"]:.4f}, \
{graph["f1_high"]:.4f}]."""
    if graph and graph.get("f1_without_documents") is not None:
        served += f"""
The model was trained with neighbouring sentences of the document as context, and had them for these scores. On single
sentences, the micro F1 of this graph is {graph["f1_without_documents"]:.4f}."""
    return f"""---
pipeline_tag: token-classification
library_name: onnxruntime
---
# Tagger for {markdown(", ".join(test["types"]))}

Trained by fpplm {lineage["fpplm"]} on {markdown(data["path"])} from the encoder {markdown(model["encoder"])}.

| type | precision | recall | F1 | test mentions |
| --- | --- | --- | --- | --- |
{rows}
| all (micro) | {test["precision"]:.4f} | {test["recall"]:.4f} | {test["f1"]:.4f} | |

Exact span match (seqeval, strict) of the trained model. The interval of micro F1, by bootstrap over the test sentences,
is [{test["f1_low"]:.4f}, {test["f1_high"]:.4f}].{served}

## Use

```python
from fpplm_core.serving import Predictor  # pip install 'fpplm[serve]'

Predictor.load("bundle").predict("…")
```

## Limits

It knows the types above in text like its training data; measure it on your own text before you rely on it.
Its parameters, data hashes, commit and package versions are in `manifest.json`.
"""
