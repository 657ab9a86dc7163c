"""Writes files atomically, and reads them: text, JSON, tables, tensors."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from fpplm_core.errors import DataError, StorageError, shown

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile
    from pydantic import ValidationError

T = TypeVar("T")
NO_PLACE = {errno.ENOENT, errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP}


def write_json(path: Path, value: Any) -> None:
    """Writes indented JSON atomically, with keys in their given order."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Writes a UTF-8 file atomically."""
    with whole_file(path) as partial:
        partial.write_text(text, encoding="utf-8")


@contextmanager
def making(path: Path) -> Iterator[None]:
    """Raises DataError if the block cannot write `path` because there can be no such file or folder."""
    try:
        yield
    except OSError as error:
        if error.errno not in NO_PLACE:
            raise
        reason = os.strerror(errno.ENOTDIR if error.errno == errno.EEXIST else error.errno)  # in its path
        raise DataError(f"cannot be made ({reason})", where=str(path), do="name another path") from None


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """The path of a temporary file to write, which replaces `path` if the block succeeds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    yield partial
    partial.replace(path)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """A temporary folder to fill, which replaces `path` if the block succeeds."""
    partial = path.with_name(path.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    shutil.rmtree(path, ignore_errors=True)
    partial.rename(path)


def remove(path: Path) -> None:
    """Removes a file or a folder, if it is there."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_tensors(path: Path, tensors: Mapping[str, Any], metadata: dict[str, str] | None = None) -> None:
    """Writes a safetensors file atomically. Raises StorageError."""
    import safetensors.torch

    with whole_file(path) as partial:
        try:
            safetensors.torch.save_file({k: v.contiguous() for k, v in tensors.items()}, partial, metadata)
        except Exception as error:  # safetensors reports a full disk as its own error
            do = "free some space or choose another disk"
            raise StorageError(f"cannot be written ({error})", where=str(path), do=do) from None


def file_sha256(path: Path) -> str:
    """The sha256 of a file's content, which is read in chunks. Raises OSError."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def read_json(path: Path) -> Any:
    """Raises DataError if the file, made by an earlier stage, is missing or is not JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise _missing(path) from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"not valid JSON ({shown(str(error))})", where=str(path), do="run: dvc repro") from None


def _missing(path: Path) -> DataError:
    return DataError("made by an earlier stage, and missing", where=str(path), do="run: dvc repro")


def append_json_line(path: Path, values: Mapping[str, Any]) -> None:
    """Appends a JSON object and syncs the file; a line that a kill has cut short is ended first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as stream:
        stream.seek(max(0, stream.seek(0, os.SEEK_END) - 1))
        begin = b"" if stream.read() in (b"", b"\n") else b"\n"
        stream.write(begin + json.dumps(values, ensure_ascii=False).encode() + b"\n")
        stream.flush()
        os.fsync(stream.fileno())


def read_json_lines(path: Path) -> list[dict[str, Any]]:
    """The objects that `append_json_line` wrote, without lines that were cut short; none if there is no file."""
    found = list[dict[str, Any]]()
    for line in path.read_bytes().split(b"\n") if path.exists() else []:
        with suppress(ValueError):
            value = json.loads(line)
            if isinstance(value, dict):
                found.append(value)
    return found


def write_record(path: Path, record: Any) -> None:
    """Writes a dataclass as JSON atomically, with its fields in their order."""
    write_json(path, asdict(record))


def read_record(path: Path, kind: type[T]) -> T:
    """Reads a dataclass that `write_record` wrote.

    Raises DataError if the file, made by an earlier stage, is missing or holds something else.
    """
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(kind).validate_python(read_json(path))
    except ValidationError as error:
        raise _unlike(error, str(path)) from None


def read_record_lines(path: Path, kind: type[T]) -> list[T]:
    """Reads dataclasses, each the JSON of a line; blank lines are passed over. Raises DataError as `read_record`."""
    from pydantic import TypeAdapter, ValidationError

    reader, found = TypeAdapter(kind), list[T]()
    try:
        with path.open("rb") as stream:
            for number, line in enumerate(stream, start=1):
                try:
                    found += [reader.validate_json(line)] if line.strip() else []
                except ValidationError as error:
                    raise _unlike(error, f"{path}:{number}") from None
    except FileNotFoundError:
        raise _missing(path) from None
    return found


def _unlike(error: ValidationError, where: str) -> DataError:
    """The reason why a value is not the expected record."""
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    what = f"{key}: {first['msg']}" if key else first["msg"]
    return DataError(what, where=where, got=repr(first["input"])[:80], do="run: dvc repro")


def write_table(path: Path, batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> None:
    """Writes a Parquet file atomically, with one row group per batch."""
    import pyarrow.parquet as pq

    with whole_file(path) as partial, pq.ParquetWriter(partial, schema, compression="zstd") as writer:
        for batch in batches:
            writer.write_batch(batch)


def write_mapped_table(path: Path, batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> None:
    """Writes an Arrow file atomically, uncompressed, for `open_mapped_table`."""
    import pyarrow as pa

    with whole_file(path) as partial, pa.OSFile(str(partial), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        for batch in batches:
            writer.write_batch(batch)


def open_mapped_table(path: Path) -> pa.Table:
    """A table whose columns stay in the file until they are read. Raises DataError if it is missing or damaged."""
    import pyarrow as pa

    try:
        return pa.ipc.open_file(pa.memory_map(str(path))).read_all()
    except FileNotFoundError:
        raise _missing(path) from None
    except (pa.ArrowException, OSError) as error:
        if getattr(error, "errno", None):
            raise
        raise DataError(f"not an Arrow file ({error})", where=str(path), do="run: dvc repro") from None


def open_table(path: Path) -> ParquetFile:
    """Raises DataError if the file, made by an earlier stage, is missing."""
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(path)
    except FileNotFoundError:
        raise _missing(path) from None
