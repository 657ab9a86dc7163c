"""The faults of a word by itself."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from itertools import groupby

import regex
from ftfy import fix_encoding
from ftfy.badness import is_bad

from fpplm_core.errors import shown
from fpplm_core.tagging.scripts import script_of
from fpplm_core.tagging.words import is_invisible

# C0 and C1 controls, the replacement character, and noncharacters.
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffd\ufffe\uffff]")
_MARK = "\ufeff"
# What shows nothing, but for marks such as variation selectors, the tags of flags, Mongolian's vowel separator, and
# joiners where words need them: after a virama (Malayalam), before a mark of a script (the ya-phala of Bengali), beside
# a letter of a cursive script, between two of them, before a suffix and at an abbreviation's end (Persian), and within
# an emoji.
_CURSIVE = r"[\p{jt=Dual_Joining}\p{jt=Right_Joining}\p{jt=Left_Joining}]"
_ZERO_WIDTH = regex.compile(
    rf"""
    [\p{{Default_Ignorable_Code_Point}}--[\p{{L}}\p{{M}}\u180e\u200c\u200d\U000e0020-\U000e007f]]
    | (?<! [[\p{{L}}\p{{M}}]&&\p{{Mongolian}}]) \u180e | \u180e (?! [\p{{L}}&&\p{{Mongolian}}])
    | (?<! \p{{ccc=9}}) [\u200c\u200d]
      (?<! [\p{{L}}\p{{M}}] (?: \u200c (?=[\p{{M}}--\p{{Inherited}}]) | \u200d (?=\p{{ccc=9}}) )
         | {_CURSIVE} \p{{jt=Transparent}}* (?: \u200c (?=[\p{{L}}\p{{N}}]) | \u200d (?={_CURSIVE}|\p{{P}}|\Z) )
         | (?: [\p{{L}}\p{{N}}] \p{{M}}* | [\p{{P}}\p{{S}}] ) \u200c (?={_CURSIVE})
         | [\p{{Extended_Pictographic}}\p{{Emoji_Modifier}}\ufe0f] \u200d (?=\p{{Extended_Pictographic}}) )
    """,
    regex.V1 | regex.VERBOSE,
)
_LATIN_ALIKE = set("AaBCcEeHKMOoPpTXxy")  # Latin letters that look like Cyrillic or Greek ones
_ALIKE = {"Cyrillic": set("АаВСсЕеНКМОоРрТХхуІіЈјЅѕ"), "Greek": set("ΑΒΕΖΗΙΚΜΝΟοΡΤΥΧ")}


@lru_cache(100_000)
def normal_form(word: str) -> str:
    """NFC or NFD if the word is in that form only, "mixed" if it is in neither.

    If both forms are the same, "" if the word is in them, else "replaced".
    """
    composed, decomposed = unicodedata.normalize("NFC", word), unicodedata.normalize("NFD", word)
    if composed == decomposed:
        return "" if word == composed else "replaced"
    return {composed: "NFC", decomposed: "NFD"}.get(word, "mixed")


@lru_cache(100_000)
def word_faults(word: str, form: str, twins: frozenset[str]) -> dict[str, str]:
    """The faults of a word by check, in a corpus of this normal form with these twins."""
    if not word.strip():
        return {"empty_word": "a word without a visible character"}
    found = {}
    if _CONTROL.search(word):
        found["control_character"] = f"control or replacement character: {word!a}"
    if is_invisible(word):
        return found | {"invisible_word": f"only invisible characters: {word!a}"}
    if _MARK in word:
        found["byte_order_mark"] = f"byte order mark: {word!a}"
    elif _ZERO_WIDTH.search(word):
        found["zero_width"] = f"zero-width character: {word!a}"
    if "control_character" not in found and (reason := mojibake(word)):
        found["mojibake"] = reason
    if normal_form(word) == "replaced":
        if (twin := unicodedata.normalize("NFC", word)) in twins:
            found["not_normalised"] = f"{word!a} is one of several forms of {twin!a} in this corpus"
    elif normal_form(word) not in ("", form):
        found["not_normalised"] = f"{word!a} is not in {form}, unlike most words"
    if reason := _mixed(word):
        found["mixed_script"] = reason
    return found


def mojibake(text: str) -> str:
    """Why a text looks wrongly decoded; "" if it does not."""
    mended = fix_encoding(text) if is_bad(text) else text
    return f"{shown(text)} looks like {shown(mended)} decoded wrongly" if mended != text else ""


def _mixed(word: str) -> str:
    """Describes look-alike letters of another script in a word; "" if there are none."""
    for is_letters, group in groupby(word, str.isalpha):
        run = "" if not is_letters else "".join(group)
        if run.isascii():
            continue
        scripts = [script_of(char) for char in run]
        for other, alike in _ALIKE.items():
            few = "Latin" if 3 <= scripts.count(other) > scripts.count("Latin") else other
            odd = {char for char, script in zip(run, scripts, strict=True) if script == few}
            if {"Latin", other} <= set(scripts) and odd <= (_LATIN_ALIKE if few == "Latin" else alike):
                chars = ", ".join(f"{char} U+{ord(char):04X}" for char in sorted(odd))
                return f"{few} letters in a {other if few == 'Latin' else 'Latin'} word: {shown(word)} ({chars})"
    return ""
