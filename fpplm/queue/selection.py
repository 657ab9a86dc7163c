"""Chooses among uncertain texts so that they differ: each text counts for what those before it have not covered.

A set of texts is worth the sum, over words and over types, of the square root of the errors expected there. So a text
with doubtful words that are new is worth more than one that repeats them, and a type with few texts more than one with
many. This sum is submodular (a criterion for training data in Wei, Iyer & Bilmes 2015), so the greedy choice reaches at
least 1 - 1/e of the best worth (Nemhauser, Wolsey & Fisher 1978), and since gains only fall, few have to be computed
again (Minoux 1978).
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Sequence
from math import sqrt

from fpplm.queue.candidates import Candidate, Doubts


def choose(candidates: Sequence[Candidate], number: int) -> list[Candidate]:
    """At most `number` candidates in the order of choice; of equal ones the first."""
    covered: Counter[tuple[str, str]] = Counter()
    heap = [(-gain(candidate.doubts, covered), place) for place, candidate in enumerate(candidates)]
    heapq.heapify(heap)
    chosen: list[Candidate] = []
    while heap and len(chosen) < number:
        _, place = heapq.heappop(heap)
        now = -gain(candidates[place].doubts, covered), place
        if heap and now > heap[0]:
            heapq.heappush(heap, now)
        else:
            chosen.append(candidates[place])
            covered.update(candidates[place].doubts)
    return chosen


def gain(doubts: Doubts, covered: Counter[tuple[str, str]]) -> float:
    """What a text adds to the worth of those that have covered so much."""
    return sum(sqrt(covered[key] + doubt) - sqrt(covered[key]) for key, doubt in doubts.items())
