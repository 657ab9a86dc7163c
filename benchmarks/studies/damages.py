"""Damages corpora in known ways, with a seed, and tells which damages the data check finds, and whether at their line.

    python -m benchmarks.studies.damages DATA          # DATA/NAME/{train,dev,test}.conll
    python -m benchmarks.studies.damages DATA --spacy  # beside `spacy debug data` on the same damages

A copy holds all damages to words, tags and sentences, each in a sentence of its own; those to whole splits, and those
that make a file unreadable, have copies of their own. The clean corpus is checked first: it must show no error.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from great_expectations.expectations.metrics.map_metric_provider import column_map_condition_auxilliary_methods as limit

from benchmarks.harness.machine import RESULTS
from benchmarks.studies import debug_data
from benchmarks.studies.damaging.apart import APART
from benchmarks.studies.damaging.corpus import Damage, Row, damaged, files_of
from benchmarks.studies.damaging.inside import INSIDE
from benchmarks.studies.damaging.unreadable import UNREADABLE
from fpplm.checks import validation
from fpplm_core.data.notes import Notes
from fpplm_core.data.reading import corpus_of_files
from fpplm_core.errors import DataError
from fpplm_core.params import Params, load

# Great Expectations lists 200 finds of a check, and the damage may stand behind more that are true.
limit.MAX_RESULT_RECORDS = 10_000_000  # type: ignore[attr-defined]
ROOT = Path(__file__).resolve().parents[2]


class Found(NamedTuple):
    """Of a damage: whether its check found it at its line, or at all; None where the corpus has no place for it.

    `spacy` is what `spacy debug data` says beyond what it says of the clean corpus; None where it was not asked.
    """

    damage: str
    check: str
    at_line: bool | None
    found: bool | None
    spacy: list[str] | None = None


def examine(folder: Path, settings: Params) -> tuple[dict[str, Any] | None, str]:
    """The verdict on three files, or what reading them said."""
    with tempfile.TemporaryDirectory() as scratch:
        files = {split: [path] for split, path in files_of(folder).items()}
        try:
            corpus, scheme, _ = corpus_of_files(files, settings.data, Path(scratch), Notes())
        except DataError as error:
            return None, str(error)
        sections = settings.check, settings.model, settings.encode
        return asdict(validation.check_corpus(corpus, scheme, *sections, None, examples=1_000_000)), ""


def finds(verdict: dict[str, Any] | None, check: str, folder: Path) -> set[str]:
    """What a check lists, from the file's name on."""
    return (
        {example.removeprefix(f"{folder}/") for example in verdict["checks"][check]["examples"]} if verdict else set()
    )


def judged(
    damage: Damage, row: Row | None, place: str, verdict: dict[str, Any] | None, said: str, copy: Path, known: set[str]
) -> Found:
    """`known` is what the check lists of the clean corpus; a find of the damage is another one."""
    if row is None:
        return Found(damage.name, damage.check, None, None)
    if damage.check == "read":
        return Found(damage.name, damage.check, place in said, bool(said))
    new = finds(verdict, damage.check, copy) - known
    own = re.compile(re.escape(place.removeprefix(f"{copy}/").removesuffix(":")) + r"(?!\d)")
    at_line = any(own.match(find) or (damage.check == "untagged_mention" and own.search(find)) for find in new)
    return Found(damage.name, damage.check, at_line, bool(new))


def run(folder: Path, settings: Params, target: Path, spacy: bool = False) -> tuple[dict[str, Any], list[Found]]:
    """The verdict on the clean corpus, and what became of each damage."""
    clean, said = examine(folder, settings)
    if clean is None:
        raise DataError("the clean corpus cannot be read", where=str(folder), got=said)
    results = []
    for number, damages in enumerate([INSIDE, *([damage] for damage in [*APART, *UNREADABLE])]):
        copy = target / f"{number}"
        _, rows, places = damaged(folder, damages, copy)
        verdict, said = examine(copy, settings)
        for damage in damages:
            row, known = rows[damage.name], finds(clean, damage.check, folder) if damage.check != "read" else set()
            place = "" if row is None else f"{places[id(row)]}:"
            results.append(judged(damage, row, place, verdict, said, copy, known))
    if spacy:
        said_of = debug_data.beside(folder, target / "spacy")
        results = [found._replace(spacy=said_of[found.damage]) for found in results]
    return clean, results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder of corpora, NAME/{train,dev,test}.conll")
    parser.add_argument("names", nargs="*", metavar="NAME", help="these corpora alone; the others keep their results")
    parser.add_argument("--spacy", action="store_true", help="compare with spaCy, which must be installed")
    options = parser.parse_args()
    names, spacy = options.names, options.spacy
    folders = [
        p for p in sorted(options.data.iterdir()) if (p / "train.conll").exists() and (not names or p.name in names)
    ]
    settings, path = load(ROOT / "params.yaml"), RESULTS / "damages.json"
    table: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8")) if names and path.exists() else {}
    for folder in folders:
        with tempfile.TemporaryDirectory() as scratch:
            clean, results = run(folder, settings, Path(scratch), spacy)
        missed = [found for found in results if found.at_line is False]
        counts = Counter(found.at_line for found in results)
        print(f"{folder.name}: clean {clean['errors']} errors, {clean['warnings']} kinds of warning; ", end="")
        print(f"damages found at their line {counts[True]}, missed {counts[False]}, no place for {counts[None]}")
        for found in missed:
            print(f"  MISSED {found.damage} ({found.check}); found elsewhere: {found.found}")
        for found in results:
            if found.spacy:
                print(f"  spaCy finds {found.damage}: {', '.join(found.spacy)}")
        sys.stdout.flush()
        table[folder.name] = {
            "clean": {name: row["found"] for name, row in clean["checks"].items() if row["found"]},
            "clean_errors": clean["errors"],
            "damages": {found.damage: found.at_line for found in results},
        }
        if spacy:
            table[folder.name]["spacy"] = {found.damage: found.spacy for found in results}
        text = json.dumps(dict(sorted(table.items())), indent=1, ensure_ascii=False)
        path.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
