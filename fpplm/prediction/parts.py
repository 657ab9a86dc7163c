"""Splits files into parts of fixed size, which are tagged independently; each part has an output of its own.

Sources and the output folder may be local or on S3 (whatever `pyarrow.fs.FileSystem.from_uri` opens).
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow.fs import FileSystem, LocalFileSystem

from fpplm.prediction.formats import Placed
from fpplm.prediction.inputs import of_row, read, reading_options
from fpplm.prediction.lines import UTF8
from fpplm.prediction.outputs import tag_texts
from fpplm.prediction.records import rows_of_entities
from fpplm_core.data.notes import Notes
from fpplm_core.data.options import Options
from fpplm_core.data.text_files import unreadable
from fpplm_core.errors import DataError, ParamsError
from fpplm_core.serving import Predictor
from fpplm_core.serving.entities import CHUNK, SegmentedText

ROWS = 8 * CHUNK  # lines of a part: seconds of work, which is all that a killed process loses
READ = 2**24  # bytes read at once to find line ends
PARTIAL = ".partial"  # suffix of an output until it is complete
SUFFIXES = {".txt": "text", "": "text", ".md": "text", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}
READ_COLUMNS = ("text", "tokens")
ADDED = "entities"  # the column that an output has beside those of its source
ENTITIES = pa.list_(
    pa.struct([("text", pa.string()), ("label", pa.string()), ("start", pa.int64()), ("end", pa.int64()),
               ("score", pa.float64())])
)  # fmt: skip


class Part(NamedTuple):
    """A part of a source: bytes from `start` to `end` of lines, or the row group `start` of a Parquet file.

    `number` counts the parts of all sources; `before` are the lines or rows of the source before it.
    """

    number: int
    source: str
    kind: str
    start: int
    end: int
    before: int

    @property
    def output(self) -> str:
        """The name of its output in the folder; in the order of names, outputs are in the order of the input."""
        return f"part-{self.number:06d}.{'parquet' if self.kind == 'parquet' else 'jsonl'}"


def locate(name: str) -> tuple[FileSystem, str]:
    """The file system of a local path or a URI, and the path there. Raises DataError."""
    if "://" not in name:
        return LocalFileSystem(), str(Path(name).resolve())
    try:
        filesystem, path = FileSystem.from_uri(name)
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"cannot be opened ({error})", where=name) from None
    return filesystem, path


def parts_of(sources: Sequence[str]) -> list[Part]:
    """The parts of all sources, in order.

    Raises DataError if one cannot be read or its columns do not fit, ParamsError if it has no parts.
    """
    parts: list[Part] = []
    for source in sources:
        kind = SUFFIXES.get(Path(locate(source)[1]).suffix.lower())
        if kind is None:
            do = f"name files of {', '.join(sorted(set(SUFFIXES) - {''}))}, or omit --ray"
            raise ParamsError("cannot be split into parts", where=source, do=do)
        try:
            found = row_groups(source) if kind == "parquet" else lines(source, kind)
            parts += [Part(number, source, kind, *place) for number, place in enumerate(found, start=len(parts))]
        except OSError as error:
            raise unreadable(source, error, do="") from None
    return parts


def row_groups(source: str) -> Iterator[tuple[int, int, int]]:
    filesystem, path = locate(source)
    try:
        metadata = pq.read_metadata(path, filesystem=filesystem)
    except pa.ArrowInvalid as error:
        raise DataError(f"not a Parquet file ({error})", where=source) from None
    names = metadata.schema.to_arrow_schema().names
    if ADDED in names:
        do = "rename or remove it: the outputs have one of this name"
        raise DataError(f"a column {ADDED} already", where=source, do=do)
    if twice := next((name for name in READ_COLUMNS if names.count(name) > 1), None):
        raise DataError(f"several columns {twice}", where=source, do="rename or remove all but one")
    before = 0
    for group in range(metadata.num_row_groups):
        yield group, group + 1, before
        before += metadata.row_group(group).num_rows


def lines(source: str, kind: str) -> Iterator[tuple[int, int, int]]:
    """(start, end, lines before) of every ROWS lines. Raises ParamsError for one JSON list."""
    filesystem, path = locate(source)
    size, found = 0, [0]
    with filesystem.open_input_stream(path) as stream:
        number = 0
        while block := stream.read(READ):
            if not size and kind == "jsonl" and block.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"["):
                raise ParamsError("one JSON list cannot be split", where=source, do="write an object per line")
            ends = np.flatnonzero(np.frombuffer(block, np.uint8) == ord("\n"))
            first = -number % ROWS or ROWS  # line ends from here to the next border
            found += (size + ends[first - 1 :: ROWS] + 1).tolist()
            number, size = number + len(ends), size + len(block)
    borders = found if found[-1] == size else [*found, size]
    for index, (start, end) in enumerate(pairwise(borders)):
        yield start, end, index * ROWS


def tag_part(predictor: Predictor, part: Part, folder: str, skip: bool) -> tuple[int, list[str]]:
    """Writes the output of a part to a folder, all of it or nothing; the number of words, and what was noted.

    A text is tagged alone, also where the bundle uses document context. Raises DataError, unless `skip`, with the line
    of the source.
    """
    filesystem, root = locate(folder)
    target, notes = f"{root}/{part.output}", Notes()
    options = reading_options(predictor.word_ranges, notes=notes)
    skipped: list[str] | None = [] if skip else None
    with tempfile.TemporaryDirectory() as scratch:
        local = Path(scratch) / part.output
        write = tag_rows if part.kind == "parquet" else tag_lines
        words = write(predictor, part, options, local, skipped)
        with local.open("rb") as source, whole_output(filesystem, target) as stream:
            shutil.copyfileobj(source, stream)
    return words, [*(f"skipped: {error}" for error in skipped or []), *notes.lines()]


@contextmanager
def whole_output(filesystem: FileSystem, path: str) -> Iterator[BinaryIO]:
    """A stream to PATH.partial, which becomes `path` if the block succeeds."""
    with filesystem.open_output_stream(f"{path}{PARTIAL}") as stream:
        yield stream
    filesystem.move(f"{path}{PARTIAL}", path)


def tag_lines(predictor: Predictor, part: Part, options: Options, target: Path, skipped: list[str] | None) -> int:
    copy = target.with_name("source")
    filesystem, path = locate(part.source)
    with filesystem.open_input_file(path) as stream, copy.open("wb") as local:
        stream.seek(part.start)
        while left := part.end - stream.tell():
            if not (block := stream.read(min(READ, left))):
                do = "tag a file that does not change, into a new folder"
                raise DataError("shorter than when it was split into parts", where=part.source, do=do)
            local.write(block)
    encoding = "utf-8" if part.start else UTF8  # only a file begins with a byte order mark
    found = renamed(read(str(copy), part.kind, options, encoding), str(copy), part)
    texts = (accept(item, skipped) for _, item in found)
    return sum(tag_texts(predictor, (text for text in texts if text), str(target), "jsonl"))


def tag_rows(predictor: Predictor, part: Part, options: Options, target: Path, skipped: list[str] | None) -> int:
    """Copies the columns of a row group and adds the entities; null where a row is skipped."""
    filesystem, path = locate(part.source)
    words = 0
    with filesystem.open_input_file(path) as stream, pq.ParquetFile(stream) as file:
        schema = file.schema_arrow.append(pa.field(ADDED, ENTITIES))
        with pq.ParquetWriter(target, schema) as writer:
            before = part.before
            for batch in file.iter_batches(CHUNK, row_groups=[part.start]):
                texts = [accept(item, skipped) for item in texts_of(batch, part, before, options)]
                good = [text for text in texts if text is not None]
                spans = iter([row for _, tagged in predictor.stream(good) for row in tagged])
                rows = [None if text is None else rows_of_entities(text, next(spans)) for text in texts]
                column = pa.array(rows, ENTITIES)
                writer.write_batch(pa.record_batch([*batch.columns, column], schema=schema))
                words += sum(len(text.words) for text in good)
                before += len(batch)
    return words


def texts_of(batch: pa.RecordBatch, part: Part, before: int, options: Options) -> list[SegmentedText | DataError]:
    """The texts of the columns `text` or `tokens`, or why a row has none. Raises DataError if there is no column."""
    names = [name for name in READ_COLUMNS if name in batch.schema.names]
    if not names:
        raise DataError("no column text or tokens", where=part.source, got=", ".join(batch.schema.names))
    texts: list[SegmentedText | DataError] = []
    for row in range(len(batch)):
        number = before + row + 1
        try:
            values = {name: batch.column(name)[row].as_py() for name in names}
            texts.append(of_row(values, part.source, number, options))
        except UnicodeDecodeError as error:
            got = f"byte 0x{error.object[error.start]:02x}"
            texts.append(DataError("not valid UTF-8", where=f"{part.source}:{number}", got=got, do="correct it"))
    return texts


def accept(item: SegmentedText | DataError, skipped: list[str] | None) -> SegmentedText | None:
    """The text, without its document; an error is appended to `skipped` or, without such a list, raised."""
    if isinstance(item, SegmentedText):
        return item._replace(document=None)
    if skipped is None:
        raise item
    skipped.append(str(item))
    return None


def renamed(found: Iterable[Placed], copy: str, part: Part) -> Iterator[Placed]:
    """The same texts, their places and errors with the name and the line numbers of the source."""

    def place(text: str) -> str:
        return re.sub(rf"{re.escape(copy)}:([0-9]+)", lambda m: f"{part.source}:{part.before + int(m[1])}", text)

    for where, item in found:
        if isinstance(item, DataError):
            item = item.replace(where=place(item.where))  # noqa: PLW2901
        yield place(where), item
