"""The golden sentences of a bundle: the model must find their spans before it serves."""

from __future__ import annotations

from typing import Any

from fpplm_core.errors import BundleError
from fpplm_core.serving.bundle import GOLDEN
from fpplm_core.serving.files import FETCH, parse_json_value
from fpplm_core.serving.predictor import Predictor

PROBE = ["Angela", "Merkel", "visited", "Paris", "."]
LARGEST = 1 << 20  # bytes
AGREEMENT = 0.8  # the lowest F1 of another graph with the float32 graph's spans: its rounding may move a boundary


def require_golden(predictor: Predictor) -> None:
    """Tags the golden sentences, or a probe if the bundle has none.

    Raises BundleError if the float32 graph finds any other spans, or another graph too many.
    """
    bundle, where = predictor.bundle, str(predictor.bundle.path / GOLDEN)
    if GOLDEN not in bundle.manifest["files"]:
        predictor.tag([PROBE])
        return
    if bundle.manifest["files"][GOLDEN]["bytes"] > LARGEST:
        raise BundleError("too large", where=where, got=f"more than {LARGEST:,} bytes", do=FETCH)
    rows = _rows(bundle.read(GOLDEN), where)
    if not rows:
        predictor.tag([PROBE])
        return
    tagged = predictor.tag([words for words, _, _ in rows], [document for _, document, _ in rows])
    found = [{tuple(span) for span, _ in spans} for spans in tagged]
    wanted = [spans for _, _, spans in rows]
    common = sum(len(a & b) for a, b in zip(found, wanted, strict=True))
    total = sum(len(a) + len(b) for a, b in zip(found, wanted, strict=True))
    f1 = 2 * common / total if total else 1.0
    if f1 < (1 if predictor.variant == "fp32" else AGREEMENT):
        do = "fetch the bundle again; if that does not help, compare the versions of onnxruntime and tokenizers"
        got = f"{common} of {sum(map(len, wanted))} spans, and {sum(map(len, found)) - common} others"
        raise BundleError(f"{predictor.variant} does not give the golden spans", where=where, got=got, do=do)


def _rows(raw: bytes, where: str) -> list[tuple[list[str], int | None, set[tuple[int, int, str]]]]:
    """The words, document number and spans of each golden sentence. Raises BundleError."""
    values = parse_json_value(raw, where)
    try:
        rows = [(list(map(_text, row["words"])), row.get("document"), set(map(_span, row["spans"]))) for row in values]
        if any(type(document) not in (int, type(None)) for _, document, _ in rows):
            raise TypeError("a document")
    except (ValueError, TypeError, KeyError, AttributeError):
        raise BundleError("no golden sentences", where=where, do=FETCH) from None
    return rows


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("a word")
    return value


def _span(value: Any) -> tuple[int, int, str]:
    start, end, kind = value
    if type(start) is not int or type(end) is not int or not isinstance(kind, str):
        raise TypeError("a span")
    return (start, end, kind)
