"""The folder that the arms of `fpplm bench predict` read: the bundle, its weights as transformers loads them, texts."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from transformers import AutoModelForTokenClassification

from fpplm_core import params, pretrained
from fpplm_core.model import Blueprint, load_trained
from tasks import BUNDLE, MODEL, read_json
from tasks.read import load_corpus


def prepare(folder: Path) -> int:
    """Writes FOLDER/{bundle,hf,texts.json} from the trained tagger; the words of dev and test, which the texts are."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    shutil.copytree(BUNDLE, folder / "bundle")
    sentences = [s.words for split in ("dev", "test") for s in load_corpus(split)]
    (folder / "texts.json").write_text(json.dumps(sentences, ensure_ascii=False), encoding="utf-8")
    settings = params.load().model
    blueprint = Blueprint(**read_json(MODEL / "blueprint.json"))
    trained = load_trained(MODEL / "model.safetensors", blueprint, settings)
    source = pretrained.encoder_source(settings.encoder)
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
