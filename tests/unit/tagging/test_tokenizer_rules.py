"""Which tokenizers may tag: those of the encoder families, and no other parts."""

from __future__ import annotations

import base64
import json
from copy import deepcopy
from pathlib import Path
from random import Random
from typing import Any

import pytest
import transformers
from tokenizers import Tokenizer, normalizers, pre_tokenizers

from fpplm_core.errors import BundleError, EncoderError
from fpplm_core.model.pretrained import load_tokenizer as load_of_encoder
from fpplm_core.serving.tokenizer import load_tokenizer
from fpplm_core.tagging.tokenizer_rules import is_set_of_characters, require_known_parts
from tests.contracts.test_encoders import byte_level_bpe, sentencepiece, wordpiece
from tests.hostile_bundles import values
from tests.hostile_bundles.tiny import tokenizer, write_tiny_bundle

TINY: dict[str, Any] = json.loads(tokenizer().to_str())


@pytest.mark.parametrize("make", [tokenizer, wordpiece, byte_level_bpe, sentencepiece])
def test_trained_tokenizers_of_each_kind_are_accepted(make):
    text = make().to_str()
    require_known_parts(json.loads(text))
    assert load_tokenizer(text.encode(), "t").to_str() == text


@pytest.mark.parametrize("family", ["Albert", "Bert", "DebertaV2", "GPT2", "Roberta", "XLMRoberta", "XLNet"])
def test_tokenizers_that_transformers_makes_for_the_families_are_accepted(family):
    """ELECTRA and DistilBERT have BERT's, ModernBERT GPT-2's, MPNet BERT's with a vocabulary of its own."""
    require_known_parts(json.loads(getattr(transformers, f"{family}Tokenizer")().backend_tokenizer.to_str()))


def refused(**changes: Any) -> str:
    with pytest.raises(ValueError) as caught:
        require_known_parts(TINY | changes)
    line = str(caught.value)
    assert line.isprintable() and len(line) < 500
    return line


@pytest.mark.parametrize("key", ["normalizer", "pre_tokenizer", "post_processor", "decoder"])
@pytest.mark.parametrize("part", values.PARTS[:10], ids=str)
def test_parts_that_loop_or_grow_are_refused(key, part):
    assert key in refused(**{key: part})


def test_a_pattern_that_backtracks_is_refused_before_it_runs():
    """On forty letters it takes half a second, and then tokenizers panics."""
    slow = tokenizer()
    slow.pre_tokenizer = pre_tokenizers.Split(__import__("tokenizers").Regex("(a+)+$"), "isolated")
    assert "pre_tokenizer that is not one of" in refused(pre_tokenizer=json.loads(slow.to_str())["pre_tokenizer"])


@pytest.mark.parametrize(
    ("pattern", "content", "accepted"),
    [
        ({"String": "``"}, '"', True),
        ({"String": " "}, "▁", True),
        ({"Regex": " {2,}"}, " ", True),
        ({"Regex": " {2,}"}, "▁", True),
        ({"Regex": r"\s{2,}|[\n\r\t]"}, " ", True),
        ({"Regex": r"[\x{9}\x{200B}]"}, " ", True),
        ({"Regex": r"[\x{9}\x{200B}]"}, "", True),
        ({"Regex": " {2,}"}, "  ", False),
        ({"Regex": r"[\x{9}]+"}, "", False),
        ({"Regex": r"[^\x{9}]"}, "", False),
        ({"Regex": " {2,}$"}, " ", False),
        ({"String": ""}, "", False),
        ({"String": "a"}, "aa", False),
        ({"String": "a", "Regex": "b"}, "", False),
        ({"Other": "a"}, "", False),
        ("a", "", False),
    ],
)
def test_replacements_shrink(pattern, content, accepted):
    part = {"type": "Replace", "pattern": pattern, "content": content}
    if accepted:
        require_known_parts(TINY | {"normalizer": part})
    else:
        assert "normalizer" in refused(normalizer=part)


def test_sets_of_characters_are_told_from_other_patterns():
    assert is_set_of_characters(r"[\x{9}]") and is_set_of_characters(r"[\x{1}\x{10FFFF}]")
    for pattern in (r"[\x{9}", r"[]", r"[\x{9}]*", r"[a]", r"[\x{9}-\x{10}]", r"[\x{9}]\n", "x"):
        assert not is_set_of_characters(pattern)


def precompiled(raw: bytes) -> dict[str, str]:
    return {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(raw).decode()}


