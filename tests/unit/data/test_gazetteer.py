"""Weak labels: where plain text has the entries of gazetteers."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from fpplm_core.data.gazetteer import label_entries, read_gazetteers
from fpplm_core.data.options import Options
from fpplm_core.data.records import Sentence
from fpplm_core.tagging.spans import spans_from_tags

WORDS = st.lists(st.sampled_from("abc"), min_size=1, max_size=4).map(tuple)


def sentence(*words: str) -> Sentence:
    return Sentence(words, ("O",) * len(words), "x.txt", (1,) * len(words))


def test_the_longest_entry_counts_and_the_first_list(tmp_path: Path) -> None:
    (tmp_path / "places").write_text("New York\n\nYork\n")
    (tmp_path / "papers").write_text("New York Times\nYork\n  Le Monde \n")
    files = [("LOC", tmp_path / "places"), ("ORG", tmp_path / "papers")]
    entries = read_gazetteers(files, Options())
    text = sentence("In", "New", "York", "the", "New", "York", "Times", ",", "Le", "Monde", "and", "York", "York")
    [found] = label_entries([text, sentence("new", "york")], entries)
    assert " ".join(found.tags) == "O B-LOC I-LOC O B-ORG I-ORG I-ORG O B-ORG I-ORG O B-LOC B-LOC"


@given(st.lists(WORDS, max_size=5), st.dictionaries(WORDS, st.sampled_from(["X", "Y"]), max_size=4))
def test_every_entity_is_an_entry_and_no_other_word_begins_one(texts, entries):
    found = {one.words: one for one in label_entries((sentence(*words) for words in texts), entries)}
    for words in texts:
        spans = spans_from_tags(found[words].tags) if words in found else []
        inside = {place for span in spans for place in range(span.start, span.end)}
        assert all(entries[words[span.start : span.end]] == span.type for span in spans)
        for place in range(len(words)):
            longer = [end for end in range(place + 1, len(words) + 1) if words[place:end] in entries]
            begins = [span for span in spans if span.start == place]
            assert [span.end for span in begins] == longer[-1:] if place not in inside or begins else True
