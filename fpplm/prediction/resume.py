"""Continues an interrupted output."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path

from fpplm.prediction.records import Kind, begins, is_record_of, is_same_tagging, record_of, records_in
from fpplm_core.errors import DataError
from fpplm_core.serving import Predictor
from fpplm_core.serving.entities import SegmentedText, chunks_of

LONGEST_BEGINNING = 65_536  # bytes of an incomplete record that are compared


def remaining(path: Path, kind: Kind, predictor: Predictor, texts: Iterable[SegmentedText]) -> Iterator[SegmentedText]:
    """The texts that an output still lacks; the output is cut to what is kept of it.

    Every complete record must have the text in its place. Texts of a chunk may be context of each other, so the chunk
    in which the output ends is tagged again as a whole: then the result is that of a single run, byte for byte. The
    last whole chunk is tagged once more and compared, to notice another bundle.

    Raises DataError, with the output unchanged, if it was not written from these texts with this bundle.
    """
    chunks = chunks_of(texts)
    rest: list[SegmentedText] = []
    whole: tuple[list[SegmentedText], list[bytes]] | None = None
    number = kept = size = 0
    with path.open("rb") as stream:
        records = records_in(stream, kind)
        for chunk in chunks:
            held = list(islice(records, len(chunk)))
            for record, text in zip(held, chunk, strict=False):
                number += 1
                if not is_record_of(record, text, kind):
                    raise _foreign(path, number, f"another text than the input, which has {text.text[:40]!r}")
            if len(held) < len(chunk):
                rest = chunk
                stream.seek(size + sum(map(len, held)))
                if not begins(stream.read(LONGEST_BEGINNING), chunk[len(held)], kind):
                    raise _foreign(path, number + 1, "the beginning of another text than the input has")
                break
            whole, kept = (chunk, held), number
            size += sum(map(len, held))
        if not rest and next(records, None) is not None:
            raise _foreign(path, number + 1, f"more texts than the input, which has {number}")
    if whole:
        _require_same_tagging(path, kept - len(whole[0]), kind, predictor, *whole)
    os.truncate(path, size)
    return chain(rest, chain.from_iterable(chunks))


def _require_same_tagging(
    path: Path, before: int, kind: Kind, predictor: Predictor, chunk: list[SegmentedText], held: list[bytes]
) -> None:
    ((_, tagged),) = predictor.stream(chunk)
    for number, (text, spans, record) in enumerate(zip(chunk, tagged, held, strict=True), start=before + 1):
        if not is_same_tagging(record, record_of(text, spans, kind, predictor.labels), kind):
            raise _foreign(path, number, f"other entities than this bundle finds in {text.text[:40]!r}")


def _foreign(path: Path, number: int, got: str) -> DataError:
    do = "name the inputs, bundle and options of the interrupted run, or omit --resume to begin anew"
    return DataError("cannot go on with this output", where=f"{path}: text {number}", got=got, do=do)
