"""encode: sentences become windows of sub-word ids for the encoder, build/encoded/*.parquet."""

from __future__ import annotations

from typing import Any, NamedTuple

import pyarrow as pa

from fpplm_core import params, pretrained
from fpplm_core.encoding import Encoder, Window
from fpplm_core.errors import ParamsError
from fpplm_core.labels import INNER_SCHEME, label_list, lenient_spans, to_tags
from fpplm_core.metrics import types_of
from fpplm_core.params import ModelParams
from fpplm_core.text import Sentence
from tasks import CORPUS, ENCODED, SPLITS, read_table, run, write_json, write_table
from tasks.read import load_corpus

TYPES = {
    "sentence": pa.int32(),
    "ids": pa.list_(pa.int32()),
    "words": pa.list_(pa.int32()),
    "first": pa.list_(pa.int32()),
    "types": pa.list_(pa.int16()),
}
LABELS = {"labels": pa.list_(pa.int16()), "second": pa.list_(pa.int16())}


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

    train = load_corpus("train")
    labels = label_list(types_of(s.tags for s in train))
    index = {label: number for number, label in enumerate(labels)}
    beside, apart = load_second(train)
    second = sorted({tag for tags in [*beside.values(), *(s.tags for s in apart)] for tag in tags})
    second_index = {label: number for number, label in enumerate(second)}
    counts = {}
    for split in SPLITS:
        sentences = load_corpus(split)
        encoder.pieceless = encoder.cut_words = 0
        windows = encoder.windows([s.words for s in sentences], [s.document for s in sentences])
        columns = {name: [getattr(window, name) for window in windows] for name in TYPES}
        if split == "train":
            gold = [to_tags(lenient_spans(s.tags), len(s.tags), INNER_SCHEME) for s in sentences]
            columns["labels"] = [[index[gold[w.sentence][word]] for word in w.words] for w in windows]
            other = [[second_index[tag] for tag in beside.get(s.lines, ())] for s in sentences]
            columns["second"] = [[other[w.sentence][word] for word in w.words if other[w.sentence]] for w in windows]
        write_table(ENCODED / f"{split}.parquet", columns, TYPES | (LABELS if split == "train" else {}))
        counts[split] = {
            "sentences": len(sentences),
            "words": sum(len(s.words) for s in sentences),
            "windows": len(windows),
            "pieces": sum(len(window.ids) for window in windows),
            "words_without_pieces": encoder.pieceless,
            "words_longer_than_a_window": encoder.cut_words,
        }
        print(f"{split}: {counts[split]['windows']} windows, {counts[split]['pieces']} pieces")
    (ENCODED / "second.parquet").unlink(missing_ok=True)
    if apart:
        windows = encoder.windows([s.words for s in apart], [s.document for s in apart])
        columns = {name: [getattr(window, name) for window in windows] for name in TYPES}
        columns["second"] = [[second_index[apart[w.sentence].tags[word]] for word in w.words] for w in windows]
        write_table(ENCODED / "second.parquet", columns, TYPES | LABELS)
    # What stands for a hidden word; an encoder without such a piece (GPT-2) gets its filler.
    mask_id = encoder.filler if tokenizer.mask_token_id is None else tokenizer.mask_token_id
    facts = {"labels": labels, "first_shape": first_shape, "mask_id": mask_id, "second": second}
    write_json(ENCODED / "encoding.json", {**facts, "counts": counts})


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


def load_second(train: list[Sentence]) -> tuple[dict[tuple[int, ...], tuple[str, ...]], list[Sentence]]:
    """The second task's labels of train's sentences by their lines, and its sentences that are none of train."""
    if not (CORPUS / "second.parquet").exists():
        return {}, []
    second, files = load_corpus("second"), {s.file for s in train}
    return {s.lines: s.tags for s in second if s.file in files}, [s for s in second if s.file not in files]


class Encoded(NamedTuple):
    """The windows of a split; for train, by window, its words' labels and those of the second task ([] = none)."""

    windows: list[Window]
    labels: list[list[int]]
    second: list[list[int]]


def load_windows(split: str) -> Encoded:
    rows = read_table(ENCODED / f"{split}.parquet")
    windows = [Window(*row) for row in zip(*(rows[name] for name in TYPES), strict=True)]
    return Encoded(windows, rows.get("labels", []), rows.get("second", []))


if __name__ == "__main__":
    run(main)
