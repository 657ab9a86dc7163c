"""Makes glibc keep freed memory."""

from __future__ import annotations

import ctypes


def keep_freed_memory() -> None:
    """Makes glibc keep freed memory: each step needs the same sizes, and new pages cost a tenth of its time."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):  # glibc alone has it; its numbers for the two are those of malloc.h
        mmap_threshold, trim_threshold = -3, -1
        libc.mallopt(mmap_threshold, 32 * 2**20)  # bytes; the most that it takes
        libc.mallopt(trim_threshold, 2**31 - 1)
