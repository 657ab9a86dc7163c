"""Datasets of Hugging Face: a row is a sentence, with a list of words and a list of tags.

- a folder TRAIN of `datasets.load_dataset(NAME).save_to_disk("data/mine")`
- a .parquet or .arrow file with lists in its columns
- a pointer, NAME.dataset.yaml, to a dataset of the hub or in a folder beside it, which is loaded as it is read:

      dataset: eriktks/conll2003   # of the hub, or a folder, seen from the pointer
      name: en                     # configuration, may be missing
      revision: 4d6b1b5            # may be missing, which is noted
      split: train
      words: tokens                # columns, may be missing
      tags: ner_tags

Columns are named, or numbered, by `word_column` and `tag_column`, or else the pointer. By default, the words are in the
list of strings that is named tokens or words, or the only one beside the tags; the tags in the list that is named
ner_tags, tags, labels or ner, or the only one beside the words. Tags are strings or class labels, which become their
names; numbers without names are refused. A column `document` of whole numbers is kept. Other columns, and sentences
without words, are noted and not read. Rows stand in for lines: the first is line 1.

`write` gives a Parquet file with tokens, tags and document, which `datasets.load_dataset("parquet")` reads. It cannot
hold a sentence without words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from fpplm_core.data.formats import POINTER, Holding, not_empty
from fpplm_core.data.formats import _arrow as arrow_files
from fpplm_core.data.formats._columns import with_words
from fpplm_core.data.formats._features import Features, choose_columns, tag_namer
from fpplm_core.data.formats._json import LARGEST, document_of
from fpplm_core.data.options import Options
from fpplm_core.data.records import Sentence
from fpplm_core.errors import DataError, ParamsError, shown

HOLDS: frozenset[Holding] = frozenset({"tags", "words", "documents"})
NEEDED, OPTIONAL = ("dataset", "split"), ("name", "revision", "words", "tags")  # keys of a pointer
GROUP = 10_000  # sentences

Rows = Callable[[list[str]], Iterable[tuple[Any, ...]]]  # from columns to their values in each row


def recognise(path: Path, head: str) -> str | None:
    if path.name.endswith(POINTER):
        return f"a pointer to a dataset ({POINTER})"
    try:
        if (path / "dataset_dict.json").is_file() or all(
            (path / name).is_file() for name in ("dataset_info.json", "state.json")
        ):
            return "a folder of datasets.save_to_disk"
        if not (head.startswith(("PAR1", "ARROW1")) or path.suffix == ".arrow"):
            return None
        schema = arrow_files.schema_of(path)
    except (OSError, DataError):
        return None
    lists = [field.name for field in schema if _is_list_of_text(field.type)]
    return f"lists in the columns {', '.join(lists)[:60]}" if lists else None


def _is_list_of_text(kind: Any) -> bool:
    import pyarrow.types as kinds

    is_list = kinds.is_list(kind) or kinds.is_large_list(kind)
    return bool(is_list and (kinds.is_string(kind.value_type) or kinds.is_large_string(kind.value_type)))


@not_empty("sentence", do="give a dataset with words and tags")
def read(path: Path, options: Options) -> Iterator[Sentence]:
    word_column, tag_column = options.word_column, options.tag_column
    if path.name.endswith(POINTER):
        pointer = _pointer(path)
        word_column = pointer.get("words") if word_column is None else word_column
        tag_column = pointer.get("tags") if tag_column is None else tag_column
        features, rows = _loaded(path, pointer, options)
    elif path.is_dir():
        features, rows = _saved(path)
    else:
        features, rows = _file(path)
    words, tags = choose_columns(features, word_column, tag_column, str(path), options.words_only)
    columns = [words, tags]
    if str(getattr(features.get("document"), "dtype", "")).startswith(("int", "uint")):
        columns.append("document")
    for name in features:
        if name not in columns:
            options.notes.add(f"column {name[:60]!r} is not read", str(path))
    name_of = tag_namer(features[tags], tags, str(path))
    for number, row in enumerate(_guarded(rows(columns), path), start=1):
        where = f"{path}:{number}"
        found, given = (_list(value, name, where) for value, name in zip(row, columns[:2], strict=False))
        if len(found) != len(given):
            got = f"{words} {shown(found)}, {tags} {shown(given)}"
            raise DataError("words and tags do not match", where=where, got=got, do="choose other columns")
        if not found:
            options.notes.add("sentences without words are passed over", where)
            continue
        if not all(isinstance(word, str) for word in found):
            raise DataError("a word is not a string", where=where, got=shown(found), do=f"correct the column {words}")
        document = row[2] if len(columns) > 2 else None
        if document is not None:
            document_of({"document": document}, where)
        names = tuple(name_of(tag, where) for tag in given)
        yield Sentence(tuple(found), names, str(path), (number,) * len(found), document)


def _guarded(rows: Iterable[tuple[Any, ...]], path: Path) -> Iterator[tuple[Any, ...]]:
    number = 0
    try:
        for number, row in enumerate(rows, start=1):  # noqa: B007
            yield row
    except DataError:
        raise
    except Exception as error:  # of the network, of a server, of any file's format
        raise _failed("reading the dataset failed", f"{path}:{number + 1}", error) from None


def _failed(what: str, where: str, error: Exception, do: str = "") -> DataError:
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    return DataError(f"{what} ({reason})", where=where, do=do)


def _saved(path: Path) -> tuple[Features, Rows]:
    import datasets  # takes seconds

    try:
        dataset = datasets.load_from_disk(str(path))
    except Exception as error:  # damaged files of several formats
        do = "save it: datasets.load_dataset(NAME).save_to_disk(data.path), and name its splits in data.train …"
        raise _failed("not a saved dataset", str(path), error, do) from None
    if isinstance(dataset, datasets.DatasetDict):
        what, do = "a whole dataset, expected one split", "name one in data.train, data.dev and data.test"
        raise DataError(what, where=str(path), got=", ".join(dataset), do=do)
    return dataset.features, lambda columns: _picked(dataset, columns)


def _picked(dataset: Any, columns: list[str]) -> Iterator[tuple[Any, ...]]:
    for row in dataset.select_columns(list(dict.fromkeys(columns))):
        yield tuple(row[column] for column in columns)


def _file(path: Path) -> tuple[Features, Rows]:
    schema = arrow_files.schema_of(path)
    import datasets  # takes seconds

    names = list(schema.names)
    if len(set(names)) != len(names):
        raise DataError("two columns with the same name", where=str(path), got=", ".join(names)[:60], do="rename one")
    try:
        features = datasets.Features.from_arrow_schema(schema)
    except Exception as error:  # the metadata may be anything
        raise _failed("columns of a type that datasets does not know", str(path), error) from None
    return features, lambda columns: arrow_files.rows_of(path, [names.index(column) for column in columns])


def _pointer(path: Path) -> dict[str, str]:
    from fpplm_core.settings import read_yaml

    do = f"give {', '.join(NEEDED)} and optionally {', '.join(OPTIONAL)}"
    try:
        pointer = read_yaml(path)
    except ParamsError as error:
        raise DataError(error.what, where=error.where, do=do) from None
    keys = pointer.keys() if isinstance(pointer, dict) else set()
    if not (set(NEEDED) <= keys <= {*NEEDED, *OPTIONAL}):
        raise DataError("wrong keys", where=str(path), got=shown(pointer), do=do)
    found = {key: value for key, value in pointer.items() if value is not None or key in NEEDED}
    for key, value in found.items():
        if not isinstance(value, str) or not value:
            raise DataError(f"{key} must be a text", where=str(path), got=shown(value), do="put it in quotes")
    return found


def _loaded(path: Path, pointer: dict[str, str], options: Options) -> tuple[Features, Rows]:
    import datasets  # takes seconds

    name = pointer["dataset"]
    if (path.parent / name).is_dir():
        name = str(path.parent / name)
    elif "revision" not in pointer:
        what = "the dataset has no revision: the same name may give other data tomorrow"
        options.notes.add(what, f"{path}: {name}")
    arguments = {"name": pointer.get("name"), "revision": pointer.get("revision"), "split": pointer["split"]}
    try:
        dataset = datasets.load_dataset(name, **arguments, streaming=True)
        if dataset.features is None:  # columns that are known when all has been loaded
            dataset = datasets.load_dataset(name, **arguments)
    except Exception as error:  # of the network, of the hub, of any file's format
        do = "check its name, configuration, revision and split, and the network"
        raise _failed(f"the dataset {name[:60]!r} cannot be loaded", str(path), error, do) from None
    return dataset.features, lambda columns: _picked(dataset, columns)


def _list(value: Any, column: str, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise DataError("not a list", where=where, got=shown(value), do=f"correct the column {column[:60]!r}")
    return value


def write(records: Iterable[Sentence], path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    texts = pa.list_(pa.string())
    schema = pa.schema([("tokens", texts), ("tags", texts), ("document", pa.int32())])
    sentences = map(_checked, with_words(records, path))
    with pq.ParquetWriter(path, schema, write_page_checksum=True) as writer:
        while group := list(islice(sentences, GROUP)):
            columns = [
                pa.array([sentence.words for sentence in group], texts),
                pa.array([sentence.tags for sentence in group], texts),
                pa.array([sentence.document for sentence in group], pa.int32()),
            ]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))


def _checked(sentence: Sentence) -> Sentence:
    if sentence.document is not None and not 0 <= sentence.document <= LARGEST:
        got, do = shown(sentence.document), f"number documents from 0 to {LARGEST}"
        raise DataError("not a valid document number", where=sentence.place, got=got, do=do)
    try:
        "".join((*sentence.words, *sentence.tags)).encode()
    except UnicodeEncodeError:
        got, do = f"{' '.join(sentence.words)[:60]!a}", "correct the word"
        raise DataError(
            "half of a surrogate pair, which is not a character", where=sentence.place, got=got, do=do
        ) from None
    return sentence
