"""`python -m tests.hostile_bundles 5000 --seed 1 --summary hostile.json`; goes on where a summary ends."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from tests.hostile_bundles.pool import Summary, run

EVERY = 100  # bundles between two saved summaries


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.hostile_bundles", description=__doc__)
    parser.add_argument("bundles", type=int, help="how many to make")
    parser.add_argument("--seed", default="1", help="which ones")
    parser.add_argument("--first", type=int, default=0, help="number of the first, to repeat one")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--summary", type=Path, help="file for the outcomes; the run continues one of the same seed")
    given = parser.parse_args()
    summary = Summary(given.seed)
    if given.summary and given.summary.exists():
        summary = Summary(**json.loads(given.summary.read_text()))
    first = given.first + summary.bundles
    with tempfile.TemporaryDirectory(prefix="hostile") as work:
        for number in run(range(first, given.first + given.bundles), given.seed, Path(work), summary, given.workers):
            if number % EVERY == 0 and given.summary:
                given.summary.write_text(summary.to_json())
    text = summary.to_json()
    if given.summary:
        given.summary.write_text(text)
    print(text)
    sys.exit(bool(summary.faults))


if __name__ == "__main__":
    main()
