"""JSON lines: one sentence per line, `{"tokens": ["Ann", "slept"], "tags": ["B-PER", "O"]}`.

words         a list of strings, named tokens, words, token, word, sentence, text or form
tags          a list of strings of the same length, named ner_tags, tags, labels, ner, tag or label; or of numbers,
              whose names stand in the file dataset_info.json beside this one, as `datasets` writes it
document      a number that sentences of one document share; may be left out
text, offsets the text as it was written, and [start, end] of each token in its characters; read if both are given.
              Offsets go from left to right, and the text there is the token. Words that are written as one, such as
              Spanish `del`, have the same offsets

`word_column` and `tag_column` name other keys; numbers have no meaning here. If several known keys fit, you must name
one. The first line decides for the whole file. Other keys are skipped and noted. All words of a line have its line
number. Empty lines are skipped; sentences without words are skipped and noted. A file that is one list of such objects
is read too. `write` gives tokens and tags. It cannot hold a sentence without words, or a document number or offsets
that `read` refuses.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from fpplm_core.data.formats import Holding, not_empty
from fpplm_core.data.formats._features import TAGS, WORDS, stored_names
from fpplm_core.data.formats._json import (
    JsonObject,
    document_of,
    first_value,
    member,
    note_keys,
    read_values,
    write_lines,
)
from fpplm_core.data.options import Options
from fpplm_core.data.records import Sentence
from fpplm_core.errors import DataError, shown

HOLDS: frozenset[Holding] = frozenset({"tags", "words", "text", "documents"})
KNOWN = {"word": (*WORDS, "token", "word", "sentence", "text", "form"), "tag": (*TAGS, "tag", "label")}
PLACES = {"text", "offsets"}


def recognise(path: Path, head: str) -> str | None:
    row = first_value(head, path)
    if not isinstance(row, dict):
        return None
    words = [key for key in KNOWN["word"] if _is_list(row.get(key), str)]
    tags = [key for key in KNOWN["tag"] if _is_list(row.get(key), str, int)]
    if any(len(row[word]) == len(row[tag]) for word in words for tag in tags):
        return f'objects with "{words[0]}" and "{tags[0]}"'
    return None


def _is_list(value: Any, *kinds: type) -> bool:
    return isinstance(value, list) and all(isinstance(item, kinds) for item in value)


@not_empty("sentence", do='put one {"tokens": [...], "tags": [...]} on each line')
def read(path: Path, options: Options) -> Iterator[Sentence]:
    keys: tuple[str, str] | None = None
    names: Sequence[str] | None = None
    for line, row in read_values(path):
        where = f"{path}:{line}"
        if keys is None:
            word_key = _key(row, "word", options.word_column, where)
            keys = word_key, word_key if options.words_only else _key(row, "tag", options.tag_column, where)
        word_key, tag_key = keys
        tags = member(row, tag_key, list, where)
        if any(type(tag) is int for tag in tags):
            names = names or stored_names(path, tag_key, options.notes)
            tags = _named(tags, names, f"{where}: {tag_key}")
        words = _texts(member(row, word_key, list, where), f"{where}: {word_key}")
        sentence = _sentence(row, words, _texts(tags, f"{where}: {tag_key}"), str(path), line)
        note_keys(row, (*keys, "document", *(PLACES if sentence.text is not None else ())), options.notes, where)
        if sentence.words:
            yield sentence
        else:
            options.notes.add("sentences without words are passed over", where)


def words_of(row: JsonObject, options: Options, file: str, line: int) -> Sentence | None:
    """The words of one object, each with the tag O; None if no key of it is known to hold words. Raises DataError."""
    where = f"{file}:{line}"
    has_text = isinstance(row.get("text"), str)
    known = any(_is_list(row.get(key), str) and (row[key] or not has_text) for key in KNOWN["word"])
    if not known and not isinstance(options.word_column, str):
        return None
    key = _key(row, "word", options.word_column, where)
    words = _texts(member(row, key, list, where), f"{where}: {key}")
    if has_text and not row.keys() >= PLACES:
        options.notes.add(f"key 'text' is not read, as {key!r} has the words and no offsets are given", where)
    return _sentence(row, words, ("O",) * len(words), file, line)


def _key(row: Any, kind: str, column: int | str | None, where: str) -> str:
    """The key of the words or tags: the named one, or the only known one. Raises DataError."""
    if isinstance(column, str):
        return column
    got = f"the keys {shown(sorted(row))}" if isinstance(row, dict) else shown(row)
    known = [key for key in KNOWN[kind] if isinstance(row.get(key), list)] if isinstance(row, dict) else []
    if len(known) != 1:
        what = f"several keys could hold the {kind}s" if known else f"no key is known to hold a list of {kind}s"
        do = f"name it (data.{kind}_column), or the format (data.format)"
        raise DataError(what, where=where, got=got, do=do)
    return known[0]


def _named(tags: list[Any], names: Sequence[str] | None, where: str) -> list[str]:
    if names is None:
        what = "the tags are numbers, which have no names"
        do = "put dataset_info.json with the names beside the file, as datasets writes it, or give the names as tags"
        raise DataError(what, where=where, got=shown(tags), do=do)
    if not all(type(tag) is int and 0 <= tag < len(names) for tag in tags):
        raise DataError(f"not numbers of the {len(names)} names", where=where, got=shown(tags), do="correct them")
    return [names[tag] for tag in tags]


def _sentence(row: JsonObject, words: tuple[str, ...], tags: tuple[str, ...], file: str, line: int) -> Sentence:
    where = f"{file}:{line}"
    if len(words) != len(tags):
        got = f"{len(words)} words and {len(tags)} tags"
        raise DataError("lengths differ", where=where, got=got, do="give one tag per word")
    document = document_of(row, where)
    if not row.keys() >= PLACES:
        return Sentence(words, tags, file, (line,) * len(words), document)
    (text,) = _texts([row["text"]], f"{where}: text")
    offsets = _offsets(row["offsets"], words, text, where)
    return Sentence(words, tags, file, (line,) * len(words), document, text, offsets)


def _texts(value: list[Any], where: str) -> tuple[str, ...]:
    if not all(isinstance(text, str) for text in value):
        raise DataError("not a list of strings", where=where, got=shown(value), do="give strings in quotes")
    return tuple(value)


def _offsets(value: Any, words: Sequence[str], text: str, where: str) -> tuple[tuple[int, int], ...]:
    found = []
    for pair in value if isinstance(value, list) else [value]:
        if not isinstance(pair, list) or [type(place) for place in pair] != [int, int]:
            do = "give whole numbers, [[0, 3], [4, 9]]"
            raise DataError("not [start, end]", where=f"{where}: offsets", got=shown(pair), do=do)
        found.append((pair[0], pair[1]))
    if len(found) != len(words):
        got = f"{len(words)} words and {len(found)} offsets"
        raise DataError("lengths differ", where=where, got=got, do="give one [start, end] per word")
    for before, after in pairwise([(0, 0), *found]):
        if not (before == after or before[1] <= after[0] <= after[1] <= len(text)):
            got = f"{shown(list(after))} after {shown(list(before))}, in a text of {len(text)} characters"
            raise DataError("offsets out of order", where=where, got=got, do="give them from left to right")
    neighbours = zip(words, pairwise(found), strict=False)
    shared = {one for word, (one, other) in neighbours if one == other and (one[0] < one[1] or not word)}
    for word, (start, end) in zip(words, found, strict=True):
        if text[start:end] != word and (start, end) not in shared:
            got = f"{shown(word)}, but the text has {shown(text[start:end])} from {start} to {end}"
            do = "count characters (code points), not bytes or UTF-16 units"
            raise DataError("offsets do not fit the words", where=where, got=got, do=do)
    return tuple(found)


def write(records: Iterable[Sentence], path: Path) -> None:
    write_lines(map(_row, records), path)


def _row(sentence: Sentence) -> JsonObject:
    if not sentence.words:
        raise DataError("a sentence without words", where=sentence.place, do="remove it")
    row: JsonObject = {"tokens": sentence.words, "tags": sentence.tags}
    if sentence.document is not None:
        row["document"] = sentence.document
        document_of(row, sentence.place)
    if sentence.text is not None and sentence.offsets is not None:
        offsets = [list(pair) for pair in sentence.offsets]
        _offsets(offsets, sentence.words, sentence.text, sentence.place)
        row |= {"text": sentence.text, "offsets": offsets}
    return row
