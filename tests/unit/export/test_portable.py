"""The answer for clients without fpplm, against the decoder that it must agree with."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import unicodedata
from itertools import product

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer

from fpplm_core.export.cased import keep_capitals
from fpplm_core.export.generic_client import join_pieces
from fpplm_core.export.portable import (
    CONTINUES,
    MOST_DECODED,
    REACH,
    SPECIAL,
    STARTS,
    has_decoder,
    make_portable,
    piece_roles,
    portable_labels,
)
from fpplm_core.tagging.decoder import SpanDecoder
from fpplm_core.tagging.schemes import label_list
from fpplm_core.tagging.windows import WORD_SHAPES, WindowBuilder, word_shape

PIECES = 400
CLS, SEP, PAD = range(3)
TAGGERS = {
    "entities": label_list(["LOC", "PER"]),
    "chunks": label_list(["NP", "VP", "PP"]),
    "parts of speech": label_list(["NOUN", "VERB", "O"], "TAGS"),
    "one type": label_list(["X"]),
}


def decoder_of(labels: list[str], seed: int) -> SpanDecoder:
    """Legality, and preferences among what is legal."""
    scores = SpanDecoder.of_labels(labels).scores
    return SpanDecoder(labels, scores + np.random.default_rng(seed).normal(0, 0.5, scores.shape).astype(np.float32))


def roles_of(seed: int) -> np.ndarray:
    roles = np.random.default_rng(seed).choice([STARTS, CONTINUES], PIECES).astype(np.uint8)
    roles[[CLS, SEP, PAD]] = SPECIAL
    return roles


def session(table: np.ndarray, decoder: SpanDecoder, roles: np.ndarray) -> ort.InferenceSession:
    """A graph that looks each piece up in a table of logits."""
    ports = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "pieces"])
        for name in ("input_ids", "attention_mask")
    ]
    output = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", "pieces", table.shape[1]])
    node = helper.make_node("Gather", ["table", "input_ids"], ["logits"])
    graph = helper.make_graph([node], "g", ports, [output], [numpy_helper.from_array(table, "table")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    model = make_portable(model, decoder, roles, None, None)
    onnx.checker.check_model(model, full_check=True)
    return ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


def rows_of(seed: int, roles: np.ndarray, longest: int) -> list[list[int]]:
    """Pieces between [CLS] and [SEP], the first of which starts a word."""
    chosen = random.Random(seed)
    starting = [piece for piece in range(PIECES) if roles[piece] == STARTS]
    lengths = [chosen.randint(1, longest) for _ in range(40)]
    return [[CLS, chosen.choice(starting), *chosen.choices(range(3, PIECES), k=length - 1), SEP] for length in lengths]


def run(graph: ort.InferenceSession, rows: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Both outputs for a padded batch."""
    ids = np.full((len(rows), max(map(len, rows))), PAD, dtype=np.int64)
    for row, pieces in enumerate(rows):
        ids[row, : len(pieces)] = pieces
    mask = (np.arange(ids.shape[1]) < np.array([[len(row)] for row in rows])).astype(np.int64)
    return tuple(graph.run(["logits", "tag_logits"], {"input_ids": ids, "attention_mask": mask}))


class Encoded:
    """Pieces that are characters of their own text."""

    def __init__(self, size: int) -> None:
        self.offsets = [(place, place + 1) for place in range(size)]
        self.special_tokens_mask = [1, *[0] * (size - 2), 1]


def legal_rows(seed: int, labels: list[str], roles: np.ndarray) -> list[list[int]]:
    """Texts whose words have the labels that their first pieces stand for, in spans of up to seven words."""
    chosen = random.Random(seed)
    starting, inside = ([piece for piece in range(3, PIECES) if roles[piece] == role] for role in (STARTS, CONTINUES))
    kinds = sorted({label[2:] for label in labels[1:]})
    rows = []
    for _ in range(60):
        row = [CLS]
        for _ in range(chosen.randint(1, 15)):
            kind, size = chosen.choice(kinds), chosen.choice([0, 0, 1, 1, 2, 3, 7])
            if f"B-{kind}" not in labels:
                size = 1
            span = ["O"] if not size else ["S"] if size == 1 else ["B", *["I"] * (size - 2), "E"]
            for prefix in span:
                label = labels.index(prefix if prefix == "O" else f"{prefix}-{kind}")
                row.append(chosen.choice([piece for piece in starting if piece % len(labels) == label]))
                row += chosen.choices(inside, k=chosen.choice([0, 0, 1, 3]))
        rows.append([*row, SEP])
    return rows


