"""Import Keras and TensorFlow, and start Ray, without the log lines of their C++ libraries."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_LOG_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
_RAY_LOG_LEVEL = "RAY_BACKEND_LOG_LEVEL"


def import_keras() -> None:
    """Import Keras and its backend, quietly."""
    with quiet_tensorflow():
        import keras  # noqa: F401


@contextmanager
def quiet_tensorflow() -> Iterator[None]:
    """Silence TensorFlow while the `with` block imports it, and afterwards; TF_CPP_MIN_LOG_LEVEL, if set, decides."""
    if _LOG_LEVEL in os.environ:
        yield
        return
    os.environ[_LOG_LEVEL] = "3"  # errors only, for the log lines after the import
    with _discarded_stderr():
        yield


@contextmanager
def quiet_ray() -> Iterator[None]:
    """Silence Ray while the `with` block connects to it, and afterwards; RAY_BACKEND_LOG_LEVEL, if set, decides.

    Otherwise each run logs an error because of the way in which Ray Data creates actors.
    """
    if _RAY_LOG_LEVEL in os.environ:
        yield
        return
    os.environ[_RAY_LOG_LEVEL] = "fatal"
    with _discarded_stderr():  # where Ray logs that the variable is set
        yield


@contextmanager
def _discarded_stderr() -> Iterator[None]:
    """Discard everything that is written to file descriptor 2.

    TensorFlow's C++ libraries log some lines while they are loaded, before they read TF_CPP_MIN_LOG_LEVEL.
    """
    sys.stderr.flush()
    original = os.dup(2)
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, 2)
        yield
    finally:
        os.dup2(original, 2)
        os.close(original)
        os.close(null)
