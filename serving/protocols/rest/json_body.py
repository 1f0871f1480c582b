"""Images from JSON, `{"images": ["<base64>", ...]}`, read without building what the body describes.

A general parser would turn 20 MB of JSON into gigabytes of objects, and report each of a million mistakes. This one
knows the only object that is allowed, decodes each string where it stands, and stops at the first mistake.
"""

from __future__ import annotations

import json
import re

from serving.core.errors import InvalidParameterError, MalformedRequestError
from serving.protocols.base64_text import from_base64
from serving.protocols.rest.image_count import too_many_images

_SPACE = re.compile(rb"[ \t\n\r]*")
_KINDS = {b"{": "an object", b"[": "an array", b'"': "a string", b"t": "true", b"f": "false", b"n": "null"}
_NUMBER = b"-0123456789"
_LONGEST_KEY = 200
_KEY = "images"


def images_from_json(content: bytes, max_images: int) -> list[bytes]:
    """Return the images of a JSON body.

    Args:
        content: The body.
        max_images: Largest number of images.

    Raises:
        MalformedRequestError: The body is not JSON, or a string is not base64.
        InvalidParameterError: The body is another object, or has no images or too many.
    """
    text = _Text(content)
    if not text.takes(b"{"):
        raise InvalidParameterError(f"the body is an object with the field {_KEY!r}; got {text.kind()}")
    if text.takes(b"}"):
        raise InvalidParameterError(f"the body needs the field {_KEY!r}, an array of images as base64")
    _check_key(text.string(longest=_LONGEST_KEY))
    text.expect(b":")
    images = _images(text, max_images)
    if text.takes(b","):
        _check_key(text.string(longest=_LONGEST_KEY))
        raise InvalidParameterError(f"the field {_KEY!r} is given more than once")
    text.expect(b"}")
    text.expect_end()
    return images


def _check_key(key: bytes) -> None:
    try:
        name = _unescape(key).decode(errors="replace")
    except ValueError as error:
        raise MalformedRequestError(f"invalid JSON: a name has an invalid escape: {error}") from error
    if name != _KEY:
        raise InvalidParameterError(f"{name}: {_KEY!r} is the only field; options go into the query")


def _images(text: _Text, max_images: int) -> list[bytes]:
    if not text.takes(b"["):
        raise InvalidParameterError(f"{_KEY} is an array of images as base64; got {text.kind()}")
    images: list[bytes] = []
    if text.takes(b"]"):
        raise InvalidParameterError(f"{_KEY} has at least one image; got none")
    while True:
        if len(images) == max_images:
            raise too_many_images(max_images, "more")
        number = len(images) + 1
        if not text.is_at(b'"'):
            raise InvalidParameterError(f"image {number} is a string with base64; got {text.kind()}")
        images.append(_decode(number, text.string()))
        if not text.takes(b","):
            text.expect(b"]")
            return images


def _decode(number: int, encoded: bytes) -> bytes:
    try:
        return from_base64(_unescape(encoded))
    except ValueError as error:
        raise MalformedRequestError(
            f"image {number} is not standard base64 (no data: prefix, no line breaks): {error}"
        ) from error


def _unescape(string: bytes) -> bytes:
    """Return the UTF-8 text of a JSON string; some writers escape slash and plus.

    Raises:
        ValueError: An escape is invalid.
    """
    return string if b"\\" not in string else str(json.loads(b'"' + string + b'"')).encode(errors="replace")


class _Text:
    """JSON text, and the position up to which it has been read."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._position = 0
        self._skip_space()

    def is_at(self, token: bytes) -> bool:
        """Return whether this token is next."""
        return self._content.startswith(token, self._position)

    def takes(self, token: bytes) -> bool:
        """Read this token if it is next."""
        if not self.is_at(token):
            return False
        self._position += len(token)
        self._skip_space()
        return True

    def expect(self, token: bytes) -> None:
        """Read this token."""
        if not self.takes(token):
            raise self._malformed(f"expected {token.decode()!r}")

    def expect_end(self) -> None:
        """Check that nothing follows."""
        if self._position < len(self._content):
            raise self._malformed("expected the end")

    def kind(self) -> str:
        """Return what begins at the position, in words."""
        first = self._content[self._position : self._position + 1]
        if first and first in _NUMBER:
            return "a number"
        if first not in _KINDS:
            raise self._malformed("expected a value")
        return _KINDS[first]

    def string(self, longest: int | None = None) -> bytes:
        """Read a string, and return what stands between its quotes, escapes included.

        An escaped quote ends the string too: neither base64 nor an allowed key contains a quote.
        """
        if not self.is_at(b'"'):
            raise self._malformed("expected a string")
        start = self._position + 1
        end = self._content.find(b'"', start)
        if end < 0:
            raise self._malformed("a string does not end")
        if longest is not None and end - start > longest:
            raise InvalidParameterError(f"{_KEY!r} is the only field; got a name of {end - start} bytes")
        self._position = end + 1
        self._skip_space()
        return self._content[start:end]

    def _skip_space(self) -> None:
        space = _SPACE.match(self._content, self._position)
        self._position = space.end() if space else self._position

    def _malformed(self, problem: str) -> MalformedRequestError:
        return MalformedRequestError(f"invalid JSON: {problem} at byte {self._position}")
