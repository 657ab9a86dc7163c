"""Corpora for a study whose test splits nobody has looked at: cut from the train splits of annotated corpora.

    python -m benchmarks.studies.fresh FOLDER    # FOLDER/NAME/{train,dev,test}.conll, with or without -DOCSTART- lines

writes build/fresh/NAME with train.conll (a few sentences, in whole documents if they are marked), dev.conll (that of
the corpus) and test/test.conll (half of the rest of train), and build/fresh/NAME_text/text.txt (the words of the other
half). A corpus named in WHOLE also becomes build/fresh/NAME_whole: all of its train, with its own test, which has been
looked at before.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

import numpy as np

OUTPUT = Path("build/fresh")
SENTENCES = {
    "wikigold": 240,
    "ncbi_disease": 220,
    "gum_open": 320,
    "wnut17": 400,
    "uner_zh_gsdsimp": 240,
    "uner_pt_bosque": 240,
}
WHOLE = {"wikigold", "ncbi_disease"}
MARK = "-DOCSTART-"
SEED = 17

Block = list[str]  # the lines of a sentence, or of the mark at the start of a document
Unit = list[Block]  # a document with its mark, or a sentence


def main() -> None:
    source = Path(sys.argv[1])
    found = {name: number for name, number in SENTENCES.items() if (source / name).is_dir()}
    for name, number in found.items():
        parts = cut(read_units(source / name / "train.conll"), number)
        dev = [block for unit in read_units(source / name / "dev.conll") for block in unit]
        folder = OUTPUT / name
        write(folder / "train.conll", conll(parts[0]))
        write(folder / "dev.conll", conll(dev))
        write(folder / "test/test.conll", conll(parts[1]))
        write(OUTPUT / f"{name}_text" / "text.txt", "".join(f"{' '.join(words)}\n" for words in plain(parts[2])))
        print(
            name,
            *(
                f"{split} {len(list(plain(part)))}"
                for split, part in zip(("train", "test", "unlabelled"), parts, strict=True)
            ),
        )
    for name in found.keys() & WHOLE:
        for split, place in (("train", "train"), ("dev", "dev"), ("test", "test/test")):
            text = (source / name / f"{split}.conll").read_text(encoding="utf-8")
            write(OUTPUT / f"{name}_whole" / f"{place}.conll", text)


def read_units(file: Path) -> list[Unit]:
    """The documents of a file, or its sentences if it marks none."""
    lines = file.read_text(encoding="utf-8").split("\n")
    blocks = [list(group) for blank, group in groupby(lines, key=lambda line: not line.strip()) if not blank]
    units: list[Unit] = []
    marked = any(is_mark(block) for block in blocks)
    for block in blocks:
        if is_mark(block) or not marked or not units:
            units.append([])
        units[-1].append(block)
    return units


def is_mark(block: Block) -> bool:
    return block[0].startswith(MARK)


def cut(units: Sequence[Unit], number: int) -> tuple[list[Block], list[Block], list[Block]]:
    """Train (units until it has `number` sentences), test and unlabelled text (the other units in turn)."""
    order = [units[place] for place in np.random.default_rng(SEED).permutation(len(units))]
    sizes = np.cumsum([sum(not is_mark(block) for block in unit) for unit in order])
    first = int(np.searchsorted(sizes, number)) + 1
    parts = order[:first], order[first::2], order[first + 1 :: 2]
    train, test, unlabelled = ([block for unit in part for block in unit] for part in parts)
    return train, test, unlabelled


def plain(blocks: Sequence[Block]) -> Iterator[list[str]]:
    """The words of each sentence."""
    return ([line.split("\t")[0] for line in block] for block in blocks if not is_mark(block))


def conll(blocks: Sequence[Block]) -> str:
    return "".join("\n".join(block) + "\n\n" for block in blocks)


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
