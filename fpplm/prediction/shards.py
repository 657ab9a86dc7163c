"""Splits an input among several runs, whose outputs together, in order, equal that of a single run."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import NamedTuple

from fpplm.prediction.formats import Placed
from fpplm.prediction.inputs import accepted
from fpplm_core.errors import ParamsError
from fpplm_core.serving.entities import SegmentedText, chunks_of


class Shard(NamedTuple):
    """Shard `number` of `total`, from 1."""

    number: int
    total: int


def parse_shard(given: str) -> Shard:
    """Reads i/n. Raises ParamsError unless 1 <= i <= n."""
    found = re.fullmatch("([0-9]{1,9})/([0-9]{1,9})", given, re.ASCII)
    shard = Shard(int(found[1]), int(found[2])) if found else Shard(0, 0)
    if not 1 <= shard.number <= shard.total:
        do = "give i/n with 1 <= i <= n, such as 1/8"
        raise ParamsError("not a shard", where="--shard", got=repr(given), do=do)
    return shard


def count_chunks(found: Iterable[Placed], skip: bool) -> int:
    """The number of chunks that are tagged together. Raises the first error, unless `skip`."""
    good = (item for _, item in found if isinstance(item, SegmentedText))
    return sum(1 for _ in chunks_of(good if skip else accepted(found, skip=False)))


def texts_of_shard(texts: Iterable[SegmentedText], shard: Shard, chunks: int) -> Iterator[SegmentedText]:
    """The texts of a shard: whole chunks, because texts of a chunk may be context of each other.

    `chunks` is the number of chunks of all texts.
    """
    start, end = (chunks * number // shard.total for number in (shard.number - 1, shard.number))
    return chain.from_iterable(islice(chunks_of(texts), start, end))
