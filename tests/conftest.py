"""What several tests need: a tiny encoder, parameters that point at it, shared corpora, profiles of Hypothesis."""

from __future__ import annotations

import os
import string
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # read when transformers is imported: no test may reach for the network
os.environ["OMP_NUM_THREADS"] = "1"  # tests run side by side, and their models are too small for more
os.environ.pop("CI", None)  # where it is set, pytest prints whole differences: an hour for two models' bytes

ROOT = Path(__file__).resolve().parents[1]

# The same examples in every run. To look for new ones: pytest --hypothesis-profile=search
common = {"deadline": None, "database": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("fpplm", max_examples=40, derandomize=True, **common)
settings.register_profile("search", max_examples=2000, print_blob=True, **common)
settings.load_profile("fpplm")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of shared corpora, beside the repository."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"the shared corpora are not at {folder}")
    return folder


def vocabulary() -> list[str]:
    single = [*string.ascii_letters, *string.digits, *string.punctuation]
    words = ["the", "The", "of", "in", "city", "London", "Paris", "river", "##s", "##ing", "##ed", "##er", "word"]
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *single, *(f"##{mark}" for mark in single), *words]
    return list(dict.fromkeys(tokens))


def save_tiny_encoder(folder: Path) -> None:
    """A BERT of two layers with random weights and a WordPiece tokenizer, as a folder that transformers loads."""
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    tokens = vocabulary()
    index = {token: number for number, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.WordPiece(index, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False, strip_accents=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", index["[CLS]"]), ("[SEP]", index["[SEP]"])]
    )
    special = {f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep", "mask")}
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=128, **special)
    fast.save_pretrained(folder)
    config = BertConfig(
        vocab_size=len(tokens),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=128,
    )
    with torch.random.fork_rng([]):
        torch.manual_seed(1)
        BertModel(config).save_pretrained(folder, safe_serialization=True)


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("encoder")
    save_tiny_encoder(folder)
    return folder


@pytest.fixture
def params(tiny_encoder: Path):
    """params.yaml with the tiny encoder and small sizes."""
    from fpplm_core.params import parse
    from fpplm_core.settings import read_yaml

    values = read_yaml(ROOT / "params.yaml")
    values["model"] |= {"encoder": str(tiny_encoder), "revision": None}
    values["encode"] |= {"window": 64, "stride": 16}
    values["train"] |= {"batch_pieces": 256, "device": "cpu", "precision": "float32"}
    return parse(values, "params.yaml")
