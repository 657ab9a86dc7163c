"""Reads a bundle like a client without fpplm, such as the pipelines of transformers and Transformers.js."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tokenizers import Encoding, Tokenizer

from fpplm_core.data.alignment import text_of
from fpplm_core.data.records import Sentence
from fpplm_core.evaluation.metrics import Counts, span_counts, sum_counts
from fpplm_core.evaluation.scores import gold_spans
from fpplm_core.export.verdicts import ClientF1
from fpplm_core.serving.bundle import CONFIG, GRAPHS, TOKENIZER, TOKENIZER_CONFIG, open_bundle
from fpplm_core.serving.config import LOGITS
from fpplm_core.serving.onnx_session import cores, open_session
from fpplm_core.tagging.schemes import OUTSIDE, split_tag
from fpplm_core.tagging.spans import Span
from fpplm_core.tagging.words import Range


class Reading(NamedTuple):
    """The pieces of a text, as ids and (start, end) in its characters, and the entities over its characters."""

    input_ids: list[int]
    offsets: list[Range]
    entities: list[Span]


class GenericClient:
    """A client that takes the label with the highest logit of each piece and joins pieces by type.

    It sends zeros as token types, and has no windows and no decoder. Like the pipelines, it silently truncates a text
    at `model_max_length` pieces (tokenizer_config.json).
    """

    def __init__(self, bundle: Path, graph: str = f"{GRAPHS}/model.onnx") -> None:
        names = json.loads((bundle / CONFIG).read_text(encoding="utf-8"))["id2label"]
        self.labels = [names[str(number)] for number in range(len(names))]
        self.tokenizer = Tokenizer.from_file(str(bundle / TOKENIZER))
        longest = json.loads((bundle / TOKENIZER_CONFIG).read_text(encoding="utf-8"))["model_max_length"]
        self.tokenizer.enable_truncation(longest)
        self.session = open_session((bundle / graph).read_bytes(), "cpu", threads=1, where=graph)
        self.inputs = [port.name for port in self.session.session.get_inputs()]

    def read(self, text: str) -> Reading:
        """The pieces and entities of a text."""
        encoded = self.tokenizer.encode(text)
        rows = {"input_ids": encoded.ids, "attention_mask": encoded.attention_mask, "token_type_ids": encoded.type_ids}
        feeds = {name: np.array([rows[name]], dtype=np.int64) for name in self.inputs}
        (logits,) = self.session.run([LOGITS], feeds)
        best = [self.labels[number] for number in logits[0].argmax(axis=1)]
        return Reading(encoded.ids, encoded.offsets, join_pieces(encoded, best))


def join_pieces(encoded: Encoding, labels: Sequence[str]) -> list[Span]:
    """Joins pieces like `aggregation_strategy="simple"`: an entity ends before O, B-TYPE or another type.

    Special pieces do not count.
    """
    entities: list[Span] = []
    previous = ""
    for label, (start, end), special in zip(labels, encoded.offsets, encoded.special_tokens_mask, strict=True):
        if special:
            continue
        prefix, kind = split_tag(label)
        if prefix == "I" and kind == previous:
            entities[-1] = entities[-1]._replace(end=end)
        elif label != OUTSIDE:
            entities.append(Span(start, end, kind))
        previous = kind
    return entities


def measure_clients(
    bundle: Path, variants: Iterable[str], dev: Iterable[Sequence[Sentence]], test: Iterable[Sequence[Sentence]]
) -> dict[str, ClientF1]:
    """The F1 that such clients get with each of these variants, by name; without fp16, which they use only on GPUs."""
    return {variant: client_f1(bundle, variant, dev, test) for variant in variants if variant != "fp16"}


def client_f1(
    bundle: Path, variant: str, dev: Iterable[Sequence[Sentence]], test: Iterable[Sequence[Sentence]]
) -> ClientF1:
    """The F1 that a client without fpplm gets with a variant, one sentence at a time; uses all cores."""
    file = open_bundle(bundle).config.graphs[variant]
    client, scores = GenericClient(bundle, file), []
    for split in (dev, test):
        counts: list[Counts] = []
        for part in split:
            texts = [text_of(sentence) for sentence in part]
            gold = [over_characters(spans, words) for spans, (_, words) in zip(gold_spans(part), texts, strict=True)]
            with ThreadPoolExecutor(cores()) as workers:
                readings = workers.map(client.read, (text for text, _ in texts))
                counts += (span_counts(g, r.entities) for g, r in zip(gold, readings, strict=True))
        scores.append(sum_counts(counts).f1)
    return ClientF1(file, *scores)


def over_characters(spans: Sequence[Span], words: Sequence[Range]) -> list[Span]:
    """Spans over the characters of a text, from spans over its words."""
    return [Span(words[span.start][0], words[span.end - 1][1], span.type) for span in spans]
