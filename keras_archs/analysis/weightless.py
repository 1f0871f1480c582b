"""Networks whose weights have shapes but no values: enough to count what they cost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import keras
from keras.src.backend.common import global_state


@contextmanager
def weightless() -> Iterator[None]:
    """Within it, networks are built without giving their weights values, which takes neither time nor memory.

    They are for looking at, and cannot be given values later.
    """
    # Keras keeps what has no values yet, to give it some whenever the next scope ends: those of every network that was
    # ever counted, in the midst of exporting a small one. There is no public way to the list.
    pending = global_state.get_global_attribute("uninitialized_variables", [], set_to_default=True)
    others = len(pending)
    try:
        with keras.StatelessScope(initialize_variables=False):
            yield
    finally:
        del pending[others:]
