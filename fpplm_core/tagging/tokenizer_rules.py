"""Which tokenizers may tag: those whose cost and output are bounded, whatever the text and whoever wrote the file.

tokenizer.json is a small program. Its regular expressions run on a backtracking engine, which a pattern such as
`(a+)+$` keeps busy for ever or makes panic, and a chain of replacements can turn one letter into a million. Training
and serving therefore accept only the parts of the encoder families that tests/contracts/test_encoders.py trains (and
two harmless ones), the regular expressions of those families, and sets of characters.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

NORMALIZERS = {
    "BertNormalizer", "Lowercase", "NFC", "NFD", "NFKC", "NFKD", "Precompiled", "Replace", "Strip", "StripAccents",
}  # fmt: skip
PRE_TOKENIZERS = {
    "BertPreTokenizer", "ByteLevel", "Digits", "Metaspace", "Punctuation", "Whitespace", "WhitespaceSplit",
}  # fmt: skip
POST_PROCESSORS = {"BertProcessing", "ByteLevel", "RobertaProcessing", "TemplateProcessing"}
DECODERS = {"ByteLevel", "Metaspace", "WordPiece"}  # serving does not decode, but other readers of the file may
REGEXES = {" {2,}", r"\s{2,}|[\n\r\t]"}  # of SentencePiece's families and of DeBERTa; they match one character or more
_CHARACTERS = re.compile(r"\[(?:\\x\{[0-9A-Fa-f]{1,6}\})+\]")
MOST_PARTS = 32
MOST_PIECES = 4_000_000
LARGEST_ID = 2**31 - 1
LARGEST_SCORE = 1e6
LONGEST_PIECE = 1000  # characters
LONGEST_AFFIX = 16
LONGEST_WORD = 1000  # characters that WordPiece looks at, at a cost of their square
LONGEST_IMAGE = 256  # bytes into which a character map may turn a character; U+FDFA has 33
SHOWN = 60  # characters of a value that an error repeats


def require_known_parts(values: Mapping[str, Any]) -> None:
    """Raises ValueError, naming the part, if this content of tokenizer.json is not one that may tag.

    Truncation and padding are not looked at: whoever splits words into pieces switches them off.
    """
    normalizers = list(_parts(values, "normalizer", "normalizers", NORMALIZERS))
    for part in normalizers:
        if part["type"] == "Replace":
            _require_shrinking(part)
    maps = [part for part in normalizers if part["type"] == "Precompiled"]
    _require("normalizer", "one character map at most", len(maps) < 2, len(maps))
    for part in maps:
        _require_map(part)
    for key, inner, known in (
        ("pre_tokenizer", "pretokenizers", PRE_TOKENIZERS),
        ("post_processor", "processors", POST_PROCESSORS),
        ("decoder", "decoders", DECODERS),
    ):
        list(_parts(values, key, inner, known))
    model = values.get("model")
    kind = model.get("type") if isinstance(model, dict) else None
    if not isinstance(model, dict) or not isinstance(kind, str) or kind not in MODELS:
        raise ValueError(f"model that is not one of {', '.join(MODELS)}: {repr(kind)[:SHOWN]}")
    MODELS[kind](model)
    added = values.get("added_tokens", [])
    _require("added_tokens", "a list", isinstance(added, list) and len(added) <= MOST_PIECES, added)
    for token in added:
        right = isinstance(token, dict) and _is_piece(token.get("content")) and _is_id(token.get("id"))
        _require("added_tokens", "pieces with an id", right, token)


def _require(part: str, wanted: str, holds: bool, got: Any) -> None:
    if not holds:
        raise ValueError(f"{part} that is not {wanted}: {repr(got)[:SHOWN]}")


def _parts(values: Mapping[str, Any], key: str, inner: str, known: set[str]) -> Iterator[dict[str, Any]]:
    """The parts under a key, those of sequences one by one. Raises ValueError for one that is not known."""
    pending = [] if values.get(key) is None else [values[key]]
    for _ in range(MOST_PARTS + 1):
        if not pending:
            return
        part = pending.pop()
        kind = part.get("type") if isinstance(part, dict) else part
        _require(
            key, f"one of {', '.join(sorted(known))}", isinstance(kind, str) and kind in {*known, "Sequence"}, kind
        )
        if kind == "Sequence":
            _require(key, "a sequence of parts", isinstance(part.get(inner), list), part.get(inner))
            pending += part[inner][: MOST_PARTS + 1]
        else:
            yield part
    raise ValueError(f"{key} of more than {MOST_PARTS} parts")


def _require_shrinking(part: Mapping[str, Any]) -> None:
    """A replacement may not be longer than what it replaces, or several in a row would multiply the text."""
    pattern, content = part.get("pattern"), part.get("content")
    kind, found = next(iter(pattern.items())) if isinstance(pattern, dict) and len(pattern) == 1 else (None, None)
    is_known = isinstance(found, str) and (kind == "String" or found in REGEXES or is_set_of_characters(found))
    wanted = f"a text, a set of characters or one of the patterns {', '.join(map(repr, sorted(REGEXES)))}"
    _require("normalizer", wanted, kind in ("String", "Regex") and is_known, pattern)
    least = len(str(found)) if kind == "String" else 1
    short = isinstance(content, str) and least > 0 and len(content) <= least
    _require("normalizer", "a replacement of the same length or shorter", short, content)


def is_set_of_characters(pattern: str) -> bool:
    """Whether a pattern lists code points, such as [\\x{9}\\x{A}], and so always matches one character."""
    return _CHARACTERS.fullmatch(pattern) is not None


def _require_map(part: Mapping[str, Any]) -> None:
    """SentencePiece's character map: the bytes of a trie, then the images of characters, each ended by a zero."""
    try:
        raw = base64.b64decode(str(part.get("precompiled_charsmap")), validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    size = int.from_bytes(raw[:4], "little")
    images = raw[4 + size :]
    whole = 0 < size <= len(raw) - 4 and size % 1024 == 0 and _is_trie(raw[4 : 4 + size], images)
    _require("normalizer", "a whole character map", whole, f"{len(raw)} bytes")
    longest = max(map(len, images.split(b"\0")))
    _require("normalizer", f"a character map of short texts ({LONGEST_IMAGE} bytes)", longest <= LONGEST_IMAGE, longest)


def _is_trie(raw: bytes, images: bytes) -> bool:
    """Whether no text leads out of a double array in blocks of 256 units, as darts-clone writes them, or of the images.

    A unit's bits: 31 tells a leaf, whose others are the start of its image; a unit within has its offset in bits 10 to
    30, times 256 if bit 9 is set, and the next unit is at its position xor its offset xor the next byte.
    """
    units = np.frombuffer(raw, dtype="<u4").astype(np.int64)
    is_leaf = units >> 31 == 1
    bases = np.arange(len(units)) ^ ((units >> 10) << ((units & (1 << 9)) >> 6))
    starts = units[is_leaf] & 0x7FFFFFFF
    stays = not (bases[~is_leaf] >= len(units)).any() and not (starts >= len(images)).any()
    return stays and all(start == 0 or images[start - 1] == 0 for start in starts.tolist())


def _require_word_piece(model: Mapping[str, Any]) -> None:
    _require_vocabulary(model)
    _require("unk_token", "in the vocabulary", _is_in_vocabulary(model, "unk_token"), model.get("unk_token"))
    longest = model.get("max_input_chars_per_word")
    bounded = type(longest) is int and 1 <= longest <= LONGEST_WORD
    _require("max_input_chars_per_word", f"from 1 to {LONGEST_WORD}", bounded, longest)


def _require_bpe(model: Mapping[str, Any]) -> None:
    _require_vocabulary(model)
    unknown, merges, dropout = model.get("unk_token"), model.get("merges"), model.get("dropout")
    _require("unk_token", "in the vocabulary", unknown is None or _is_in_vocabulary(model, "unk_token"), unknown)
    _require("merges", "a list", isinstance(merges, list) and len(merges) <= MOST_PIECES, merges)
    _require("dropout", "off, as in serving", dropout is None, dropout)
    # tokenizers cuts it off by bytes, which aborts the process where that splits a character; no tested family has one.
    prefix = model.get("continuing_subword_prefix")
    _require("continuing_subword_prefix", "empty, as a BPE must have it", not prefix, prefix)


def _require_unigram(model: Mapping[str, Any]) -> None:
    vocabulary, unknown = model.get("vocab"), model.get("unk_id")
    listed = isinstance(vocabulary, list) and len(vocabulary) <= MOST_PIECES
    _require("vocab", f"a list of at most {MOST_PIECES} pieces", listed, type(vocabulary).__name__)
    for entry in vocabulary or ():
        pair = isinstance(entry, list) and len(entry) == 2 and isinstance(entry[0], str)
        right = pair and len(entry[0]) <= LONGEST_PIECE and type(entry[1]) in (int, float)
        right = right and abs(entry[1]) <= LARGEST_SCORE
        _require("vocab", "pieces with their scores", right, entry)
    within = type(unknown) is int and 0 <= unknown < len(vocabulary or ())
    _require("unk_id", "a number of the vocabulary", within, unknown)


MODELS = {"BPE": _require_bpe, "Unigram": _require_unigram, "WordPiece": _require_word_piece}


def _require_vocabulary(model: Mapping[str, Any]) -> None:
    vocabulary = model.get("vocab")
    mapped = isinstance(vocabulary, dict) and len(vocabulary) <= MOST_PIECES
    _require("vocab", f"a mapping of at most {MOST_PIECES} pieces", mapped, type(vocabulary).__name__)
    for piece, number in (vocabulary or {}).items():
        _require("vocab", "pieces with an id", len(piece) <= LONGEST_PIECE and _is_id(number), {piece[:SHOWN]: number})
    for key in ("continuing_subword_prefix", "end_of_word_suffix"):
        affix = model.get(key)
        right = affix is None or (isinstance(affix, str) and len(affix) <= LONGEST_AFFIX)
        _require(key, f"at most {LONGEST_AFFIX} characters", right, affix)


def _is_in_vocabulary(model: Mapping[str, Any], key: str) -> bool:
    return isinstance(model.get(key), str) and model[key] in model["vocab"]


def _is_piece(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= LONGEST_PIECE


def _is_id(value: Any) -> bool:
    return type(value) is int and 0 <= value <= LARGEST_ID
