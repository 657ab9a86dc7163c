"""A whole bundle of a few kilobytes: the graph looks each piece up in a table of logits."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from fpplm_core.export import portable
from fpplm_core.export.bundle_writer import seal
from fpplm_core.serving.bundle import manifest_digest
from fpplm_core.tagging.decoder import SpanDecoder
from tests.conftest import vocabulary

LABELS = ["O", "B-PER", "I-PER", "E-PER", "S-PER", "B-LOC", "I-LOC", "E-LOC", "S-LOC"]
WIDTH = 3  # of the states
PLACES = ("London", "Paris")
CONFIG: dict[str, Any] = {  # under `fpplm`
    "labels": LABELS,
    "transitions": [[0.0] * (len(LABELS) + 1)] * (len(LABELS) + 1),
    "window": 32,
    "stride": 8,
    "context": 4,
    "first_shape": None,
    "label_lm": {"below": 0.9, "use": True},
    "words": "unicode-1",
    "variants": {"cpu": ["fp32"], "cuda": ["fp32"]},
    "graphs": {"fp32": "onnx/model.onnx"},
    "lower_case": False,
}
FORMAT_2 = ("graphs", "lower_case")  # the keys that format 1 does not have


def port(name: str, kind: int, *widths: int | str) -> onnx.ValueInfoProto:
    """An input or output of *shape* (batch, pieces, …)."""
    return helper.make_tensor_value_info(name, kind, ["batch", "pieces", *widths])


INPUTS = [port("input_ids", TensorProto.INT64), port("attention_mask", TensorProto.INT64)]


def table() -> np.ndarray:
    """The logits of each piece: places are places, and what is written in capitals a person."""
    logits = np.zeros((len(vocabulary()), len(LABELS)), dtype=np.float32)
    for row, piece in enumerate(vocabulary()):
        logits[row, 8 if piece in PLACES else 4 if piece.isupper() else 0] = 9 - row % 7
    return logits


def save(
    path: Path, nodes: list[onnx.NodeProto], outputs: list[Any], inputs: list[Any] | None = None, **arrays: Any
) -> None:
    """Writes a graph with these arrays as its constants; an array may be a TensorProto of one's own."""
    constants = [
        a if isinstance(a, TensorProto) else numpy_helper.from_array(np.asarray(a), n) for n, a in arrays.items()
    ]
    graph = helper.make_graph(nodes, "g", INPUTS if inputs is None else inputs, outputs, constants)
    domains = [helper.make_opsetid("", 20), helper.make_opsetid("com.example", 1)]
    path.write_bytes(helper.make_model(graph, opset_imports=domains, ir_version=10).SerializeToString())


def tagger_nodes() -> list[onnx.NodeProto]:
    return [
        helper.make_node("Gather", ["table", "input_ids"], ["tag_logits"]),
        helper.make_node("Gather", ["vectors", "attention_mask"], ["states"]),
    ]


def tagger_outputs(width: int = len(LABELS)) -> list[onnx.ValueInfoProto]:
    return [port("tag_logits", TensorProto.FLOAT, width), port("states", TensorProto.FLOAT, WIDTH)]


def save_tagger(path: Path, **arrays: Any) -> None:
    vectors = np.ones((2, WIDTH), dtype=np.float32)
    save(path, tagger_nodes(), tagger_outputs(), **{"table": table(), "vectors": vectors, **arrays})


def save_label_lm(path: Path) -> None:
    """Writes what it reads: the probabilities of the labels."""
    inputs = [
        port("read", TensorProto.FLOAT, len(LABELS)),
        port("hidden", TensorProto.BOOL),
        port("states", TensorProto.FLOAT, WIDTH),
        port("counted", TensorProto.BOOL),
    ]
    nodes = [helper.make_node("Add", ["read", "read"], ["written"])]
    save(path, nodes, [port("written", TensorProto.FLOAT, len(LABELS))], inputs)


def tokenizer() -> Tokenizer:
    index = {token: number for number, token in enumerate(vocabulary())}
    made = Tokenizer(models.WordPiece(index, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(lowercase=False, strip_accents=False)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[(token, index[token]) for token in ("[CLS]", "[SEP]")]
    )
    return made


def write_tiny_bundle(folder: Path, **config: Any) -> Path:
    """A sealed bundle; `config` are other values of config.json under `fpplm`."""
    (folder / "onnx").mkdir(parents=True)
    save_tagger(folder / "onnx/model.onnx")
    save_label_lm(folder / "label_lm.onnx")
    tokenizer().save(str(folder / "tokenizer.json"))
    (folder / "config.json").write_text(json.dumps({"model_type": "bert", "fpplm": CONFIG | config}))
    (folder / "golden.json").write_text(json.dumps([{"words": ["London"], "spans": [[0, 1, "LOC"]]}]))
    (folder / "README.md").write_text("A tiny bundle.\n")
    seal(folder, {"scores": {}})
    return folder


def rename_output(model: onnx.ModelProto, old: str, new: str) -> None:
    for node in model.graph.node:
        node.output[:] = [new if name == old else name for name in node.output]
    for output in model.graph.output:
        output.name = new if output.name == old else output.name


def make_portable(folder: Path) -> Path:
    """Gives the graph of a tiny bundle its answer for other clients, and seals it anew."""
    model = onnx.load(folder / "onnx/model.onnx")
    rename_output(model, "tag_logits", "logits")
    decoder = SpanDecoder.of_labels(LABELS)
    onnx.save(
        portable.make_portable(model, decoder, portable.piece_roles(tokenizer()), None, None),
        folder / "onnx/model.onnx",
    )
    names = dict(enumerate(portable.portable_labels(LABELS)))
    config = json.loads((folder / "config.json").read_text()) | {"id2label": names}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer_config.json").write_text(json.dumps({"model_max_length": 32}))
    return reseal(folder)


def as_format_1(folder: Path) -> Path:
    """Turns a tiny bundle into one as the versions before format 2 wrote it."""
    model = onnx.load(folder / "onnx/model.onnx")
    rename_output(model, "tag_logits", "logits")
    shutil.rmtree(folder / "onnx")
    onnx.save(model, folder / "model.fp32.onnx")
    config = json.loads((folder / "config.json").read_text())["fpplm"]
    (folder / "config.json").write_text(json.dumps({k: v for k, v in config.items() if k not in FORMAT_2}))
    reseal(folder)
    manifest = json.loads((folder / "manifest.json").read_text()) | {"format": 1}
    (folder / "manifest.json").write_text(json.dumps(manifest | {"digest": manifest_digest(manifest)}))
    return folder


def reseal(folder: Path) -> Path:
    """Seals a bundle anew, as anybody can."""
    seal(folder, {"scores": {}})
    return folder
