"""The body of `:classify`: a `tf.Example` for each image, as objects of features."""

from __future__ import annotations

import msgspec

from serving.core.errors import InvalidParameterError
from serving.protocols.json_values import decode
from serving.protocols.tensorflow_rest.encoded_images import Encoded, check_count, check_images
from serving.protocols.tensorflow_rest.signatures import CLASSIFY, ENCODED_FEATURE

_OBJECTS_PER_IMAGE = 100
"""Features of an example that are objects, most of which nobody reads."""


class _Example(msgspec.Struct):
    encoded: Encoded | list[Encoded] | None = msgspec.field(name=ENCODED_FEATURE, default=None)


class _Body(msgspec.Struct):
    signature_name: str | None = None
    context: _Example = msgspec.field(default_factory=_Example)
    examples: msgspec.Raw = msgspec.Raw()


def read_classify(content: bytes, max_images: int) -> list[bytes]:
    """Return the encoded images of a request.

    Args:
        content: The body. Features other than the image have no effect, as in the exported models.
        max_images: Largest number of images.

    Raises:
        ServingError: The body is not JSON, or no request of the signature `classify`.
    """
    check_count(content, max_images, _OBJECTS_PER_IMAGE)
    body = decode(content, _Body, "the body")
    if body.signature_name is not None and body.signature_name != CLASSIFY:
        raise InvalidParameterError(
            f"no signature {body.signature_name[:100]!r} answers :classify; {CLASSIFY}, the default, does"
        )
    if not body.examples:
        raise InvalidParameterError("a request of :classify has 'examples', a list of objects")
    examples = decode(body.examples, list[_Example], "examples")
    shared = _image(body.context, "context")
    images = []
    for number, example in enumerate(examples):
        where = f"examples[{number}]"
        own = _image(example, where)
        if own is not None and shared is not None:
            raise InvalidParameterError(f"{where}: the feature {ENCODED_FEATURE!r} is in the context, too")
        image = shared if own is None else own
        if image is None:
            raise InvalidParameterError(
                f'{where} has no feature {ENCODED_FEATURE!r}, which is {{"b64": "<base64>"}} with an encoded image'
            )
        images.append(image)
    return check_images(images, max_images)


def _image(example: _Example, where: str) -> bytes | None:
    values = example.encoded
    if values is None:
        return None
    if isinstance(values, Encoded):
        return values.b64
    if len(values) != 1:
        raise InvalidParameterError(f"{where}: the feature {ENCODED_FEATURE!r} has one image; got {len(values)}")
    return values[0].b64
