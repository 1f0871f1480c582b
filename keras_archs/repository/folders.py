"""Folders that survive a failure of power, and that one process has at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

LOCK: Final = ".lock"
"""Name of the file in a folder that `locked` locks."""


def flush(path: Path) -> None:
    """Force the content of a file, or the names in a folder, to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def locked(folder: Path, does: str) -> Iterator[None]:
    """Keep other processes out while the `with` block runs; the lock ends with the process, however it ends.

    Args:
        folder: A folder that exists.
        does: What a process does there, for the error, e.g. "trains".

    Raises:
        ValueError: Another process has the folder.
    """
    import fcntl  # not on Windows, where the other parts of the package still work

    descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ValueError(f"{folder} is in use: another process {does} there") from error
        yield
    finally:
        os.close(descriptor)
