"""What code leaves to the garbage collector: objects that refer to each other, which only a collection frees."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def cyclic_garbage(*packages: str) -> Iterator[set[str]]:
    """Yield a set; at the end of the block it gets the kinds of the packages' objects that a collection would free."""
    found: set[str] = set()
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        yield found
        gc.collect()
        kinds = (type(value) for value in gc.garbage)
        found |= {kind.__qualname__ for kind in kinds if kind.__module__.split(".")[0] in packages}
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
