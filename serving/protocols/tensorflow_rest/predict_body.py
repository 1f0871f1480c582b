"""The body of `:predict`: images by row (`instances`) or by column (`inputs`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from serving.core.errors import InvalidParameterError
from serving.protocols.json_values import decode
from serving.protocols.rest.image_count import too_many_images
from serving.protocols.tensorflow_rest.encoded_images import Encoded, check_count, check_images
from serving.protocols.tensorflow_rest.pixels import pixels_from_lists
from serving.protocols.tensorflow_rest.signatures import CLASSIFY, ENCODED, INPUTS, PIXELS

Images: TypeAlias = list[bytes] | NDArray[np.uint8]

_OBJECTS_PER_IMAGE = 2  # {"image_bytes": {"b64": "..."}}
_FORMS = 'nested lists of pixels, or {"b64": "<base64>"} with an encoded image'


@dataclass(frozen=True)
class PredictRequest:
    """What a client asks.

    Attributes:
        images: Encoded images, or pixels, uint8 [N, ...].
        is_by_row: Whether the images came as `instances`, so that the scores go back as `predictions`.
    """

    images: Images
    is_by_row: bool


class _Body(msgspec.Struct):
    signature_name: str | None = None
    instances: msgspec.Raw = msgspec.Raw()
    inputs: msgspec.Raw = msgspec.Raw()


class _Instance(msgspec.Struct, forbid_unknown_fields=True):
    b64: bytes | None = None
    image_bytes: Encoded | None = None
    images: msgspec.Raw = msgspec.Raw()


class _Columns(msgspec.Struct, forbid_unknown_fields=True):
    image_bytes: msgspec.Raw = msgspec.Raw()
    images: msgspec.Raw = msgspec.Raw()


def read_predict(content: bytes, max_images: int) -> PredictRequest:
    """Read the body of a request.

    Args:
        content: The body. Fields that TensorFlow Serving does not know are ignored, as TensorFlow Serving does.
        max_images: Largest number of images.

    Raises:
        ServingError: The body is not JSON, or no request of a signature that clients may ask for.
    """
    body = decode(content, _Body, "the body")
    is_by_row = bool(body.instances)
    if is_by_row == bool(body.inputs):
        received = "both" if is_by_row else "neither"
        raise InvalidParameterError(f"a request has either 'instances' or 'inputs'; got {received}")
    images = _rows(bytes(body.instances), max_images) if is_by_row else _columns(bytes(body.inputs), max_images)
    if body.signature_name is not None:
        _check_signature(body.signature_name, images)
    return PredictRequest(images, is_by_row)


def _check_signature(name: str, images: Images) -> None:
    if name not in INPUTS:
        hint = "; use :classify" if name == CLASSIFY else ""
        raise InvalidParameterError(
            f"no signature {name[:100]!r} answers :predict{hint}; {PIXELS} takes pixels, and {ENCODED} encoded images"
        )
    fitting = PIXELS if isinstance(images, np.ndarray) else ENCODED
    if name != fitting:
        raise InvalidParameterError(f"{name} takes {INPUTS[name]}; the images of the request are for {fitting}")


def _rows(text: bytes, max_images: int) -> Images:
    """Read instances: pixels, encoded images, or objects with the name of the input."""
    if not _has_objects(text):
        return _images(text, "instances", max_images)
    check_count(text, max_images, _OBJECTS_PER_IMAGE)
    instances = decode(text, list[_Instance], "instances")
    if len(instances) > max_images:
        raise too_many_images(max_images, str(len(instances)))
    encoded: list[bytes] = []
    pixels: list[NDArray[np.uint8]] = []
    for number, instance in enumerate(instances):
        where = f"instances[{number}]"
        if sum(map(bool, (instance.b64 is not None, instance.image_bytes, instance.images))) != 1:
            raise InvalidParameterError(f"{where} has exactly one of 'b64', 'image_bytes' and 'images'")
        if instance.images:
            pixels.append(pixels_from_lists(bytes(instance.images), f"{where}.images"))
        else:
            encoded.append(instance.image_bytes.b64 if instance.image_bytes else instance.b64 or b"")
    if not pixels:
        return check_images(encoded, max_images)
    if encoded:
        raise InvalidParameterError("instances are all encoded, or all pixels; got both")
    return _stack(pixels)


def _stack(images: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    if others := [image.shape for image in images if image.shape != images[0].shape]:
        raise InvalidParameterError(f"instances have the same shape; got {list(images[0].shape)} and {list(others[0])}")
    return np.stack(images)


def _columns(text: bytes, max_images: int) -> Images:
    """Read inputs: pixels or encoded images, without the name of the input or in an object with the name."""
    if not text.startswith(b"{"):
        return _images(text, "inputs", max_images)
    columns = decode(text, _Columns, "inputs")
    if bool(columns.images) == bool(columns.image_bytes):
        raise InvalidParameterError("inputs has either 'images' or 'image_bytes'")
    if columns.images:
        return _pixels(bytes(columns.images), "inputs.images", max_images)
    return _encoded(bytes(columns.image_bytes), "inputs.image_bytes", max_images)


def _images(text: bytes, where: str, max_images: int) -> Images:
    return (_encoded if _has_objects(text) else _pixels)(text, where, max_images)


def _encoded(text: bytes, where: str, max_images: int) -> list[bytes]:
    check_count(text, max_images, _OBJECTS_PER_IMAGE)
    return check_images([image.b64 for image in decode(text, list[Encoded], where)], max_images)


def _pixels(text: bytes, where: str, max_images: int) -> NDArray[np.uint8]:
    if not text.startswith(b"[") or b'"' in text:
        raise InvalidParameterError(f"{where}: images are a list, of {_FORMS}")
    return pixels_from_lists(text, where, max_images=max_images)


def _has_objects(text: bytes) -> bool:
    return text[1:].lstrip().startswith(b"{")
