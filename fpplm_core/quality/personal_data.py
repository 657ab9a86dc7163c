"""Personal data in a text with a space between its words, by rules with few false alarms.

e-mail address  in one word
IBAN            two letters and digits in the form of their country, with a valid checksum (python-stdnum)
card number     13 to 19 digits, in groups of four, grouped as on American Express cards, or unbroken; they begin as
                card numbers do and have a valid checksum (Luhn)
IPv4 address    in one word, from 10.0.0.0 to 223.255.255.255 and not of this machine (127): versions, sections and the
                numbers of enzymes begin lower
phone number    + and 8 to 15 digits in groups; of North America (area code, three digits, four digits); or 6 to 15
                digits behind a word such as phone, fax or Tel.

Only the first two characters of a find are shown, because reports are kept and sent.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from itertools import accumulate

from stdnum import iban, luhn

# For RE2: a text without a match contains nothing of the list above.
LIKELY = r"@|\d\.\d{1,3}\.\d|\d(?:[ ()./-]{0,4}\d){5}|[A-Z]{2}\d{2} ?[A-Z0-9]{4}"
_SHORTEST_IBAN = 15  # Norway's
_IBAN = re.compile(r"(?<![^\W_])[A-Z]{2}\d{2}(?: ?[A-Z0-9]){11,30}")
_EMAIL = re.compile(r"(?<![\w.+-])\w[\w.+-]*@(?:[^\W_][\w-]*\.)+[^\W\d_]{2,}(?![\w@])")
_CARD = re.compile(
    r"(?<![\w.,])(?:\d{4}([ -])\d{4}\1\d{4}\1\d{1,4}(?:\1\d{3})?|\d{4}([ -])\d{6}\2\d{5}|\d{13,19})(?![\w]|[.,]\d)"
)
_CARD_BEGIN = re.compile(r"4|5[1-5]|2[2-7]|3[47]|3[068]|6011|6[245]|35")
_IP = re.compile(r"(?<![\w.])(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})(?![\w]|\.\d)")
_PHONES = (
    re.compile(r"(?<![\w+])\+ ?[1-9]\d{0,14}(?:[ ()./-]{1,4}\d{1,12}){0,6}(?![\w]|[.,]\d)"),
    re.compile(r"(?<![\w.-])(?:\( ?[2-9]\d{2} ?\) ?|[2-9]\d{2} ?[.-] ?)[2-9]\d{2} ?[.-] ?\d{4}(?![\w]|-|\.\d)"),
    re.compile(
        r"(?i)(?<!\w)(?:tel|telephone|telefono|teléfono|telefone|telefon|tél|téléphone|phone|fax|mobile|celular|"
        r"whatsapp|电话|手机|传真)(?: ?(?:no|nr|number))?(?: ?[.:：])*[ ]?"
        r"([+(]?[ ]?\d(?:[ ()./-]{0,3}\d){5,14})(?![\w])"
    ),
)


def find(words: list[str]) -> Iterator[tuple[int, str]]:
    """The first word (from 0) and the kind of each find. Of overlapping finds, the first in the list above counts."""
    text = " ".join(words)
    starts = [0, *accumulate(len(word) + 1 for word in words)]
    taken: list[tuple[int, int]] = []  # in order, none overlaps another
    for start, end, what in _all(text):
        place = bisect_left(taken, (start, end))
        if not any(start < other and end > one for one, other in taken[max(0, place - 1) : place + 1]):
            taken.insert(place, (start, end))
            yield bisect_right(starts, start) - 1, f"{what} ({text[start : start + 2]}…)"


def _all(text: str) -> Iterator[tuple[int, int, str]]:
    yield from ((*match.span(), "an e-mail address") for match in _EMAIL.finditer(text))
    for match in _IBAN.finditer(text):
        if end := _iban(match[0]):
            yield match.start(), match.start() + end, "an IBAN"
    for match in _CARD.finditer(text):
        digits = re.sub(r"\D", "", match[0])
        if 13 <= len(digits) <= 19 and _CARD_BEGIN.match(digits) and luhn.is_valid(digits):
            yield *match.span(), "a card number"
    for match in _IP.finditer(text):
        parts = [int(part) for part in match.groups()]
        if max(parts) < 256 and 10 <= parts[0] < 224 and parts[0] != 127:
            yield *match.span(), "an IP address"
    for number, pattern in enumerate(_PHONES):
        for match in pattern.finditer(text):
            found = match.span(pattern.groups)  # the number after a word such as phone
            if number or _international(match[0]):
                yield *found, "a phone number"


def _iban(text: str) -> int:
    """The end of an IBAN at the beginning of the text, which is the end of a word; 0 if there is none."""
    ends = (place for place in range(_SHORTEST_IBAN, len(text) + 1) if place == len(text) or text[place] == " ")
    return next((end for end in ends if iban.is_valid(text[:end], check_country=False)), 0)


def _international(text: str) -> bool:
    return 8 <= len(re.sub(r"\D", "", text)) <= 15
