"""Encoded images in JSON, and how many of them a request may have."""

from __future__ import annotations

import msgspec

from serving.core.errors import InvalidImageError, InvalidParameterError
from serving.protocols.rest.image_count import too_many_images


class Encoded(msgspec.Struct, forbid_unknown_fields=True):
    """Bytes in JSON, `{"b64": "<base64>"}`."""

    b64: bytes


def check_count(text: bytes, max_images: int, objects_per_image: int) -> None:
    """Refuse a list with many more objects than images are allowed, before millions of objects are built.

    Args:
        text: The JSON of the list.
        max_images: Largest number of images.
        objects_per_image: Largest number of objects that an image may need.

    Raises:
        InvalidParameterError: There are more opening braces.
    """
    if text.count(b"{") > max_images * objects_per_image:
        raise too_many_images(max_images, "more")


def check_images(images: list[bytes], max_images: int) -> list[bytes]:
    """Return encoded images if there is at least one, none is empty, and there are not too many.

    Raises:
        ServingError: They are not.
    """
    if not images:
        raise InvalidParameterError("a request needs at least one image; got none")
    if len(images) > max_images:
        raise too_many_images(max_images, str(len(images)))
    for number, image in enumerate(images, start=1):
        if not image:
            raise InvalidImageError(f"image {number} is empty")
    return images
