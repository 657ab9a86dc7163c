"""Makes text of unknown origin safe to show: in a terminal or log, and in Markdown.

Words, types, file names and messages come from whoever annotated the data. HTML pages escape by jinja2's autoescape.
"""

from __future__ import annotations

import re

# Control characters (a terminal obeys them), halves of surrogate pairs (no file or terminal takes them), line and
# paragraph separators, and marks that change the direction of text (what is shown is not what is there).
UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
MARKUP = re.compile(r"[\\`*_~|\[\]<>&#+\-.:@$)]")  # dots and colons: bare addresses become links
ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}  # for renderers that let HTML through


def printable(text: str) -> str:
    r"""The text in one line, with each unsafe character as Python writes it: `\x1b`, `\n`, `\u202e`."""
    return UNSAFE.sub(lambda found: ascii(found[0])[1:-1], text)


def markdown(text: str) -> str:
    """The text as Markdown that shows it as it is: nothing in it is markup, HTML or a link.

    A backslash before punctuation is no more than that (CommonMark 0.31, section 2.4).
    """
    return MARKUP.sub(lambda found: ENTITIES.get(found[0], f"\\{found[0]}"), printable(text))
