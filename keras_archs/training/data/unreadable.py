"""Why a file cannot be read as an image, in words."""

from __future__ import annotations

from keras_archs.images.errors import ImageError


def why_unreadable(error: ImageError | OSError) -> str:
    """Return a sentence without a path, which is told beside it."""
    return str(error) if isinstance(error, ImageError) else f"{error.strerror or error}."
