"""`spacy debug data` on damaged corpora.

It gives counts and no places, so that each damage is shown to it alone, and what counts is what it says beyond what it
says of the clean corpus. Its files are what `fpplm convert` writes; where that refuses a copy, they are made of the
words and tags as spaCy's own converter does it. Every word of the clean train has a vector, which is more than any
vectors in use give, so that its check of words without vectors sees each word that a damage makes.
"""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.studies.damaging.apart import APART, type_gone
from benchmarks.studies.damaging.corpus import SEED, Corpus, Damage, damaged, files_of, is_document
from benchmarks.studies.damaging.inside import INSIDE
from benchmarks.studies.damaging.unreadable import UNREADABLE
from fpplm_core.data.conversion import convert
from fpplm_core.data.options import Options
from fpplm_core.errors import DataError

# What spaCy's debug data warns of where there is a component `ner`, all of it: by name, the message and whether more of
# it counts as a find (a number before it or behind it), or only that it is there.
SPACY_CHECKS = {
    "no evaluation docs": (r"No evaluation docs", False),
    "train and dev overlap": (r"(\d+) training examples also in evaluation data", True),
    "under 2,000 examples": (r"⚠ Low number of examples to train a new pipeline", False),
    "under 100 examples": (r"✘ Low number of examples to train a new pipeline", False),
    "misaligned tokens": (r"(\d+) misaligned tokens in the \w+ data", True),
    "words without vectors": (r"(\d+) words in training data without vectors", True),
    "missing values": (r"(\d+) missing value\(s\)", True),
    "empty label": (r"Empty label found in train data", False),
    "model labels not in train": (r"Some model labels are not present in the train data", False),
    "white space entities": (r"(\d+) invalid whitespace entity spans", True),
    "50 examples of a label or fewer": (r"Low number of examples for label '.*'", False),
    "no text without a label": (r"No examples for texts WITHOUT new label '.*'", False),
    "entities across sentences": (r"(\d+) entity span\(s\) crossing sentence boundaries", True),
}
NO_DOC, STOPPED = "error, no Doc is made", "error, no report"
LANGUAGES = {"uner_pt_bosque": "pt", "uner_zh_gsdsimp": "zh"}


class Spacy:
    """`spacy debug data` with a small configuration, labels and vectors of a clean corpus."""

    def __init__(self, folder: Path, work: Path) -> None:
        work.mkdir(parents=True)
        self.work, self.lang = work, LANGUAGES.get(folder.name, "en")
        self.config = work / "config.cfg"
        self._spacy("init", "config", str(self.config), "--pipeline", "ner", "--lang", self.lang)
        corpus = Corpus(folder, random.Random(SEED))
        clean = work / "clean"
        corpus.write(clean)
        self.files = self.save(corpus, clean)
        self._vectors(self.files["train"], work / "vectors")
        self._spacy("init", "labels", str(self.config), str(work / "labels"), *self._paths(self.files))
        self.with_labels = work / "labels.cfg"
        read = f'@readers = "spacy.read_labels.v1"\npath = "{work / "labels" / "ner.json"}"'
        self.with_labels.write_text(
            f"{self.config.read_text()}\n[initialize.components.ner]\n\n[initialize.components.ner.labels]\n{read}\n"
        )
        self.clean = self.ask(self.files, labels=False), self.ask(self.files, labels=True)

    def _spacy(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        plain = {"WASABI_LOG_FRIENDLY": "1", "PYTHONIOENCODING": "utf-8", "OMP_NUM_THREADS": "1", "COLUMNS": "500"}
        command = [sys.executable, "-m", "spacy", *arguments]
        env = os.environ | plain
        return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", env=env, check=False)

    def _paths(self, files: dict[str, Path]) -> list[str]:
        paths = [f"--paths.{split}={path}" for split, path in files.items()]
        vectors = self.work / "vectors"
        return [*paths, f"--initialize.vectors={vectors}"] if vectors.exists() else paths

    def _vectors(self, train: Path, target: Path) -> None:
        import numpy
        import spacy
        from spacy.tokens import DocBin
        from spacy.vectors import Vectors

        nlp = spacy.blank(self.lang)
        docs = DocBin().from_disk(train).get_docs(nlp.vocab)
        words = sorted({token.text for doc in docs for token in nlp.make_doc(doc.text)})
        for word in words:
            nlp.vocab.strings.add(word)
        nlp.vocab.vectors = Vectors(strings=nlp.vocab.strings, data=numpy.ones((len(words), 4), "f"), keys=words)
        nlp.to_disk(target)

    def save(self, corpus: Corpus, folder: Path) -> dict[str, Path]:
        """train and dev as .spacy; raises ValueError where spaCy makes no Doc of the tags."""
        made = {}
        for split in ("train", "dev"):
            made[split] = folder / f"{split}.spacy"
            try:
                convert(files_of(folder)[split], made[split], Options())
            except DataError:
                self._docs(corpus, split).to_disk(made[split])
        return made

    def _docs(self, corpus: Corpus, split: str) -> Any:
        """The words and tags as Docs, a sentence each; two that an entity joins become one, with their border."""
        from spacy.tokens import Doc, DocBin
        from spacy.vocab import Vocab

        vocab, found = Vocab(), DocBin(attrs=["ENT_IOB", "ENT_TYPE", "SENT_START"])
        sentences = [s for s in corpus.splits[split] if not is_document(s)]
        for sentence, behind in pairwise([*sentences, []]):
            if sentence is corpus.crossing:
                continue
            rows = [*sentence, *behind] if behind and behind is corpus.crossing else sentence
            tags = ["" if row[-1] == "-" else row[-1] for row in rows]  # as a Doc has it where none was given
            spaces = [row is not corpus.cut for row in rows]
            starts = [number in (0, len(sentence)) for number in range(len(rows))]
            words = [row[0].encode("utf-8", "surrogateescape").decode("utf-8") for row in rows]
            found.add(Doc(vocab, words=words, spaces=spaces, ents=tags, sent_starts=starts))
        return found

    def ask(self, files: dict[str, Path], labels: bool) -> Counter[str]:
        """By check, or by check and label, the number that it gives; 1 where it is said without one."""
        config = self.with_labels if labels else self.config
        done = self._spacy("debug", "data", str(config), *self._paths(files), "--verbose")
        counts: Counter[str] = Counter()
        for line in done.stdout.split("\n"):
            for name, (pattern, counted) in SPACY_CHECKS.items():
                if match := re.search(pattern, line):
                    counts[name if counted else f"{name}: {match[0]}"] += int(match[1]) if counted else 1
        if "Named Entity Recognition" not in done.stdout:
            counts[STOPPED] += 1
        return counts


def beside(folder: Path, work: Path) -> dict[str, list[str] | None]:
    """By damage, the checks of spaCy that find it where it is alone; None where the corpus has no place for it."""
    tool = Spacy(folder, work)

    def ask(damage: Damage) -> list[str] | None:
        copy = work / damage.name.replace(" ", "_")
        corpus, rows, _ = damaged(folder, [damage], copy)
        if rows[damage.name] is None:
            return None
        try:
            files = tool.save(corpus, copy)
        except ValueError:
            return [NO_DOC]
        labels = damage.apply is type_gone  # of a model that was trained before
        said, clean = tool.ask(files, labels), tool.clean[labels]
        return sorted({name.partition(":")[0] for name, number in said.items() if number > clean[name]})

    damages = [*INSIDE, *APART, *UNREADABLE]
    with ThreadPoolExecutor(2) as pool:
        return dict(zip([d.name for d in damages], pool.map(ask, damages), strict=True))
