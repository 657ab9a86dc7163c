"""Writes what the hub's libraries (transformers, Transformers.js, Optimum) need to know about an encoder."""

from __future__ import annotations

from pathlib import Path

from transformers.models.auto.modeling_auto import MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING_NAMES

from fpplm_core.files import write_json
from fpplm_core.model import pretrained
from fpplm_core.model.settings import ModelSettings
from fpplm_core.serving.bundle import CONFIG, TOKENIZER_CONFIG

# A local path, a version that would change the file with each upgrade, and what depends on the labels.
LEFT_OUT = ("_name_or_path", "transformers_version", "id2label", "label2id")
TOKENIZER_CLASS = "PreTrainedTokenizerFast"  # uses tokenizer.json as it is; a family's own class would alter it


def write_encoder_files(folder: Path, settings: ModelSettings) -> None:
    """Writes config.json and tokenizer_config.json beside the graphs; the bundle adds its labels to the former.

    Raises EncoderError.
    """
    encoder = pretrained.load_config(settings.encoder, settings.revision)
    tokenizer = pretrained.load_tokenizer(settings.encoder, settings.revision)
    keys = {key: value for key, value in encoder.to_dict().items() if key not in LEFT_OUT}
    architecture = MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING_NAMES.get(encoder.model_type)
    write_json(folder / CONFIG, keys | {"architectures": [architecture] if architecture else None})
    named = {name: token for name, token in tokenizer.special_tokens_map.items() if isinstance(token, str)}
    facts = {
        "tokenizer_class": TOKENIZER_CLASS,
        "model_max_length": pretrained.most_pieces(encoder, tokenizer),
        "clean_up_tokenization_spaces": False,
    }
    write_json(folder / TOKENIZER_CONFIG, facts | named)
