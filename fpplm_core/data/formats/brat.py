"""brat: a folder of texts NAME.txt with NAME.ann each, or one of the two files, which stands for both.

    T1<tab>PER 0 5<tab>Ann B
    T2<tab>LOC 6 9;14 18<tab>New York

Offsets are in characters (code points) of the text as it stands, with its line ends and a byte order mark, the end
excluded. After them stands the text of the mention, with blanks for newlines, which is compared. Of a mention in
several parts,

- parts with only white space between them are joined: brat splits a mention at the end of a line
- otherwise it is refused (data.overlap refuse), or one part is kept: the longest or the first (data.overlap longest,
  first)

and both are noted. Relations, events, attributes, normalisations, equivalences and notes are skipped and noted; so
are other files and folders in the folder. A text without an .ann is an error, because nobody has annotated it; an empty
.ann means a text without mentions. Each text is a document, in the order of their names, and is held in memory.

`write` fills a folder, which must be new or empty: 00000001.txt with its .ann, and so on. It cannot hold labels that
are empty or contain white space, or mentions that are not a range of their text. It holds neither words nor documents
of several records.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from fpplm_core.data.formats import Holding
from fpplm_core.data.formats._columns import UNWRITABLE
from fpplm_core.data.formats._json import piece
from fpplm_core.data.options import Options
from fpplm_core.data.records import AnnotatedText, Mention
from fpplm_core.data.text_files import read_lines, require_source, unreadable
from fpplm_core.errors import DataError
from fpplm_core.tagging.words import Range

HOLDS: frozenset[Holding] = frozenset({"text", "overlaps"})
SUFFIXES = (".txt", ".ann")
OTHERS = {
    "R": "relations",
    "E": "events",
    "A": "attributes",
    "M": "attributes",
    "N": "normalisations",
    "*": "equivalences",
    "#": "notes",
}
_MENTION = re.compile(r"(T\S+)\t(\S+) ([0-9]{1,18} [0-9]{1,18}(?:;[0-9]{1,18} [0-9]{1,18})*)\t(.*)", re.DOTALL)


def recognise(path: Path, head: str) -> str | None:
    try:
        if path.is_dir():
            return "a folder with .ann files" if next(path.glob("*.ann"), None) else None
        pair = path.suffix in SUFFIXES and all(path.with_suffix(suffix).is_file() for suffix in SUFFIXES)
    except OSError:
        return None
    return "a text with its .ann" if pair else None


def read(path: Path, options: Options) -> Iterator[AnnotatedText]:
    names = _names(path, options)
    if not names:
        raise DataError("no .txt file in the folder", where=str(path), do="give NAME.txt and NAME.ann")
    for document, name in enumerate(names):
        file, annotation = (name.with_name(name.name + suffix) for suffix in SUFFIXES)
        if not file.is_file():
            raise DataError("an .ann without its .txt", where=str(annotation), do=f"give {file.name}")
        if not annotation.is_file() and not options.words_only:
            do = f"annotate it, or remove it (no mentions: an empty {annotation.name})"
            raise DataError("a text without annotations", where=str(file), do=do)
        require_source(file)
        text = _text(file)
        mentions = () if options.words_only else tuple(_mentions(annotation, text, options))
        yield AnnotatedText(text, mentions, str(file), 1, document, plain=True)


def _names(path: Path, options: Options) -> list[Path]:
    """The files of the pairs without their suffix, in order."""
    if not path.is_dir():
        if not path.exists():
            raise unreadable(path, FileNotFoundError())
        if path.suffix not in SUFFIXES:
            raise DataError("not a brat folder", where=str(path), do="give a folder, NAME.txt or NAME.ann")
        return [path.with_suffix("")]
    names = set()
    try:
        for entry in sorted(path.iterdir()):
            if entry.suffix not in SUFFIXES or not entry.is_file():
                options.notes.add("files and folders that are neither .txt nor .ann are not read", str(entry))
            elif entry.suffix == ".txt" or not options.words_only:
                names.add(entry.name[:-4])
    except OSError as error:
        raise unreadable(path, error) from None
    return [path / name for name in sorted(names)]


def _text(path: Path) -> str:
    """The text as it stands: neither its line ends nor a byte order mark are taken away, as offsets count them."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise unreadable(path, error) from None
    try:
        if b"\0" not in raw:
            return raw.decode("utf-8")
        place, what = raw.index(b"\0"), "a zero byte"
    except UnicodeDecodeError as error:
        place, what = error.start, "not valid UTF-8"
    line = raw.count(b"\n", 0, place) + 1
    got, do = f"byte 0x{raw[place]:02x}", "give UTF-8 text, to which the offsets fit"
    raise DataError(what, where=f"{path}:{line}", got=got, do=do)


