"""The model card of a bundle, README.md, in the hub's layout."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fpplm_core.escaping import markdown


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
