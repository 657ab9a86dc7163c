"""Flair's SequenceTagger: the tagger's encoder, and the tagger's own linear head on each word's first piece.

It gets the words as they are; out come spans with label, score and offsets. The tags are those that the head finds
likeliest, word by word. Not comparable: it has no constraints on sequences of tags, and no CRF.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).parents[2])  # instead of this folder, where a file is named as the library
from benchmarks.harness import arm, tagging

tagging.offline()
import flair
import torch
from flair.data import Dictionary, Sentence
from flair.embeddings import TransformerWordEmbeddings
from flair.models import SequenceTagger
from transformers import AutoModelForTokenClassification


def prepare(task: dict[str, Any]) -> tuple[dict[str, arm.Job], dict[str, Any]]:
    torch.set_num_threads(tagging.THREADS)
    flair.device = torch.device(task["device"])
    tagger = build(Path(task["folder"], "hf"))

    def tag(texts: Any, size: int) -> list[Any]:
        sentences = [Sentence(words) for words in texts]
        tagger.predict(sentences, mini_batch_size=size)
        found = (sentence.get_spans("ner") for sentence in sentences)
        return [[(s.start_position, s.end_position, s.tag, s.score) for s in spans] for spans in found]

    return tagging.jobs(tag, tagging.words(task))


def build(folder: Path) -> SequenceTagger:
    """The tagger of a Hugging Face folder."""
    trained = AutoModelForTokenClassification.from_pretrained(folder)
    tags = Dictionary(add_unk=False)
    for number in range(trained.config.num_labels):
        tags.add_item(trained.config.id2label[number])
    embeddings = TransformerWordEmbeddings(str(folder), layers="-1", subtoken_pooling="first", fine_tune=True)
    tagger = SequenceTagger(embeddings, tags, "ner", use_rnn=False, use_crf=False, reproject_embeddings=False)
    tagger.linear.load_state_dict(trained.classifier.state_dict())
    return tagger.eval()


if __name__ == "__main__":
    arm.serve(prepare, ["flair", "transformers", "tokenizers", "torch"])
