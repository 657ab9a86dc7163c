"""Every encoder family that people bring: trained with all six techniques, resumed, exported, and the graph compared.

Each is built tiny from its configuration, with random weights; nothing is fetched.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoConfig, AutoModel, AutoModelForMaskedLM

from fpplm_core.errors import EncoderError
from fpplm_core.export import portable
from fpplm_core.export.onnx import export_fp32
from fpplm_core.model.blueprint import Blueprint
from fpplm_core.model.digest import weights_sha256
from fpplm_core.model.pretrained import load_encoder, masked_lm_head, type_count
from fpplm_core.model.tagger import Tagger, initialise
from fpplm_core.tagging.decoder import SpanDecoder
from fpplm_core.tagging.windows import WindowBuilder
from fpplm_core.training.data import FIXED_IDS
from fpplm_core.training.loop import train_steps
from fpplm_core.training.state import TrainingState, initial_state
from fpplm_core.training.technique import Technique
from tests import tiny

FAMILIES = (
    "albert", "bert", "deberta-v2", "distilbert", "electra", "gpt2", "modernbert", "mpnet", "roberta", "xlm-roberta",
    "xlnet",
)  # fmt: skip
BROUGHT_MOST = {"bert", "distilbert", "roberta"}  # what runs without --full
WITHOUT_EXPORT = {"xlnet"}
SIZES = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48, "vocab_size": 110,
    "dim": 32, "hidden_dim": 48, "n_layers": 2, "n_heads": 2, "n_layer": 2, "n_head": 2, "n_embd": 32, "d_model": 32,
    "d_inner": 48, "embedding_size": 32, "max_position_embeddings": 64, "pad_token_id": 0, "bos_token_id": 1,
    "eos_token_id": 1, "cls_token_id": 1, "sep_token_id": 1,
}  # fmt: skip
STEPS = tiny.changed(steps=12)


def marked(families: Iterable[str]) -> list[Any]:
    return [pytest.param(f, marks=[] if f in BROUGHT_MOST else pytest.mark.full) for f in families]


def build(family: str, **changes: int) -> Tagger:
    # XLNet has no limit of positions, and refuses to be given one.
    config = AutoConfig.for_model(
        family, **{k: v for k, v in (SIZES | changes).items() if family != "xlnet" or "position" not in k}
    )
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        encoder = AutoModel.from_config(config, attn_implementation="eager")
    if hasattr(encoder, "pooler"):
        encoder.pooler = None
    return initialise(encoder, Blueprint(tiny.LABELS, type_count(config) or None, 4), tiny.MODEL, seed=1)


def all_six() -> dict[str, Technique]:
    return tiny.build(tiny.SECTION["active"])


def trained(family: str, cut: int | None = None) -> TrainingState:
    """The end of a run with all six; with `cut`, of one that went on from a checkpoint."""
    active, done = all_six(), 0
    state = initial_state(build(family), active, STEPS)
    if cut is not None:
        steps = train_steps(state, tiny.batch_of, active, STEPS)
        for _ in range(cut):
            next(steps)
        checkpoint, done = tiny.saved(state), cut
        state = initial_state(build(family), active, STEPS)
        state.restore(safetensors.torch.load(checkpoint))
    for report in train_steps(state, tiny.batch_of, active, STEPS, done):
        assert all(torch.isfinite(value) for value in report.losses.values())
    return state


@pytest.mark.parametrize("family", marked(FAMILIES))
def test_a_family_trains_with_all_six_resumes_and_exports(family, tmp_path: Path):
    state = trained(family)
    blocks = [group.name for group in state.groups if group.name.startswith("block")]
    assert blocks == (["block0"] if family == "albert" else ["block1", "block0"])  # ALBERT's layers share their weights
    assert {name for group in state.groups for name in group.parameters} == set(state.parameters())
    assert tiny.saved(trained(family, cut=5)) == tiny.saved(state)

    model, batch = state.model, tiny.batch_of(0)
    path = tmp_path / "model.onnx"
    if family in WITHOUT_EXPORT:
        with pytest.raises(EncoderError, match="cannot be exported"):
            export_fp32(model, path, with_states=False)
        return
    export_fp32(model, path, with_states=False)
    feed = {"input_ids": batch.ids.numpy(), "attention_mask": batch.mask.numpy()}
    if model.blueprint.first_shape is not None:
        feed["token_type_ids"] = (batch.types - tiny.FIRST_SHAPE + model.blueprint.first_shape).clamp(min=0).numpy()
    session = onnxruntime.InferenceSession(str(path))
    assert {place.name for place in session.get_inputs()} == set(feed)
    model.eval()
    with torch.no_grad():
        wanted = model(*(torch.from_numpy(feed[name]) for name in feed)).numpy()
    (found,) = session.run(None, feed)
    assert np.abs(found - wanted)[batch.mask.bool().numpy()].max() < 1e-4
    roles = np.full(int(batch.ids.max()) + 1, portable.STARTS, dtype=np.uint8)
    graph = portable.make_portable(onnx.load(path), SpanDecoder.of_labels(model.blueprint.labels), roles, None, None)
    session = onnxruntime.InferenceSession(graph.SerializeToString())
    for_others, own = session.run(["logits", "tag_logits"], feed)
    assert np.array_equal(own, found) and np.isfinite(for_others).all()


@pytest.mark.parametrize("family", marked(FAMILIES))
def test_a_family_gives_the_same_logits_with_the_pieces_of_the_data_alone(family):
    """RoBERTa's kind counts positions where an id is not its padding, 1: no other piece may become 1."""
    model, batch = build(family, pad_token_id=1).eval(), tiny.batch_of(0)
    before, wanted = weights_sha256(model), model(batch.ids, batch.mask).detach()
    pieces = torch.tensor(sorted({*range(FIXED_IDS), *batch.ids.flatten().tolist(), 99}))
    model.keep_pieces(pieces)
    ids = torch.searchsorted(pieces, batch.ids)
    assert torch.equal(model.pretrained_ids(ids), batch.ids)
    assert model.blueprint.mask_id == 4 and len(model.embed(torch.arange(len(pieces)))) == len(pieces)
    assert torch.equal(model(ids, batch.mask).detach(), wanted)
    model.restore_vocabulary()
    assert weights_sha256(model) == before
    assert torch.equal(model(batch.ids, batch.mask).detach(), wanted)


