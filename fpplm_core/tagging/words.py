"""Splits text into words: the pre-tokeniser of training on texts and of serving."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable

import regex

from fpplm_core.errors import ParamsError

SHOWN = 60  # characters of a word that an error names
Range = tuple[int, int]  # start (included) and end (excluded), in characters
Segmenter = Callable[[str], Iterable[str]]  # a text to its words in order, such as jieba.lcut


# Rule unicode-1. `\w` leaves out combining marks, without which words of Hindi, Arabic or decomposed Latin would fall
# apart. With them go the voicing marks of half-width Katakana, and what chooses a variant of an ideograph.
_MARKS = "".join(chr(code) for code in range(0x300, 0x10000) if unicodedata.category(chr(code))[0] == "M")
_MARKS += "\uff9e\uff9f\U000e0100-\U000e01ef"
# Scripts without spaces between words: Chinese and Japanese, Thai, Lao, Burmese, Khmer.
_UNSPACED = (
    "\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9d"
    "\U00020000-\U000323af\u0e00-\u0eff\u1000-\u109f\ua9e0-\ua9fe\uaa60-\uaa7f\u1780-\u17ff"
)
_CLITIC = r"(?i:['’](?:s|re|ve|ll|d|m|t)\b)"  # English clitics stand alone: John 's
_JOINS = "[-.,:/@&+_]"  # between letters or digits: 1,000  e-mail  U.S
_RULE_1 = rf"""
      {_CLITIC}
    | [{_UNSPACED}][{_MARKS}]*                           # there, a character with its marks is a word
    | (?:[^\W_{_UNSPACED}][{_MARKS}]*)+                  # letters and digits with their marks
      (?:{_JOINS}(?:[^\W_{_UNSPACED}][{_MARKS}]*)+)*
    | \S                                                # any other mark by itself
    """
_WORD_1 = re.compile(_RULE_1, re.VERBOSE | re.IGNORECASE)  # which also takes ι for the mark U+0345: 中ι is one word

# Rule unicode-2: the same words, by the properties of UAX #29, which never cut a grapheme cluster (\X).
_NO_SPACES = rf"[{_UNSPACED}\p{{Han}}]"
_PREFIX = r"\p{GCB=Prepend}"  # such as the Arabic number sign, which encloses the digits behind it
_LETTER = (
    r"[[\p{L}\p{N}\p{WB=ALetter}\p{WB=Hebrew_Letter}\p{WB=Numeric}]"
    rf"--{_NO_SPACES}--\p{{Extended_Pictographic}}--{_PREFIX}]"
)
_EXTEND = r"[\p{WB=Extend}\p{WB=ZWJ}\p{GCB=SpacingMark}]"
_FORMAT = r"[\p{WB=Format}\u200b]"  # soft hyphen, word joiner, direction marks, byte order mark, zero-width space
# Breaks no word that goes on behind it (WB4). Without the two letters in _EXTEND: each would begin a word, and read the
# whole stretch behind it again.
_SILENT = rf"[[{_EXTEND}{_FORMAT}]--{_LETTER}]*+"
_APOSTROPHE = "['’‘＇·\u0387\u055f\u05f4\u2027]"  # MidLetter, MidNumLet and Single_Quote, but for points and colons
_ELIDED = (
    "(?:[cdjlmnst]|(?:jus|lors|puis|quoi)?qu|(?:a|da|de|ne|su)ll)"  # of French and Italian: l' Aquila, dell' Umbria
)
_WORD_2 = regex.compile(
    rf"""
      {_CLITIC}
    | (?i:{_ELIDED}['’](?=[haeiouàâäáèéêëìîïíòôöóùûüúœæ]))
    | (?={_NO_SPACES})\X(?:(?={_EXTEND})\X)*+
    | (?=[0-9\#*]\ufe0f?\u20e3)\X                        # a keycap
    | {_PREFIX}*+{_LETTER}++
      (?:{_SILENT}
        (?:{_JOINS}{_SILENT}
         | (?<!\p{{N}})(?!{_CLITIC}){_APOSTROPHE}(?={_SILENT}[{_LETTER}--\p{{N}}]){_SILENT}    # WB6, WB7
         | (?<=[\p{{WB=Hebrew_Letter}}\p{{M}}])"(?=\p{{WB=Hebrew_Letter}})                      # WB7b, WB7c
        )?
        {_PREFIX}*+{_LETTER}++
      )*+
      {_EXTEND}*+
    | [\p{{Default_Ignorable_Code_Point}}&&{_EXTEND}]++(?!{_EXTEND})(*SKIP)(*FAIL)    # joiners that join nothing
    | \p{{RI}}{{2}}{_EXTEND}*+                            # a flag: \X itself counts all those before it
    | (?!{_FORMAT})\X
    """,
    regex.V1 | regex.VERBOSE,
)
# Characters of which both rules make the same words: then `re`, several times as fast as `regex`, cuts by the first.
_PLAIN = (
    "!-&(-~\u00a1-\u00ac\u00ae-\u00b6\u00b9-\u02af\u0388-\u0482\u048a-\u052f\u0621-\u063a\u0641-\u064a\u1e00-\u1fbc"
    "\u2013\u2014\u201c-\u201e\u2022\u2026\u20ac\u3001\u3002\u3008-\u3011\u3041-\u3096\u30a1-\u30fc\u3400-\u4dbf\u4e00-\u9fff"
    "\uac00-\ud7a3\uff01-\uff06\uff08-\uff5e"
)
_PLAIN_WORD = re.compile(_RULE_1, re.VERBOSE)
_STRETCH = re.compile(rf"(?P<plain>(?:[{_PLAIN}]++(?!\S)\s*+)++)|\S+")
_UNSEEN = regex.compile(rf"[\p{{Cc}}{_FORMAT}[\p{{Default_Ignorable_Code_Point}}--\p{{L}}]]", regex.V1)

_BLANK = "\u115f\u1160\u2800\u3164\uffa0"  # letters of Hangul that fill a place, and a Braille cell without dots

_NO_SPACE = re.compile(r"\S+")
_CHARACTER = re.compile(rf"\S[{_MARKS}]*")
# The name carries a version: a rule that splits differently gets a new name, and old bundles keep theirs.
UNICODE, UNICODE_1, WHITESPACE, CHARACTERS = "unicode-2", "unicode-1", "whitespace-1", "characters-1"
_PATTERNS = {UNICODE_1: _WORD_1, WHITESPACE: _NO_SPACE, CHARACTERS: _CHARACTER}
RULES = (UNICODE, *_PATTERNS)
OWN = "own"  # instead of a rule: words from a user's segmenter, which must be passed to serving


def segment(text: str, rule: str = UNICODE) -> list[Range]:
    """(start, end) of each word, in characters of `text`, from left to right; white space is left out.

    unicode-2     letters, digits and what joins them by UAX #29, and else grapheme clusters: one cluster or syllable
                  where a script has no spaces; leaves out format characters (U+200B, U+FEFF, …) outside words, too
    unicode-1     the rule of earlier bundles, which cuts at joiners and apostrophes, and emoji into their characters
    whitespace-1  what stands between white space
    characters-1  every character with its marks

    The rules are closed: no name makes this function import code. Raises KeyError for another name.
    """
    if rule != UNICODE:
        return [match.span() for match in _PATTERNS[rule].finditer(text)]
    # No rule of UAX #29 looks beyond white space.
    return [
        match.span()
        for stretch in _STRETCH.finditer(text)
        for match in (_PLAIN_WORD if stretch["plain"] else _WORD_2).finditer(text, *stretch.span())
    ]


def segment_with(text: str, segmenter: Segmenter, where: str) -> list[Range]:
    """(start, end) of each word that a segmenter gives, without the white space at their edges.

    Raises ParamsError, naming `where` the segmenter comes from, if it fails, or if its words are not those of the text
    in order, with nothing but white space between them.
    """
    ranges, end = [], 0
    for word in _words(text, segmenter, where):
        start = text.find(word, end)
        if start < 0 or text[end:start].strip():
            what, do = "the segmenter's words are not those of the text", "return them in order, as the text has them"
            raise ParamsError(what, where=where, got=repr(word[:SHOWN]), do=do)
        end = start + len(word)
        ranges.append(strip_range(text, start, end))
    if text[end:].strip():
        what, do = "the segmenter omits the end of the text", "return all that is not white space"
        raise ParamsError(what, where=where, got=repr(text[end:][:SHOWN]), do=do)
    return [(start, end) for start, end in ranges if start < end]


def _words(text: str, segmenter: Segmenter, where: str) -> list[str]:
    try:
        words = list(segmenter(text))
    except Exception as error:  # user code may raise anything
        do = "correct it, or choose another segmenter"
        raise ParamsError("the segmenter failed", where=where, got=repr(error)[:SHOWN], do=do) from error
    for word in words:
        if not isinstance(word, str):
            what, do = "the segmenter returned something other than words", "return strings"
            raise ParamsError(what, where=where, got=repr(word)[:SHOWN], do=do)
    return words


def strip_range(text: str, start: int, end: int) -> Range:
    """The same range without the white space at its edges; empty if there is nothing else in it."""
    inside = text[start:end]
    start += len(inside) - len(inside.lstrip())
    return start, start + len(inside.strip())


def visible_range(text: str, start: int, end: int) -> Range:
    """The same range without white space, control and format characters at its edges; empty if it has no others."""
    while start < end and is_edge(text[start]):
        start += 1
    while start < end and is_edge(text[end - 1]):
        end -= 1
    return start, end


def is_edge(char: str) -> bool:
    """Whether a character is cut off at the edge of a mention, because it is invisible."""
    return char.isspace() or _UNSEEN.match(char) is not None


def is_invisible(word: str) -> bool:
    """Whether a word is invisible. Characters for private use, or of a later Unicode version, may be visible."""
    return all(is_edge(char) or char in _BLANK for char in word)
