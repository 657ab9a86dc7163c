"""Word shapes for clients without fpplm, from a tokenizer that keeps capitals for an encoder that does not know them.

The tagger gets the shape of each word as its token type (fpplm_core/model/word_shapes.py), but a client that has only
tokenizer.json sends zeros. The bundle's tokenizer therefore does not lower-case: its vocabulary also has each piece
with a capital and in capitals, under new ids. For each id, the graph looks up the encoder's piece and the numbers of
letters, capitals and digits, and adds these up for each word.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fpplm_core.tagging.windows import UNKNOWN


@dataclass(frozen=True)
class CasedPieces:
    """For each piece of a tokenizer with capitals: the encoder's piece, and its characters.

    *Shape:* `base` (V,); `counts` (V, 3), the numbers of digits, of letters and of capitals; `leading` (V,), 1 if its
    first letter is a capital.
    """

    base: NDArray[np.int64]
    counts: NDArray[np.float32]
    leading: NDArray[np.float32]


def keep_capitals(values: dict[str, Any]) -> tuple[dict[str, Any], CasedPieces] | None:
    """Adds pieces in capitals to the content of a tokenizer.json; None unless it is BERT's and lower-cases."""
    normalizer, model = values.get("normalizer") or {}, values["model"]
    if normalizer.get("type") != "BertNormalizer" or not normalizer.get("lowercase") or model["type"] != "WordPiece":
        return None
    cased = copy.deepcopy(values)
    strips = normalizer.get("strip_accents")
    cased["normalizer"] |= {"lowercase": False, "strip_accents": True if strips is None else strips}
    vocabulary: dict[str, int] = cased["model"]["vocab"]
    special = {token["content"] for token in values.get("added_tokens", ())}
    base = list(range(max(vocabulary.values()) + 1))
    prefix = model["continuing_subword_prefix"]
    for piece, number in list(vocabulary.items()):
        mark, text = (prefix, piece.removeprefix(prefix)) if piece.startswith(prefix) else ("", piece)
        for written in (text[:1].upper() + text[1:], text.upper()) if piece not in special else ():
            if written.lower() == text and len(written) == len(text) and mark + written not in vocabulary:
                vocabulary[mark + written] = len(base)
                base.append(number)
    counts, leading = np.zeros((len(base), 3), dtype=np.float32), np.zeros(len(base), dtype=np.float32)
    for piece, number in vocabulary.items():
        if piece in UNKNOWN:
            counts[number] = 0, 2, 0  # most unknown words are of a script without capitals
        elif piece not in special:
            letters = [char for char in piece.removeprefix(prefix) if char.isalpha()]
            digits = sum(char.isdigit() for char in piece)
            counts[number] = digits, len(letters), sum(char.isupper() for char in letters)
            leading[number] = bool(letters) and letters[0].isupper()
    return cased, CasedPieces(np.array(base, dtype=np.int64), counts, leading)
