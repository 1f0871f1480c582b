"""Requests and answers over HTTP: a JSON object, and behind it the data of tensors as bytes (`binary_tensor_data`).

A general parser would turn 20 MB of JSON into gigabytes of objects. This one builds only what the protocol describes:
the data of a tensor stay text until its shape has told how many elements it must have.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from serving.core.errors import InvalidParameterError, MalformedRequestError
from serving.protocols.base64_text import from_base64
from serving.protocols.json_values import decode
from serving.protocols.open_inference.inputs import Binary, Parameters, Tensor, check_count, check_one_input
from serving.protocols.open_inference.outputs import (
    Output,
    Requested,
    check_one_output,
    flag,
    requested_output,
    timeout_of,
)
from serving.protocols.open_inference.shown import shown

HEADER = "Inference-Header-Content-Length"
_LONGEST_PARAMETERS = 10_000
"""Bytes of the JSON text of all parameters of a request, an input or an output."""

_Pixel = Annotated[int, msgspec.Meta(ge=0, le=255)]
# Sizes as gRPC has them: errors show products of sizes, and Python prints no numbers of thousands of digits.
_Size = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]


class _RequestedOutput(msgspec.Struct):
    name: str
    parameters: msgspec.Raw = msgspec.Raw()


class _Input(msgspec.Struct):
    name: str
    shape: list[_Size]
    datatype: str
    parameters: msgspec.Raw = msgspec.Raw()
    data: msgspec.Raw = msgspec.Raw()


class _Request(msgspec.Struct):
    inputs: list[_Input]
    id: str | None = None
    outputs: list[_RequestedOutput] | None = None
    parameters: msgspec.Raw = msgspec.Raw()


@dataclass(frozen=True)
class InferRequest:
    """A request, of which all but the data of the input have been read.

    Attributes:
        id: The client's id, which the answer repeats; None without one.
        tensor: The input.
        output: What to answer.
        timeout: Seconds that the client waits; None for the gateway's own time.
    """

    id: str | None
    tensor: Tensor
    output: Requested
    timeout: float | None


def json_length(headers: Sequence[str], body: bytes) -> int:
    """Return how many bytes of a body are JSON.

    Args:
        headers: Values of the header `Inference-Header-Content-Length`; none if all of the body is JSON.
        body: The body.

    Raises:
        MalformedRequestError: The header is no number of bytes that the body has, or is given more than once.
    """
    if not headers:
        return len(body)
    received = ", ".join(headers)
    digits = received.lstrip("0") or "0"  # Python refuses to convert thousands of digits
    is_number = received.isascii() and received.isdecimal() and len(digits) <= len(str(len(body)))
    if not is_number or int(digits) > len(body):
        raise MalformedRequestError(
            f"{HEADER} is the length of the JSON in the body, from 0 to {len(body)} bytes; got {shown(received)}"
        )
    return int(digits)


def parse_request(body: bytes, length: int) -> InferRequest:
    """Read a request.

    Args:
        body: The body.
        length: Bytes of the body that are JSON; the rest are the data of tensors.

    Raises:
        MalformedRequestError: The body is not JSON, or the sizes of binary data are not those of the body.
        InvalidParameterError: The JSON is no inference request.
    """
    content = memoryview(body)
    request = decode(content[:length], _Request, "the body")
    outputs = request.outputs or []
    check_one_input(len(request.inputs))
    check_one_output(len(outputs))
    parameters = _parameters(request.parameters)
    all_binary = flag(parameters, "binary_data_output")
    output = Requested(is_binary=all_binary)
    if outputs:
        output = requested_output(outputs[0].name, _parameters(outputs[0].parameters), all_binary=all_binary)
    (given,) = request.inputs
    tensor = Tensor(given.name, given.datatype, given.shape, _elements(given, content[length:]))
    return InferRequest(request.id or None, tensor, output, timeout_of(parameters))


def _elements(given: _Input, rest: memoryview) -> Binary | Json:
    """Return the data of the input, which are in the JSON, or are the rest of the body."""
    size = _parameters(given.parameters).get("binary_data_size")
    has_data = bool(given.data) and bytes(given.data) != b"null"
    if size is None and not has_data:
        raise InvalidParameterError(f"the input {shown(given.name)} has neither data nor a binary_data_size")
    if size is not None and has_data:
        raise InvalidParameterError(f"the input {shown(given.name)} has both data and a binary_data_size")
    if size is not None and (type(size) is not int or not 0 <= size <= len(rest)):
        raise MalformedRequestError(
            f"binary_data_size is a number of bytes, and {len(rest)} bytes are left in the body; got {shown(size)}"
        )
    if len(rest) > (size or 0):
        raise MalformedRequestError(f"{len(rest) - int(size or 0)} bytes of the body belong to no input")
    return Json(given.data) if size is None else Binary(rest)


@dataclass(frozen=True)
class Json:
    """Elements as JSON: an array, flat or nested, of numbers, or of strings with base64."""

    text: msgspec.Raw

    def numbers(self, count: int) -> NDArray[np.uint8]:
        """Return numbers."""
        flat = bytes(self.text).translate(None, b"[]")
        # commas are counted first, because a list takes 8 bytes for each number
        check_count(count, flat.count(b",") + 1, "numbers")
        return np.array(decode(b"[%b]" % flat, list[_Pixel], "data"), np.uint8)

    def strings(self, count: int) -> list[bytes]:
        """Return strings."""
        text = bytes(self.text)
        # a quote inside of a string is no base64 either
        check_count(count, text.count(b'"') // 2, "strings")
        return [_string(number, string) for number, string in enumerate(decode(text, list[str], "data"), start=1)]


def _string(number: int, text: str) -> bytes:
    try:
        return from_base64(text)
    except ValueError as error:
        raise MalformedRequestError(
            f"element {number} is not standard base64, which image files are in JSON (no data: prefix, no line "
            f"breaks): {error}"
        ) from error


def _parameters(text: msgspec.Raw) -> Parameters:
    if len(bytes(text)) > _LONGEST_PARAMETERS:
        raise InvalidParameterError(f"parameters have at most {_LONGEST_PARAMETERS} bytes; got {len(bytes(text))}")
    if not text or bytes(text) == b"null":
        return {}
    return decode(text, dict[str, bool | int | float | str], "parameters")


@dataclass(frozen=True)
class InferAnswer:
    """The body of an answer, and what its headers say of it."""

    body: bytes
    json_length: int

    @property
    def headers(self) -> dict[str, str]:
        """Headers that describe the body."""
        if self.json_length == len(self.body):
            return {"Content-Type": "application/json"}
        return {"Content-Type": "application/octet-stream", HEADER: str(self.json_length)}


def build_answer(head: dict[str, Any], output: Output, *, is_binary: bool) -> InferAnswer:
    """Put an answer together.

    Args:
        head: Fields of the answer besides its outputs.
        output: Tensor.
        is_binary: Whether the data of the tensor follow the JSON as bytes.
    """
    described: dict[str, Any] = {"name": output.name, "datatype": output.datatype, "shape": output.shape}
    binary = b""
    if is_binary:
        binary = output.to_bytes()
        described["parameters"] = {"binary_data_size": len(binary)}
    elif isinstance(output.elements, list):
        described["data"] = [element.decode() for element in output.elements]
    else:
        described["data"] = output.elements.ravel().tolist()
    text = msgspec.json.encode(head | {"outputs": [described]})
    return InferAnswer(text + binary, len(text))