def check_spans(labels: list[str], decoder: SpanDecoder, roles: np.ndarray, table: np.ndarray, rows: list) -> int:
    """The number of words whose best label, by itself, is not that of the path."""
    portable, own = run(session(table, decoder, roles), rows)
    names, corrected = portable_labels(labels), 0
    for row, pieces in enumerate(rows):
        firsts = [place for place, piece in enumerate(pieces) if roles[piece] == STARTS]
        ends = [*firsts[1:], len(pieces) - 1]
        (spans,), (path,) = decoder.spans([own[row, firsts]]), decoder.paths([own[row, firsts]])
        corrected += int((path != own[row, firsts].argmax(axis=1)).sum())
        wanted = [(firsts[span.start], ends[span.end - 1], span.type) for span in spans]
        best = [names[label] for label in portable[row, : len(pieces)].argmax(axis=1)]
        assert [tuple(span) for span in join_pieces(Encoded(len(pieces)), best)] == wanted
        assert best[0] == best[-1] == "O" and not portable[row, len(pieces) :].argmax(axis=1).any(), "padding is O"
    return corrected


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("labels", TAGGERS.values(), ids=TAGGERS)
def test_the_highest_labels_are_the_spans_of_the_decoder(labels: list[str], seed: int) -> None:
    """In a padded batch, over words of several pieces, whatever the logits of the pieces that continue a word."""
    decoder, roles, noise = decoder_of(labels, seed), roles_of(seed), np.random.default_rng(seed)
    table = noise.normal(0, 1, (PIECES, len(labels))).astype(np.float32)
    check_spans(labels, decoder, roles, table, rows_of(seed, roles, REACH + 1))
    peaks = 5 * np.eye(len(labels), dtype=np.float32)[np.arange(PIECES) % len(labels)]
    corrected = check_spans(labels, decoder, roles, 1.5 * table + peaks, legal_rows(seed, labels, roles))
    assert corrected > 5, "or the test would not need a decoder"


def test_a_logit_is_the_score_of_the_best_path_through_its_label() -> None:
    """By trying all paths."""
    labels = TAGGERS["one type"]
    decoder, roles = decoder_of(labels, 1), np.array([SPECIAL] * 3 + [STARTS] * (PIECES - 3), dtype=np.uint8)
    table = np.random.default_rng(1).normal(0, 3, (PIECES, len(labels))).astype(np.float32)
    pieces = [CLS, 7, 50, 9, 200, SEP]
    found, _ = run(session(table, decoder, roles), [pieces])
    wanted = np.full((4, 3), -np.inf)
    merged = {0: 0, 1: 1, 4: 1, 2: 2, 3: 2}  # O; B and S; I and E
    end = len(labels)
    for path in product(range(end), repeat=4):
        pairs = zip([end, *path], [*path, end], strict=True)
        score = sum(table[piece, label] for piece, label in zip(pieces[1:-1], path, strict=True))
        score += sum(decoder.scores[pair] for pair in pairs)
        for word, label in enumerate(path):
            wanted[word, merged[label]] = max(wanted[word, merged[label]], score)
    likely = wanted > -1000  # without forbidden pairs, whose sums float32 rounds
    assert likely.sum() > 8
    shift = found[0, 1:-1] - wanted  # the ends of a sentence, repeated, add a constant to each word
    for word in range(4):
        np.testing.assert_allclose(shift[word][likely[word]], shift[word, 0], atol=1e-3)


