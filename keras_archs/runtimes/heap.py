"""Memory that the C library keeps after it has been freed."""

import ctypes


def give_back_memory() -> None:
    """Return freed memory to the system, where the C library has a function for it (glibc); this takes milliseconds.

    A conversion allocates several times the size of the weights in small pieces, which the C library would keep.
    """
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
        trim(0)
