"""JSON bodies: what is read, and that the first mistake ends the reading."""

from __future__ import annotations

import base64

import pytest

from serving.core.errors import InvalidParameterError, MalformedRequestError
from serving.protocols.rest.json_body import images_from_json

ABC = b'"YWJj"'


@pytest.mark.parametrize(
    "body",
    [
        b'{"images":["YWJj","YWJj"]}',
        b' { "images" :\n [ "YWJj" ,\t"YWJj" ] } \r\n',
        b'{"im\\u0061ges":["YWJj","YW\\u004aj"]}',
    ],
)
def test_white_space_and_escapes_do_not_matter(body: bytes) -> None:
    assert images_from_json(body, 2) == [b"abc", b"abc"]


@pytest.mark.parametrize("escapes", [{b"/": b"\\/"}, {b"+": b"\\u002B", b"/": b"\\u002f"}])
def test_writers_may_escape_the_characters_of_base64(escapes: dict[bytes, bytes]) -> None:
    image = bytes(range(256)) * 3
    encoded = base64.b64encode(image)
    for character, escaped in escapes.items():
        assert character in encoded
        encoded = encoded.replace(character, escaped)
    assert images_from_json(b'{"images": ["' + encoded + b'"]}', 1) == [image]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"[" * 1000, "got an array"),
        (b"5", "got a number"),
        (b"null", "got null"),
        (b"{}", "needs the field 'images'"),
        (b'{"images": "YWJj"}', "images is an array of images as base64; got a string"),
        (b'{"images": {"0": "YWJj"}}', "got an object"),
        (b'{"images": []}', "at least one"),
        (b'{"images": [5]}', "image 1 is a string with base64; got a number"),
        (b'{"images": ["YWJj", true]}', "image 2 is a string with base64; got true"),
        (b'{"images": ' + b"[" * 1000, "image 1 is a string with base64; got an array"),
        (b'{"images": [' + b",".join([ABC] * 4) + b"]}", "at most 3 images"),
        (b'{"images": ["YWJj"], "top_k": 3}', "top_k: 'images' is the only field"),
        (b'{"top_k": 3, "images": ["YWJj"]}', "top_k: 'images' is the only field"),
        (b'{"images": ["YWJj"], "images": ["YWJj"]}', "more than once"),
        (b'{"' + b"k" * 1000 + b'": 3}', "a name of 1000 bytes"),
    ],
)
def test_json_that_is_no_object_with_images_is_an_invalid_parameter(body: bytes, message: str) -> None:
    with pytest.raises(InvalidParameterError, match=message):
        images_from_json(body, 3)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"images"',
        b'{"images": [',
        b'{"images": ["YWJj',
        b'{"images": ["YWJj"',
        b'{"images": ["YWJj"]',
        b'{"images": ["YWJj"]} {}',
        b'{"images": ["YWJj",]}',
        b'{"images": ["YWJj" "YWJj"]}',
        b'{"images": [NaN]}',
        b"{'images': ['YWJj']}",
        b'{images: ["YWJj"]}',
        b'{"imag\\x": 1}',
        '{"images": ["YWJj"]}'.encode("utf-16"),
    ],
)
def test_a_body_that_is_not_json_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedRequestError, match="invalid JSON"):
        images_from_json(body, 3)


@pytest.mark.parametrize(
    "text", [b"YWJ", b"YWJj=", b"YQ==YQ==", b"YW-_", b"YWJj\\n", b'YW\\"J', b"\\uXYZ", b"data:image/png;base64,YWJj"]
)
def test_text_that_is_not_base64_is_malformed(text: bytes) -> None:
    with pytest.raises(MalformedRequestError, match="image 2 is not standard base64"):
        images_from_json(b'{"images": ["YWJj", "' + text + b'"]}', 3)


@pytest.mark.parametrize(
    ("start", "message"),
    [
        (b'{"images": [1,', "image 1 is a string with base64; got a number"),
        (b'{"k": 1,', "k: 'images' is the only field"),
        (b'{"images": [[', "image 1 is a string with base64; got an array"),
        (b'{"images": ["YWJj"], "images"', "more than once"),
        (b'{"images": ["", "", "", ""', "at most 3 images"),
    ],
)
def test_the_first_mistake_ends_the_reading(start: bytes, message: str) -> None:
    for rest in (b"", b"]}", b"1," * 1000, b"\x00 no JSON", b'"not base64!"'):
        with pytest.raises(InvalidParameterError, match=message):
            images_from_json(start + rest, 3)
