"""Reads and encodes several annotated corpora, whose train splits one encoder learns from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from fpplm_core.data import formats
from fpplm_core.data.corpus import SPLITS, load_corpus, stream_corpus, write_corpus
from fpplm_core.data.gazetteer import label_entries, read_gazetteers
from fpplm_core.data.notes import Notes
from fpplm_core.data.overlap import HeldOut
from fpplm_core.data.reading import DROPS, MOST_TEXTS, finished_files, read_corpus, text_files, without_held_out
from fpplm_core.data.settings import DataSettings
from fpplm_core.data.splits import read_file, write_splits
from fpplm_core.data.unlabelled import read_texts, sample
from fpplm_core.data.windows import INFO, encode_corpus
from fpplm_core.errors import DataError
from fpplm_core.escaping import printable
from fpplm_core.files import write_record
from fpplm_core.model.windows import load_window_builder
from fpplm_core.params import Params
from fpplm_core.tagging.schemes import OUTSIDE
from fpplm_core.training.data import TrainingData, load_data
from fpplm_core.training.leakage import require_unseen_by_encoder

# Each corpus has its own format, types and tags, so the project's settings for its data hold for none of them.
OWN: dict[str, Any] = {
    **dict.fromkeys(("format", "separator", "scheme"), "auto"),
    **dict.fromkeys(("word_column", "tag_column", "incoming", "unlabelled", "second")),
    **{"types": [], "describe": {}},
}


class Source(NamedTuple):
    """A corpus as given: its folder, its file of each split, and all its files."""

    folder: Path
    splits: Mapping[str, Path]
    files: Sequence[Path]


class Corpus(NamedTuple):
    """A corpus that was read: the folder of its splits, and how many sentences of train are kept and left out."""

    source: Source
    folder: Path
    kept: int
    left_out: int


def find_corpora(names: Sequence[Path], held_out: Sequence[Path]) -> list[Source]:
    """The corpora in these folders. Raises DataError, also if a held-out file is missing."""
    known: dict[Path, Path] = {}
    for name in names:
        if (folder := name.resolve()) in known:
            raise DataError("the same corpus twice", where=str(name), got=str(known[folder]), do="name it once")
        known[folder] = name
    if missing := next((file for file in held_out if not file.exists()), None):
        raise DataError("no such file", where="--held-out", got=str(missing), do="name an annotated file")
    found = [(name, files_of(name)) for name in names]
    return [Source(name, files, [*files.values(), *finished_files(name / DROPS)]) for name, files in found]


def files_of(folder: Path) -> dict[str, Path]:
    """The files of a corpus by split: train.*, dev.* and test.*, of which only train must exist. Raises DataError."""
    found: dict[str, Path] = {}
    for split in SPLITS:
        own = sorted(file for file in folder.glob(f"{split}.*") if file.is_file())
        if len(own) > 1 or (split == "train" and not own):
            got = ", ".join(file.name for file in own) or "none"
            do = "name a folder with train.*, and dev.* and test.* if there are any"
            raise DataError(f"expected one file {split}.*", where=str(folder), got=got, do=do)
        if own:
            found[split] = own[0]
    return found


def held_out_files(data: DataSettings, given: Sequence[Path]) -> list[Path]:
    """The files that the project's dev and test come from, and the given ones, with all files of those in folders."""
    own = [Path(data.path) / (name or data.train) for name in (data.dev, data.test)]
    return [
        file for path in dict.fromkeys([*own, *given]) for file in (path, *sorted(path.rglob("*"))) if file.is_file()
    ]


def label_texts(data: DataSettings, gazetteers: Sequence[tuple[str, Path]], texts: Path, folder: Path) -> Source:
    """Writes a corpus to `folder`: sentences of plain text with the entries of gazetteers as entities.

    Gazetteers are pairs of a type and a file, `texts` is a file or a folder. Raises DataError.
    """
    options, files = data.options(Notes()), text_files(texts, "--text") if texts.is_dir() else [texts]
    entries = read_gazetteers(gazetteers, options)
    labelled = label_entries(chain.from_iterable(read_texts(file, options) for file in files), entries)
    if not (drawn := sample(labelled, MOST_TEXTS, data.split_seed)):
        raise DataError("no sentence has an entry of the gazetteers", where="--text", got=str(texts))
    train = folder / "train.jsonl"
    formats.get("jsonl").write(drawn, train)
    return Source(texts, {"train": train}, [*files, *(file for _, file in gazetteers)])


def read_corpora(params: Params, found: Sequence[Source], held_out: Sequence[Path], scratch: Path) -> list[Corpus]:
    """Reads the corpora into `scratch`, and leaves sentences like held-out ones out of their train splits.

    Held out are dev and test of the project, which the stage read makes of params.data, those of all corpora, and the
    sentences of the files `held_out`. Raises DataError, also if params.model.encoder has seen dev or test.
    """
    data, project = params.data, scratch / "project"
    write_splits(data, project, Notes())
    require_unseen_by_encoder(params.model.encoder, project)
    given = [sentence for file in held_out for sentence in read_file(file, data, Notes())]
    folders = [scratch / str(number) for number in range(len(found))]
    for source, folder in zip(found, folders, strict=True):
        print(printable(f"{source.folder}:"))
        folder.mkdir()
        splits = {split: source.splits[split].name if split in source.splits else None for split in SPLITS}
        path = str(source.splits["train"].parent)
        read_corpus(data.model_copy(update={**OWN, "path": path, **splits}), folder)
    own = (stream_corpus(split, folder) for folder in [project, *folders] for split in ("dev", "test"))
    known = chain.from_iterable(stream_corpus("train", folder) for folder in folders)
    index = HeldOut(chain(given, *own), known)
    return [leave_out(source, folder, index) for source, folder in zip(found, folders, strict=True)]


def leave_out(source: Source, folder: Path, held_out: HeldOut) -> Corpus:
    """Removes the sentences of train that are like held-out ones. Raises DataError if no entity is left."""
    train, where = load_corpus("train", folder), str(source.folder)
    kept = list(without_held_out(train, held_out, Notes()))
    if not kept:
        raise DataError("dev, test or --held-out have every sentence of train", where=where)
    if not any(tag != OUTSIDE for sentence in kept for tag in sentence.tags):
        raise DataError("train has no entity to learn from", where=where, do="leave this corpus out")
    write_corpus(folder / "train.parquet", kept)
    return Corpus(source, folder, len(kept), len(train) - len(kept))


def encode_corpora(params: Params, corpora: Sequence[Corpus]) -> list[TrainingData]:
    """The windows of the corpora, as training reads them. Raises EncoderError and ParamsError."""
    sizes = params.encode.window, params.encode.stride, params.encode.context
    builder, mask_id = load_window_builder(params.model, *sizes)
    for corpus in corpora:
        info = encode_corpus(corpus.folder, corpus.folder, builder, mask_id, bundled=False)
        write_record(corpus.folder / INFO, info)
    return [load_data(params.train, corpus.folder, corpus.folder) for corpus in corpora]
