"""Graphs for clients without fpplm: the label with the highest logit of each piece is the decoder's answer.

Such a client (the pipelines of transformers and of Transformers.js, Optimum) takes the label with the highest of the
`logits` for each piece, knows the labels O, B-TYPE and I-TYPE, and joins neighbouring pieces of a type until the next
B-TYPE. It sends zeros as token types. For it, the graph converts the tagger's own logits, its output `tag_logits`:

- A path of labels must be legal. `logits` are max-marginals, the scores of the best path through each label of a word,
  so their highest labels are the path that Viterbi finds. The paths extend over REACH words in both directions.
  Above MOST_DECODED labels, they are the tagger's own.
- The four prefixes become two: B and S become B, I and E become I.
- A piece that continues a word has the logits of the word's first piece, with B turned into I.
- Special pieces and padding are O.
- Word shapes are derived from the pieces, if the tokenizer keeps capitals (fpplm_core/export/cased.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import onnx
import regex
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, models

from fpplm_core.export.cased import CasedPieces
from fpplm_core.serving.config import LOGITS, TAG_LOGITS
from fpplm_core.tagging.decoder import SpanDecoder
from fpplm_core.tagging.schemes import OUTSIDE, split_tag
from fpplm_core.tagging.viterbi import FORBIDDEN
from fpplm_core.tagging.windows import UNKNOWN, WORD_SHAPES

REACH = 5  # words; with 3, two of the 673 paths in the bundled dev and test differ, with 4 none (decision 27)
MOST_DECODED = 100  # labels; the decoder costs their square: 265 take 0.12 s for 4 × 32 pieces, the encoder 0.03 s
STARTS, CONTINUES, SPECIAL = range(3)  # what a piece does
SOURCES = {"B": "BS", "I": "IE"}  # the tagger's prefixes for each portable one
CERTAIN = 10.0  # the logit of O at special pieces; the others are 0
# Pieces without a mark of continuation that start a word: those marked as such by byte-level BPE and by SentencePiece,
# and characters that are words by themselves.
APART = regex.compile(r"[Ġ▁\p{Han}\p{Hiragana}]")


def portable_labels(labels: Sequence[str]) -> list[str]:
    """The labels of `logits`: O, then B-TYPE and I-TYPE of each type, for plain tags too."""
    kinds = list(dict.fromkeys(split_tag(label)[1] for label in labels[1:]))
    return [OUTSIDE, *(f"{prefix}-{kind}" for kind in kinds for prefix in SOURCES)]


def has_decoder(labels: Sequence[str]) -> bool:
    """Whether the highest `logits` are those of a legal path; if not, they are the tagger's own."""
    return len(labels) <= MOST_DECODED


def piece_roles(tokenizer: Tokenizer) -> NDArray[np.uint8]:
    """Whether each piece of the vocabulary starts a word, continues one, or is special. *Shape:* (V,)."""
    pieces, added = tokenizer.get_vocab(with_added_tokens=True), tokenizer.get_added_tokens_decoder()
    inside = tokenizer.model.continuing_subword_prefix if isinstance(tokenizer.model, models.WordPiece) else None
    roles = np.full(max(pieces.values()) + 1, STARTS, dtype=np.uint8)
    for piece, number in pieces.items():
        if number in added and added[number].special and piece not in UNKNOWN:
            roles[number] = SPECIAL
        elif inside and piece.startswith(inside):
            roles[number] = CONTINUES
        elif not inside and (piece in UNKNOWN or (piece[0].isalnum() and not APART.match(piece))):
            roles[number] = CONTINUES  # before an unknown character, the mark of a word's start is a piece by itself
    return roles


def label_sources(labels: Sequence[str]) -> NDArray[np.int64]:
    """The two columns of which each portable label takes the maximum. *Shape:* (labels of `portable_labels`, 2).

    If the tagger lacks a label, as with plain tags, its column is K, which is never the highest.
    """
    columns = {label: number for number, label in enumerate(labels)}
    rows = [[0, 0]]
    for prefix, kind in map(split_tag, portable_labels(labels)[1:]):
        rows.append([columns.get(f"{own}-{kind}", len(labels)) for own in SOURCES[prefix]])
    return np.array(rows, dtype=np.int64)