@pytest.mark.parametrize("kinds", [24, 25])
def test_many_labels_have_no_decoder(kinds: int) -> None:
    """With more labels than MOST_DECODED, the `logits` of a word are the tagger's own."""
    labels = label_list([f"T{number}" for number in range(kinds)])
    assert has_decoder(labels) == (len(labels) <= MOST_DECODED) == (kinds == 24)
    decoder, roles = decoder_of(labels, 1), np.array([SPECIAL] * 3 + [STARTS] * (PIECES - 3), dtype=np.uint8)
    table = np.random.default_rng(1).normal(0, 3, (PIECES, len(labels))).astype(np.float32)
    graph = session(table, decoder, roles)
    portable, own = run(graph, [[CLS, 7, 50, 9, SEP]])
    merged = np.stack([own[..., 0]] + [own[..., [p, q]].max(-1) for t in range(0, 4 * kinds, 4) for p, q in
                                       ((t + 1, t + 4), (t + 2, t + 3))], axis=-1)  # fmt: skip
    assert np.array_equal(portable[0, 1:-1], merged[0, 1:-1]) == (kinds == 25)
    assert not portable[0, [0, -1]].argmax(axis=1).any()


def test_labels_are_those_that_pipelines_read() -> None:
    assert portable_labels(TAGGERS["entities"]) == ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]
    assert portable_labels(TAGGERS["parts of speech"])[:3] == ["O", "B-NOUN", "I-NOUN"]
    assert portable_labels(["O"]) == ["O"]


def test_a_tagger_without_types_says_o() -> None:
    found, _ = run(session(np.zeros((PIECES, 1), dtype=np.float32), decoder_of(["O"], 1), roles_of(1)), [[CLS, 5, SEP]])
    assert found.shape == (1, 3, 1) and np.isfinite(found).all()


def test_pieces_without_a_word_are_outside() -> None:
    """A text that begins within a word, or has none."""
    labels, roles = TAGGERS["entities"], roles_of(1)
    inside = int(np.flatnonzero(roles == CONTINUES)[0])
    graph = session(np.full((PIECES, len(labels)), 5, dtype=np.float32), decoder_of(labels, 1), roles)
    found, _ = run(graph, [[CLS, inside, inside, SEP], [CLS, SEP]])
    assert not found.argmax(axis=2).any()


@pytest.fixture(scope="module")
def lower(tiny_encoder) -> dict:
    """tokenizer.json of an encoder that lower-cases."""
    values = json.loads((tiny_encoder / "tokenizer.json").read_text(encoding="utf-8"))
    values["normalizer"] = {
        "type": "BertNormalizer",
        "clean_text": True,
        "handle_chinese_chars": True,
        "strip_accents": None,
        "lowercase": True,
    }
    vocabulary = [*"abcdefghijklmnopqrstuvwxyz0123456789.-éß", "the", "angela", "par", "nato", "öl", "σοφία", "москва"]
    inside = [f"##{piece}" for piece in [*"abcdefghijklmnopqrstuvwxyz0123456789", "is", "kel", "ela"]]
    pieces = dict.fromkeys(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *vocabulary, *inside])
    values["model"]["vocab"] = {piece: number for number, piece in enumerate(pieces)}
    special = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    values["added_tokens"] = [{"id": i, "content": piece, **special} for i, piece in enumerate([*pieces][:5])]
    values["truncation"] = values["padding"] = None
    values["post_processor"] = {
        "type": "BertProcessing",
        "sep": ["[SEP]", 3],
        "cls": ["[CLS]", 2],
    }
    return values


WORDS = ["the", "The", "THE", "Angela", "ANGELA", "Paris", "paris", "iPhone", "McDonald", "A", "b", "3rd", "B2", "2024",
         "-", ".", "Öl", "ÉTÉ", "Straße", "STRASSE", "ΣΟΦΊΑ", "Σοφία", "Москва", "МОСКВА", "中文", "ภาษา", "x" * 101,
         "İz", "naïve", "NAÏVE", "ﬁn", "ǅ", "[SEP]", "\u200b", "Ⅷ", "ª"]  # fmt: skip


def tokenizer_of(values: dict) -> Tokenizer:
    return Tokenizer.from_str(json.dumps(values))


