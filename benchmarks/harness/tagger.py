"""The folder that the arms of `fpplm bench predict` read: the bundle, its weights as transformers loads them, texts."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

from transformers import AutoModelForTokenClassification

from fpplm.pipeline.paths import BUNDLE, CORPUS, ENCODED, GRAPHS, MODEL
from fpplm_core.data.corpus import load_corpus
from fpplm_core.export.bundle_writer import (
    by_device,
    config_json,
    graph_files,
    graph_sizes,
    seal,
    write_graphs,
    write_tokenizer,
)
from fpplm_core.files import read_json, write_json
from fpplm_core.model import pretrained
from fpplm_core.model.blueprint import WEIGHTS, read_blueprint
from fpplm_core.model.source import encoder_source
from fpplm_core.model.tagger import load_trained
from fpplm_core.params import load
from fpplm_core.serving.bundle import CONFIG, TOKENIZER, open_bundle
from fpplm_core.serving.config import OWN_KEY


def prepare(folder: Path) -> int:
    """Writes FOLDER/{bundle,hf,texts.json} from the trained tagger; the words of dev and test, which the texts are."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    bundle = folder / "bundle"
    shutil.copytree(BUNDLE, bundle)
    config, values = open_bundle(bundle).config, read_json(bundle / CONFIG)
    variants = by_device(graph_sizes(GRAPHS))  # those too that `verify` has left out
    config = replace(config, variants=variants, graphs=graph_files(variants))
    cased = write_tokenizer(ENCODED / TOKENIZER, bundle / TOKENIZER, config.first_shape is not None)
    write_graphs(GRAPHS, bundle, config, cased)
    write_json(bundle / CONFIG, values | {OWN_KEY: config_json(config)})
    seal(bundle, {})
    sentences = [s.words for split in ("dev", "test") for s in load_corpus(split, CORPUS)]
    (folder / "texts.json").write_text(json.dumps(sentences, ensure_ascii=False), encoding="utf-8")
    settings = load().model
    blueprint = read_blueprint(MODEL)
    trained = load_trained(MODEL / WEIGHTS, blueprint, settings)
    source = encoder_source(settings.encoder)
    labels = dict(enumerate(blueprint.labels))
    model = AutoModelForTokenClassification.from_pretrained(source, id2label=labels)
    # The peers know no word shapes: as token types they give 0, which training has shown as well.
    setattr(model, model.base_model_prefix, trained.encoder)
    if blueprint.first_shape is not None:
        model.config.type_vocab_size = len(trained.encoder.get_parameter("embeddings.token_type_embeddings.weight"))
    model.classifier.load_state_dict(trained.head.state_dict())
    model.save_pretrained(folder / "hf")
    pretrained.load_tokenizer(settings.encoder, settings.revision).save_pretrained(folder / "hf")
    return sum(map(len, sentences))
