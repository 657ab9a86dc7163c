"""encode: sentences become windows of sub-word ids for the encoder, build/encoded/*.parquet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from fpplm_core import params, pretrained
from fpplm_core.encoding import Encoder, Window, runs
from fpplm_core.errors import ParamsError
from fpplm_core.labels import INNER_SCHEME, label_list, lenient_spans, to_tags
from fpplm_core.metrics import types_of
from fpplm_core.params import ModelParams
from fpplm_core.text import Sentence
from tasks import BATCH, CORPUS, ENCODED, SPLITS, open_table, read_json, run, write_json, write_table
from tasks.read import distinct_tags, open_corpus, stream_corpus

SCHEMA = pa.schema(
    {
        "sentence": pa.int32(),
        "ids": pa.list_(pa.int32()),
        "words": pa.list_(pa.int32()),
        "first": pa.list_(pa.int32()),
        "types": pa.list_(pa.int16()),
    }
)
LABELS = pa.list_(pa.int16())
Labelled = tuple[Sentence, Mapping[str, Sequence[int]]]  # with labels by task, one a word or none at all


def main() -> None:
    settings = params.load()
    name, revision = settings.model.encoder, settings.model.revision
    tokenizer = pretrained.load_tokenizer(name, revision)
    pretrained.check_window(settings.encode.window, pretrained.load_config(name, revision), tokenizer)
    ENCODED.mkdir(parents=True, exist_ok=True)
    tokenizer.backend_tokenizer.save(str(ENCODED / "tokenizer.json"))
    sizes = settings.encode
    first_shape = choose_shapes(settings.model, tokenizer)
    encoder = Encoder(tokenizer.backend_tokenizer, sizes.window, sizes.stride, sizes.context, first_shape)

    scheme = "TAGS" if read_json(CORPUS / "corpus.json")["scheme"] == "TAGS" else INNER_SCHEME
    labels = label_list(types_of([distinct_tags(open_corpus("train"))]), scheme)
    second = sorted(distinct_tags(open_corpus("second"))) if (CORPUS / "second.parquet").exists() else []
    apart = bool(second) and file_of("second") != file_of("train")
    beside = stream_corpus("second") if second and not apart else iter(())
    counts = {}
    for split in SPLITS:
        sentences = stream_corpus(split)
        tasks = ("labels", "second") if split == "train" else ()
        rows = with_labels(sentences, labels, beside, second) if tasks else ((s, {}) for s in sentences)
        counts[split] = write_windows(ENCODED / f"{split}.parquet", rows, encoder, tasks)
        print(f"{split}: {counts[split]['windows']} windows, {counts[split]['pieces']} pieces")
    (ENCODED / "second.parquet").unlink(missing_ok=True)
    if apart:
        index = {label: number for number, label in enumerate(second)}
        rows = ((s, {"second": [index[tag] for tag in s.tags]}) for s in stream_corpus("second"))
        write_windows(ENCODED / "second.parquet", rows, encoder, ("second",))
    # What stands for a hidden word; an encoder without such a piece (GPT-2) gets its filler.
    mask_id = encoder.filler if tokenizer.mask_token_id is None else tokenizer.mask_token_id
    facts = {"labels": labels, "first_shape": first_shape, "mask_id": mask_id, "second": second}
    write_json(ENCODED / "encoding.json", {**facts, "counts": counts})


def with_labels(
    train: Iterable[Sentence], labels: list[str], beside: Iterator[Sentence], second: list[str]
) -> Iterator[Labelled]:
    """Train's sentences with their labels, and with those of `beside`, another reading of the same file.

    Both stand in the order of the file; a sentence that `beside` lacks has no label of the second task.
    """
    index, other = ({label: number for number, label in enumerate(names)} for names in (labels, second))
    reading = next(beside, None)
    for s in train:
        while reading is not None and reading.lines[0] < s.lines[0]:
            reading = next(beside, None)
        tags = to_tags(lenient_spans(s.tags), len(s.tags), INNER_SCHEME)
        found = reading.tags if reading and (reading.file, reading.lines) == (s.file, s.lines) else ()
        yield s, {"labels": [index[tag] for tag in tags], "second": [other[tag] for tag in found]}


def write_windows(path: Path, rows: Iterable[Labelled], encoder: Encoder, tasks: Sequence[str]) -> dict[str, int]:
    """Writes the windows of a stream of sentences with the labels of these tasks, and counts what was seen."""
    count: Counter[str] = Counter()
    encoder.pieceless = encoder.cut_words = 0
    schema = pa.schema([*SCHEMA, *(pa.field(task, LABELS) for task in tasks)])

    def batches() -> Iterator[pa.RecordBatch]:
        # A sentence has at least one piece: neighbours that are farther than `context` sentences show none.
        for held, own in runs(rows, BATCH, encoder.context):
            windows = encoder.windows([s.words for s, _ in held], [s.document for s, _ in held], own)
            columns = {name: [getattr(window, name) for window in windows] for name in SCHEMA.names}
            columns["sentence"] = [w.sentence - own.start + count["sentences"] for w in windows]
            for task in tasks:
                labels = [held[w.sentence][1][task] for w in windows]
                columns[task] = [[one[word] for word in w.words if one] for w, one in zip(windows, labels, strict=True)]
            count["sentences"] += len(own)
            count["words"] += sum(len(w.words) for w in windows)
            count["windows"] += len(windows)
            count["pieces"] += sum(len(w.ids) for w in windows)
            yield pa.RecordBatch.from_pydict(columns, schema)

    write_table(path, batches(), schema)
    sizes = {name: count[name] for name in ("sentences", "words", "windows", "pieces")}
    return {**sizes, "words_without_pieces": encoder.pieceless, "words_longer_than_a_window": encoder.cut_words}


def file_of(split: str) -> str | None:
    """The file that a part of the corpus was read from; None where it has no sentence."""
    first = next(stream_corpus(split), None)
    return first.file if first else None


def choose_shapes(settings: ModelParams, tokenizer: Any) -> int | None:
    """The token type of the first word shape, or None where the encoder is not told about shapes.

    Raises ParamsError where shapes are asked for and the encoder has no token types.
    """
    count = pretrained.type_count(pretrained.load_config(settings.encoder, settings.revision))
    if settings.shapes == "on" and not count:
        raise ParamsError(
            "the encoder has no token types to carry shapes", where="model.shapes", got="on", do="set it to auto or off"
        )
    wanted = settings.shapes == "on" or (settings.shapes == "auto" and pretrained.lower_cases(tokenizer))
    print(f"word shapes: {'on' if wanted and count else 'off'}")
    return count if wanted and count else None


class Encoded(NamedTuple):
    """The windows of a split; for train, by window, its words' labels and those of the second task ([] = none)."""

    windows: list[Window]
    labels: list[list[int]]
    second: list[list[int]]


def load_windows(split: str) -> Encoded:
    rows = open_table(ENCODED / f"{split}.parquet").read().to_pydict()
    windows = [Window(*row) for row in zip(*(rows[name] for name in SCHEMA.names), strict=True)]
    return Encoded(windows, rows.get("labels", []), rows.get("second", []))


if __name__ == "__main__":
    run(main)
