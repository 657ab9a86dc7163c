"""The model card of a bundle, README.md: metadata for the hub, scores, use and limits."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from fpplm_core.escaping import markdown

TASK = "token-classification"
TAGS = ["onnx", "transformers.js", "fpplm"]
METRICS = {"f1": "F1 (micro, exact spans)", "precision": "Precision (micro)", "recall": "Recall (micro)"}


def card(lineage: Mapping[str, Any], has_decoder: bool) -> str:
    """The text of the card, from the facts of the bundle's manifest; `has_decoder` says what its graphs contain."""
    test, data, model = lineage["scores"]["test"], lineage["parameters"]["data"], lineage["parameters"]["model"]
    rows = "\n".join(
        f"| {markdown(kind)} | {row['precision']:.4f} | {row['recall']:.4f} | {row['f1']:.4f} | {row['support']} |"
        for kind, row in test["types"].items()
    )
    return f"""---
{metadata(lineage).to_yaml()}
---
# Tagger for {markdown(", ".join(test["types"]))}

Trained by fpplm {lineage["fpplm"]} on {markdown(data["path"])} from the encoder {markdown(model["encoder"])}.

| type | precision | recall | F1 | test mentions |
| --- | --- | --- | --- | --- |
{rows}
| all (micro) | {test["precision"]:.4f} | {test["recall"]:.4f} | {test["f1"]:.4f} | |

Exact span match (seqeval, strict) of the trained model. The interval of micro F1, by bootstrap over the test sentences,
is [{test["f1_low"]:.4f}, {test["f1_high"]:.4f}].{served(lineage)}

## Use

```python
from fpplm_core.serving import Predictor  # the extra serve of fpplm

Predictor.load("bundle").predict("…")
```
{other_clients(lineage, has_decoder)}
## Limits

It knows the types above in text like its training data; measure it on your own text before you rely on it.
Its parameters, data hashes, commit and package versions are in `manifest.json`.
"""


def metadata(lineage: Mapping[str, Any]) -> ModelCardData:
    """The metadata at the head of the card: task, dataset, licence, and the scores as a model index."""
    parameters, test = lineage["parameters"], lineage["scores"]["test"]
    dataset = dataset_name(lineage)
    common: dict[str, Any] = {
        "task_type": TASK,
        "dataset_type": dataset,
        "dataset_name": dataset,
        "dataset_split": "test",
    }
    results = [
        EvalResult(**common, metric_type=kind, metric_value=round(test[kind], 4), metric_name=name)
        for kind, name in METRICS.items()
    ]
    return ModelCardData(
        pipeline_tag=TASK,
        library_name="onnxruntime",
        tags=TAGS,
        datasets=[dataset],
        license=parameters.get("export", {}).get("license"),
        metrics=[*METRICS],
        model_name=f"{dataset}-tagger",
        eval_results=results,
    )


def dataset_name(lineage: Mapping[str, Any]) -> str:
    """The name of the folder of the data, in letters and digits."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", Path(lineage["parameters"]["data"]["path"]).name).strip("-") or "data"


def served(lineage: Mapping[str, Any]) -> str:
    """The sentences about the F1 of the served graph; empty for a bundle that has not been verified."""
    graph = lineage.get("served")
    if not graph:
        return ""
    text = f"""
The graph `{graph["graph"]}`, which serves on a CPU, has micro F1 {graph["f1"]:.4f} [{graph["f1_low"]:.4f}, \
{graph["f1_high"]:.4f}]."""
    if graph.get("f1_without_documents") is not None:
        text += f"""
The model was trained with neighbouring sentences of the document as context, and had them for these scores. On single
sentences, the micro F1 of this graph is {graph["f1_without_documents"]:.4f}."""
    return text


def other_clients(lineage: Mapping[str, Any], has_decoder: bool) -> str:
    """The section on clients without fpplm: how they use the bundle, and the F1 that they get."""
    rows = "\n".join(client_rows(lineage.get("clients", {}), lineage.get("variants", {})))
    if not rows:
        return ""
    decoder = "" if has_decoder else "The model has so many labels that the `logits` come without a decoder.\n"
    return f"""
The pipelines of transformers and Transformers.js, Optimum and other clients of ONNX Runtime read `config.json`,
`tokenizer.json` and `onnx/`. The label of a piece is that of the highest of its `logits`; pieces of a type are joined
until the next `B-` (`aggregation_strategy="simple"`). `golden.json` has texts with the answers to expect.

| micro F1 on the same texts | dev | test |
| --- | --- | --- |
{rows}

Such clients split words at every punctuation mark and cut off long texts, take the name of a special piece in a text
(`[SEP]`, `</s>`) for that piece, and with an encoder that lower-cases find other pieces in words of mixed case
(iPhone); `Predictor` does none of this.
{decoder}"""


def client_rows(clients: Mapping[str, Any], verdicts: Mapping[str, Any]) -> Iterator[str]:
    """Two rows of the table of scores for each graph: as a client without fpplm reads it, and as `Predictor` does."""
    for variant, row in clients.items():
        yield f"| `{row['file']}`, as such a client | {row['dev_f1']:.4f} | {row['test_f1']:.4f} |"
        own = verdicts[f"{variant} on cpu"]
        yield f"| {variant}, as `Predictor` | {own['dev_f1']:.4f} | {own['test_f1']:.4f} |"
