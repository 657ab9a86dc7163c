"""Refuses files of known formats that fpplm does not read, with what to give instead."""

from __future__ import annotations

import re
from pathlib import Path

from fpplm_core.errors import DataError

CONLL = "export CoNLL 2002 from WebAnno or INCEpTION instead"
FOREIGN = (
    (re.compile(r"#FORMAT=WebAnno TSV"), "WebAnno TSV", CONLL),
    (re.compile(r'\s*\{\s*"%(?:TYPES|FEATURE_STRUCTURES|VIEWS|HEADER)"'), "UIMA CAS JSON", CONLL),
    (re.compile(r"(?:<\?xml[^>]*>\s*)?<xmi:XMI"), "UIMA CAS XMI", CONLL),
)
PACKED = (b"PK\3\4", b"\x1f\x8b", b"%PDF-", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd", b"7z\xbc\xaf")  # how these begin


def refuse_foreign(path: Path, head: str) -> None:
    """Raises DataError if a file that begins with `head` is of a known format that is not read."""
    if path.is_file():
        with path.open("rb") as stream:
            if stream.read(8).startswith(PACKED):
                raise DataError("a compressed or binary file", where=str(path), do="give the text in it as a text file")
    for pattern, name, do in FOREIGN:
        if pattern.match(head):
            raise DataError(f"{name} is a format that fpplm does not read", where=str(path), do=do)
