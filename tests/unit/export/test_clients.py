"""A bundle in the hands of transformers: its own tokenizer, configuration and pipeline, over ONNX Runtime."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from transformers import AutoConfig, AutoTokenizer

from clients.transformers_pipeline import tag
from fpplm_core.data.alignment import text_of
from fpplm_core.data.records import Sentence
from fpplm_core.export import bundle_writer
from fpplm_core.export.generic_client import GenericClient, client_f1
from fpplm_core.export.hub import write_encoder_files
from fpplm_core.export.onnx import export_fp32
from fpplm_core.export.variants import derive_fp16, derive_int8
from fpplm_core.export.verdicts import ClientF1
from fpplm_core.model.pretrained import load_tokenizer
from fpplm_core.serving import Predictor, open_bundle
from fpplm_core.tagging.decoder import SpanDecoder
from fpplm_core.tagging.spans import Span, tags_from_spans
from tests import tiny
from tests.unit.export.test_card import lineage

TEXTS = [
    "Angela Merkel visited Paris in 2024 .",
    "London , Paris and NATO met McDonald 's iPhone ( Zürich ) ☃ 😀 !",
    "the of and in to",
]


def sentences() -> list[Sentence]:
    rows = [tuple(text.split()) for text in TEXTS]
    return [Sentence(words, ("O",) * len(words), "f", tuple(range(1, len(words) + 1))) for words in rows]


@pytest.fixture(scope="module")
def bundle(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole bundle of an untrained tagger, whose head is large so that it finds something."""
    folder = tmp_path_factory.mktemp("clients")
    graphs, tokenizer = folder / "onnx", folder / "tokenizer.json"
    graphs.mkdir()
    model = tiny.tagger(tiny_encoder)
    with torch.no_grad():
        for weight in model.head.parameters():
            weight.copy_(torch.randn(weight.shape, generator=torch.Generator().manual_seed(4)) * 3)
    export_fp32(model, graphs / "model.fp32.onnx", with_states=False)
    derive_fp16(graphs / "model.fp32.onnx", graphs / "model.fp16.onnx")
    derive_int8(graphs / "model.fp32.onnx", graphs / "model.int8.onnx")
    settings = tiny.MODEL.model_copy(update={"encoder": str(tiny_encoder), "revision": None})
    write_encoder_files(graphs, settings)
    load_tokenizer(str(tiny_encoder), None).backend_tokenizer.save(str(tokenizer))
    decoder = SpanDecoder.of_labels(tiny.LABELS)
    data, encode = SimpleNamespace(segmentation_rule="unicode-2"), SimpleNamespace(window=64, stride=16, context=0)
    config = bundle_writer.make_config(
        decoder, tiny.FIRST_SHAPE, data, encode, SimpleNamespace(refine_below=0), ["fp32", "fp16", "int8"]
    )
    bundle_writer.assemble(folder / "bundle", graphs, tokenizer, sentences(), config, lineage())
    return folder / "bundle"


def test_transformers_pipeline_gives_the_golden_entities(bundle: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(bundle)
    rows = json.loads((bundle / "golden.json").read_text(encoding="utf-8"))
    for row in rows:
        encoded = tokenizer(row["text"], return_offsets_mapping=True)
        assert encoded["input_ids"] == row["input_ids"]
        assert [list(pair) for pair in encoded["offset_mapping"]] == row["offsets"]
        assert set(encoded) == {"input_ids", "attention_mask", "token_type_ids", "offset_mapping"}
    found = tag(bundle, rows)
    assert found == [row["entities"] for row in rows]
    assert any(found), "or the test would show nothing"


def test_whole_words_are_entities_as_predictor_finds_them(bundle: Path) -> None:
    client, predictor = GenericClient(bundle), Predictor.load(bundle, "cpu", "fp32")
    sentence = next(s for s in sentences() if predictor.tag([s.words])[0])
    text, words = text_of(sentence)
    (tagged,) = predictor.tag([sentence.words])
    wanted = [(words[span.start][0], words[span.end - 1][1], span.type) for span, _ in tagged]
    assert [tuple(span) for span in client.read(text).entities] == wanted


def test_the_layout_is_that_of_the_hubs_libraries(bundle: Path) -> None:
    names = {path.name for path in (bundle / "onnx").iterdir()}
    assert names == {"model.onnx", "model_fp16.onnx", "model_quantized.onnx"}
    config = json.loads((bundle / "config.json").read_text())
    assert config["architectures"] == ["BertForTokenClassification"] and config["model_type"] == "bert"
    assert list(config["id2label"].values()) == ["O", "B-X", "I-X", "B-Y", "I-Y"]
    assert {number: label for label, number in config["label2id"].items()} == {
        int(number): label for number, label in config["id2label"].items()
    }
    assert "transformers.js_config" not in config, "it finds model_quantized.onnx in a browser"
    assert AutoConfig.from_pretrained(bundle).num_labels == 5
    assert open_bundle(bundle).config.graphs["int8"] == "onnx/model_quantized.onnx"
    tokenizer = AutoTokenizer.from_pretrained(bundle)
    assert tokenizer.model_max_length == AutoConfig.from_pretrained(bundle).max_position_embeddings
    assert tokenizer.pad_token_id == 0 and tokenizer("a" * 9, padding=True)["attention_mask"]
    for file in bundle.rglob("*.json"):
        assert str(bundle.parent) not in file.read_text(), "no path of this machine"


def test_verify_scores_what_a_client_reads(bundle: Path) -> None:
    client = GenericClient(bundle)
    annotated = []
    for sentence in sentences():
        text, ranges = text_of(sentence)
        words, ends = [start for start, _ in ranges], [end for _, end in ranges]
        spans = [Span(words.index(s), ends.index(e) + 1, kind) for s, e, kind in client.read(text).entities]
        annotated.append(replace(sentence, tags=tuple(tags_from_spans(spans, len(words), "IOB2"))))
    row = client_f1(bundle, "fp32", [annotated[:1], annotated[1:]], [sentences()])
    assert row == ClientF1("onnx/model.onnx", dev_f1=1.0, test_f1=0.0), "as it reads dev; nothing is annotated in test"
