"""What a file of annotated text holds: sentences with tags, or texts with mentions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from fpplm_core.tagging.words import Range


@dataclass(frozen=True, slots=True)
class Sentence:
    """Words with their tags and where they stand.

    `tags` has one tag a word, in the scheme of the file; `lines` one 1-based line number a word; `document`
    counts the documents of a file from 0, or is None where the file marks none. Where the file holds the text as it
    was written, it is `text`, and `offsets` has (start, end) of each word, in characters of it; else both are None.
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
        return f"{self.file}:{self.lines[0]}" if self.lines else self.file


class Mention(NamedTuple):
    """An entity over the characters `start` (included) to `end` (excluded) of a text; `place` is file:line of it.

    An empty `place` is that of its text.
    """

    start: int
    end: int
    label: str
    place: str = ""


@dataclass(frozen=True, slots=True)
class AnnotatedText:
    """A text with mentions over its characters, which may overlap, as annotation tools give it.

    `line` is the 1-based line at which the text stands in the file, whose own lines it consists of where `plain`.
    `words` has (start, end) of each word where the file gives them.
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
