"""Entities from text or words, by ONNX Runtime, with the windows and the decoder of training."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from fpplm_core.errors import BundleError
from fpplm_core.serving.bundle import LABEL_LM, TOKENIZER, Bundle, graph_name, open_bundle
from fpplm_core.serving.onnx_session import Session, cores, is_available, open_session, require_device
from fpplm_core.tagging.batches import Arrays, collate
from fpplm_core.tagging.decoder import SpanDecoder
from fpplm_core.tagging.spans import Span
from fpplm_core.tagging.viterbi import softmax
from fpplm_core.tagging.windows import Window, WindowBuilder
from fpplm_core.tagging.word_logits import batch_windows, join_word_logits
from fpplm_core.tagging.words import segment

TEMPERATURE = 2.0  # of what the label language model reads, as in its training
CHUNK = 1024  # texts that are sorted by length and tagged together


class SegmentedText(NamedTuple):
    """A text and its words as (word, start, end), in characters of the text.

    Neighbouring texts of one `document` are context to a tagger that was trained with it; None has no neighbours.
    """

    text: str
    words: list[tuple[str, int, int]]
    document: int | None = None


class Entity(NamedTuple):
    """`text[start:end]` is `text`; `score` is the mean probability of its words' tags, in [0, 1]."""

    text: str
    label: str
    start: int
    end: int
    score: float


class WordExplanation(NamedTuple):
    """A word with the tagger's own label, what the label language model writes, and the probabilities of both."""

    word: str
    label: str
    score: float
    written: str
    written_score: float


# The batches of some sentences, their results as they come, and the sentences' numbers of words.
PendingLogits = tuple[list[list[Window]], Iterable[NDArray[np.float32]], list[int]]