def test_a_tokenizer_that_keeps_capitals_lower_cases_on_request_as_before(lower: dict) -> None:
    """So that training, Predictor and other clients agree on the encoder's pieces."""
    cased, pieces = keep_capitals(lower)
    before, after = tokenizer_of(lower), tokenizer_of(cased)
    after.normalizer.lowercase = True
    chosen = random.Random(3)
    letters = [chr(number) for number in range(0x20, 0x530) if unicodedata.category(chr(number))[0] != "C"]
    words = WORDS + ["".join(chosen.choices(letters, k=chosen.randint(1, 9))) for _ in range(3000)]
    assert [encoded.ids for encoded in before.encode_batch(words)] == [e.ids for e in after.encode_batch(words)]
    builders = [WindowBuilder(tokenizer, 64, 8, 0, 2) for tokenizer in (before, after)]
    assert builders[0].windows([words]) == builders[1].windows([words])
    assert len(pieces.base) == len(pieces.counts) == len(pieces.leading) == after.get_vocab_size()


def test_capitals_make_no_other_pieces(lower: dict) -> None:
    """Of words in lower case, with a capital, or in capitals."""
    cased, pieces = keep_capitals(lower)
    before, after = tokenizer_of(lower), tokenizer_of(cased)
    for word in ("the", "angela", "paris", "москва", "nato", "parkel", "x", "b2", "2024", ".", "ölis"):
        for written in (word, word.capitalize(), word.upper()):
            assert pieces.base[after.encode(written).ids].tolist() == before.encode(written).ids


def test_the_graph_finds_the_shape_of_each_word(lower: dict) -> None:
    """Where a client sends zeros; and it believes a client that sends shapes."""
    cased, pieces = keep_capitals(lower)
    tokenizer = tokenizer_of(cased)
    ports = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "pieces"])
        for name in ("input_ids", "attention_mask", "token_type_ids")
    ]
    width = 2 + len(WORD_SHAPES)
    output = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", "pieces", width])
    node = helper.make_node("Gather", ["types", "token_type_ids"], ["logits"])
    graph = helper.make_graph(
        [node], "g", ports, [output], [numpy_helper.from_array(np.eye(width, dtype=np.float32), "types")]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    labels = label_list(["A", "B"])
    model = make_portable(model, SpanDecoder.of_labels(labels), piece_roles(tokenizer), 2, pieces)
    graph = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    words = ["The", "ANGELA", "paris", "A", "McDonald", "3rd", ".", "X", "NATO", "iPhone", "Paris", "b2", "Москва"]
    encoded = tokenizer.encode(" ".join(words))
    ids = np.array([encoded.ids, encoded.ids])
    types = np.zeros_like(ids)
    types[1, 1:-1] = 1
    feeds = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": types}
    (found,) = graph.run(["tag_logits"], feeds)
    wanted = [0 if word is None else 2 + word_shape(words[word]) for word in encoded.word_ids]
    assert found[0].argmax(axis=1).tolist() == wanted
    assert found[1].argmax(axis=1).tolist() == types[1].tolist()
    assert {2 + number for number in range(len(WORD_SHAPES))} <= set(wanted)


def test_every_process_gives_pieces_the_same_ids(lower: dict) -> None:
    """Python draws the order of sets of strings anew in each process; a bundle must have the same bytes."""
    code = (
        "import json, sys; from fpplm_core.export.cased import keep_capitals; "
        "print(json.dumps(keep_capitals(json.load(sys.stdin))[0]))"
    )
    made = {
        subprocess.run(
            [sys.executable, "-c", code],
            input=json.dumps(lower),
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(made) == 1


def test_only_berts_tokenizers_that_lower_case_keep_capitals(lower: dict) -> None:
    for normalizer in (None, {"type": "Lowercase"}, lower["normalizer"] | {"lowercase": False}):
        assert keep_capitals(lower | {"normalizer": normalizer}) is None
    assert keep_capitals(lower | {"model": {"type": "Unigram", "vocab": []}}) is None
    assert lower["normalizer"]["lowercase"], "it is left as it was"
