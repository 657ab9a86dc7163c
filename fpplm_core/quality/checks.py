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

from __future__ import annotations

from fpplm_core.quality.columns import Corpus
from fpplm_core.quality.document_table import DOCUMENT_CHECKS, documents
from fpplm_core.quality.mention_table import MENTION_CHECKS, mentions
from fpplm_core.quality.sentence_table import SENTENCE_CHECKS, sentences
from fpplm_core.quality.split_table import SPLIT_CHECKS, drift, splits
from fpplm_core.quality.statistics import statistics
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


ADVICE = {
    "malformed_tag": (
        "a tag is neither O nor PREFIX-TYPE, or its prefix is not of the tag scheme",
        "mend the tag, or name the right data.tag_column or data.scheme",
    ),
    "illegal_transition": (
        "a tag cannot follow the one before it, so where the entity begins is unsure",
        "mend the tags, or set data.repair",
    ),
    "empty_word": (
        "a word has no visible character",
        "remove the row, or name the right data.word_column or data.separator",
    ),
    "control_character": (
        "a character that no text has, or U+FFFD in place of one that was lost",
        "export the text again from its source; a lost character cannot be brought back",
    ),
    "invisible_word": (
        "a word shows nothing, so that the model learns a label of nothing",
        "remove the word from the text",
    ),
    "byte_order_mark": (
        "files were joined, and the mark at the beginning of one is now inside a word",
        "remove U+FEFF, or export without a byte order mark",
    ),
    "zero_width": (
        "an invisible character makes another word of a known one",
        "remove the character, here and in serving",
    ),
    "mojibake": (
        "text in UTF-8 was read as another encoding, and each such word is one that serving never shows",
        "export the text again as UTF-8, or repair it: ftfy.fix_encoding",
    ),
    "not_normalised": (
        "the same letters are written in two ways (NFC and NFD), which are different words to a model",
        "bring all text into one form: unicodedata.normalize('NFC', text)",
    ),
    "mixed_script": (
        "a letter of another script looks like the right one, and makes another word of it",
        "type the word again in one script",
    ),
    "unknown_pieces": (
        "the encoder cannot read the word: it has no piece, or only the unknown one",
        "take an encoder for this language (model.encoder); a few emoji or rare signs do no harm",
    ),
    "personal_data": (
        "an e-mail address, phone or card number, IBAN or IP address, which the model and reports may give away",
        "replace it by an invented one of the same form, or have its use allowed",
    ),
    "entity_edge": (
        "an entity begins or ends with punctuation, most often by a slip of the annotator",
        "move the edge of the entity, or take the mark for a part of it everywhere",
    ),
    "duplicate": (
        "a sentence counts twice",
        "remove the copies, unless the text repeats itself",
    ),
    "conflicting_duplicate": (
        "the same sentence is tagged in two ways, one of which is wrong",
        "decide on one, and mend the other",
    ),
    "near_duplicate": (
        "two sentences differ by few words, so that they count nearly twice",
        "keep one of each group, unless the text repeats itself",
    ),
    "leakage": (
        "the model is tested on what it has learned: its score is too good",
        "remove it from train",
    ),
    "near_leakage": (
        "the model is tested on nearly what it has learned: its score is too good",
        "remove the sentence from train, or cut the splits by documents",
    ),
    "long_sentence": (
        "the sentence does not fit a window; it is tagged in windows that overlap",
        "nothing for a few; else cut the sentences, or raise encode.window",
    ),
    "merged_sentence": (
        "a sentence is far longer than the others: an empty line is missing",
        "part it into sentences",
    ),
    "long_word": (
        "words or lines are glued together",
        "part the word, or name the right data.separator",
    ),
    "foreign_script": (
        "a sentence is in a script that the corpus hardly has, and perhaps not meant to be there",
        "remove it, or add more text of that language",
    ),
    "document_leakage": (
        "a document of dev or test is in train, or is there twice: scores are too good",
        "remove the document from one split",
    ),
    "conflicting_mention": (
        "a mention has one type nearly always, and another one here: often a slip",
        "look at the rarest reading, and mend it or leave it",
    ),
    "untagged_mention": (
        "words that are tagged elsewhere are not tagged here: often forgotten",
        "look at the place, and tag it or leave it",
    ),
    "empty_split": (
        "nothing can be learned or measured there",
        "name the right file, or tag it",
    ),
    "few_sentences": (
        "so few sentences are learned by heart",
        "annotate more of them",
    ),
    "label_drift": (
        "a split has other types than train, so that its score says little about the others",
        "cut the splits anew from all data (data.dev: null, data.test: null), or know why",
    ),
    "always_present": (
        "no sentence is without: the model does not learn, and the score not show, when to tag nothing",
        "add sentences without entities as they come",
    ),
    "unknown_type": (
        "a type of dev or test that train never shows cannot be learned",
        "mend the type's name, or add examples",
    ),
    "few_examples": (
        "so few examples of a type teach little",
        "annotate more of it, or merge it with another",
    ),
    "few_test_examples": (
        "the score of the type hangs on a handful of mentions, and a floor for it (gate) says nothing",
        "add sentences with it to this split, or exempt it: gate.type_f1",
    ),
}
