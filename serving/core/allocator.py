"""Give the memory of large blocks back to the operating system as soon as they are free."""

from __future__ import annotations

import ctypes
from typing import Final

_M_MMAP_THRESHOLD: Final = -3  # glibc, malloc.h
_LARGE: Final = 1 << 20


def return_large_blocks() -> None:
    """Let the C library map blocks of 1 MB and more separately, and unmap them when they are freed, in this process.

    Otherwise glibc adapts to freed blocks of up to 32 MB: it takes such blocks from a heap for each thread, and keeps
    them there. Threads that decode large images then keep more than twice the memory that decoding takes at any time.
    Other C libraries have no such setting.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _LARGE)
