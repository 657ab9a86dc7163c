"""What can be wrong with annotated data, as tables with one column a check.

A check's column holds, for every row, what is wrong with it in words, or None. Whoever checks the tables (Great
Expectations in the pipeline) needs one rule only: these columns are empty.

tokens     one row a word:      malformed_tag illegal_transition empty_word control_character invisible_word zero_width
sentences  one row a sentence:  duplicate conflicting_duplicate leakage long_sentence
splits     one row a split and type, and one a split:  unknown_type few_examples empty_split
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

import pandas as pd

from fpplm_core.labels import OUTSIDE, faults, lenient_spans
from fpplm_core.text import Sentence, is_invisible

# C0 and C1 controls, the replacement character, and code points that are no characters.
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffd\ufffe\uffff]")
_ZERO_WIDTH = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]")

Corpus = Mapping[str, Sequence[Sentence]]


def tokens(corpus: Corpus, scheme: str) -> pd.DataFrame:
    """One row a word of every split."""
    rows = [
        (split, sentence.file, line, word, tag)
        for split, sentences in corpus.items()
        for sentence in sentences
        for line, word, tag in zip(sentence.lines, sentence.words, sentence.tags, strict=True)
    ]
    table = pd.DataFrame(rows, columns=["split", "file", "line", "word", "tag"])
    malformed: list[str | None] = []
    illegal: list[str | None] = []
    for sentences in corpus.values():
        for sentence in sentences:
            found = {fault.word: fault.reason for fault in faults(sentence.tags, scheme)}
            for index in range(len(sentence.words)):
                reason = found.get(index)
                bad_tag = reason is not None and reason.startswith(("malformed", "unknown"))
                malformed.append(reason if bad_tag else None)
                illegal.append(None if bad_tag else reason)
    words = table["word"].astype("str")
    unique = pd.Series(words.unique())
    invisible = set(unique[[bool(w.strip()) and is_invisible(w) for w in unique]])
    empty = words.str.strip() == ""
    has_zero_width = words.str.contains(_ZERO_WIDTH) & ~words.isin(invisible)
    table["malformed_tag"] = malformed
    table["illegal_transition"] = illegal
    table["empty_word"] = _where(empty, "a word without a visible character")
    table["control_character"] = _where(
        words.str.contains(_CONTROL) & ~empty, "control or replacement character: " + words.map(ascii)
    )
    table["invisible_word"] = _where(words.isin(invisible), "invisible characters alone: " + words.map(ascii))
    table["zero_width"] = _where(has_zero_width, "zero-width character: " + words.map(ascii))
    return table


def sentences(corpus: Corpus, pieces: Mapping[str, Sequence[int]], room: int, leakage_words: int) -> pd.DataFrame:
    """One row a sentence of every split; `pieces` are their sub-word counts, `room` what one window holds."""
    table = pd.DataFrame(
        [
            (split, s.file, s.lines[0], len(s.words), number, " ".join(s.words), " ".join(s.tags))
            for split, part in corpus.items()
            for s, number in zip(part, pieces[split], strict=True)
        ],
        columns=["split", "file", "line", "words", "pieces", "text", "tags"],
    )
    place = table["file"] + ":" + table["line"].astype(str)
    firsts = place.groupby([table["split"], table["text"]]).transform("first")
    table["duplicate"] = _where(table.duplicated(["split", "text"]), "also at " + firsts)
    readings = table.groupby("text")["tags"].transform("nunique")
    anywhere = place.groupby(table["text"]).transform("first")
    table["conflicting_duplicate"] = _where(
        (readings > 1) & (anywhere != place), "tagged in another way at " + anywhere
    )
    trained = place[table["split"] == "train"].groupby(table["text"]).first()
    leaked = (table["split"] != "train") & table["text"].isin(trained.index) & (table["words"] >= leakage_words)
    table["leakage"] = _where(leaked, "in train at " + table["text"].map(trained).astype("str"))
    table["long_sentence"] = _where(
        table["pieces"] > room, table["pieces"].astype(str) + f" pieces, a window holds {room}"
    )
    return table


def splits(corpus: Corpus, min_examples: int) -> pd.DataFrame:
    """One row a split, then one row a split and type; `entities` counts, `file` is the split's first file."""
    counts = {split: entity_counts(part) for split, part in corpus.items()}
    types = sorted({kind for part in counts.values() for kind in part})
    rows: list[tuple[str, str, str, int, str | None, str | None, str | None]] = []
    for split, part in corpus.items():
        file = part[0].file if part else split
        number = sum(counts[split].values())
        what = "no sentence" if not part else "no entity" if not number else None
        rows.append((split, file, "(all)", number, None, None, f"{split} has {what}" if what else None))
        for kind in types:
            number, trained = counts[split][kind], counts["train"][kind]
            unknown = f"{kind}: {number} in {split}, none in train" if number and not trained else None
            few = f"{kind}: {number} in train, wanted {min_examples}" if number < min_examples else None
            rows.append((split, file, kind, number, unknown, few if split == "train" and number else None, None))
    names = ["split", "file", "type", "entities", "unknown_type", "few_examples", "empty_split"]
    return pd.DataFrame(rows, columns=names).assign(line=1)


def entity_counts(part: Sequence[Sentence]) -> Counter[str]:
    """Entities by type."""
    return Counter(span.type for sentence in part for span in lenient_spans(sentence.tags))


def statistics(corpus: Corpus) -> dict[str, dict[str, object]]:
    """Sizes, lengths and labels of each split."""
    found: dict[str, dict[str, object]] = {}
    for split, part in corpus.items():
        lengths = pd.Series([len(s.words) for s in part], dtype="int64")
        tags = [tag for s in part for tag in s.tags]
        found[split] = {
            "sentences": len(part),
            "documents": len({(s.file, s.document) for s in part if s.document is not None}),
            "words": len(tags),
            "words_in_entities": sum(tag != OUTSIDE for tag in tags),
            "entities": dict(sorted(entity_counts(part).items())),
            "length_median": float(lengths.median()) if part else 0.0,
            "length_p95": float(lengths.quantile(0.95)) if part else 0.0,
            "length_max": int(lengths.max()) if part else 0,
        }
    return found


def _where(condition: pd.Series[bool], reason: pd.Series[str] | str) -> pd.Series[str]:
    """The reason where the condition holds, None elsewhere."""
    text = reason if isinstance(reason, pd.Series) else pd.Series(reason, index=condition.index)
    return text.astype(object).where(condition, None)
