"""read: the annotated files of any format become splits of one form, build/corpus, with file and line of every word."""

from __future__ import annotations

from fpplm.pipeline import paths, stage
from fpplm_core.data.reading import read_corpus
from fpplm_core.data.settings import DataSettings
from fpplm_core.files import whole_folder


def read(data: DataSettings) -> None:
    with whole_folder(paths.CORPUS) as folder:
        info = read_corpus(data, folder)
    print(*info.notes, sep="\n")


if __name__ == "__main__":
    stage.run(read)
