"""spaCy with spacy-transformers: the tagger's encoder, and a transition-based entity recogniser that listens to it.

It gets the words as they are, in spaCy's default windows of 128 words; out come entities with label and offsets,
without scores. Not comparable: the recogniser knows the labels and is not trained, so what it finds (half of the words)
means nothing, only how fast; each word takes one transition, whatever is found.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).parents[2])  # instead of this folder, where a file is named as the library
from benchmarks.harness import arm, tagging

tagging.offline()
import spacy
import torch
from spacy.tokens import Doc
from spacy.training import Example
from spacy.util import fix_random_seed

TYPES = ["PER", "LOC", "ORG", "MISC"]
# As spaCy's own configuration of a transformer with "ner" has it (`spacy init config --pipeline ner --gpu`).
HEAD = {
    "@architectures": "spacy.TransitionBasedParser.v2",
    "state_type": "ner",
    "extra_state_tokens": False,
    "hidden_width": 64,
    "maxout_pieces": 2,
    "use_upper": False,
    "tok2vec": {
        "@architectures": "spacy-transformers.TransformerListener.v1",
        "pooling": {"@layers": "reduce_mean.v1"},
    },
}


def prepare(task: dict[str, Any]) -> tuple[dict[str, arm.Job], dict[str, Any]]:
    torch.set_num_threads(tagging.THREADS)
    fix_random_seed(0)
    if task["device"] == "cuda":
        spacy.require_gpu()
    nlp = spacy.blank("en")
    encoder = {"@architectures": "spacy-transformers.TransformerModel.v3", "name": str(Path(task["folder"], "hf"))}
    nlp.add_pipe("transformer", config={"model": encoder})
    recogniser = nlp.add_pipe("ner", config={"model": HEAD})
    for name in TYPES:
        recogniser.add_label(name)
    texts = tagging.words(task)
    nlp.initialize(lambda: [Example.from_dict(Doc(nlp.vocab, words=texts[0]), {"entities": []})])

    def tag(texts: Any, size: int) -> list[Any]:
        docs = nlp.pipe((Doc(nlp.vocab, words=words) for words in texts), batch_size=size)
        return [[(entity.start_char, entity.end_char, entity.label_) for entity in doc.ents] for doc in docs]

    return tagging.jobs(tag, texts)


if __name__ == "__main__":
    arm.serve(prepare, ["spacy", "spacy-transformers", "transformers", "tokenizers", "torch"])