WITH_MASKED_LM = sorted({*FAMILIES} - {"gpt2", "xlnet"})


@pytest.mark.parametrize("family", marked(WITH_MASKED_LM))
def test_the_masked_lm_head_is_the_one_that_the_encoder_was_saved_with(family, tmp_path: Path):
    config = AutoConfig.for_model(family, **SIZES)
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        whole = AutoModelForMaskedLM.from_config(config, attn_implementation="eager").eval()
    whole.save_pretrained(tmp_path)
    encoder = load_encoder(str(tmp_path), None).eval()
    batch = tiny.batch_of(0)
    with torch.no_grad():
        wanted = whole(input_ids=batch.ids[:1], attention_mask=batch.mask[:1]).logits[0]
        states = encoder(input_ids=batch.ids[:1], attention_mask=batch.mask[:1]).last_hidden_state[0]
        assert torch.allclose(masked_lm_head(encoder)(states), wanted, atol=1e-5)
    assert wanted.std() > 0


def test_an_encoder_without_such_a_head_is_an_error_that_says_so(tiny_encoder: Path):
    active = tiny.build(["multi_task"], multi_task={"masked_lm": 0.1})
    with pytest.raises(EncoderError, match=r"technique.multi_task.masked_lm: the encoder has no head.*set it to 0"):
        initial_state(tiny.tagger(tiny_encoder), active, STEPS)
    with pytest.raises(EncoderError, match="no head for hidden pieces"):
        initial_state(build("gpt2"), active, STEPS)


TEXT = ["The Rivers of London", "a-b c.d, Ünïcode 中文 text", "don't U.S. 1,000 e-mail"] * 20