class Words(NamedTuple):
    """Names of tensors about the words of each row: place w is its w-th word, counted from 1.

    The places before the first and after the last word are the ends of the sentence. *Shape:* `starts` (a word starts
    at this piece), `is_text` and `places` (batch, pieces), `place` the same as an index; `first_piece` (batch, pieces +
    2, 1), an index; `is_word` (batch, pieces + 2).
    """

    starts: str
    is_text: str
    places: str
    place: str
    first_piece: str
    is_word: str


class GraphBuilder:
    """Collects nodes and constants whose names begin with `portable.`."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, array: Any, kind: type[np.generic] = np.int64) -> str:
        name = f"portable.constant.{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(array, dtype=kind), name))
        return name

    def node(self, operator: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        name = output or f"portable.{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], name=name, **attributes))
        return name

    def column(self, name: str) -> str:
        """A tensor of rank 2 with a last axis of 1."""
        return self.node("Unsqueeze", name, self.constant([2]))


def make_portable(
    model: onnx.ModelProto,
    decoder: SpanDecoder,
    roles: NDArray[np.uint8],
    first_shape: int | None,
    cased: CasedPieces | None,
) -> onnx.ModelProto:
    """Renames the output `logits` to `tag_logits`, and adds the portable `logits` as first output; returns the model.

    `roles` belong to the pieces of the bundle's tokenizer; `cased` describes its pieces if it keeps capitals. The graph
    then computes the token types of words for which a client sends 0, from `first_shape` on. No added node needs a
    shape or a branch, so CUDA graphs can still be recorded.

    *Shape:* logits (batch, pieces, labels of `portable_labels`), float32.
    """
    graph, build = model.graph, GraphBuilder()
    words = find_words(build, roles)
    names = {LOGITS: TAG_LOGITS}
    if cased is not None and first_shape is not None:
        names["token_type_ids"] = add_shapes(build, words, cased, first_shape)
        names["input_ids"] = build.node("Gather", build.constant(cased.base), "input_ids")
    front = len(build.nodes)
    for node in graph.node:
        for ports in (node.input, node.output):
            ports[:] = [names.get(name, name) for name in ports]
    (output,) = (one for one in graph.output if one.name == LOGITS)
    output.name = TAG_LOGITS
    add_logits(build, words, decoder)
    nodes = [*build.nodes[:front], *graph.node, *build.nodes[front:]]
    del graph.node[:]
    graph.node.extend(nodes)
    graph.initializer.extend(build.constants)
    sizes = [axis.dim_param for axis in output.type.tensor_type.shape.dim[:2]]
    width = len(portable_labels(decoder.labels))
    graph.output.insert(0, helper.make_tensor_value_info(LOGITS, TensorProto.FLOAT, [*sizes, width]))
    return model


def find_words(build: GraphBuilder, roles: NDArray[np.uint8]) -> Words:
    """Adds nodes that find the words of each row of `input_ids`."""
    role = build.node("Gather", build.constant(roles, np.uint8), "input_ids")
    shown = build.node("Cast", "attention_mask", to=TensorProto.BOOL)
    starts = build.node("And", build.node("Equal", role, build.constant(STARTS, np.uint8)), shown)
    places = build.node("CumSum", build.node("Cast", starts, to=TensorProto.INT64), build.constant(1))
    is_text = build.node("And", build.node("Less", role, build.constant(SPECIAL, np.uint8)), shown)
    is_text = build.node("And", is_text, build.node("Greater", places, build.constant(0)))
    ones = build.node("Add", build.node("Mul", "input_ids", build.constant(0)), build.constant(1))
    position = build.node("CumSum", ones, build.constant(1), exclusive=1)
    wide = build.node("Pad", ones, build.constant([0, 0, 0, 2]), build.constant(1))
    steps = build.node("CumSum", wide, build.constant(1), exclusive=1)
    spare = build.node("ReduceMax", steps, build.constant([1]))  # the last place, which is no word
    zeros = build.node("Mul", wide, build.constant(0))
    first = build.node("ScatterElements", zeros, build.node("Where", starts, places, spare), position, axis=1)
    last = build.node("ReduceMax", places, build.constant([1]))
    is_word = build.node("And", build.node("Greater", steps, build.constant(0)), build.node("LessOrEqual", steps, last))
    return Words(starts, is_text, places, build.column(places), build.column(first), is_word)


def add_shapes(build: GraphBuilder, words: Words, cased: CasedPieces, first_shape: int) -> str:
    """Adds nodes for the token types: those of the client, or if it sends 0 in a word, that of `word_shape`."""
    letters = build.node("Gather", build.constant(cased.counts, np.float32), "input_ids")
    zeros = build.node("Cast", build.node("Mul", words.first_piece, build.constant([0, 0, 0])), to=TensorProto.FLOAT)
    index = build.node("Add", words.place, build.constant([0, 0, 0]))
    counts = build.node("ScatterElements", zeros, index, letters, axis=1, reduction="add")  # by word
    columns = (build.node("Gather", counts, build.constant(number), axis=2) for number in range(3))
    digits, letters, capitals = columns
    leading = build.node("Gather", build.constant(cased.leading, np.float32), "input_ids")
    leading = build.node("GatherND", leading, words.first_piece, batch_dims=1)
    none, one = build.constant(0, np.float32), build.constant(1, np.float32)
    shape = build.constant(WORD_SHAPES.index("miXed"))
    is_title = build.node("Equal", build.node("Mul", capitals, leading), one)
    for name, holds in (  # the last one that holds
        ("Title", is_title),
        ("UPPER", build.node("Equal", capitals, letters)),
        ("Initial", build.node("And", build.node("Equal", capitals, letters), build.node("Equal", letters, one))),
        ("lower", build.node("Equal", capitals, none)),
        ("other", build.node("Equal", letters, none)),
        ("digit", build.node("Greater", digits, none)),
    ):
        shape = build.node("Where", holds, build.constant(WORD_SHAPES.index(name)), shape)
    kind = build.node("GatherND", build.node("Add", shape, build.constant(first_shape)), words.place, batch_dims=1)
    is_unknown = build.node("And", words.is_text, build.node("Equal", "token_type_ids", build.constant(0)))
    return build.node("Where", is_unknown, kind, "token_type_ids")


def add_logits(build: GraphBuilder, words: Words, decoder: SpanDecoder) -> None:
    """Adds the output `logits`, computed from `tag_logits`."""
    scores = score_places(build, words, len(decoder.labels))
    marginals = max_marginals(build, scores, decoder.scores) if has_decoder(decoder.labels) else scores
    portable = portable_labels(decoder.labels)
    first = best_of(build, marginals, label_sources(decoder.labels))
    never = build.node("Pad", first, build.constant([0] * 5 + [1]), build.constant(2 * FORBIDDEN, np.float32))
    # O stays, B is never the highest, I is the better one of B and I.
    pairs = [[0, 0]] + [pair for b in range(1, len(portable), 2) for pair in ([len(portable)] * 2, [b, b + 1])]
    answers = [
        build.node("GatherND", values, words.place, batch_dims=1)
        for values in (first, best_of(build, never, np.array(pairs)))
    ]
    answer = build.node("Where", build.column(words.starts), *answers)
    outside = [CERTAIN, *[0] * (len(portable) - 1)]
    build.node("Where", build.column(words.is_text), answer, build.constant(outside, np.float32), output=LOGITS)


def best_of(build: GraphBuilder, values: str, columns: NDArray[np.int64]) -> str:
    """The highest of some columns of the last axis. *Shape:* (…, K), (n, m) to (…, n)."""
    found = build.node("Gather", values, build.constant(columns), axis=2)
    return build.node("ReduceMax", found, build.constant([3]), keepdims=0)


def score_places(build: GraphBuilder, words: Words, count: int) -> str:
    """The score of each label, and of the end of the sentence as label K. *Shape:* (batch, pieces + 2, K + 1)."""
    logits = build.node("GatherND", TAG_LOGITS, words.first_piece, batch_dims=1)
    padded = build.node("Pad", logits, build.constant([0] * 5 + [1]), build.constant(FORBIDDEN, np.float32))
    edge = build.constant([[[*[FORBIDDEN] * count, 0]]], np.float32)
    return build.node("Where", build.column(words.is_word), padded, edge)


def max_marginals(build: GraphBuilder, emitted: str, scores: NDArray[np.float32]) -> str:
    """The score of the best path of REACH words in both directions through each label, of *shape* as `emitted`."""
    arriving = []
    for table, shift in ((scores, 1), (scores.T, -1)):  # (from, to)
        # A negative pad cuts a place off.
        pads, into = build.constant([0, shift, 0, 0, -shift, 0]), build.constant(table, np.float32)
        best = emitted
        for _ in range(REACH):
            moved = build.node("Unsqueeze", build.node("Pad", best, pads), build.constant([3]))
            came = build.node("ReduceMax", build.node("Add", moved, into), build.constant([2]), keepdims=0)
            best = build.node("Add", emitted, came)
        arriving.append(came)
    return build.node("Sum", emitted, *arriving)
