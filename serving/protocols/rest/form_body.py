"""Images from a multipart form (RFC 7578): every file is an image, under any field name."""

from __future__ import annotations

from collections.abc import AsyncIterator

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from serving.core.errors import InvalidParameterError, MalformedRequestError, UnsupportedMediaTypeError
from serving.protocols.rest.image_count import too_many_images

_PLAIN_TRANSFER_ENCODINGS = (b"", b"7bit", b"8bit", b"binary")


async def images_from_form(content_type: str, body: AsyncIterator[bytes], max_images: int) -> list[bytes]:
    """Return the files of a form, and stop to read at its first mistake.

    Files stay in memory: the limit on the body bounds them, and a full disk cannot fail the request.

    Args:
        content_type: The header, with the boundary between the parts.
        body: The form, in parts.
        max_images: Largest number of files.
    """
    boundary = parse_options_header(content_type)[1].get(b"boundary")
    if not boundary:
        raise MalformedRequestError("the form cannot be read: the Content-Type has no boundary")
    form = _Form(max_images)
    try:
        parser = MultipartParser(
            boundary,
            {
                "on_part_begin": form.on_part_begin,
                "on_header_field": form.on_header_field,
                "on_header_value": form.on_header_value,
                "on_header_end": form.on_header_end,
                "on_headers_finished": form.on_headers_finished,
                "on_part_data": form.on_part_data,
                "on_end": form.on_end,
            },
        )
        async for content in body:
            parser.write(content)
    except FormParserError as error:
        raise MalformedRequestError("the form cannot be read: it is not valid multipart/form-data") from error
    if not form.is_complete:
        raise MalformedRequestError("the form ends without its closing boundary")
    if not form.files:
        raise InvalidParameterError("a request needs at least one image; the form has no files")
    return [bytes(file) for file in form.files]


class _Form:
    """What a parser has read of a form.

    Attributes:
        files: Contents of the files.
        is_complete: Whether the closing boundary has arrived.
    """

    def __init__(self, max_images: int) -> None:
        self.files: list[bytearray] = []
        self.is_complete = False
        self._max_images = max_images
        self._headers: dict[bytes, bytes] = {}
        self._name = b""
        self._value = b""

    def on_part_begin(self) -> None:
        if len(self.files) == self._max_images:
            raise too_many_images(self._max_images, "a form with more fields")
        self.files.append(bytearray())
        self._headers = {}

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def on_header_end(self) -> None:
        self._headers[self._name.lower()] = self._value.strip()
        self._name = self._value = b""

    def on_headers_finished(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition"))
        if b"name" not in options:
            raise MalformedRequestError("the form cannot be read: a field has no name")
        name = options[b"name"].decode(errors="replace")
        encoding = self._headers.get(b"content-transfer-encoding", b"").lower()
        if encoding not in _PLAIN_TRANSFER_ENCODINGS:
            raise UnsupportedMediaTypeError(
                f"form field {name[:100]!r} has the Content-Transfer-Encoding {encoding.decode('latin-1')[:100]!r}; "
                "send the bytes of the image as they are"
            )
        media_type = self._headers.get(b"content-type", b"text/plain").partition(b";")[0].strip().lower()
        if b"filename" not in options and not media_type.startswith((b"image/", b"application/octet-stream")):
            raise InvalidParameterError(
                f"form field {name[:100]!r} is not a file: it has neither a file name nor an image type. Send images "
                "as files, under any field name, and options in the query"
            )

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        self.files[-1] += data[start:end]

    def on_end(self) -> None:
        self.is_complete = True
