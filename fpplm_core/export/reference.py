"""The reference sketch of a bundle, which `fpplm drift` compares with what the bundle sees in service."""

from __future__ import annotations

from itertools import chain

from fpplm_core.export.parity import Parts, with_documents
from fpplm_core.serving import Predictor
from fpplm_core.serving.sketch import Sketch
from fpplm_core.tagging.spans import types_of

MOST = 20_000  # sentences of train, spread evenly: more make the reference no better


def reference_sketch(predictor: Predictor, train: Parts, *held_out: Parts) -> Sketch:
    """The sketch of the training data: words of all splits, but predictions of dev and test alone.

    On train a tagger finds more, and is surer of it, than on texts that it has not learned from.
    """
    sketch = Sketch(types_of([predictor.labels]))
    size = sum(map(len, train))
    step = -(-size // MOST)
    for number, sentence in enumerate(chain.from_iterable(train)):
        if number % step == 0:
            sketch.add(sentence.words, predictor.builder, None, sentence.document)
    for part in chain.from_iterable(held_out):
        tagged = predictor.tag(*with_documents(part))
        for sentence, spans in zip(part, tagged, strict=True):
            sketch.add(sentence.words, predictor.builder, spans, sentence.document)
    return sketch
