"""The bundle: its files, its card, its seal."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import onnx
from tokenizers import Tokenizer

from fpplm_core.data.records import Sentence
from fpplm_core.data.settings import DataSettings, EncodeSettings
from fpplm_core.export.bill_of_materials import bill_of_materials
from fpplm_core.export.card import card
from fpplm_core.export.cased import CasedPieces, keep_capitals
from fpplm_core.export.golden import write_golden
from fpplm_core.export.portable import has_decoder, make_portable, piece_roles, portable_labels
from fpplm_core.export.settings import ExportSettings, Variant
from fpplm_core.files import read_json, write_json, write_text
from fpplm_core.serving.bundle import (
    BILL_OF_MATERIALS,
    CARD,
    CONFIG,
    FORMAT,
    GRAPHS,
    LABEL_LM,
    MANIFEST,
    SKETCH,
    TOKENIZER,
    TOKENIZER_CONFIG,
    UNLISTED,
    graph_name,
    manifest_digest,
    scan,
)
from fpplm_core.serving.config import OWN_KEY, BundleConfig
from fpplm_core.serving.files import open_regular
from fpplm_core.serving.sketch import Sketch
from fpplm_core.tagging.decoder import SpanDecoder
from fpplm_core.tagging.windows import WORD_SHAPES

SUFFIXES = {"fp32": "", "fp16": "_fp16", "int8": "_quantized"}  # of the files, as the hub's libraries know them
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
    reference: Sketch | None = None,
) -> None:
    """Writes a sealed bundle with the graphs that `config` names, in place of the one before.

    `graphs` is the folder of the graphs and of the encoder's files, `tokenizer` a file. `lineage` goes into the
    manifest; it has the parameters and the scores. The first `examples` become the golden sentences. `reference` is
    the sketch of the training data.
    """
    shutil.rmtree(bundle, ignore_errors=True)
    (bundle / GRAPHS).mkdir(parents=True)
    cased = write_tokenizer(tokenizer, bundle / TOKENIZER, config.first_shape is not None)
    config = replace(config, graphs=graph_files(config.variants), lower_case=cased is not None)
    write_graphs(graphs, bundle, config, cased)
    if config.label_lm_threshold:
        shutil.copyfile(graphs / LABEL_LM, bundle / LABEL_LM)
    names = ["input_ids", *(["token_type_ids"] if config.first_shape is not None else []), "attention_mask"]
    write_json(bundle / TOKENIZER_CONFIG, read_json(graphs / TOKENIZER_CONFIG) | {"model_input_names": names})
    keys = read_json(graphs / CONFIG) | hub_keys(config) | {OWN_KEY: config_json(config)}
    write_text(bundle / CONFIG, json_with_rows(keys) + "\n")
    seal(bundle, lineage)
    write_golden(bundle, examples[:GOLDEN_SENTENCES])
    write_text(bundle / CARD, card(lineage, has_decoder(config.labels)))
    if reference is not None:
        write_text(bundle / SKETCH, reference.as_text())
    write_json(bundle / BILL_OF_MATERIALS, bill_of_materials(lineage, file_facts(bundle)))
    seal(bundle, lineage)


def write_tokenizer(source: Path, target: Path, with_shapes: bool) -> CasedPieces | None:
    """Writes the bundle's tokenizer, with pieces in capitals if a client needs these to see word shapes."""
    found = keep_capitals(json.loads(source.read_text(encoding="utf-8"))) if with_shapes else None
    if found is None:
        shutil.copyfile(source, target)
        return None
    target.write_text(json.dumps(found[0], ensure_ascii=False), encoding="utf-8")
    return found[1]


def write_graphs(graphs: Path, bundle: Path, config: BundleConfig, cased: CasedPieces | None) -> None:
    """Writes the graphs that `config` names, for fpplm and for other clients, beside the bundle's tokenizer."""
    roles = piece_roles(Tokenizer.from_file(str(bundle / TOKENIZER)))
    decoder = SpanDecoder(config.labels, np.array(config.transitions, dtype=np.float32))
    for variant, file in config.graphs.items():
        graph = onnx.load(str(graphs / graph_name(variant)))
        onnx.save(make_portable(graph, decoder, roles, config.first_shape, cased), str(bundle / file))


def graph_files(variants: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """The file of each variant in a bundle, as the hub's libraries name them."""
    return {name: f"{GRAPHS}/model{SUFFIXES[name]}.onnx" for device in variants.values() for name in device}


def hub_keys(config: BundleConfig) -> dict[str, object]:
    """The keys of config.json in which a tagger differs from its encoder, for the hub's libraries."""
    labels = portable_labels(config.labels)
    keys: dict[str, object] = {
        "id2label": {str(number): label for number, label in enumerate(labels)},
        "label2id": {label: number for number, label in enumerate(labels)},
    }
    if config.first_shape is not None:
        keys["type_vocab_size"] = config.first_shape + len(WORD_SHAPES)
    if "int8" not in config.graphs:  # which Transformers.js looks for in a browser
        keys["transformers.js_config"] = {"dtype": "fp32"}
    return keys


def config_json(config: BundleConfig) -> dict[str, object]:
    """What config.json has under `fpplm`; the keys that format 1 has too are the same."""
    values = asdict(config)
    variants, segmentation = values.pop("variants"), values.pop("segmentation")
    label_lm = {"below": values.pop("label_lm_threshold"), "use": values.pop("use_label_lm")}
    graphs, lower_case = values.pop("graphs"), values.pop("lower_case")
    del values["logits"]  # the format says which output it is
    named = {"words": segmentation, "label_lm": label_lm, "variants": variants}
    return {**values, **named, "graphs": graphs, "lower_case": lower_case}


def json_with_rows(values: Any) -> str:
    """Indented JSON with each list of numbers on one line: config.json of many labels must not exceed its LIMITS."""
    text = json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False)
    return re.sub(r"\[\n[-+.,0-9e\s]+\]", lambda found: "".join(found[0].split()), text)


def seal(bundle: Path, lineage: Mapping[str, Any]) -> None:
    """Writes the manifest: the hashes of all files in the folder, and `lineage`.

    Raises BundleError for a subfolder other than that of the graphs.
    """
    manifest = {"format": FORMAT, **lineage, "files": file_facts(bundle)}
    manifest["digest"] = manifest_digest(manifest)
    (bundle / MANIFEST).write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def file_facts(bundle: Path) -> dict[str, dict[str, Any]]:
    """The sha256 and bytes of each file that belongs into the manifest. Raises BundleError as `seal` does."""
    facts = {}
    for name in sorted(set(scan(bundle)) - set(UNLISTED)):
        with open_regular(bundle / name, allow_links=True) as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
            facts[name] = {"sha256": digest, "bytes": os.fstat(stream.fileno()).st_size}
    return facts
