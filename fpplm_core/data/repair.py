"""The repair of illegal transitions in a file's tags."""

from __future__ import annotations

from dataclasses import replace

from fpplm_core.data.notes import Notes
from fpplm_core.data.options import Repair
from fpplm_core.data.records import Sentence
from fpplm_core.tagging.spans import repair_tags


def repaired(sentence: Sentence, scheme: str, how: Repair, notes: Notes) -> Sentence:
    """The sentence without illegal transitions, unless they are to be refused; notes each tag that changes."""
    if how == "refuse":
        return sentence
    tags = tuple(repair_tags(sentence.tags, scheme, how))
    for number, (old, new) in enumerate(zip(sentence.tags, tags, strict=True)):
        if old != new:
            notes.add(f"tags repaired ({how})", f"{sentence.place_of(number)}: {old} to {new}")
    return replace(sentence, tags=tags)
