"""Files that are damaged at one place, as transfers, editors and scripts damage them."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from random import Random

EVERYTHING = 10**9  # records: what a file that was cut off has lost, nobody can know
NUMBERS = ["-1", "1e3", "1.5", "99999999999999999999", '"7"', "null", "true", "[]", "{}"]
BYTES = b'\x00\xff\xfe\xc3\x28\n\r\t "{}[],:\\|#-BIO_*()0'


def mutated(source: Path, target: Path, chance: Random) -> int:
    """Writes a damaged copy of a file or folder; how many of its records that may have touched."""
    if source.is_dir():
        shutil.copytree(source, target)
        victim = chance.choice(sorted(target.iterdir()))
        if chance.random() < 0.1:
            victim.unlink()
            return 1
        raw = victim.read_bytes()
        data, touched = _damage(raw, chance)
        victim.write_bytes(data)
        return min(touched, 1)
    data, touched = _damage(source.read_bytes(), chance)
    target.write_bytes(data)
    return touched


def _damage(raw: bytes, chance: Random) -> tuple[bytes, int]:
    kind = chance.choice(_BINARY if b"\0" in raw[:4096] or not _is_text(raw) else _TEXT)
    return kind(raw, chance)


def _is_text(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


def _flip(raw: bytes, chance: Random) -> tuple[bytes, int]:
    place = chance.randrange(max(1, len(raw)))
    return raw[:place] + bytes([chance.choice(BYTES)]) + raw[place + 1 :], 3


def _flip_bit(raw: bytes, chance: Random) -> tuple[bytes, int]:
    place = chance.randrange(max(1, len(raw)))
    return raw[:place] + bytes([raw[place] ^ 1 << chance.randrange(8)]) + raw[place + 1 :], 0


def _insert(raw: bytes, chance: Random) -> tuple[bytes, int]:
    place = chance.randrange(len(raw) + 1)
    return raw[:place] + bytes([chance.choice(BYTES)]) + raw[place:], 3


def _delete(raw: bytes, chance: Random) -> tuple[bytes, int]:
    place = chance.randrange(max(1, len(raw)))
    return raw[:place] + raw[place + 1 :], 3


def _cut(raw: bytes, chance: Random) -> tuple[bytes, int]:
    return raw[: chance.randrange(len(raw))], EVERYTHING


def _lines(change):
    def damage(raw: bytes, chance: Random) -> tuple[bytes, int]:
        lines = raw.splitlines(keepends=True) or [b""]
        return b"".join(change(lines, chance.randrange(len(lines)), chance)), 3

    return damage


def _drop(lines, at, chance):
    return lines[:at] + lines[at + 1 :]


def _double(lines, at, chance):
    return lines[: at + 1] + lines[at:]


def _swap(lines, at, chance):
    return lines[: max(0, at - 1)] + lines[max(0, at - 1) : at + 1][::-1] + lines[at + 1 :]


def _number(lines, at, chance):
    """A number becomes another one, or something else."""
    found = list(re.finditer(rb"\b\d+\b", lines[at]))
    if not found:
        return lines
    match = chance.choice(found)
    other = chance.choice(NUMBERS).encode()
    return [*lines[:at], lines[at][: match.start()] + other + lines[at][match.end() :], *lines[at + 1 :]]


def _key(lines, at, chance):
    """A JSON key gets another name."""
    found = list(re.finditer(rb'"(\w+)":', lines[at]))
    if not found:
        return lines
    match = chance.choice(found)
    return [*lines[:at], lines[at][: match.start(1)] + b"other" + lines[at][match.end(1) :], *lines[at + 1 :]]


def _windows(raw: bytes, chance: Random) -> tuple[bytes, int]:
    return raw.replace(b"\n", b"\r\n"), 0


def _mark(raw: bytes, chance: Random) -> tuple[bytes, int]:
    return b"\xef\xbb\xbf" + raw, 0


def _nested(raw: bytes, chance: Random) -> tuple[bytes, int]:
    place = chance.randrange(len(raw) + 1)
    return raw[:place] + b"[" * 100_000 + raw[place:], 3


_TEXT = [
    *[_flip, _insert, _delete] * 3,
    _cut,
    *[_lines(change) for change in (_drop, _double, _swap, _number, _number, _key, _key)],
    _windows,
    _mark,
    _nested,
]
_BINARY = [_flip_bit, _flip, _insert, _delete, _cut]
