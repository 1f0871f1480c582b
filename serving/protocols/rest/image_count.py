"""The answer to too many images, the same for every form of a body."""

from __future__ import annotations

from serving.core.errors import InvalidParameterError


def too_many_images(max_images: int, received: str) -> InvalidParameterError:
    """Return the error.

    Args:
        max_images: Largest number of images of a request.
        received: What the request has instead.
    """
    return InvalidParameterError(f"a request may have at most {max_images} images; got {received}")
