"""Requests and answers over gRPC: tensors as raw bytes, or as numbers and strings (`contents`)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from serving.core.errors import InvalidParameterError, MalformedRequestError
from serving.core.service import Scores
from serving.protocols.open_inference.grpc_messages import message_class
from serving.protocols.open_inference.inputs import Binary, Parameters, Tensor, check_count, check_one_input
from serving.protocols.open_inference.outputs import Requested, check_one_output, output_of, requested_output
from serving.protocols.open_inference.shown import shown

MOST_FIELDS = 1000
"""Fields of a message, those of the messages in it included. Numbers in a row are one field."""

_VARINT, _FIXED64, _DELIMITED, _FIXED32 = 0, 1, 2, 5  # wire types of protocol buffers

_InferResponse = message_class("ModelInferResponse")


def parse(message: bytes, kind: Any) -> Any:
    """Read a message.

    Raises:
        MalformedRequestError: The bytes are no such message, or it has too many fields.
    """
    _check_fields(message, kind.DESCRIPTOR, MOST_FIELDS)
    try:
        return kind.FromString(message)
    except DecodeError as error:
        raise MalformedRequestError(f"the message is no {kind.DESCRIPTOR.name}") from error


def _check_fields(message: bytes, kind: Any, allowed: int) -> int:
    """Refuse a message that is small and describes millions of fields, of which each would take memory and time.

    Args:
        message: The bytes.
        kind: Descriptor of the message.
        allowed: Fields that it may have, those of the messages in it included.

    Returns:
        How many more fields would have been allowed.
    """
    position = 0
    while position < len(message):
        if not allowed:
            raise MalformedRequestError(f"a message has at most {MOST_FIELDS} fields; got more")
        allowed -= 1
        tag, position = _varint(message, position)
        number, wire_type = tag >> 3, tag & 7
        if wire_type == _VARINT:
            _, position = _varint(message, position)
        elif wire_type == _DELIMITED:
            length, start = _varint(message, position)
            position = start + length
            field = kind.fields_by_number.get(number)
            if field and field.message_type:
                allowed = _check_fields(message[start:position], field.message_type, allowed)
        elif wire_type in (_FIXED32, _FIXED64):
            position += 4 if wire_type == _FIXED32 else 8
        else:
            raise MalformedRequestError(f"the message has a field of the wire type {wire_type}")
    return allowed


def _varint(message: bytes, position: int) -> tuple[int, int]:
    """Return a number of variable length and the position behind it."""
    value = 0
    for shift, byte in zip(range(0, 70, 7), message[position : position + 10], strict=False):
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position + shift // 7 + 1
    raise MalformedRequestError("the message ends within a number, or a number is too long")


@dataclass(frozen=True)
class Contents:
    """Elements as numbers or strings of the message."""

    contents: Any

    def numbers(self, count: int) -> NDArray[np.uint8]:
        """Return numbers."""
        check_count(count, len(self.contents.uint_contents), "numbers")
        numbers = np.array(self.contents.uint_contents, np.uint32)
        if numbers.max() > 255:
            raise MalformedRequestError(f"a number of the datatype UINT8 is from 0 to 255; got {numbers.max()}")
        return numbers.astype(np.uint8)

    def strings(self, count: int) -> list[bytes]:
        """Return strings."""
        check_count(count, len(self.contents.bytes_contents), "strings")
        return list(self.contents.bytes_contents)


def tensor_of(request: Any) -> Tensor:
    """Return the input of a `ModelInferRequest`.

    Raises:
        InvalidParameterError: The request has not exactly one input, or it has data in both forms, or several data.
    """
    check_one_input(len(request.inputs))
    (given,), raw = request.inputs, request.raw_input_contents
    if not raw:
        return Tensor(given.name, given.datatype, given.shape, Contents(given.contents))
    if len(raw) > 1:
        raise InvalidParameterError(f"raw_input_contents are as many as inputs, 1; got {len(raw)}")
    if given.HasField("contents"):
        raise InvalidParameterError(f"the input {shown(given.name)} has both contents and raw_input_contents")
    return Tensor(given.name, given.datatype, given.shape, Binary(raw[0]))


def requested_of(request: Any) -> Requested:
    """Return what a `ModelInferRequest` asks for.

    Raises:
        InvalidParameterError: There are several outputs, no output has this name, or a parameter is invalid.
    """
    check_one_output(len(request.outputs))
    for output in request.outputs:
        return requested_output(output.name, parameters_of(output.parameters))
    return Requested()


def parameters_of(parameters: Any) -> Parameters:
    """Return the parameters of a message by name."""
    given: Iterable[tuple[str, Any]] = parameters.items()
    chosen = ((name, value, value.WhichOneof("parameter_choice")) for name, value in given)
    return {name: getattr(value, choice) for name, value, choice in chosen if choice}


def response_of(request: Any, scores: Scores, requested: Requested) -> bytes:
    """Return the answer to a `ModelInferRequest` as a message, its data in the form that the request has."""
    output = output_of(scores, requested)
    response = _InferResponse(
        model_name=request.model_name,
        model_version=str(scores.version),
        id=request.id,
        parameters={"trained": {"bool_param": scores.card.weights.trained}},
        outputs=[{"name": output.name, "datatype": output.datatype, "shape": output.shape}],
    )
    if request.raw_input_contents:
        response.raw_output_contents.append(output.to_bytes())
    elif isinstance(output.elements, list):
        response.outputs[0].contents.bytes_contents.extend(output.elements)
    else:
        response.outputs[0].contents.fp32_contents.extend(output.elements.ravel().tolist())
    message: bytes = response.SerializeToString()
    return message
