"""Chooses among uncertain texts so that they differ: each text counts for what those before it have not covered.

A set of texts is worth the sum, over words and over types, of the square root of the errors expected there. So a second
text with the same doubtful words is worth less than one with others, and a type of which few texts are chosen yet more
than one of which there are many. The sum of concave functions is submodular, and the greedy choice reaches 1 - 1/e of
the best possible worth (Nemhauser, Wolsey & Fisher 1978; as a criterion for data, Wei, Iyer & Bilmes 2015). Gains only
fall, so that most need not be computed again (Minoux 1978).
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Sequence

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
    return sum((covered[key] + doubt) ** 0.5 - covered[key] ** 0.5 for key, doubt in doubts.items())
