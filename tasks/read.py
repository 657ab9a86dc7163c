"""read: the raw files in any format become one form, build/corpus/*.parquet, with file and line of every word.

Sentences go from file to file in batches; a split is cut by a number a sentence, so that the whole is never held.
What was changed on the way (mentions, tags) and what was passed over stands in corpus.json, counted, with its places.
"""

from __future__ import annotations

from fpplm.pipeline.paths import CORPUS
from fpplm.pipeline.stage import run
from fpplm_core.data.reading import read_corpus
from fpplm_core.files import whole_folder
from fpplm_core.params import load


def main() -> None:
    settings = load().data
    with whole_folder(CORPUS) as folder:
        notes = read_corpus(settings, folder)
    for note in notes:
        print(note)


if __name__ == "__main__":
    run(main)
