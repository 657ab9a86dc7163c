"""How the data of one model differ from those of another, by what DVC keeps of them."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from fpplm.pipeline.paths import BUNDLE, CORPUS, REPORTS
from fpplm.registry.copies import copy_of
from fpplm.registry.versions import commit_of, resolve
from fpplm_core.data.diff import DataDiff, diff_corpora
from fpplm_core.errors import DataError

DATA_DIFF = REPORTS / "data_diff.json"  # from the version in production to this folder
EXAMPLES = 20  # of each kind in each split


def diff_data(before: str, after: str, examples: int | None = EXAMPLES) -> DataDiff:
    """Compares the corpora of two models, registered versions or ./bundle, whose corpus is build/corpus.

    Raises:
        DataError: no such version, or another folder, whose corpus is unknown.
        RegistryError: DVC cannot fetch a corpus.
    """
    with TemporaryDirectory() as folder:
        paths = [corpus_of(name, Path(folder) / side) for name, side in ((before, "before"), (after, "after"))]
        return diff_corpora(*paths, (before, after), examples)


def corpus_of(model: str, target: Path) -> Path:
    """The folder of a model's corpus; that of a version is copied to `target`. Raises as `diff_data` does."""
    if not Path(model).is_dir():
        version = resolve(model)
        return copy_of(CORPUS, version, commit_of(version), target)
    if Path(model).resolve() == BUNDLE.resolve():
        return CORPUS
    do = f"name a registered version, or {BUNDLE} for the data of this folder"
    raise DataError("the data of a bundle elsewhere are unknown", where=model, do=do)
