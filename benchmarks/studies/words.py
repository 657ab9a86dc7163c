"""How many gold mentions begin and end at the edges of words, by both versions of the rule unicode, and words/s.

    python -m benchmarks.studies.words FOLDER

FOLDER holds corpora, each a folder with train.conll, dev.conll and test.conll. Their tokens are joined as text is
written, without blanks before punctuation and clitics, around hyphens and slashes and in Chinese, and cut again.
"""

from __future__ import annotations

import argparse
import re
import statistics
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import regex

from benchmarks.harness import machine
from fpplm_core.data.formats import get
from fpplm_core.data.options import Options
from fpplm_core.data.records import Sentence
from fpplm_core.tagging.spans import spans_from_tags
from fpplm_core.tagging.words import _NO_SPACES, UNICODE, UNICODE_1, Range, segment, visible_range

NO_BLANK_BEFORE = re.compile(r"[,.;:!?)\]}%…”»-]|[/-].*|['’].*|n['’]t", re.IGNORECASE)
NO_BLANK_AFTER = re.compile(r"[(\[{$#@“«/-]|.*[/-]")
UNSPACED = regex.compile(_NO_SPACES, regex.V1)
RULES = (UNICODE_1, UNICODE)


def sentences(folder: Path) -> Iterator[Sentence]:
    for path in sorted(folder.glob("*.conll")):
        yield from get("conll").read(path, Options())


def joined(words: Iterable[str]) -> tuple[str, list[Range]]:
    """The words as text is written, and the place of each in it."""
    text, places = "", list[Range]()
    for word in words:
        if text and not (
            NO_BLANK_BEFORE.fullmatch(word)
            or NO_BLANK_AFTER.fullmatch(text, places[-1][0])
            or (UNSPACED.match(word) and (UNSPACED.match(text[-1]) or not text[-1].isalnum()))
            or (not word[0].isalnum() and UNSPACED.match(text[-1]))
        ):
            text += " "
        places.append((len(text), len(text) + len(word)))
        text += word
    return text, places


def study(folder: Path) -> tuple[dict[str, float], list[str], list[str]]:
    """The share of the mentions by rule, the mentions that only the new rule has on word edges, and the texts."""
    found, lost, texts, number = dict.fromkeys(RULES, 0), [], [], 0
    for sentence in sentences(folder):
        text, places = joined(sentence.words)
        texts.append(text)
        edges = {}
        for rule in RULES:
            ranges = segment(text, rule)
            edges[rule] = ({start for start, _ in ranges}, {end for _, end in ranges})
        for span in spans_from_tags(sentence.tags):
            start, end = visible_range(text, places[span.start][0], places[span.end - 1][1])
            if start == end:
                continue
            number += 1
            aligned = {rule: start in edges[rule][0] and end in edges[rule][1] for rule in RULES}
            for rule, fits in aligned.items():
                found[rule] += fits
            if aligned[UNICODE] != aligned[UNICODE_1]:
                lost.append(f"{'+' if aligned[UNICODE] else '-'} {text[max(0, start - 12) : end + 12]!r}")
    return {rule: count / max(1, number) for rule, count in found.items()} | {"mentions": number}, lost, texts


def words_per_second(texts: list[str], rounds: int) -> dict[str, float]:
    """The median over rounds in turn, by the processor's time."""
    rates: dict[str, list[float]] = {rule: [] for rule in RULES}
    for _ in range(rounds):
        for rule in RULES:
            begin = time.process_time()
            number = sum(len(segment(text, rule)) for text in texts)
            rates[rule].append(number / (time.process_time() - begin))
    return {rule: statistics.median(values) for rule, values in rates.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--changed", action="store_true", help="print the mentions that the rules treat differently")
    options = parser.parse_args()
    results = {}
    for folder in sorted(path for path in options.folder.iterdir() if (path / "train.conll").exists()):
        share, lost, texts = study(folder)
        rates = words_per_second(texts, options.rounds)
        results[folder.name] = {"share": share, "words_per_s": rates, "ratio": rates[UNICODE] / rates[UNICODE_1]}
        print(folder.name, results[folder.name], *(lost if options.changed else ()), sep="\n  ")
    machine.save("words.json", results)


if __name__ == "__main__":
    main()
