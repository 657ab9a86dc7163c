"""spaCy's binary training data (.spacy, a DocBin). Needs spaCy: `pip install spacy`.

A Doc is a text with its entities (`doc.ents`) and its tokens as words; tokens of white space alone are not words. Docs
are counted like lines: the first is line 1. A Doc whose entities nobody has set is read as a text without mentions, and
noted; if only some tokens have no entity annotation, it is an error, because missing is not O. Span groups
(`doc.spans`) and categories of texts are noted and not read. The whole file is held in memory, for reading and for
writing, because the format requires it.

`write` turns a record's words into tokens; without words, it uses those of the rule unicode. White space between words,
other than a single space, becomes a token, too. It cannot hold mentions that overlap or begin or end inside a token,
words out of order, words that leave out parts of the text, or empty labels.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from fpplm_core.data.formats import Holding, not_empty
from fpplm_core.data.notes import Notes
from fpplm_core.data.options import Options
from fpplm_core.data.records import AnnotatedText, Mention
from fpplm_core.data.text_files import damaged, unreadable
from fpplm_core.errors import DataError
from fpplm_core.tagging.words import Range, is_edge, segment

HOLDS: frozenset[Holding] = frozenset({"text", "words"})
KIND = "spaCy DocBin"
START = 256  # bytes in which the name of a DocBin's first parts stand


def recognise(path: Path, head: str) -> str | None:
    if not head.startswith("x"):  # the first byte of zlib's data
        return None
    try:
        with path.open("rb") as stream:
            start = zlib.decompressobj().decompress(stream.read(4 * START), START)
    except (OSError, zlib.error):
        return None
    return "a DocBin of spaCy" if b"\xa5attrs" in start and b"tokens" in start else None


def _spacy(path: Path) -> Any:
    """(Doc, DocBin, Span, Vocab). Raises DataError if spaCy is not installed."""
    try:
        from spacy.tokens import Doc, DocBin, Span
        from spacy.vocab import Vocab
    except ImportError:
        do = "pip install spacy, or choose another format"
        raise DataError("this format needs spaCy, which is not installed", where=str(path), do=do) from None
    return Doc, DocBin, Span, Vocab


@not_empty("text", do="write it again with Docs in it")
def read(path: Path, options: Options) -> Iterator[AnnotatedText]:
    _, doc_bin, _, vocab = _spacy(path)
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise unreadable(path, error) from None
    number = 0
    try:
        docs = doc_bin().from_bytes(raw).get_docs(vocab())
    except Exception as error:  # whatever spaCy makes of damaged bytes
        raise damaged(KIND, str(path), error) from None
    while True:
        where = f"{path}:{number + 1}"
        try:
            doc = next(docs, None)
            if doc is None:
                break
            record = _record(doc, path, number + 1, options.words_only)
        except Exception as error:  # the same
            raise error if isinstance(error, DataError) else damaged(KIND, where, error) from None
        number += 1
        if not options.words_only:
            _note(doc, options.notes, where)
        yield record


def _record(doc: Any, path: Path, line: int, words_only: bool) -> AnnotatedText:
    mentions = () if words_only else _mentions(doc, f"{path}:{line}")
    words = tuple((token.idx, token.idx + len(token)) for token in doc if token.text.strip())
    return AnnotatedText(doc.text, mentions, str(path), line, words=words)


def _mentions(doc: Any, where: str) -> tuple[Mention, ...]:
    if doc.has_annotation("ENT_IOB") and not doc.has_annotation("ENT_IOB", require_complete=True):
        what = "some tokens have an entity annotation and others have none"
        do = "set them: doc.set_ents(…, default='outside')"
        raise DataError(what, where=where, got=repr(doc.text[:60]), do=do)
    return tuple(Mention(ent.start_char, ent.end_char, ent.label_) for ent in doc.ents)


def _note(doc: Any, notes: Notes, where: str) -> None:
    if len(doc) and not doc.has_annotation("ENT_IOB"):
        notes.add("texts of which nobody has set the entities are read as texts without mentions", where)
    notes.add("spans of span groups are not read", where, sum(map(len, doc.spans.values())))
    notes.add("categories of texts are not read", where, len(doc.cats))


def write(records: Iterable[AnnotatedText], path: Path) -> None:
    doc, doc_bin, span, vocab = _spacy(path)
    vocabulary, made = vocab(), doc_bin(attrs=["ENT_IOB", "ENT_TYPE"])
    for record in records:
        tokens, spaces = _tokens(record)
        new = doc(vocabulary, words=[record.text[start:end] for start, end in tokens], spaces=spaces)
        firsts = {start: number for number, (start, _) in enumerate(tokens)}
        lasts = {end: number for number, (_, end) in enumerate(tokens)}
        new.ents = [
            span(new, firsts[start], lasts[end] + 1, label=label)
            for start, end, label in _checked(record, firsts, lasts)
        ]
        made.add(new)
    if not len(made):
        raise DataError("no text to write", where=str(path), do="give at least one text")
    path.write_bytes(made.to_bytes())


def _words(record: AnnotatedText) -> list[Range]:
    """(start, end) of each word that is not of white space alone."""
    text, last = record.text, 0
    found = []
    for start, end in segment(text) if record.words is None else record.words:
        if not last <= start < end <= len(text):
            got = f"{start} to {end} after {last}, in a text of {len(text)} characters"
            raise DataError("words out of order", where=record.place, got=got, do="correct them")
        _check_gap(text[last:start], record)
        last = end
        if text[start:end].strip():
            found.append((start, end))
    _check_gap(text[last:], record)
    return found


def _check_gap(gap: str, record: AnnotatedText) -> None:
    if not all(map(is_edge, gap)):
        what = "text outside the words"
        raise DataError(what, where=record.place, got=repr(gap[:60]), do="choose another format")


def _tokens(record: AnnotatedText) -> tuple[list[Range], list[bool]]:
    """(start, end) of each token, and whether a blank stands after it that belongs to none."""
    text = record.text
    try:
        "".join([text, *(mention.label for mention in record.mentions)]).encode()
    except UnicodeEncodeError:
        what, do = "half of a surrogate pair, which is not a character", "correct the text or its labels"
        raise DataError(what, where=record.place, got=f"{text[:60]!a}", do=do) from None
    tokens: list[Range] = []
    spaces: list[bool] = []
    place = 0
    for start, end in [*_words(record), (len(text), len(text))]:
        if start > place and text[place] == " " and tokens:
            spaces[-1] = True
            place += 1
        pieces = [(place, start), (start, end)]
        new = [(left, right) for left, right in pieces if left < right]
        tokens += new
        spaces += [False] * len(new)
        place = end
    return tokens, spaces


def _checked(record: AnnotatedText, firsts: dict[int, int], lasts: dict[int, int]) -> Iterator[tuple[int, int, str]]:
    last = 0
    for start, end, label, place in sorted(record.mentions, key=lambda mention: mention[:2]):
        got, where = f"{label[:60]!r}, {start} to {end}", place or record.place
        if start not in firsts or end not in lasts or start >= end or not label:
            do = "choose another format, or convert to one with tags first (data.misaligned)"
            raise DataError("a mention that does not cover whole tokens, or has no label", where=where, got=got, do=do)
        if start < last:
            raise DataError("two mentions overlap", where=where, got=got, do="choose another format")
        last = end
        yield start, end, label
