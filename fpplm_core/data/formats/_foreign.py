"""Refuses files of known formats that fpplm does not read, by their name, with what to export instead."""

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


def refuse_foreign(path: Path, head: str) -> None:
    """Raises DataError if a file that begins with `head` is of a known format that is not read."""
    for pattern, name, do in FOREIGN:
        if pattern.match(head):
            raise DataError(f"{name} is a format that fpplm does not read", where=str(path), do=do)
