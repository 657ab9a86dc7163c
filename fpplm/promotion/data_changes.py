"""How the data of one model differ from those of another, by what DVC keeps of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from fpplm.pipeline.dvc import open_repo
from fpplm.pipeline.paths import BUNDLE, CORPUS, DATA_DIFF
from fpplm.registry.copies import copy_of
from fpplm.registry.versions import commit_of, resolve
from fpplm_core.data.diff import DataDiff, diff_corpora
from fpplm_core.errors import DataError, RegistryError
from fpplm_core.files import write_record

EXAMPLES = 20  # of each kind in each split


def diff_data(before: str, after: str, examples: int | None) -> DataDiff:
    """Compares the corpora of two models, registered versions or ./bundle, whose corpus is build/corpus.

    Of each kind in each split, it has so many examples; None: all.

    Raises:
        DataError: no such version, or another folder, whose corpus is unknown.
        RegistryError: DVC cannot fetch a corpus.
    """
    with corpus_of(before) as old, corpus_of(after) as new:
        return diff_corpora(old, new, (before, after), examples)


def is_corpus_current() -> bool:
    """Whether build/corpus is made of the data and parameters as they are now."""
    with open_repo() as repo:
        return not repo.status(["read"])


def is_own_bundle(model: str) -> bool:
    """Whether it names ./bundle."""
    return Path(model).resolve() == BUNDLE.resolve()


def write_diff(before: Path | None, incumbent: str, candidate: str) -> None:
    """Writes reports/data_diff.json: from a version's corpus, if there is one, to that of this folder."""
    DATA_DIFF.unlink(missing_ok=True)
    if before is not None:
        write_record(DATA_DIFF, diff_corpora(before, CORPUS, (incumbent, candidate), EXAMPLES))


@contextmanager
def corpus_of(model: str) -> Iterator[Path]:
    """The folder of a model's corpus, while the context lasts. Raises as `diff_data` does."""
    if not Path(model).is_dir():
        version = resolve(model)
        with TemporaryDirectory() as folder:
            yield copy_of(CORPUS, version, commit_of(version), Path(folder) / "corpus")
    elif is_own_bundle(model):
        yield CORPUS
    else:
        do = f"name a registered version, or {BUNDLE} for the data of this folder"
        raise DataError("the data of a bundle elsewhere are unknown", where=model, do=do)


@contextmanager
def kept_corpus(version: str) -> Iterator[Path | None]:
    """The folder of a version's corpus, while the context lasts; None if DVC cannot fetch it."""
    with ExitStack() as stack:
        corpus = None
        with suppress(RegistryError):
            corpus = stack.enter_context(corpus_of(version))
        yield corpus
