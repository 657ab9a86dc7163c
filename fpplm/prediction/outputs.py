"""Tags a stream of texts and writes it as it goes."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from fpplm.prediction.inputs import until_error
from fpplm.prediction.lines import STDIN
from fpplm.prediction.records import Kind, record_of
from fpplm.prediction.resume import remaining
from fpplm.terminal.output import discard, is_closed
from fpplm_core.errors import FpplmError
from fpplm_core.files import making
from fpplm_core.serving import Predictor
from fpplm_core.serving.entities import SegmentedText
from fpplm_core.serving.sketch import Sketch


def tag_texts(
    predictor: Predictor,
    texts: Iterable[SegmentedText],
    output: str,
    kind: Kind,
    resume: bool = False,
    explain: bool = False,
    sketch: Sketch | None = None,
) -> Iterator[int]:
    """Tags texts to a file, or to standard output for `-`; yields the number of words of each chunk once it is written.

    With `resume`, it continues after the last complete record of the file; with `explain`, it explains words.
    A `sketch` counts what is written. An error in `texts` is raised once all texts before it have been written.
    """
    errors: list[FpplmError] = []
    texts = until_error(texts, errors)
    goes_on = resume and Path(output).exists()
    if goes_on:
        texts = remaining(Path(output), kind, predictor, texts)
    with _opened(output, "a" if goes_on else "w") as stream:
        yield from _explain(predictor, texts, stream) if explain else _write(predictor, texts, stream, kind, sketch)
    if errors:
        raise errors[0]


@contextmanager
def _opened(output: str, mode: str) -> Iterator[IO[str]]:
    """The output as UTF-8, whatever the locale is. Ends the program once the reader of standard output has gone.

    Raises FpplmError if standard output is closed, or if the reader of another pipe has gone.
    """
    if output == STDIN and is_closed(sys.stdout):
        raise FpplmError("standard output is closed", where="--output", do="name a file")
    target = sys.stdout.fileno() if output == STDIN else output
    with making(Path(output)):
        opened = open(target, mode, encoding="utf-8", newline="\n", closefd=output != STDIN)  # noqa: SIM115
    with opened as stream:
        try:
            yield stream
            stream.flush()
        except BrokenPipeError:
            discard(stream.fileno())  # for what the stream still holds
            if output != STDIN:
                raise FpplmError("the reader of the output has gone", where=output) from None
            sys.exit(0)


def _write(
    predictor: Predictor, texts: Iterable[SegmentedText], stream: IO[str], kind: Kind, sketch: Sketch | None
) -> Iterator[int]:
    for chunk, tagged in predictor.stream(texts):
        for text, spans in zip(chunk, tagged, strict=True):
            stream.write(record_of(text, spans, kind, predictor.labels))
            if sketch:
                sketch.add([word for word, _, _ in text.words], predictor.builder, spans, text.document)
        stream.flush()
        yield sum(len(text.words) for text in chunk)


def _explain(predictor: Predictor, texts: Iterable[SegmentedText], stream: IO[str]) -> Iterator[int]:
    """One line per word: labels and probabilities of tagger and label language model, ≠ if the labels differ."""
    for text in texts:
        rows = predictor.explain([word for word, _, _ in text.words])
        for row in rows:
            mark = "≠" if row.label != row.written else ""
            cells = (row.word, row.label, f"{row.score:.2f}", row.written, f"{row.written_score:.2f}", mark)
            stream.write("\t".join(cells).rstrip("\t") + "\n")
        stream.write("\n")
        stream.flush()
        yield len(rows)
