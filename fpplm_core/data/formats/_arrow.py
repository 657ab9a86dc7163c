"""Streams rows of Parquet and Arrow files (.arrow: the stream format that Hugging Face writes, or the file format)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from fpplm_core.data.text_files import damaged, unreadable
from fpplm_core.errors import DataError

KIND = "Parquet or Arrow file"
BATCH = 1000  # rows in memory at a time
FREE = 2**26  # bytes that any file may unpack to, and 64 times the rows that it may have, however small it is
MOST_ROWS = 20  # rows for each byte of a Parquet file: a row with a word takes about one byte
MOST_BYTES = 200  # bytes of unpacked columns for each byte of a file: repeated words and tags pack well


def schema_of(path: Path) -> Any:
    """The pyarrow.Schema of a file. Raises DataError."""
    with ExitStack() as stack:
        schema = _opened(path, stack)[0]
    try:
        _ = schema.names  # names are decoded lazily
    except ValueError as error:
        raise damaged(KIND, str(path), error) from None
    return schema


def rows_of(path: Path, columns: Sequence[int]) -> Iterator[tuple[Any, ...]]:
    """The Python values of these columns (0-based) in each row. Raises DataError."""
    with ExitStack() as stack:
        _, batches = _opened(path, stack)
        size, held = path.stat().st_size, 0
        while True:
            try:
                batch = next(batches, None)
                if batch is None:
                    return
                batch.validate(full=True)  # a damaged file may point anywhere
                held += batch.nbytes
                if held > FREE + MOST_BYTES * size:
                    raise _bomb(path, f"{held} bytes", size)
                values = [batch.column(number).to_pylist() for number in columns]
            except DataError:
                raise
            except Exception as error:  # whatever the library makes of damaged bytes
                raise damaged(KIND, str(path), error) from None
            yield from zip(*values, strict=True)


def _opened(path: Path, stack: ExitStack) -> tuple[Any, Iterator[Any]]:
    """The schema, and the record batches."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        stream = stack.enter_context(path.open("rb"))
        mark = stream.read(6)
        stream.seek(0)
        if mark[:4] == b"PAR1":
            file = stack.enter_context(pq.ParquetFile(stream, page_checksum_verification=True))
            rows, size = file.metadata.num_rows, path.stat().st_size
            if rows > FREE // 64 + MOST_ROWS * size:
                raise _bomb(path, f"{rows} rows", size)
            return file.schema_arrow, file.iter_batches(BATCH)
        if mark == b"ARROW1":
            reader = stack.enter_context(pa.ipc.open_file(stream))
            return reader.schema, (reader.get_batch(number) for number in range(reader.num_record_batches))
        reader = stack.enter_context(pa.ipc.open_stream(stream))
        return reader.schema, iter(reader)
    except (FileNotFoundError, IsADirectoryError) as error:
        raise unreadable(path, error) from None
    except DataError:
        raise
    except Exception as error:  # whatever the library makes of damaged bytes
        raise damaged(KIND, str(path), error) from None


def _bomb(path: Path, got: str, size: int) -> DataError:
    what = "a small file that unpacks to very much"
    do = "see whether it is what it should be, then write it again without compression"
    return DataError(what, where=str(path), got=f"{got} in a file of {size} bytes", do=do)