def wordpiece() -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    tokenizer.train_from_iterator(TEXT, trainers.WordPieceTrainer(vocab_size=90, special_tokens=special))
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return tokenizer


def byte_level_bpe() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.ByteLevel(), decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=["<s>", "</s>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    tokenizer.train_from_iterator(TEXT, trainer)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 1), ("<s>", 0))
    return tokenizer


def sentencepiece() -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=90, special_tokens=["<unk>", "</s>"], unk_token="<unk>")
    tokenizer.train_from_iterator(TEXT, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return tokenizer


@pytest.fixture(scope="module", params=[wordpiece, byte_level_bpe, sentencepiece], ids=lambda make: make.__name__)
def encoder(request) -> WindowBuilder:
    return WindowBuilder(request.param(), 16, 4)


@given(st.lists(st.sampled_from([*" ".join(TEXT[:3]).split(), "\u200b", "x" * 40, "😀"]), min_size=1, max_size=12))
def test_every_kind_of_tokenizer_gives_each_word_its_own_pieces(encoder, words):
    """The pieces of a word in a window are those of the word alone, whatever stands beside it."""
    alone = encoder.pieces(words)
    assert all(alone)
    owned = []
    for window in encoder.windows([words]):
        for word, first in zip(window.owned_words, window.first_pieces, strict=True):
            assert window.ids[first : first + len(alone[word])] == alone[word]
            owned.append(word)
    assert owned == list(range(len(words)))


SPECIAL = ["[SEP]", "[CLS]", "[PAD]", "[MASK]", "<s>", "</s>", "<pad>", "<mask>", "<|endoftext|>"]


@given(st.lists(st.sampled_from(["a", "", "\ud83d", *SPECIAL]), min_size=1, max_size=4).map("".join).filter(bool))
def test_no_kind_of_tokenizer_takes_a_word_for_a_special_piece(encoder, word):
    own = [set(encoder.prefix), set(encoder.suffix), *({encoder.tokenizer.token_to_id(name)} for name in SPECIAL)]
    (pieces,) = encoder.pieces([word])
    assert not set(pieces) & set().union(*own) - {encoder.filler}
    (window, *_) = encoder.windows([["the", word, "a"]])
    assert window.ids[: len(encoder.prefix)] == encoder.prefix
    assert not set(window.ids[len(encoder.prefix) : len(window.ids) - len(encoder.suffix)]) & encoder.special_pieces


def test_the_pieces_of_other_words_are_those_of_the_tokenizer_as_it_is(encoder):
    words = [*" ".join(TEXT[:3]).split(), "[", "]", "SEP", "<", "s", "/s>", "\u200b", "中文", "😀"]
    plain = Tokenizer.from_str(encoder.tokenizer.to_str())
    wanted = [plain.encode(word, add_special_tokens=False).ids or [encoder.filler] for word in words]
    assert encoder.pieces(words) == wanted


def test_other_clients_know_where_words_start(encoder):
    """From the pieces of a whole text, of each kind of tokenizer."""
    words = ["the", "Angela", "Merkel", "of", "x", "Zürich", "paris", "unhappily"]
    roles = portable.piece_roles(encoder.tokenizer)
    encoded = encoder.tokenizer.encode(" ".join(words))
    assert [roles[piece] == portable.SPECIAL for piece in encoded.ids] == [
        flag == 1 for flag in encoded.special_tokens_mask
    ]
    starts = [
        start for piece, (start, _) in zip(encoded.ids, encoded.offsets, strict=True) if roles[piece] == portable.STARTS
    ]
    text = " ".join(words)
    places = [start + (text[start] == " ") for start in starts]  # some count the blank
    assert places == [0, *np.cumsum([len(word) + 1 for word in words])[:-1].tolist()]


def test_characters_that_are_words_start_them():
    """Where writers put no blanks."""
    assert all(map(portable.APART.match, ("我", "の", "▁the", "Ġthe"))) and not portable.APART.match("カ")
