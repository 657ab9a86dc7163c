"""What can be wrong with annotated data, as tables with one column a check.

A check's column holds, for every row, what is wrong with it in words, after file and line, or None. Whoever checks
the tables (Great Expectations in the pipeline) needs one rule only: these columns are empty. What a row stands for is
its index, by which a project can expect more of its data:

tokens     one row a word; no more of it
sentences  one row a sentence: split, words, pieces (how many)
documents  one row a document of dev and test: split, sentences (how many)
mentions   one row a distinct mention: mention (its words, with blanks between), count (how often it is tagged)
splits     one row a split and type, and one a split: split, type (missing in a split's own row), count (of entities)
"""

from fpplm_core.quality.advice import ADVICE
from fpplm_core.quality.document_table import DOCUMENT_CHECKS, documents
from fpplm_core.quality.figures import statistics
from fpplm_core.quality.mention_table import MENTION_CHECKS, mentions
from fpplm_core.quality.sentence_table import SENTENCE_CHECKS, sentences
from fpplm_core.quality.split_table import SPLIT_CHECKS, drift, splits
from fpplm_core.quality.stream import Corpus
from fpplm_core.quality.token_table import TOKEN_CHECKS, tokens

__all__ = ["ADVICE", "CHECKS", "Corpus", "documents", "drift", "mentions", "sentences", "splits",
           "statistics", "tokens"]  # fmt: skip

CHECKS = {
    "tokens": TOKEN_CHECKS,
    "sentences": SENTENCE_CHECKS,
    "documents": DOCUMENT_CHECKS,
    "mentions": MENTION_CHECKS,
    "splits": SPLIT_CHECKS,
}
