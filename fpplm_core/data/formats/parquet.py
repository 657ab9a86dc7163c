"""Parquet: a table with one word per row, in columns of plain values.

Columns are found by their names: fpplm_core/data/formats/_long.py lists the names, and says where sentences and
documents begin. Other columns are noted and not read. Words and tags must be text; null and NaN are empty cells. Rows
are counted like lines: the first is line 1. Tables with one sentence per row belong to the format hugging_face.

`write` gives the columns sentence, word, tag, document, with checksums. It cannot hold a sentence without words, empty
words or tags, zero characters, or a sentence without a document after one with a document.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from math import isnan
from pathlib import Path
from typing import Any

from fpplm_core.data.formats import Holding, not_empty
from fpplm_core.data.formats._arrow import rows_of, schema_of
from fpplm_core.data.formats._long import HEADER, Columns, columns_of, has_columns, sentences_of, to_rows
from fpplm_core.data.options import Options
from fpplm_core.data.records import Sentence
from fpplm_core.errors import DataError

HOLDS: frozenset[Holding] = frozenset({"tags", "words", "documents"})
GROUP = 100_000  # rows


def recognise(path: Path, head: str) -> str | None:
    if not head.startswith("PAR1"):
        return None
    try:
        schema = schema_of(path)
    except DataError:
        return None
    nested = any(_is_nested(field.type) for field in schema)
    if nested or not has_columns(schema.names, "word", "sentence"):
        return None
    return f"a Parquet table with {', '.join(schema.names)[:60]}"


def _is_nested(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_nested(kind))


@not_empty("sentence", do="put one word and its tag in each row")
def read(path: Path, options: Options) -> Iterator[Sentence]:
    schema = schema_of(path)
    columns = columns_of(schema.names, options, str(path))
    for number in (columns.word, columns.tag):
        if not _is_text(schema.field(number).type):
            got = f"{schema.names[number][:60]!r}, of {str(schema.field(number).type)[:60]}"
            do = "choose data.word_column and data.tag_column (a sentence a row: data.format hugging_face)"
            raise DataError("a column that is not text", where=str(path), got=got, do=do)
    yield from sentences_of(_cells(path, columns, len(schema.names)), columns, path)


def _is_text(kind: Any) -> bool:
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return any(test(kind) for test in (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view))


def _cells(path: Path, columns: Columns, width: int) -> Iterator[tuple[int, Sequence[str]]]:
    """(row, cells) of each row, in which what is not read is empty."""
    wanted = [number for number in columns if number is not None]
    for line, values in enumerate(rows_of(path, wanted), start=1):
        cells = [""] * width
        for number, value in zip(wanted, values, strict=True):
            cells[number] = "" if value is None or (isinstance(value, float) and isnan(value)) else str(value)
        yield line, cells


def write(records: Iterable[Sentence], path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = (pa.int64(), pa.string(), pa.string(), pa.int32())
    schema = pa.schema(list(zip(HEADER, types, strict=True)))
    rows = to_rows(records, path)
    with pq.ParquetWriter(path, schema, write_page_checksum=True) as writer:
        while group := list(islice(rows, GROUP)):
            columns = [pa.array(column, kind) for column, kind in zip(zip(*group, strict=True), types, strict=True)]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))
