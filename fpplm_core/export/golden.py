"""golden.json: sentences of the test split with the answers that the bundle must give in every runtime."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fpplm_core.data.alignment import text_of
from fpplm_core.data.records import Sentence
from fpplm_core.export.generic_client import GenericClient
from fpplm_core.export.parity import with_documents
from fpplm_core.files import write_json
from fpplm_core.serving import Predictor
from fpplm_core.serving.bundle import GOLDEN


def write_golden(bundle: Path, sentences: Sequence[Sentence]) -> None:
    """Writes sentences with their answers, with which services and clients check themselves."""
    write_json(bundle / GOLDEN, golden_rows(bundle, sentences))


def golden_rows(bundle: Path, sentences: Sequence[Sentence]) -> list[dict[str, Any]]:
    """Sentences with two answers of the float32 graph.

    `spans` (start, end, type) over `words` are the answers of `Predictor.tag` in one call for all sentences, in which
    neighbours with the same `document` number are context for each other. `entities` (start, end, type) over the
    code points of `text` are the answers of a client without fpplm; `input_ids` and `offsets` are its pieces.
    """
    tagged = Predictor.load(bundle, "cpu", "fp32").tag(*with_documents(sentences))
    client = GenericClient(bundle)
    rows = []
    for sentence, row in zip(sentences, tagged, strict=True):
        text, _ = text_of(sentence)
        own = {"words": sentence.words, "document": sentence.document, "spans": [span for span, _ in row]}
        rows.append(own | {"text": text} | client.read(text)._asdict())
    return rows
