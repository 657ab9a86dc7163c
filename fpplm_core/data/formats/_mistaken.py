"""Signs that a column which would be read as the words holds something else: ids, counts or whole texts.

Each sign needs another column that may hold the words, so that repeated, numbered or long words alone are no sign.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import groupby, pairwise

from fpplm_core.data.formats._columns import TAG

Row = Sequence[str]
Sentences = Sequence[Sequence[Row]]
_COUNT = re.compile(r"(.*?)([0-9]{1,9})([^0-9]*)", re.DOTALL)  # 1., T1, s3-1: what stands around the last number
_NUMBER = re.compile(r"\W*\d[\W\d]*")  # a number however it is written: 17, 1., (2), 0:04
MANY = 100  # different cells that a column of words has: tags are fewer
LEAST_ROWS = 3  # of sentences with several words, fewer of which may have the same or numbered words by chance


def ids_in(sentences: Sentences, tags: Sequence[int]) -> str:
    """Why the first column appears to hold ids or counts, "" if it may hold words; `tags` are the columns of tags."""
    rows = [row for rows in sentences for row in rows]
    others = [c for c in range(1, len(rows[0])) if c not in tags and _may_be_words([row[c] for row in rows])]
    several = [rows for rows in sentences if len(rows) > 1]
    if len(rows[0]) > 2 and others and all(_NUMBER.fullmatch(row[0]) for row in rows):
        return "the first column holds numbers, which may count the words"
    if _counts(several, others):
        return "the first column appears to count the words"
    if _is_repeated(several, others):
        return "the first column begins anew in each sentence, and may count the words"
    is_same = all(len({row[0] for row in rows}) == 1 for rows in several)
    if is_same and sum(map(len, several)) >= LEAST_ROWS and _vary(several, others):
        return "the first column is the same in all rows of a sentence"
    runs = [list(run) for _, run in groupby(rows, key=lambda row: row[0])]
    if len(rows) > LEAST_ROWS and 2 * len(runs) <= len(rows) and _vary([run for run in runs if len(run) > 1], others):
        return "the first column stays the same from row to row"
    return ""


def _may_be_words(cells: Sequence[str]) -> bool:
    """Whether there are as many different cells as in text, which has more than tags, and not in capitals alone."""
    is_many = len(set(cells)) >= min(len(cells), len(cells) / 2 + 1.5, MANY)
    is_text = not all(map(_NUMBER.fullmatch, cells)) and any(c != c.upper() or not c.isascii() for c in cells)
    return is_many and is_text


def _counts(several: Sentences, others: Sequence[int]) -> bool:
    """Whether each cell has the number after that of the cell before, and the same around it."""
    firsts = []
    for rows in several:
        parts = [match.groups() if (match := _COUNT.fullmatch(row[0])) else ("", "", "") for row in rows]
        if any((a[0], a[2]) != (b[0], b[2]) or not a[1] or int(b[1] or 0) != int(a[1]) + 1 for a, b in pairwise(parts)):
            return False
        firsts.append(int(parts[0][1]))
    is_long = sum(map(len, several)) >= LEAST_ROWS or (bool(firsts) and all(first in (0, 1) for first in firsts))
    return is_long and _vary(several, others)


def _is_repeated(several: Sentences, others: Sequence[int]) -> bool:
    """Whether all sentences begin with the same different cells, but differ in a column that varies, as words do."""
    if len(several) < 2 or not _vary(several, others):
        return False
    longest = max(several, key=len)
    column = [row[0] for row in longest]
    if len(set(column)) < len(column) or any([row[0] for row in rows] != column[: len(rows)] for rows in several):
        return False
    pairs = [pair for rows in several if rows is not longest for pair in zip(rows, longest, strict=False)]
    return any(2 * sum(row[c] != other[c] for row, other in pairs) > len(pairs) for c in others)


def _vary(groups: Sentences, others: Sequence[int]) -> bool:
    """Whether one of the other columns differs from row to row in most of the groups of rows."""
    return any(2 * sum(len({row[c] for row in rows}) > 1 for rows in groups) > len(groups) for c in others)


def texts_in(sentences: Sentences, word: int) -> str:
    """Why the rows appear to hold whole texts instead of words, "" if the column may hold words.

    A cell that is a tag such as O or B-PER shows that rows are words.
    """
    rows = [row for rows in sentences for row in rows]
    others = [c for c in range(len(rows[0])) if c != word]
    if any(map(is_tag, (row[c] for row in rows for c in others))):
        return ""
    spaced = {c for c in range(len(rows[0])) if 2 * sum(" " in row[c].strip() for row in rows) > len(rows)}
    distinct = {c for c in range(len(rows[0])) if len(rows) > 1 and len({row[c] for row in rows}) == len(rows)}
    numbers = {c for c in range(len(rows[0])) if all(_NUMBER.fullmatch(row[c]) for row in rows)}
    if word in spaced and (len(rows) > 1 or rows[0][word].count(" ") > 1):
        return "rows appear to hold texts, not words"
    if len(sentences) == 1 and word in distinct and not distinct.isdisjoint(spaced):
        return "rows appear to hold texts, not words"
    if word in numbers and any(c in spaced | distinct and c not in numbers for c in others):
        return "the column of the words holds numbers"
    return ""


def is_tag(cell: str) -> bool:
    return " " not in cell and TAG.fullmatch(cell) is not None