class Predictor:
    """A loaded bundle.

    >>> predictor = Predictor.load("bundle")                                                    # doctest: +SKIP
    >>> predictor.predict("Angela Merkel visited Paris.")                                       # doctest: +SKIP
    [Entity(text='Angela Merkel', label='PER', start=0, end=13, score=0.98), ...]
    """

    def __init__(self, bundle: Bundle, device: str, variant: str, threads: int | None = None) -> None:
        self.bundle, self.device, self.variant, self.threads = bundle, device, variant, threads
        config = bundle.config
        self.decoder = SpanDecoder(config["labels"], np.array(config["transitions"], dtype=np.float32))
        tokenizer = Tokenizer.from_file(str(bundle.path / TOKENIZER))
        self.encoder = WindowBuilder(
            tokenizer, config["window"], config["stride"], config["context"], config["first_shape"]
        )
        refine = config.get("label_lm") or {"below": 0.0, "use": False}
        self.words: str = config.get("words", "rules")  # bundles of before do not say
        self.below, self.refines = float(refine["below"]), bool(refine["use"])
        self.batch_pieces = 128 if device == "cpu" else 32768  # docs/performance.md
        # Several batches: a core each on the CPU, where operators that share all cores wait for each other.
        self.lanes = ThreadPoolExecutor((threads or cores()) if device == "cpu" else 1)

    @classmethod
    def load(
        cls, path: Path | str, device: str = "auto", variant: str = "auto", threads: int | None = None
    ) -> Predictor:
        """Opens a bundle on a device (auto, cpu, cuda, tensorrt), with the preferred variant for it, or the one named.

        Raises BundleError for a bundle that is not whole or lacks the variant, and DeviceError where a GPU is
        asked for and not there or does not start; `auto` takes the CPU then, and `device` tells which it was.
        """
        bundle = open_bundle(path)
        wanted = ("cuda" if is_available("cuda") else "cpu") if device == "auto" else device
        require_device(wanted)
        preferred = bundle.variants["cpu" if wanted == "cpu" else "cuda"]
        chosen = preferred[0] if variant == "auto" else variant
        if chosen not in preferred:
            raise BundleError(
                "no such variant in the bundle", where=str(bundle.path), got=repr(chosen), do=f"it has {preferred}"
            )
        predictor = cls(bundle, wanted, chosen, threads)
        if wanted != "cpu":
            _ = predictor.session  # a GPU that does not start is said here, not by the first text
        return predictor

    @property
    def labels(self) -> list[str]:
        """The labels of the tagger, O first."""
        return list(self.decoder.labels)

    @cached_property
    def session(self) -> Session:
        """The graph, run by all threads at once: the fastest for one batch."""
        return open_session(self.bundle.path / graph_name(self.variant), self.device, self.threads)

    @cached_property
    def lane(self) -> Session:
        """The graph, run by the thread that calls it: the fastest for several batches."""
        if self.device != "cpu":
            return self.session
        return open_session(self.bundle.path / graph_name(self.variant), self.device, threads=1)

    def predict(self, text: str) -> list[Entity]:
        """The entities of one text of any length."""
        return next(self.predict_many([text]))

    def predict_many(self, texts: Iterable[str]) -> Iterator[list[Entity]]:
        """The entities of each text, in order, while reading at most CHUNK texts ahead."""
        known = (self.cut(text) for text in texts)
        for chunk, tagged in self.stream(known):
            for text, spans in zip(chunk, tagged, strict=True):
                yield entities_of(text, spans)

    def cut(self, text: str) -> SegmentedText:
        """A text with its words, by the rule with which the training texts were cut."""
        return SegmentedText(text, [(text[start:end], start, end) for start, end in segment(text, self.words)])

    def stream(
        self, texts: Iterable[SegmentedText]
    ) -> Iterator[tuple[list[SegmentedText], list[list[tuple[Span, float]]]]]:
        """Chunks of at most CHUNK texts with the spans of each, in order; while one is tagged, the next is prepared."""
        source = iter(texts)
        begun: deque[tuple[list[SegmentedText], PendingLogits]] = deque()
        while chunk := list(islice(source, CHUNK)):
            begun.append((chunk, self._begin([[w[0] for w in t.words] for t in chunk], [t.document for t in chunk])))
            if len(begun) == 2:
                done, state = begun.popleft()
                yield done, self.decoder.scored_spans(join_word_logits(*state))
        for done, state in begun:
            yield done, self.decoder.scored_spans(join_word_logits(*state))

    def tag(
        self, sentences: Sequence[Sequence[str]], documents: Sequence[int | None] | None = None
    ) -> list[list[tuple[Span, float]]]:
        """The spans over the words of each sentence, with their scores; a sentence may have no word.

        `documents`, as `Encoder.windows` takes them, matter to a tagger that was trained with context.
        """
        return self.decoder.scored_spans(self.logits(sentences, documents))

    def logits(
        self, sentences: Sequence[Sequence[str]], documents: Sequence[int | None] | None = None
    ) -> list[NDArray[np.float32]]:
        """The (words, K) logits of each sentence."""
        return join_word_logits(*self._begin(sentences, documents))

    def _begin(self, sentences: Sequence[Sequence[str]], documents: Sequence[int | None] | None) -> PendingLogits:
        """Windows and batches, and the results of these as they come."""
        batches = batch_windows(self.encoder.windows(sentences, documents), self.batch_pieces)
        if len(batches) > 1 or self.device != "cpu":
            results = self.lanes.map(partial(self._run, self.lane), batches)
        else:
            results = map(partial(self._run, self.session), batches)
        return batches, results, [len(words) for words in sentences]

    def explain(self, words: Sequence[str]) -> list[WordExplanation]:
        """What the tagger says about each word of a sentence, and what the label language model writes.

        Raises BundleError where the bundle carries no label language model.
        """
        if not words:
            return []
        _ = self.label_lm  # first: without it, the tagger's graph does not give states
        batches = batch_windows(self.encoder.windows([words]), self.batch_pieces)
        own, written = (
            join_word_logits(batches, [run(self.session, collate(batch)) for batch in batches], [len(words)])[0]
            for run in (self._tagged, self._written)
        )
        chances = softmax(own), softmax(written)
        paths, labels = self.decoder.paths([own, written]), self.labels
        rows = zip(words, *paths, *chances, strict=True)
        return [
            WordExplanation(word, labels[a], float(first[a]), labels[b], float(second[b]))
            for word, a, b, first, second in rows
        ]

    def _run(self, session: Session, batch: Sequence[Window]) -> NDArray[np.float32]:
        arrays = collate(batch)
        if not self.refines:
            return self._tagged(session, arrays)
        logits, states = self._outputs(session, arrays, "logits", "states")
        doubtful = self._doubtful(logits, arrays)
        if not doubtful.any():
            return logits
        written = np.log(softmax(self._write(logits, states, arrays)))
        mean = (np.log(softmax(logits)) + written) / 2  # the geometric mean of both distributions
        return np.where(doubtful[:, :, None], mean, logits)

    def _tagged(self, session: Session, arrays: Arrays) -> NDArray[np.float32]:
        return self._outputs(session, arrays, "logits")[0]

    def _written(self, session: Session, arrays: Arrays) -> NDArray[np.float32]:
        logits, states = self._outputs(session, arrays, "logits", "states")
        return self._write(logits, states, arrays)

    def _write(self, logits: NDArray[np.float32], states: NDArray[np.float32], arrays: Arrays) -> NDArray[np.float32]:
        """What the label language model writes, reading the tagger's softened guesses but for the doubtful words."""
        inputs = {
            "read": softmax(logits / TEMPERATURE),
            "hidden": self._doubtful(logits, arrays),
            "states": states,
            "counted": arrays.word_mask == 1,
        }
        (written,) = self.label_lm.run(["written"], inputs)
        return np.asarray(written)

    def _doubtful(self, logits: NDArray[np.float32], arrays: Arrays) -> NDArray[np.bool_]:
        return np.asarray((softmax(logits).max(axis=2) < self.below) & (arrays.word_mask == 1))

    def _outputs(self, session: Session, arrays: Arrays, *names: str) -> list[NDArray[np.float32]]:
        """The graph's outputs of these names at the words' first pieces. *Shape:* (batch, words, …) each."""
        inputs = {"input_ids": arrays.ids, "attention_mask": arrays.mask}
        if self.encoder.first_shape_type is not None:
            inputs["token_type_ids"] = arrays.types
        found = session.run(list(names), inputs)
        return [np.take_along_axis(np.asarray(values), arrays.first_pieces[:, :, None], axis=1) for values in found]

    @cached_property
    def label_lm(self) -> Session:
        if not self.below:
            raise BundleError(
                "carries no label language model",
                where=str(self.bundle.path),
                do="set export.refine_below in params.yaml, say to 0.9, and make the bundle again",
            )
        return open_session(self.bundle.path / LABEL_LM, self.device, self.threads)


def entities_of(text: SegmentedText, spans: Iterable[tuple[Span, float]]) -> list[Entity]:
    """Spans over the words of a text as characters of it."""
    found = []
    for span, score in spans:
        start, end = text.words[span.start][1], text.words[span.end - 1][2]
        found.append(Entity(text.text[start:end], span.type, start, end, score))
    return found
