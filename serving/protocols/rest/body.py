"""Encoded images from a request body: raw bytes, multipart files, or JSON with base64.

A mistake gets the same answer in each of the three: `malformed-request` for a body that cannot be parsed,
`invalid-parameter` for no images, too many images or an invalid field, `invalid-image` for an empty image.
"""

from __future__ import annotations

from fastapi import Request
from starlette.datastructures import Headers

from serving.core.errors import InvalidImageError, UnsupportedMediaTypeError
from serving.protocols.rest.form_body import images_from_form
from serving.protocols.rest.json_body import images_from_json
from serving.protocols.threads import SMALL_TEXT, run

# types that clients send when they declare none: the bytes decide, as they do for every image type
_UNDECLARED = (
    "",
    "application/octet-stream",
    "binary/octet-stream",
    "application/x-www-form-urlencoded",  # curl --data-binary
    "text/plain",
)


async def read_images(request: Request, max_images: int) -> list[bytes]:
    """Read the encoded images of a request.

    Args:
        request: Request whose body has not been read.
        max_images: Largest number of images.

    Returns:
        1 to `max_images` byte strings, none of them empty.

    Raises:
        ServingError: The body is malformed, has an unsupported media type or an invalid number of images, or an image
            is empty.
    """
    check_encodings(request.headers)
    declared = request.headers.get("content-type", "")
    media_type = declared.partition(";")[0].strip().lower()
    if media_type in _UNDECLARED or media_type.startswith("image/"):
        images = [await read(request)]
    elif media_type == "multipart/form-data":
        images = await images_from_form(declared, request.stream(), max_images)
    elif media_type == "application/json":
        content = await read(request)
        images = await run(lambda: images_from_json(content, max_images), is_small=len(content) <= SMALL_TEXT)
    else:
        raise UnsupportedMediaTypeError(
            f"got {media_type!r}; send an image as image/jpeg or another image type, or images as multipart/form-data "
            "or application/json"
        )
    for number, image in enumerate(images, start=1):
        if not image:
            raise InvalidImageError(f"image {number} is empty")
    return images


def check_encodings(headers: Headers) -> None:
    """Refuse a body that would have to be decompressed."""
    for name, plain in {"content-encoding": "identity", "transfer-encoding": "chunked"}.items():
        received = ", ".join(headers.getlist(name)).strip().lower()
        if received not in ("", plain):
            raise UnsupportedMediaTypeError(f"got {name} {received!r}; send the body without compression")


async def read(request: Request) -> bytes:
    """Return the body, which `request.body()` would also keep until the answer."""
    return b"".join([part async for part in request.stream()])
