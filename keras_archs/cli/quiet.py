"""Starting Keras and its backend without the chatter."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_LEVEL = "TF_CPP_MIN_LOG_LEVEL"


def import_keras() -> None:
    """Imports Keras and its backend. TensorFlow stays silent unless TF_CPP_MIN_LOG_LEVEL says otherwise."""
    if _LEVEL in os.environ:
        import keras
    else:
        os.environ[_LEVEL] = "3"  # for everything after the import
        with _discarded_stderr():
            import keras  # noqa: F401


@contextmanager
def _discarded_stderr() -> Iterator[None]:
    """Discards what is written to file descriptor 2.

    TensorFlow's C++ libraries log some lines while they are loaded, before they obey any variable.
    """
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