def _mentions(path: Path, text: str, options: Options) -> Iterator[Mention]:
    ids = set()
    for number, line in enumerate(read_lines(path), start=1):
        where = f"{path}:{number}"
        if line[:1] in OTHERS:
            options.notes.add(f"{OTHERS[line[0]]} are not read", where)
            continue
        if not line.strip():
            continue
        match = _MENTION.fullmatch(line)
        if not match:
            do = "correct it: T1, a tab, the label, a blank, start, a blank, end, a tab, the text of the mention"
            raise DataError("not a line in brat's format", where=where, got=repr(line[:60]), do=do)
        name, label, places, said = match.groups()
        if name in ids:
            raise DataError("a duplicate id", where=where, got=repr(name[:60]), do="correct the line")
        ids.add(name)
        ends = [pair.split(" ") for pair in places.split(";")]
        parts = [(int(start), int(end)) for start, end in ends]
        inside = " ".join(piece(text, start, end, where) for start, end in parts).replace("\n", " ")
        if inside not in (said, said.removesuffix("\r")):
            what = f"a mention's text is not that in the .txt, which is {inside[:60]!r}"
            raise DataError(what, where=where, got=repr(said[:60]), do="correct its offsets (characters) or its text")
        yield Mention(*_whole(parts, text, where, options), label, where)


def _whole(parts: list[Range], text: str, where: str, options: Options) -> Range:
    """The place of a mention in several parts, from left to right or not."""
    joined = sorted(parts)[:1]
    for start, end in sorted(parts)[1:]:
        if text[joined[-1][1] : start].strip():
            joined.append((start, end))
        else:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
    if len(joined) > 1:
        if options.overlap == "refuse":
            got = "; ".join(text[start:end] for start, end in joined)[:60]
            do = "correct it, or set data.overlap to longest or first, which keeps one part"
            raise DataError("a mention in several parts", where=where, got=repr(got), do=do)
        options.notes.add(f"mentions in several parts, of which the {options.overlap} stays", where)
    elif len(parts) > 1:
        options.notes.add("mentions in several parts, joined over the white space between", where)
    return max(joined, key=lambda part: part[1] - part[0]) if options.overlap == "longest" else joined[0]


def write(records: Iterable[AnnotatedText], path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise DataError("a file, expected a folder", where=str(path), do="name another target") from None
    if any(path.iterdir()):
        raise DataError("the folder is not empty", where=str(path), do="name a new one")
    number = 0
    for number, record in enumerate(records, start=1):
        if UNWRITABLE.search(record.text):
            got, do = f"{record.text[:60]!a}", "choose another format"
            raise DataError("a text that this format cannot hold", where=record.place, got=got, do=do)
        lines = [f"T{count}\t{_written(mention, record)}\n" for count, mention in enumerate(record.mentions, start=1)]
        (path / f"{number:08}.txt").write_bytes(record.text.encode())
        (path / f"{number:08}.ann").write_bytes("".join(lines).encode())
    if not number:
        raise DataError("no text to write", where=str(path), do="give at least one text")


def _written(mention: Mention, record: AnnotatedText) -> str:
    where = record.place_of(mention)
    inside = piece(record.text, mention.start, mention.end, where).replace("\n", " ")
    if not re.fullmatch(r"\S+", mention.label) or UNWRITABLE.search(mention.label):
        do = "choose another format, or another label"
        raise DataError("a label that this format cannot hold", where=where, got=f"{mention.label[:60]!a}", do=do)
    return f"{mention.label} {mention.start} {mention.end}\t{inside}"
