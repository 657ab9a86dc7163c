"""The records of annotated files: sentences with tags, or texts with mentions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from fpplm_core.errors import DataError, shown
from fpplm_core.tagging.words import Range

LONGEST_WORD = 100_000  # characters of a word or tag: links and sequences of letters have thousands


@dataclass(frozen=True, slots=True)
class Sentence:
    """Words with their tags and their places in the file.

    `tags` has one tag per word, in the scheme of the file; `lines` has one 1-based line number per word; `document`
    counts the documents of a file from 0, or is None if the file marks none. If the file holds the original text,
    `text` is that text and `offsets` has the (start, end) of each word in its characters; else both are None.
    """

    words: tuple[str, ...]
    tags: tuple[str, ...]
    file: str
    lines: tuple[int, ...]
    document: int | None = None
    text: str | None = None
    offsets: tuple[Range, ...] | None = None

    @property
    def place(self) -> str:
        """file:line of the first word."""
        return self.place_of(0)

    def place_of(self, word: int) -> str:
        """file:line of a word, by its number."""
        return f"{self.file}:{self.lines[word]}" if self.lines else self.file


class Mention(NamedTuple):
    """An entity over the characters `start` (included) to `end` (excluded) of a text; `place` is its file:line.

    If `place` is empty, the place of the text applies.
    """

    start: int
    end: int
    label: str
    place: str = ""


@dataclass(frozen=True, slots=True)
class AnnotatedText:
    """A text with mentions over its characters, which may overlap, as annotation tools export it.

    `line` is the 1-based line of the file on which the text begins; if `plain`, the text consists of lines of the file.
    `words` has the (start, end) of each word if the file gives them.
    """

    text: str
    mentions: tuple[Mention, ...]
    file: str
    line: int
    document: int | None = None
    words: tuple[Range, ...] | None = None
    plain: bool = False

    @property
    def place(self) -> str:
        return f"{self.file}:{self.line}"

    def place_of(self, mention: Mention) -> str:
        """file:line of a mention: its own, or else that of the text."""
        return mention.place or self.place


def check_lengths(record: Sentence | AnnotatedText) -> None:
    """Raises DataError, naming the line, for a word, tag or label of more than LONGEST_WORD characters."""
    if isinstance(record, AnnotatedText):
        parts = [(mention.label, record.place_of(mention)) for mention in record.mentions]
    elif len("".join(record.words)) + len("".join(record.tags)) <= LONGEST_WORD:  # fast, and so nearly always
        return
    else:
        places = [record.place_of(word) for word in range(len(record.words))]
        parts = [*zip(record.words, places, strict=True), *zip(record.tags, places, strict=True)]
    for part, place in parts:
        if len(part) > LONGEST_WORD:
            what = f"a word or tag of {len(part)} characters"
            do = f"use at most {LONGEST_WORD} characters: is a column or a line end missing?"
            raise DataError(what, where=place, got=shown(part), do=do)
