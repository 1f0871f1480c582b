"""Networks whose weights have shapes but no values, for counting; the package's only import of private Keras names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import requires

import keras

try:
    from keras.src.backend.common.global_state import get_global_attribute
except ImportError as error:
    _SUPPORTED = next(filter(re.compile(r"keras\s*[<>=!~]").match, requires("keras-archs") or ()), "keras")
    raise ImportError(
        f"Keras {keras.__version__} has moved `get_global_attribute`, which counting without weights needs; "
        f"install a version that keras-archs supports: pip install '{_SUPPORTED}'"
    ) from error


@contextmanager
def weightless() -> Iterator[None]:
    """Build networks without allocating their weights, within the context.

    Such a network can be inspected and counted. It cannot compute, and cannot be given values later.
    """
    # Keras lists variables without values, and initialises all of them when the next StatelessScope ends, e.g. during
    # an export: without the deletion below, every network ever counted would be allocated then. There is no public
    # access to the list.
    uninitialized = get_global_attribute("uninitialized_variables", [], set_to_default=True)
    before = len(uninitialized)
    try:
        with keras.StatelessScope(initialize_variables=False):
            yield
    finally:
        del uninitialized[before:]
