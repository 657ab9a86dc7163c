"""Finds entities in text or words with ONNX Runtime, with the same windows and decoder as training."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fpplm_core.errors import BundleError, DeviceError
from fpplm_core.serving.bundle import Bundle, open_bundle
from fpplm_core.serving.entities import Entity, SegmentedText, WordExplanation, chunks_of, entities_of
from fpplm_core.serving.graphs import (
    CheckedSession,
    batch_pieces,
    choose_variant,
    open_label_lm,
    open_tagger,
    require_finite,
)
from fpplm_core.serving.onnx_session import cores, has_gpu, require_device
from fpplm_core.serving.segmentation import segmentation
from fpplm_core.serving.tokenizer import BundleWindowBuilder
from fpplm_core.tagging.batches import Arrays, collate
from fpplm_core.tagging.decoder import SpanDecoder
from fpplm_core.tagging.spans import Span
from fpplm_core.tagging.viterbi import LABEL_LM_TEMPERATURE, log_softmax, softmax
from fpplm_core.tagging.windows import Documents, Window
from fpplm_core.tagging.word_logits import batch_windows, join_word_logits
from fpplm_core.tagging.words import Segmenter

# The batches of some sentences, their logits as they are computed, and the number of words of each sentence.
PendingLogits = tuple[list[list[Window]], Iterable[NDArray[np.float32]], list[int]]


class Predictor:
    """Tags text with a loaded bundle.

    Examples:
        >>> predictor = Predictor.load("bundle")  # doctest: +SKIP
        >>> predictor.predict("Angela Merkel visited Paris.")  # doctest: +SKIP
        [Entity(text='Angela Merkel', label='PER', start=0, end=13, score=0.98), ...]
    """

    def __init__(
        self, bundle: Bundle, device: str, variant: str, threads: int | None = None, segmenter: Segmenter | None = None
    ) -> None:
        self.bundle, self.device, self.variant, self.threads = bundle, device, variant, threads
        self.word_ranges = segmentation(bundle, segmenter)  # (start, end) of each word of a text
        config = bundle.config
        self.decoder = SpanDecoder(config.labels, np.array(config.transitions, dtype=np.float32))
        self.builder = BundleWindowBuilder(bundle)
        self.label_lm_threshold, self.use_label_lm = config.label_lm_threshold, config.use_label_lm
        self.batch_pieces = batch_pieces(bundle, device, variant)
        # On the CPU, one core per run: operators that share all cores would wait for each other.
        self.workers = ThreadPoolExecutor((threads or cores()) if device == "cpu" else 1)

    @classmethod
    def load(
        cls,
        path: Path | str,
        device: str = "auto",
        variant: str = "auto",
        threads: int | None = None,
        segmenter: Segmenter | None = None,
        digest: str | None = None,
        allow_links: bool = False,
    ) -> Predictor:
        """Opens a bundle on a device (auto, cpu, cuda, tensorrt), with the device's preferred variant or a named one.

        `segmenter` is the user's own function from a text to its words, if it segmented the training texts: a bundle
        never names code to import. Without it, such a bundle tags words but refuses texts. `digest` and `allow_links`
        are those of `open_bundle`. `auto` uses the CPU where there is no GPU or it does not start, and logs why; the
        attribute `device` holds the choice.

        Raises BundleError if the bundle is incomplete, unsafe or another than `digest` names, lacks the variant, or was
        not trained with a `segmenter`, and DeviceError if a GPU was requested but is missing or does not start. A graph
        on the CPU is opened at the first text, which raises BundleError if it is none.
        """
        bundle = open_bundle(path, digest, allow_links)
        start = partial(cls._start, bundle, variant=variant, threads=threads, segmenter=segmenter)
        if device == "auto" and has_gpu("cuda"):
            try:
                return start(device="cuda")
            except (BundleError, DeviceError) as error:
                logging.getLogger(__name__).warning("CUDA does not start, so the CPU is used: %s", error)
        return start(device="cpu" if device == "auto" else device)

    @classmethod
    def _start(
        cls, bundle: Bundle, device: str, variant: str, threads: int | None, segmenter: Segmenter | None
    ) -> Predictor:
        require_device(device)
        predictor = cls(bundle, device, choose_variant(bundle, device, variant), threads, segmenter)
        if device != "cpu":
            _ = predictor.session  # fail now, not at the first text, if the GPU does not start
        return predictor

    @property
    def labels(self) -> list[str]:
        """The labels of the tagger, O first."""
        return list(self.decoder.labels)

    @cached_property
    def session(self) -> CheckedSession:
        """The graph run by all threads at once, which is fastest for one batch."""
        return open_tagger(self.bundle, self.variant, self.device, self.threads)

    @cached_property
    def single_thread_session(self) -> CheckedSession:
        """The graph run by the calling thread, which is fastest for several batches."""
        if self.device != "cpu":
            return self.session
        return open_tagger(self.bundle, self.variant, self.device, threads=1)

    def predict(self, text: str) -> list[Entity]:
        """The entities of one text of any length."""
        return next(self.predict_many([text]))

    def predict_many(
        self, texts: Iterable[str], documents: Iterable[int | None] | None = None
    ) -> Iterator[list[Entity]]:
        """The entities of each text, in order, while reading at most two chunks ahead.

        `documents` has a number for each text: a tagger trained with context sees the neighbouring texts with the same
        number. None is a document of its own. Raises ValueError if there are more or fewer numbers than texts.
        """
        pairs = ((text, None) for text in texts) if documents is None else zip(texts, documents, strict=True)
        known = (self.segment(text)._replace(document=document) for text, document in pairs)
        for chunk, tagged in self.stream(known):
            for text, spans in zip(chunk, tagged, strict=True):
                yield entities_of(text, spans)

    def segment(self, text: str) -> SegmentedText:
        """A text with its words, segmented as in training. Raises as the function from `segmentation` does."""
        return SegmentedText(text, [(text[start:end], start, end) for start, end in self.word_ranges(text)])

    def stream(
        self, texts: Iterable[SegmentedText]
    ) -> Iterator[tuple[list[SegmentedText], list[list[tuple[Span, float]]]]]:
        """The chunks of `chunks_of` and their spans, in order; prepares the next chunk while tagging one."""
        pending: deque[tuple[list[SegmentedText], PendingLogits]] = deque()
        for chunk in chunks_of(texts):
            pending.append((chunk, self._submit([[w[0] for w in t.words] for t in chunk], [t.document for t in chunk])))
            if len(pending) == 2:
                done, state = pending.popleft()
                yield done, self.decoder.scored_spans(join_word_logits(*state))
        for done, state in pending:
            yield done, self.decoder.scored_spans(join_word_logits(*state))

    def tag(self, sentences: Sequence[Sequence[str]], documents: Documents = None) -> list[list[tuple[Span, float]]]:
        """The spans over the words of each sentence, with their scores; a sentence may be empty.

        `documents`, as `WindowBuilder.windows` takes them, matter to a tagger that was trained with context.
        """
        return self.decoder.scored_spans(self.logits(sentences, documents))

    def logits(self, sentences: Sequence[Sequence[str]], documents: Documents = None) -> list[NDArray[np.float32]]:
        """The (words, K) logits of each sentence."""
        return join_word_logits(*self._submit(sentences, documents))

    def _submit(self, sentences: Sequence[Sequence[str]], documents: Documents) -> PendingLogits:
        """Splits sentences into batches of windows and starts tagging them."""
        return *self.submit(self.builder.windows(sentences, documents)), [len(words) for words in sentences]

    def submit(self, windows: Sequence[Window]) -> tuple[list[list[Window]], Iterable[NDArray[np.float32]]]:
        """Starts tagging windows: their batches, and the logits of each as they come. *Shape:* (batch, words, K)."""
        batches = batch_windows(windows, self.batch_pieces)
        if len(batches) > 1 or self.device != "cpu":
            return batches, self.workers.map(partial(self._run, self.single_thread_session), batches)
        return batches, map(partial(self._run, self.session), batches)

    def explain(self, words: Sequence[str]) -> list[WordExplanation]:
        """The labels of the tagger and of the label language model for each word of a sentence.

        Raises BundleError if the bundle carries no label language model.
        """
        if not words:
            return []
        _ = self.label_lm  # first: without it, the tagger's graph does not give states
        batches = batch_windows(self.builder.windows([words]), self.batch_pieces)
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

    def _run(self, session: CheckedSession, batch: Sequence[Window]) -> NDArray[np.float32]:
        arrays = collate(batch)
        if not self.use_label_lm:
            return self._tagged(session, arrays)
        logits, states = self._outputs(session, arrays, self.bundle.config.logits, "states")
        doubtful = self._doubtful(logits, arrays)
        if not doubtful.any():
            return logits
        written = log_softmax(self._write(logits, states, arrays))
        mean = (log_softmax(logits) + written) / 2  # the geometric mean of both distributions
        return np.where(doubtful[:, :, None], mean, logits)

    def _tagged(self, session: CheckedSession, arrays: Arrays) -> NDArray[np.float32]:
        return self._outputs(session, arrays, self.bundle.config.logits)[0]

    def _written(self, session: CheckedSession, arrays: Arrays) -> NDArray[np.float32]:
        logits, states = self._outputs(session, arrays, self.bundle.config.logits, "states")
        return self._write(logits, states, arrays)

    def _write(self, logits: NDArray[np.float32], states: NDArray[np.float32], arrays: Arrays) -> NDArray[np.float32]:
        """The label language model's logits, given the tagger's softened guesses for all but the doubtful words."""
        inputs = {
            "read": softmax(logits / LABEL_LM_TEMPERATURE),
            "hidden": self._doubtful(logits, arrays),
            "states": states,
            "counted": arrays.word_mask == 1,
        }
        (written,) = self.label_lm.run(["written"], inputs)
        return require_finite(written, self.label_lm.where)

    def _doubtful(self, logits: NDArray[np.float32], arrays: Arrays) -> NDArray[np.bool_]:
        return np.asarray((softmax(logits).max(axis=2) < self.label_lm_threshold) & (arrays.word_mask == 1))

    def _outputs(self, session: CheckedSession, arrays: Arrays, *names: str) -> list[NDArray[np.float32]]:
        """The graph's outputs with these names, at the words' first pieces. *Shape:* (batch, words, …) each."""
        inputs = {"input_ids": arrays.ids, "attention_mask": arrays.mask}
        if self.builder.first_shape_type is not None:
            inputs["token_type_ids"] = arrays.types
        outputs = session.run(list(names), inputs)
        shown = (np.take_along_axis(values, arrays.first_pieces[:, :, None], axis=1) for values in outputs)
        return [require_finite(values, session.where) for values in shown]

    @cached_property
    def label_lm(self) -> CheckedSession:
        if not self.label_lm_threshold:
            raise BundleError(
                "the bundle has no label language model",
                where=str(self.bundle.path),
                do="set export.refine_below in params.yaml, for instance to 0.9, and export the bundle again",
            )
        return open_label_lm(self.bundle, self.device, self.threads)
