"""Multipart forms: which parts are images, and that a form stops to be read at its first mistake."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from serving.core.errors import InvalidParameterError, MalformedRequestError, ServingError, UnsupportedMediaTypeError
from serving.protocols.rest.form_body import images_from_form

TYPE = "multipart/form-data; boundary=b"
FILE = b'Content-Disposition: form-data; name="image"; filename="image.jpg"'
FIELD = b'Content-Disposition: form-data; name="image"'
CHUNK = 1000


def form(*parts: tuple[bytes, bytes]) -> bytes:
    return b"".join(b"--b\r\n%b\r\n\r\n%b\r\n" % part for part in parts) + b"--b--\r\n"


class Body:
    """A form that arrives in chunks.

    Attributes:
        read: Bytes that were read.
    """

    def __init__(self, content: bytes) -> None:
        self.read = 0
        self._content = content

    async def chunks(self) -> AsyncIterator[bytes]:
        while self.read < len(self._content):
            chunk = self._content[self.read : self.read + CHUNK]
            self.read += len(chunk)
            yield chunk


def images(content: bytes | Body, content_type: str = TYPE) -> list[bytes]:
    body = content if isinstance(content, Body) else Body(content)
    return asyncio.run(images_from_form(content_type, body.chunks(), max_images=3))


def test_files_are_images_under_any_name_and_in_any_size() -> None:
    contents = [b"", b"a", bytes(range(256)) * 20]
    assert images(form(*((FILE, content) for content in contents))) == contents


@pytest.mark.parametrize("media_type", [b"image/jpeg", b"image/x-png", b"IMAGE/WEBP; q=1", b"application/octet-stream"])
def test_a_part_without_a_file_name_is_an_image_if_its_type_says_so(media_type: bytes) -> None:
    assert images(form((FIELD + b"\r\nContent-Type: " + media_type, b"abc"))) == [b"abc"]


@pytest.mark.parametrize("headers", [FIELD, FIELD + b"\r\nContent-Type: text/plain", FIELD + b"\r\nContent-Type: a/b"])
def test_a_text_field_is_refused_by_its_name(headers: bytes) -> None:
    for parts in ([(headers, b"3")], [(headers, b"3"), (FILE, b"abc")], [(FILE, b"abc"), (headers, b"3")]):
        with pytest.raises(InvalidParameterError, match="form field 'image' is not a file"):
            images(form(*parts))


@pytest.mark.parametrize("encoding", [b"base64", b"quoted-printable", b"gzip"])
def test_an_encoded_part_is_refused_with_the_reason(encoding: bytes) -> None:
    with pytest.raises(UnsupportedMediaTypeError, match=encoding.decode()):
        images(form((FILE + b"\r\nContent-Transfer-Encoding: " + encoding, b"YWJj")))
    assert images(form((FILE + b"\r\nContent-Transfer-Encoding: binary", b"abc"))) == [b"abc"]


@pytest.mark.parametrize(
    "content_type",
    ["multipart/form-data", "multipart/form-data; boundary=", "multipart/form-data; boundary=" + "b" * 10_000],
)
def test_a_form_without_a_sound_boundary_is_malformed(content_type: str) -> None:
    with pytest.raises(MalformedRequestError, match="the form cannot be read"):
        images(form((FILE, b"abc")), content_type)


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        pytest.param((b"--b\r\n" + FILE + b"\r\n\r\n\r\n") * 100_000, InvalidParameterError, id="many empty parts"),
        pytest.param(b"--b\r\n\r\n\r\n" * 100_000, MalformedRequestError, id="many parts without a name"),
        pytest.param(b"--b\r\n" + b"h: v\r\n" * 100_000, MalformedRequestError, id="many headers of a part"),
        pytest.param(b"--b\r\nh: " + b"v" * 1_000_000, MalformedRequestError, id="a header of a part without end"),
        pytest.param(b"--b\r\n" + b"h" * 1_000_000, MalformedRequestError, id="a name of a header without end"),
        pytest.param(b"-" * 1_000_000, MalformedRequestError, id="no boundary"),
    ],
)
def test_the_first_mistake_of_a_form_ends_the_reading(content: bytes, kind: type[ServingError]) -> None:
    body = Body(content)
    with pytest.raises(kind):
        images(body)
    assert body.read < 50_000


def test_bytes_behind_the_closing_boundary_belong_to_no_image() -> None:
    assert images(form((FILE, b"abc")) + form((FILE, b"other")) + b"\r\n--b" * 1000) == [b"abc"]
