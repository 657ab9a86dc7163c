"""The folder that the arms of `fpplm bench predict` read: the bundle, its weights as transformers loads them, texts."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from transformers import AutoModelForTokenClassification

from fpplm.pipeline.paths import BUNDLE, CORPUS, GRAPHS, MODEL
from fpplm_core.data.corpus import load_corpus
from fpplm_core.export.bundle_writer import PREFERENCE, seal
from fpplm_core.files import read_json
from fpplm_core.model import pretrained
from fpplm_core.model.blueprint import Blueprint
from fpplm_core.model.source import encoder_source
from fpplm_core.model.tagger import load_trained
from fpplm_core.params import load
from fpplm_core.serving.bundle import CONFIG, graph_name


def prepare(folder: Path) -> int:
    """Writes FOLDER/{bundle,hf,texts.json} from the trained tagger; the words of dev and test, which the texts are."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    bundle = folder / "bundle"
    shutil.copytree(BUNDLE, bundle)
    config = read_json(bundle / CONFIG)
    made = [v for v in PREFERENCE["cpu"] if (GRAPHS / graph_name(v)).exists()]
    for variant in made:  # those too that `verify` has left out
        shutil.copyfile(GRAPHS / graph_name(variant), bundle / graph_name(variant))
    config["variants"]["cpu"] = made
    (bundle / CONFIG).write_text(json.dumps(config), encoding="utf-8")
    seal(bundle, {})
    sentences = [s.words for split in ("dev", "test") for s in load_corpus(split, CORPUS)]
    (folder / "texts.json").write_text(json.dumps(sentences, ensure_ascii=False), encoding="utf-8")
    settings = load().model
    blueprint = Blueprint(**read_json(MODEL / "blueprint.json"))
    trained = load_trained(MODEL / "model.safetensors", blueprint, settings)
    source = encoder_source(settings.encoder)
    labels = dict(enumerate(blueprint.labels))
    model = AutoModelForTokenClassification.from_pretrained(source, id2label=labels)
    # The peers know no word shapes: as token types they give 0, which training has shown as well.
    setattr(model, model.base_model_prefix, trained.encoder)
    if blueprint.first_shape is not None:
        model.config.type_vocab_size = trained.encoder.embeddings.token_type_embeddings.num_embeddings
    model.classifier.load_state_dict(trained.head.state_dict())
    model.save_pretrained(folder / "hf")
    pretrained.load_tokenizer(settings.encoder, settings.revision).save_pretrained(folder / "hf")
    return sum(map(len, sentences))
