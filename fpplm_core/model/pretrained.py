"""Pretrained encoders, from a package, a local folder or the hub: their tokenizer, configuration and weights."""

from __future__ import annotations

import json
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, AutoModelForMaskedLM, AutoTokenizer, PreTrainedConfig
from transformers.modeling_outputs import BaseModelOutput
from transformers.utils import logging

from fpplm_core.errors import EncoderError, ParamsError
from fpplm_core.model.source import encoder_source
from fpplm_core.tagging.tokenizer_rules import require_known_parts

logging.disable_progress_bar()

ATTENTION = "eager"  # faster than sdpa on the CPU, see docs/decisions


def _load(loader: Any, name: str, revision: str | None, **options: Any) -> Any:
    try:
        source = encoder_source(name)
        _require_no_code(PreTrainedConfig.get_config_dict(source, revision=revision)[0], name)
        return loader.from_pretrained(source, revision=revision, trust_remote_code=False, **options)
    except EncoderError:
        raise
    except Exception as error:  # transformers raises many kinds; each means that the encoder is not usable
        reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise EncoderError(
            f"the encoder cannot be loaded ({reason[:200]})",
            where="model.encoder",
            got=repr(name),
            do="name a local folder with config.json, tokenizer.json and model.safetensors, a package folder "
            "(package:NAME/FOLDER) or a hub name; offline, a hub name works only once it has been downloaded",
        ) from None


def _require_no_code(config: Any, name: str) -> None:
    """Raises EncoderError if a config.json, or a part of it, names code to fetch: kernels of attention or experts.

    transformers refuses other code itself (`auto_map`, with trust_remote_code=False). CVE-2026-4372, CVE-2026-5241.
    """
    parts = config.items() if isinstance(config, dict) else enumerate(config) if isinstance(config, list) else ()
    for key, value in parts:
        kernel = "_implementation" in str(key) and isinstance(value, str) and not value.isidentifier()
        if kernel or (key == "trust_remote_code" and value):
            raise EncoderError(
                "the encoder's config.json names code to fetch and run",
                where="model.encoder",
                got=f"{name}: {key}: {value!r}"[:200],
                do="remove the key if you trust the encoder; fpplm runs no code of an encoder",
            )
        _require_no_code(value, name)


def load_tokenizer(name: str, revision: str | None) -> Any:
    """The encoder's fast tokenizer without truncation and padding, which windows replace.

    Raises EncoderError, also if it has parts that serving would not run.
    """
    # Byte-level BPE (RoBERTa, GPT-2) marks a word's start by the blank before it, which a single word lacks.
    tokenizer = _load(AutoTokenizer, name, revision, use_fast=True, add_prefix_space=True)
    if not tokenizer.is_fast:
        do = "choose an encoder that has a tokenizer.json"
        raise EncoderError("the encoder has no fast tokenizer", where="model.encoder", got=repr(name), do=do)
    backend = tokenizer.backend_tokenizer
    backend.no_truncation()
    backend.no_padding()
    try:
        require_known_parts(json.loads(backend.to_str()))
    except ValueError as error:
        what = f"the encoder's tokenizer has a {error}"
        do = "choose an encoder of a tested family (docs/deploy.md), or retrain its tokenizer with known parts"
        raise EncoderError(what, where="model.encoder", got=repr(name), do=do) from None
    return tokenizer


def load_config(name: str, revision: str | None) -> Any:
    """The encoder's configuration. Raises EncoderError."""
    return _load(AutoConfig, name, revision)


def load_encoder(name: str, revision: str | None) -> Any:
    """The pretrained encoder in float32, from safetensors only: nothing is ever unpickled. Raises EncoderError."""
    encoder = _load(AutoModel, name, revision, use_safetensors=True, attn_implementation=ATTENTION, dtype="float32")
    if hasattr(encoder, "pooler"):
        encoder.pooler = None  # tagging never looks at the pooled vector
    return encoder


def masked_lm_head(encoder: Any) -> nn.Module:
    """From states (n, width) to logits (n, pieces): the head that the encoder was pretrained with, frozen.

    Raises EncoderError if the encoder's files hold no such head.
    """
    name = encoder.name_or_path
    try:
        whole, found = AutoModelForMaskedLM.from_pretrained(
            name,
            revision=getattr(encoder.config, "_commit_hash", None),
            use_safetensors=True,
            trust_remote_code=False,
            attn_implementation=ATTENTION,
            dtype="float32",
            output_loading_info=True,
        )
        missing = sorted(found["missing_keys"])
    except (ValueError, OSError) as error:  # an encoder that is not pretrained this way, or a missing file
        missing = [str(error).splitlines()[0][:120]]
    if missing:
        raise EncoderError(
            "the encoder has no head for hidden pieces",
            where="technique.multi_task.masked_lm",
            got=f"{name}: {missing[0]}",
            do="set it to 0, or take an encoder that was saved with its masked-LM head",
        )
    return MaskedLmHead(whole)


class MaskedLmHead(nn.Module):
    """A masked language model with its encoder cut out: whatever the family, its own code applies the head."""

    def __init__(self, whole: Any) -> None:
        super().__init__()
        self.stored = StoredStates()
        setattr(whole, whole.base_model_prefix, self.stored)
        self.whole = whole.eval().requires_grad_(False)

    def forward(self, states: Tensor) -> Tensor:
        self.stored.states = states.unsqueeze(0)
        return cast(Tensor, self.whole(input_ids=torch.zeros_like(states[None, :, 0], dtype=torch.long)).logits[0])


class StoredStates(nn.Module):
    """Takes the place of an encoder and returns the states stored in it."""

    states: Tensor

    def forward(self, *_: Any, **__: Any) -> BaseModelOutput:
        return BaseModelOutput(last_hidden_state=cast(Any, self.states))


def lower_cases(tokenizer: Any) -> bool:
    """True if the tokenizer maps "A" and "a" to the same piece."""
    return bool(tokenizer("A")["input_ids"] == tokenizer("a")["input_ids"])


def type_count(encoder_config: Any) -> int:
    """The number of the encoder's token types; 0 if it cannot take word shapes as further ones."""
    known = encoder_config.model_type in ("bert", "roberta", "electra", "xlm-roberta", "albert", "camembert", "ernie")
    return int(getattr(encoder_config, "type_vocab_size", 0) or 0) if known else 0


def most_pieces(config: Any, tokenizer: Any) -> int:
    """The largest number of pieces that the encoder takes."""
    positions = getattr(config, "max_position_embeddings", None) or 0  # XLNet, which has no limit, has -1
    return int(min(positions if positions > 0 else 10**9, tokenizer.model_max_length))


def check_window(window: int, config: Any, tokenizer: Any) -> None:
    """Raises ParamsError if the encoder has fewer positions than a window has pieces."""
    limit = most_pieces(config, tokenizer)
    if window > limit:
        raise ParamsError(
            "longer than the encoder allows", where="encode.window", got=str(window), do=f"use at most {limit}"
        )
