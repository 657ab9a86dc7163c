"""The checks of annotated data, each defined once.

Every table of this package (`token_table` and the others) has one column for each of its checks. A cell holds file,
line and what is wrong with its row, or None. Whatever validates the tables (Great Expectations in the pipeline) needs
only one rule: these columns are empty. The index of a table describes its rows, so that a project can add expectations:

tokens     one row per word, without an index
sentences  one row per sentence: split, words, pieces (how many)
documents  one row per document of dev and test: split, sentences (how many)
mentions   one row per distinct mention: mention (its words, joined by blanks), count (how often it is tagged)
splits     one row per split and one per split and type: split, type (missing in a split's own row), count (entities)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

MIN_TEST_EXAMPLES = 10  # mentions of a type in dev or test
Table = Literal["tokens", "sentences", "documents", "mentions", "splits"]
Severity = Literal["error", "warning", "off"]  # an error stops the pipeline, a warning is counted


@dataclass(frozen=True)
class Check:
    """What can be wrong with the rows of a table, how severe it is by default, and what to do about it."""

    name: str
    table: Table
    meaning: str
    advice: str
    severity: Severity = "warning"


CHECKS: tuple[Check, ...] = (
    Check(
        "malformed_tag",
        "tokens",
        "a tag is neither O nor PREFIX-TYPE, the tag scheme has no such prefix, or the type has an unsuitable name",
        "correct the tag or the name of the type, or set the right data.tag_column or data.scheme",
        "error",
    ),
    Check(
        "illegal_transition",
        "tokens",
        "a tag cannot follow the one before it, so it is unclear where the entity begins",
        "correct the tags, or set data.repair",
        "error",
    ),
    Check(
        "empty_word",
        "tokens",
        "a word has no visible character",
        "remove the row, or set the right data.word_column or data.separator",
        "error",
    ),
    Check(
        "control_character",
        "tokens",
        "a control character, or U+FFFD in place of a character that was lost",
        "export the text again from its source; a lost character cannot be restored",
        "error",
    ),
    Check(
        "invisible_word",
        "tokens",
        "a word is invisible, so the model learns a label for nothing",
        "remove the word from the text",
    ),
    Check(
        "byte_order_mark",
        "tokens",
        "a byte order mark stands inside a word, because files were joined",
        "remove U+FEFF, or export without a byte order mark",
    ),
    Check(
        "zero_width",
        "tokens",
        "an invisible character turns a known word into another one",
        "remove the character, in training and in serving",
    ),
    Check(
        "mojibake",
        "tokens",
        "UTF-8 was decoded with another encoding; such a word never occurs in serving",
        "export the text again as UTF-8, or repair it with ftfy.fix_encoding",
    ),
    Check(
        "not_normalised",
        "tokens",
        "the same letters are written in two forms (such as NFC and NFD), which are different words to a model",
        "convert all text to one form with unicodedata.normalize('NFC', text)",
    ),
    Check(
        "mixed_script",
        "tokens",
        "a letter of another script looks like the right one and makes it a different word",
        "retype the word in one script",
    ),
    Check(
        "unknown_pieces",
        "tokens",
        "the encoder cannot represent the word: it has no piece, or only the unknown one",
        "use an encoder for this language (model.encoder); a few emoji or rare signs do no harm",
    ),
    Check(
        "personal_data",
        "tokens",
        "an e-mail address, phone or card number, IBAN or IP address, which the model and reports may disclose",
        "replace it with an invented one of the same form, or obtain permission to use it",
    ),
    Check(
        "entity_edge",
        "tokens",
        "an entity begins or ends with punctuation, usually by mistake",
        "move the edge of the entity, or include the mark everywhere",
    ),
    Check(
        "duplicate",
        "sentences",
        "a sentence occurs twice in a split and counts twice",
        "remove the copies, unless the text repeats itself",
    ),
    Check(
        "conflicting_duplicate",
        "sentences",
        "the same sentence has two different taggings, one of which is wrong",
        "choose one of them and correct the other",
    ),
    Check(
        "near_duplicate",
        "sentences",
        "two sentences of a split differ in few words and count nearly twice",
        "keep one of each group, unless the text repeats itself",
    ),
    Check(
        "leakage",
        "sentences",
        "a sentence of dev or test is also in train, which makes the score too good",
        "remove it from train",
    ),
    Check(
        "near_leakage",
        "sentences",
        "a sentence of dev or test is nearly the same as one in train, which makes the score too good",
        "remove the sentence from train, or split by documents",
    ),
    Check(
        "long_sentence",
        "sentences",
        "the sentence does not fit a window and is tagged in overlapping windows",
        "ignore a few; otherwise split the sentences, or raise encode.window",
    ),
    Check(
        "merged_sentence",
        "sentences",
        "a sentence is far longer than the others: an empty line is probably missing",
        "split it into sentences",
    ),
    Check(
        "long_word",
        "sentences",
        "a word is so long that words or lines are probably joined",
        "split the word, or set the right data.separator",
    ),
    Check(
        "foreign_script",
        "sentences",
        "a sentence is in a script that hardly occurs in the corpus, and may not belong there",
        "remove it, or add more text in that script",
    ),
    Check(
        "document_leakage",
        "documents",
        "a document of dev or test is in train, wholly or in part, or occurs twice, which makes the score too good",
        "remove the document from one split",
    ),
    Check(
        "conflicting_mention",
        "mentions",
        "a mention that nearly always has one type has another one here, often by mistake",
        "check the rarest reading, and correct or keep it",
    ),
    Check(
        "untagged_mention",
        "mentions",
        "words that are tagged elsewhere are not tagged here, often by mistake",
        "check the place, and tag it or leave it",
    ),
    Check(
        "empty_split",
        "splits",
        "a split has no sentence or no entity: nothing can be learned or measured",
        "name the right file, or annotate it",
        "error",
    ),
    Check(
        "few_sentences",
        "splits",
        "train has so few sentences that the model memorises them",
        "annotate more sentences",
    ),
    Check(
        "label_drift",
        "splits",
        "the distribution of types differs from train's, so the score says little about data like train",
        "split all data anew (data.dev: null, data.test: null), unless there is a reason",
    ),
    Check(
        "always_present",
        "splits",
        "every sentence has an entity, so neither training nor the score covers sentences without one",
        "add sentences without entities as they occur",
    ),
    Check(
        "unknown_type",
        "splits",
        "a type of dev or test never occurs in train and cannot be learned",
        "correct the name of the type, or add examples to train",
        "error",
    ),
    Check(
        "unlisted_type",
        "splits",
        "a type is not in data.types",
        "correct the name of the type, or add it to data.types",
        "error",
    ),
    Check(
        "few_examples",
        "splits",
        "a type has few examples in train",
        "annotate more of them, or merge the type with another",
    ),
    Check(
        "few_test_examples",
        "splits",
        f"a type has fewer than {MIN_TEST_EXAMPLES} mentions in dev or test: its score or floor means little",
        "add sentences with it to the split, or exempt it with gate.type_f1",
    ),
)
BY_NAME = {check.name: check for check in CHECKS}
TABLES: tuple[Table, ...] = tuple(dict.fromkeys(check.table for check in CHECKS))


def check_names(table: Table) -> list[str]:
    """The names of a table's checks."""
    return [check.name for check in CHECKS if check.table == table]
