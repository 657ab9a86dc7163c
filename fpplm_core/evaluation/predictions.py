"""The predictions of a split, line by line, and tables for plots."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from io import StringIO
from pathlib import Path

import numpy as np

from fpplm_core.data.records import Sentence
from fpplm_core.evaluation.metrics import mention, span_counts
from fpplm_core.evaluation.scores import Logits, SliceScore, Spans, SpanScores
from fpplm_core.files import read_record_lines, whole_file, write_text
from fpplm_core.tagging.spans import Span


@dataclass(frozen=True)
class CharacterSpan:
    """A predicted entity: `start` and `end` in characters of the sentence's text."""

    label: str
    start: int
    end: int


@dataclass(frozen=True)
class SentencePrediction:
    """A sentence with its place, its gold and predicted spans over words, and their tp, fp, fn.

    `text` and `entities` are None where the corpus does not hold the text, `document` where it marks no documents.
    `scores` are those of the predicted spans, in [0, 1] as a Predictor gives them; `gold_seen` and `predicted_seen` say
    of each span whether the training split has the mention. They are None where whoever tagged the split has none.
    """

    file: str
    line: int
    words: tuple[str, ...]
    gold: list[Span]
    predicted: list[Span]
    tp: int
    fp: int
    fn: int
    text: str | None = None
    entities: list[CharacterSpan] | None = None
    document: int | None = None
    scores: list[float] | None = None
    gold_seen: list[bool] | None = None
    predicted_seen: list[bool] | None = None


def predictions_of(
    sentences: Sequence[Sentence],
    gold: Spans,
    predicted: Spans,
    scores: Sequence[Sequence[float]] | None = None,
    seen: Set[tuple[str, str]] | None = None,
) -> Iterator[SentencePrediction]:
    """One for each sentence, in order; `seen` are the mentions of the training split."""

    def in_train(sentence: Sentence, spans: Sequence[Span]) -> list[bool] | None:
        return None if seen is None else [mention(sentence.words, span) in seen for span in spans]

    for number, (sentence, gold_spans, predicted_spans) in enumerate(zip(sentences, gold, predicted, strict=True)):
        entities = None
        if sentence.text is not None and sentence.offsets is not None:
            offsets = sentence.offsets
            entities = [CharacterSpan(s.type, offsets[s.start][0], offsets[s.end - 1][1]) for s in predicted_spans]
        yield SentencePrediction(
            sentence.file,
            sentence.lines[0],
            sentence.words,
            list(gold_spans),
            list(predicted_spans),
            *span_counts(gold_spans, predicted_spans),
            text=None if entities is None else sentence.text,
            entities=entities,
            document=sentence.document,
            scores=None if scores is None else [round(score, 4) for score in scores[number]],
            gold_seen=in_train(sentence, gold_spans),
            predicted_seen=in_train(sentence, predicted_spans),
        )


@contextmanager
def prediction_writer(path: Path) -> Iterator[Callable[[Iterable[SentencePrediction]], None]]:
    """A function that appends one JSON line per sentence, without empty keys.

    The file appears when the block ends without an error.
    """
    with whole_file(path) as partial, partial.open("w", encoding="utf-8") as stream:

        def write(predictions: Iterable[SentencePrediction]) -> None:
            rows = ({key: value for key, value in asdict(p).items() if value is not None} for p in predictions)
            stream.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)

        yield write


@contextmanager
def logits_writer(path: Path, labels: int) -> Iterator[Callable[[Logits], None]]:
    """A function that appends the logits of sentences to an array (words, labels), for `numpy.load`.

    The file appears when the block ends without an error. *Shape:* logits (words, labels) by sentence.
    """
    words = 0
    with whole_file(path) as partial, partial.open("wb") as stream:

        def write_header() -> None:  # numpy leaves room in it for a longer first axis
            facts = {"descr": "<f4", "fortran_order": False, "shape": (words, labels)}
            np.lib.format.write_array_header_1_0(stream, facts)

        def write(logits: Logits) -> None:
            nonlocal words
            for values in logits:
                stream.write(np.ascontiguousarray(values, dtype="<f4").data)
                words += len(values)

        write_header()
        yield write
        stream.seek(0)
        write_header()


def read_predictions(path: Path) -> list[SentencePrediction]:
    """What `prediction_writer` wrote. Raises DataError, naming the line, if the file is missing or damaged."""
    return read_record_lines(path, SentencePrediction)


def write_plots(folder: Path, scores: SpanScores, slices: Mapping[str, SliceScore] | None = None) -> None:
    """Writes tables for `dvc plots`: a row for each gold span with its predicted type, each type and each slice."""
    confusion = [
        [gold, predicted]
        for gold, row in scores.confusion.items()
        for predicted, number in row.items()
        for _ in range(number)
    ]
    write_text(folder / "confusion.csv", csv_text([["gold", "predicted"], *confusion]))
    types = [[kind, f"{row.f1:.6f}"] for kind, row in scores.types.items()]
    write_text(folder / "types.csv", csv_text([["type", "f1"], *types]))
    parts = [[name, f"{row.f1:.6f}"] for name, row in (slices or {}).items()]
    write_text(folder / "slices.csv", csv_text([["slice", "f1"], *parts]))


def csv_text(rows: Iterable[Sequence[str]]) -> str:
    """Rows as CSV: a name may have commas and quotes. DVC writes it into a script of its page, so < becomes ‹."""
    stream = StringIO()
    csv.writer(stream, lineterminator="\n").writerows(rows)
    return stream.getvalue().replace("<", "‹")
