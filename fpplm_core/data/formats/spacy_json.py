"""spaCy's JSON format of training data (version 2; version 3 still converts it).

[{"id": 0, "paragraphs": [{"raw": "Ann slept.",
                           "sentences": [{"tokens": [{"id": 0, "orth": "Ann", "ner": "U-PER"}, …]}],
                           "entities": [[0, 3, "PER"]]}]}]

orth, ner  a word and its tag, in any scheme. A missing tag, which spaCy writes as `-`, is an error: it does not mean O
raw        the text; optional. If it consists of the words and white space between them, each sentence gets its part of
           it, up to the first word of the next one; otherwise it is noted and not read. The tokens' `space` is
           redundant, and not read
entities   the mentions in characters, as spaCy writes them; if not empty, they must agree with the tags
id         an item with an id is a document, counted from 0; an item without one belongs to no document

Other keys (heads, parts of speech, brackets, categories of texts, …) and sentences without words are skipped and noted.
An item is held in memory as a whole, and all its words have its first line.

`write` makes each sentence a paragraph. spaCy itself requires the scheme BILOU. It cannot hold sentences without words,
words that do not follow each other in the text with only white space between them, the tags "" and "-", documents
that do not count up from 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from fpplm_core.data.formats import Holding, not_empty
from fpplm_core.data.formats._columns import marks, with_words
from fpplm_core.data.formats._json import JsonObject, first_value, member, note_keys, read_values, write_list
from fpplm_core.data.options import Options
from fpplm_core.data.records import Sentence
from fpplm_core.errors import DataError, shown
from fpplm_core.tagging.schemes import OUTSIDE
from fpplm_core.tagging.spans import spans_from_tags
from fpplm_core.tagging.words import Range, is_edge

HOLDS: frozenset[Holding] = frozenset({"tags", "words", "text", "documents"})
MISSING = ("", "-")


def recognise(path: Path, head: str) -> str | None:
    match first_value(head, path):
        case {"paragraphs": list()}:
            return 'objects with "paragraphs"'
    return None


@not_empty("sentence", do='give a list of {"paragraphs": […]}')
def read(path: Path, options: Options) -> Iterator[Sentence]:
    documents = 0
    for line, item in read_values(path):
        where, document = f"{path}:{line}", None
        paragraphs = member(item, "paragraphs", list, where)
        note_keys(item, ("id", "paragraphs"), options.notes, where)
        if "id" in item:
            document = documents
            documents += 1
        for number, paragraph in enumerate(paragraphs, start=1):
            for words, tags, text, offsets in _paragraph(paragraph, f"{where}: paragraph {number}", options):
                yield Sentence(words, tags, str(path), (line,) * len(words), document, text, offsets)


Parts = tuple[tuple[str, ...], tuple[str, ...], str | None, tuple[Range, ...] | None]  # words, tags, text, offsets


def _paragraph(paragraph: Any, where: str, options: Options) -> list[Parts]:
    notes = options.notes
    sentences = []
    for number, sentence in enumerate(member(paragraph, "sentences", list, where), start=1):
        words, tags = _tokens(sentence, f"{where}, sentence {number}", options)
        if words:
            sentences.append((words, tags))
        else:
            notes.add("sentences without words are passed over", f"{where}, sentence {number}")
    note_keys(paragraph, ("raw", "sentences", "entities"), notes, where)
    all_words = [word for words, _ in sentences for word in words]
    all_tags = [tag for _, tags in sentences for tag in tags]
    raw = None if paragraph.get("raw") is None else member(paragraph, "raw", str, where)
    places = None if raw is None else _located(raw, all_words)
    if not options.words_only:
        _check_entities(paragraph, all_tags, places, where)
    if raw is None or places is None:
        if raw is not None:
            notes.add("raw text is not read, as it is not that of the tokens", where)
        return [(words, tags, None, None) for words, tags in sentences]
    firsts = [0]
    for words, _ in sentences:
        firsts.append(firsts[-1] + len(words))
    cuts = [0, *(places[first][0] for first in firsts[1:-1]), len(raw)]
    found: list[Parts] = []
    for (words, tags), (first, end), (start, stop) in zip(sentences, pairwise(firsts), pairwise(cuts), strict=True):
        offsets = tuple((left - start, right - start) for left, right in places[first:end])
        found.append((words, tags, raw[start:stop], offsets))
    return found


def _tokens(sentence: Any, where: str, options: Options) -> tuple[tuple[str, ...], tuple[str, ...]]:
    words, tags = [], []
    keys: dict[str, None] = {}
    for token in member(sentence, "tokens", list, where):
        words.append(member(token, "orth", str, where))
        tags.append(OUTSIDE if options.words_only else _tag(token, where))
        keys |= dict.fromkeys(token)
    note_keys(sentence, ("tokens",), options.notes, where)
    note_keys(keys, ("id", "orth", "ner", "space"), options.notes, where)
    return tuple(words), tuple(tags)


def _tag(token: JsonObject, where: str) -> Any:
    if token.get("ner") in (None, *MISSING):
        do = "annotate it, or give it the tag O"
        raise DataError("a token whose tag is missing", where=where, got=shown(token), do=do)
    return member(token, "ner", str, where)


def _located(text: str, words: Iterable[str]) -> list[Range] | None:
    """(start, end) of each word; None if the text has more than the words and invisible characters."""
    found, place = [], 0
    for word in words:
        start = text.find(word, place)
        if start < 0 or not all(map(is_edge, text[place:start])):
            return None
        place = start + len(word)
        found.append((start, place))
    return found if all(map(is_edge, text[place:])) else None


def _check_entities(paragraph: JsonObject, tags: Sequence[str], places: list[Range] | None, where: str) -> None:
    """Raises DataError if the paragraph has entities that are not those of its tags."""
    given = paragraph.get("entities") or []
    spans = [(start, end, kind) for start, end, kind in spans_from_tags(tags)]
    said = len(given) if isinstance(given, list) else -1
    same = said == len(spans)
    if same and places is not None:
        wanted = [[places[start][0], places[end - 1][1], kind] for start, end, kind in spans]
        same = all(entity in given for entity in wanted)
    if given and not same:
        what = f"entities that do not match the tokens' tags, which have {len(spans)}"
        raise DataError(what, where=where, got=shown(given), do="remove what is wrong, or the key entities")


def write(records: Iterable[Sentence], path: Path) -> None:
    write_list(_items(with_words(records, path)), path)


def _items(sentences: Iterable[Sentence]) -> Iterator[JsonObject]:
    document, paragraphs = None, list[JsonObject]()
    for sentence in sentences:
        for _ in range(marks(sentence, document)):
            if document is not None:
                yield {"id": document, "paragraphs": paragraphs}
            document, paragraphs = 0 if document is None else document + 1, []
        paragraph = _written(sentence)
        if document is None:
            yield {"paragraphs": [paragraph]}
        else:
            paragraphs.append(paragraph)
    if document is not None:
        yield {"id": document, "paragraphs": paragraphs}


def _written(sentence: Sentence) -> JsonObject:
    tokens = []
    for number, (word, tag) in enumerate(zip(sentence.words, sentence.tags, strict=True)):
        if tag in MISSING:
            do = "give each word a tag"
            raise DataError("a tag that means no tag", where=sentence.place_of(number), got=repr(tag), do=do)
        tokens.append({"id": number, "orth": word, "ner": tag})
    paragraph: JsonObject = {"sentences": [{"tokens": tokens, "brackets": []}]}
    if sentence.text is None or sentence.offsets is None:
        return paragraph
    if _located(sentence.text, sentence.words) != list(sentence.offsets):
        what = "words that do not follow one another in their text"
        do = "choose another format"
        raise DataError(what, where=sentence.place, got=repr(sentence.text[:60]), do=do)
    return {"raw": sentence.text, **paragraph}
