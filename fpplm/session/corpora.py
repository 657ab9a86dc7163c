"""Reads and encodes several annotated corpora, whose train splits one encoder learns from."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from fpplm_core.data.corpus import SPLITS, load_corpus, stream_corpus, write_corpus
from fpplm_core.data.notes import Notes
from fpplm_core.data.overlap import HeldOut
from fpplm_core.data.reading import read_corpus, without_held_out
from fpplm_core.data.settings import DataSettings
from fpplm_core.data.splits import read_file
from fpplm_core.data.windows import INFO, encode_corpus
from fpplm_core.errors import DataError
from fpplm_core.files import write_record
from fpplm_core.model import pretrained
from fpplm_core.model.word_shapes import choose_shapes
from fpplm_core.params import Params
from fpplm_core.tagging.windows import WindowBuilder
from fpplm_core.training.data import TrainingData, load_data

# Each corpus has a format, types and tags of its own: what the project says about its data holds for none of them.
OWN: dict[str, Any] = {
    **dict.fromkeys(("format", "separator", "scheme"), "auto"),
    **dict.fromkeys(("word_column", "tag_column", "incoming", "unlabelled", "second")),
    **{"types": [], "describe": {}},
}


class Corpus(NamedTuple):
    """A corpus that was read: its files, the folder of its splits, and its sentences of train, kept and left out."""

    files: list[Path]
    folder: Path
    kept: int
    left_out: int


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


def read_corpora(data: DataSettings, names: Sequence[Path], held_out: Sequence[Path], scratch: Path) -> list[Corpus]:
    """Reads the corpora in these folders into `scratch`; their train splits lack what is like held-out sentences.

    Held out are the dev and test splits of all corpora, and the sentences of the files `held_out`. Raises DataError.
    """
    files = [files_of(name) for name in names]
    folders = [scratch / str(number) for number in range(len(names))]
    for folder, name, found in zip(folders, names, files, strict=True):
        print(f"{name}:")
        folder.mkdir()
        splits = {split: found[split].name if split in found else None for split in SPLITS}
        read_corpus(data.model_copy(update={**OWN, "path": str(name), **splits}), folder)
    own = (stream_corpus(split, folder) for folder in folders for split in ("dev", "test"))
    given = (read_file(file, data.model_copy(update=OWN), Notes()) for file in held_out)
    known = chain.from_iterable(stream_corpus("train", folder) for folder in folders)
    index = HeldOut(chain(*own, *given), known)
    return [leave_out([*found.values()], folder, index) for found, folder in zip(files, folders, strict=True)]


def leave_out(files: list[Path], folder: Path, held_out: HeldOut) -> Corpus:
    """Removes the sentences of train that are like held-out ones. Raises DataError if no other is left."""
    train = load_corpus("train", folder)
    kept = list(without_held_out(train, held_out, Notes()))
    if not kept:
        raise DataError("dev, test or --held-out have every sentence of train", where=str(files[0]))
    write_corpus(folder / "train.parquet", kept)
    return Corpus(files, folder, len(kept), len(train) - len(kept))


def encode_corpora(params: Params, corpora: Sequence[Corpus]) -> list[TrainingData]:
    """The windows of the corpora, as training reads them. Raises EncoderError and ParamsError."""
    tokenizer = pretrained.load_tokenizer(params.model.encoder, params.model.revision)
    pretrained.check_window(
        params.encode.window, pretrained.load_config(params.model.encoder, params.model.revision), tokenizer
    )
    sizes = params.encode.window, params.encode.stride, params.encode.context
    builder = WindowBuilder(tokenizer.backend_tokenizer, *sizes, choose_shapes(params.model, tokenizer))
    for corpus in corpora:
        info = encode_corpus(corpus.folder, corpus.folder, builder, tokenizer.mask_token_id)
        write_record(corpus.folder / INFO, info)
    return [load_data(params.train, corpus.folder, corpus.folder) for corpus in corpora]
