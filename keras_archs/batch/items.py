"""An image of a source: its name in the table of answers, and how to get its bytes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from keras_archs.images.errors import ImageError


@dataclass(frozen=True)
class Item:
    """An image that has not been read yet."""

    path: str
    """Value of the column `path`."""
    read: Callable[[], bytes]
    """Returns the content of the image's file; raises OSError or ImageError if the image cannot be had."""


def damaged(path: str, message: str) -> Item:
    """Return an image that cannot be had, because what it is in is damaged.

    Args:
        path: Value of the column `path`.
        message: Value of the column `error`.
    """

    def fail() -> bytes:
        raise ImageError(message)

    return Item(path, fail)