def test_a_character_map_is_accepted_if_it_stays_within_its_bytes():
    whole = values.character_map({"a": "b", "L": "\ufdfa", "x": ""})
    require_known_parts(TINY | {"normalizer": precompiled(whole)})
    assert normalizers.Precompiled(whole).normalize_str("aLxc") == "b\ufdfac"
    for image in ("x" * 300, "\u00e9" * 200):
        assert "short texts" in refused(normalizer=precompiled(values.character_map({"a": image})))
    two = {"type": "Sequence", "normalizers": [precompiled(whole)] * 2}  # each could multiply the text
    assert "one character map at most" in refused(normalizer=two)


@pytest.mark.parametrize("bit", range(32))
@pytest.mark.parametrize("unit", [0, 256 ^ ord("a"), 512 ^ ord("a"), 256 ^ ord("L"), 512 ^ ord("L")])
def test_a_damaged_character_map_is_refused_or_harmless(unit, bit):
    """The library looks at no bound of its own: it panics, and prints a page, at the first word that leads out."""
    raw = bytearray(values.character_map({"a": "b", "L": "Li"}))
    raw[4 + 4 * unit + bit // 8] ^= 1 << bit % 8
    try:
        require_known_parts(TINY | {"normalizer": precompiled(bytes(raw))})
    except ValueError:
        return
    for letter in map(chr, range(1, 256)):
        normalizers.Precompiled(bytes(raw)).normalize_str(letter + "aL")


def test_a_chain_of_parts_has_an_end():
    chain = {"type": "Sequence", "normalizers": [{"type": "Lowercase"}] * 40}
    assert "more than 32 parts" in refused(normalizer=chain)
    nested: dict[str, Any] = {"type": "Lowercase"}
    for _ in range(40):
        nested = {"type": "Sequence", "normalizers": [nested]}
    assert "more than 32 parts" in refused(normalizer=nested)


@pytest.mark.parametrize("seed", range(150))
@pytest.mark.parametrize("kind", [values.tokenizer_model, values.tokenizer_part, values.special_pieces])
def test_whatever_passes_the_rules_neither_panics_nor_aborts(tmp_path: Path, kind, seed):
    folder = write_tiny_bundle(tmp_path / "bundle")
    kind(folder, Random(seed))
    try:
        load_tokenizer((folder / "tokenizer.json").read_bytes(), "t").encode_batch(["London", "a" * 40, "é東 x", ""])
    except BundleError as error:
        assert str(error).isprintable()
    except Exception as error:
        assert type(error) is Exception  # of tokenizers, which BundleWindowBuilder reports


def test_a_prefix_that_would_abort_the_process_is_refused():
    """tokenizers 0.23 cuts the prefix off the merge by bytes, in the middle of a letter."""
    model = {"type": "BPE", "vocab": {"é": 0, "e": 1}, "merges": [["e", "é"]], "continuing_subword_prefix": "#"}
    assert "continuing_subword_prefix" in refused(model=model)


def test_an_encoder_with_parts_that_serving_refuses_is_refused_before_training(tiny_encoder: Path, tmp_path: Path):
    values_of_it = json.loads((tiny_encoder / "tokenizer.json").read_text())
    for name in ("tokenizer_config.json", "config.json"):
        (tmp_path / name).write_bytes((tiny_encoder / name).read_bytes())
    grows = deepcopy(values_of_it) | {"normalizer": {"type": "Prepend", "prepend": "x"}}
    (tmp_path / "tokenizer.json").write_text(json.dumps(grows))
    with pytest.raises(
        EncoderError, match=r"model\.encoder: the encoder's tokenizer has a normalizer that is not one of"
    ):
        load_of_encoder(str(tmp_path), None)


def test_an_encoders_truncation_and_padding_are_left_behind(tiny_encoder: Path, tmp_path: Path):
    own = Tokenizer.from_file(str(tiny_encoder / "tokenizer.json"))
    own.enable_truncation(8)
    own.enable_padding(length=8)
    for name in ("tokenizer_config.json", "config.json"):
        (tmp_path / name).write_bytes((tiny_encoder / name).read_bytes())
    own.save(str(tmp_path / "tokenizer.json"))
    loaded = load_of_encoder(str(tmp_path), None).backend_tokenizer
    assert json.loads(loaded.to_str())["truncation"] is None and json.loads(loaded.to_str())["padding"] is None
    assert len(loaded.encode("word " * 50).ids) == 52 and len(loaded.encode("word").ids) == 3


def test_normalizers_are_looked_at_inside_sequences():
    bad = tokenizer()
    bad.normalizer = normalizers.Sequence([normalizers.Lowercase(), normalizers.Prepend("x")])
    assert "'Prepend'" in refused(normalizer=json.loads(bad.to_str())["normalizer"])
