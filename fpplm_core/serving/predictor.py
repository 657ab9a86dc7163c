"""Entities from text or words, by ONNX Runtime, with the windows and the decoder of training."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from tokenizers import Tokenizer

from fpplm_core.batching import Arrays
from fpplm_core.decoding import decode, softmax, word_logits
from fpplm_core.encoding import Encoder
from fpplm_core.errors import BundleError, DeviceError
from fpplm_core.labels import Span, lenient_spans
from fpplm_core.serving.bundle import LABEL_LM, TOKENIZER, Bundle, graph_name, open_bundle
from fpplm_core.text import split_words

PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
TEMPERATURE = 2.0  # of what the label language model reads, as in its training
CHUNK = 1024  # texts that are sorted by length and tagged together


class Text(NamedTuple):
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


class Word(NamedTuple):
    """A word with the tagger's own label, what the label language model writes, and the probabilities of both."""

    word: str
    label: str
    score: float
    written: str
    written_score: float


class Predictor:
    """A loaded bundle.

    >>> predictor = Predictor.load("bundle")                                                    # doctest: +SKIP
    >>> predictor.predict("Angela Merkel visited Paris.")                                       # doctest: +SKIP
    [Entity(text='Angela Merkel', label='PER', start=0, end=13, score=0.98), ...]
    """

    def __init__(
        self, bundle: Bundle, session: ort.InferenceSession, device: str, variant: str, threads: int | None = None
    ) -> None:
        self.bundle, self.session, self.device, self.variant = bundle, session, device, variant
        self.threads = threads
        config = bundle.config
        self.labels: list[str] = config["labels"]
        self.scores: NDArray[np.float32] = np.array(config["transitions"], dtype=np.float32)
        tokenizer = Tokenizer.from_file(str(bundle.path / TOKENIZER))
        self.encoder = Encoder(tokenizer, config["window"], config["stride"], config["context"], config["first_shape"])
        refine = config.get("label_lm") or {"below": 0.0, "use": False}
        self.below, self.refines = float(refine["below"]), bool(refine["use"])
        self.batch_pieces = 1024 if device == "cpu" else 32768  # what its caches hold; see docs/decisions/0005

    @classmethod
    def load(
        cls, path: Path | str, device: str = "auto", variant: str = "auto", threads: int | None = None
    ) -> Predictor:
        """Opens a bundle on `device` (auto, cpu, cuda), with the preferred variant for it unless one is named.

        Raises BundleError for a bundle that is not whole or lacks the variant, and DeviceError where CUDA is
        asked for and not there; `auto` takes the CPU then, and `device` tells which it was.
        """
        bundle = open_bundle(path)
        if device not in ("auto", *PROVIDERS):
            raise DeviceError("unknown device", got=repr(device), do="use auto, cpu or cuda")
        wanted = ("cuda" if has_cuda() else "cpu") if device == "auto" else device
        if wanted == "cuda" and not has_cuda():
            raise DeviceError(
                "ONNX Runtime has no CUDA here",
                got=f"providers {', '.join(ort.get_available_providers())}",
                do="install onnxruntime-gpu and the NVIDIA driver, or use --device cpu",
            )
        preferred = bundle.variants[wanted]
        chosen = preferred[0] if variant == "auto" else variant
        if chosen not in preferred:
            raise BundleError(
                "no such variant in the bundle", where=str(bundle.path), got=repr(chosen), do=f"it has {preferred}"
            )
        session = open_session(bundle.path / graph_name(chosen), wanted, threads)
        if session.get_providers()[0] != PROVIDERS[wanted]:
            raise DeviceError(
                "ONNX Runtime could not start CUDA", got=str(session.get_providers()), do="use --device cpu"
            )
        return cls(bundle, session, wanted, chosen, threads)

    def predict(self, text: str) -> list[Entity]:
        """The entities of one text of any length."""
        return next(self.predict_many([text]))

    def predict_many(self, texts: Iterable[str]) -> Iterator[list[Entity]]:
        """The entities of each text, in order, while reading at most CHUNK texts ahead."""
        stream = iter(texts)
        while chunk := list(islice(stream, CHUNK)):
            yield from self.entities([Text(text, split_words(text)) for text in chunk])

    def entities(self, texts: Sequence[Text]) -> list[list[Entity]]:
        """The entities of texts whose words are known."""
        found = []
        tagged = self.tag([[word[0] for word in t.words] for t in texts], [t.document for t in texts])
        for (text, words, _), spans in zip(texts, tagged, strict=True):
            places = [(words[span.start][1], words[span.end - 1][2]) for span, _ in spans]
            found.append(
                [
                    Entity(text[start:end], span.type, start, end, score)
                    for (start, end), (span, score) in zip(places, spans, strict=True)
                ]
            )
        return found

    def tag(
        self, sentences: Sequence[Sequence[str]], documents: Sequence[int | None] | None = None
    ) -> list[list[tuple[Span, float]]]:
        """The spans over the words of each sentence, with their scores; a sentence may have no word.

        `documents`, as `Encoder.windows` takes them, matter to a tagger that was trained with context.
        """
        logits = self.logits(sentences, documents)
        found = []
        for values, path in zip(logits, decode(logits, self.scores), strict=True):
            spans = lenient_spans([self.labels[label] for label in path])
            if spans:
                chosen = softmax(values)[np.arange(len(path)), path]
                found.append([(span, float(chosen[span.start : span.end].mean())) for span in spans])
            else:
                found.append([])
        return found

    def logits(
        self, sentences: Sequence[Sequence[str]], documents: Sequence[int | None] | None = None
    ) -> list[NDArray[np.float32]]:
        """The (words, K) logits of each sentence."""
        windows = self.encoder.windows(sentences, documents)
        return word_logits(windows, [len(words) for words in sentences], self.batch_pieces, self._run)

    def explain(self, words: Sequence[str]) -> list[Word]:
        """What the tagger says about each word of a sentence, and what the label language model writes.

        Raises BundleError where the bundle carries no label language model.
        """
        if not words:
            return []
        _ = self.label_lm  # first: without it, the tagger's graph does not give states
        windows, lengths = self.encoder.windows([words]), [len(words)]
        own, written = (
            word_logits(windows, lengths, self.batch_pieces, run)[0] for run in (self._tagged, self._written)
        )
        chances = softmax(own), softmax(written)
        paths = [decode([values], self.scores)[0] for values in (own, written)]
        rows = zip(words, *paths, *chances, strict=True)
        return [
            Word(word, self.labels[a], float(first[a]), self.labels[b], float(second[b]))
            for word, a, b, first, second in rows
        ]

    def _run(self, arrays: Arrays) -> NDArray[np.float32]:
        if not self.refines:
            return self._tagged(arrays)
        logits, states = self._outputs(arrays, "logits", "states")
        doubtful = self._doubtful(logits, arrays)
        if not doubtful.any():
            return logits
        written = np.log(softmax(self._write(logits, states, arrays)))
        mean = (np.log(softmax(logits)) + written) / 2  # the geometric mean of both distributions
        return np.where(doubtful[:, :, None], mean, logits)

    def _tagged(self, arrays: Arrays) -> NDArray[np.float32]:
        return self._outputs(arrays, "logits")[0]

    def _written(self, arrays: Arrays) -> NDArray[np.float32]:
        logits, states = self._outputs(arrays, "logits", "states")
        return self._write(logits, states, arrays)

    def _write(self, logits: NDArray[np.float32], states: NDArray[np.float32], arrays: Arrays) -> NDArray[np.float32]:
        """What the label language model writes, reading the tagger's softened guesses but for the doubtful words."""
        inputs = {
            "read": softmax(logits / TEMPERATURE),
            "hidden": self._doubtful(logits, arrays),
            "states": states,
            "counted": arrays.owned == 1,
        }
        (written,) = self.label_lm.run(None, inputs)
        return np.asarray(written)

    def _doubtful(self, logits: NDArray[np.float32], arrays: Arrays) -> NDArray[np.bool_]:
        return np.asarray((softmax(logits).max(axis=2) < self.below) & (arrays.owned == 1))

    def _outputs(self, arrays: Arrays, *names: str) -> list[NDArray[np.float32]]:
        """The graph's outputs of these names at the words' first pieces. *Shape:* (batch, words, …) each."""
        inputs = {"input_ids": arrays.ids, "attention_mask": arrays.mask}
        if self.encoder.first_shape is not None:
            inputs["token_type_ids"] = arrays.types
        found = self.session.run(list(names), inputs)
        return [np.take_along_axis(np.asarray(values), arrays.first[:, :, None], axis=1) for values in found]

    @cached_property
    def label_lm(self) -> ort.InferenceSession:
        if not self.below:
            raise BundleError(
                "carries no label language model",
                where=str(self.bundle.path),
                do="set export.refine_below in params.yaml, say to 0.9, and make the bundle again",
            )
        return open_session(self.bundle.path / LABEL_LM, self.device, self.threads)


def has_cuda() -> bool:
    """Whether ONNX Runtime was built with CUDA and the machine has a driver: both are needed."""
    if PROVIDERS["cuda"] not in ort.get_available_providers():
        return False
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return True


def open_session(graph: Path, device: str, threads: int | None = None) -> ort.InferenceSession:
    """A session on the device's provider; on CUDA, what has no kernel there runs on the CPU."""
    options = ort.SessionOptions()
    options.log_severity_level = 3
    if threads is not None:
        options.intra_op_num_threads = threads
    providers: list[Any] = list(dict.fromkeys([PROVIDERS[device], PROVIDERS["cpu"]]))
    return ort.InferenceSession(str(graph), options, providers=providers)
