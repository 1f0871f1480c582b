"""The messages of gRPC are those of the specification, as the packages that generate them from it have them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tritonclient.grpc import service_pb2

from serving.core.errors import MalformedRequestError, ServingError
from serving.protocols.open_inference.grpc_messages import POOL, message_class
from serving.protocols.open_inference.grpc_tensors import MOST_FIELDS, parse, requested_of, tensor_of
from serving.protocols.open_inference.inputs import images_of

METHODS = (
    "ServerLive",
    "ServerReady",
    "ModelReady",
    "ServerMetadata",
    "ModelMetadata",
    "ModelInfer",
    "RepositoryIndex",
)
InferRequest = message_class("ModelInferRequest")


def fields(descriptor: Any) -> dict[str, tuple[Any, ...]]:
    """Number and kind of each field, and the fields of the messages in it."""
    return {
        field.name: (
            field.number,
            field.type,
            field.is_repeated,
            field.message_type.full_name if field.message_type else None,
            field.containing_oneof.name if field.containing_oneof else None,
            fields(field.message_type) if field.message_type else None,
        )
        for field in descriptor.fields
    }


@pytest.mark.parametrize("name", [f"{method}{kind}" for method in METHODS for kind in ("Request", "Response")])
def test_a_message_has_the_fields_of_the_generated_class(name: str) -> None:
    ours = POOL.FindMessageTypeByName(f"inference.{name}")
    assert fields(ours) == fields(service_pb2.DESCRIPTOR.message_types_by_name[name])


def images(message: bytes) -> Any:
    """The images of a request."""
    request = parse(message, InferRequest)
    requested_of(request)
    return images_of(tensor_of(request), max_images=4)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused_as_the_clients_mistake(message: bytes) -> None:
    try:
        images(message)
    except ServingError as error:
        assert error.status in {400, 422}


SIZES = st.lists(st.integers(-(1 << 63), (1 << 63) - 1) | st.integers(-1, 5), max_size=5)
INPUTS = st.fixed_dictionaries(
    {"name": st.sampled_from(["images", "image_bytes", ""]), "datatype": st.sampled_from(["UINT8", "BYTES", ""])},
    optional={
        "shape": SIZES,
        "contents": st.fixed_dictionaries(
            {},
            optional={
                "uint_contents": st.lists(st.integers(0, (1 << 32) - 1), max_size=5),
                "bytes_contents": st.lists(st.binary(), max_size=5),
                "fp32_contents": st.lists(st.floats(width=32), max_size=5),
            },
        ),
    },
)


@given(st.lists(INPUTS, max_size=3), st.lists(st.binary(max_size=20), max_size=3))
def test_any_request_is_read_or_refused_as_the_clients_mistake(inputs: list[Any], raw: list[bytes]) -> None:
    try:
        images(InferRequest(inputs=inputs, raw_input_contents=raw).SerializeToString())
    except ServingError as error:
        assert error.status in {400, 422}
        assert 0 < len(str(error)) < 1000


def test_numbers_and_strings_are_read_from_contents() -> None:
    pixels = {"name": "images", "datatype": "UINT8", "shape": [1, 1, 2, 1], "contents": {"uint_contents": [7, 255]}}
    files = {"name": "image_bytes", "datatype": "BYTES", "shape": [2], "contents": {"bytes_contents": [b"a", b"b"]}}
    np.testing.assert_array_equal(images(InferRequest(inputs=[pixels]).SerializeToString()), [[[[7], [255]]]])
    assert images(InferRequest(inputs=[files]).SerializeToString()) == [b"a", b"b"]


@pytest.mark.parametrize(
    ("given", "raw", "says"),
    [
        ({"contents": {"uint_contents": [7]}}, [], "says 2 numbers; got 1"),
        ({"contents": {"uint_contents": [7, 256]}}, [], "from 0 to 255; got 256"),
        ({"contents": {"fp32_contents": [7, 8]}}, [], "says 2 numbers; got 0"),
        ({}, [], "says 2 numbers; got 0"),
        ({}, [b"abc"], "says 2 bytes of data; got 3"),
        ({}, [b"ab", b"cd"], "as many as inputs, 1; got 2"),
        ({"contents": {"uint_contents": [7, 8]}}, [b"ab"], "both contents and raw_input_contents"),
        ({"contents": {}}, [b"ab"], "both contents and raw_input_contents"),
    ],
)
def test_data_that_do_not_fill_the_shape_are_refused(given: dict[str, Any], raw: list[bytes], says: str) -> None:
    tensor = {"name": "images", "datatype": "UINT8", "shape": [1, 1, 2, 1], **given}
    with pytest.raises(ServingError, match=says):
        images(InferRequest(inputs=[tensor], raw_input_contents=raw).SerializeToString())


def field(number: int, content: bytes) -> bytes:
    """A field of a message, with content of less than 2^21 bytes."""
    size = len(content)
    return bytes([number << 3 | 2, size & 127 | 128, size >> 7 & 127 | 128, size >> 14]) + content


@pytest.mark.parametrize(
    "message",
    [
        field(5, b"") * 100_000,  # inputs
        field(5, field(4, b"") * 100_000),  # parameters of an input
        field(5, field(5, field(8, b"") * 100_000)),  # strings of an input
        field(6, field(2, b"") * 100_000),  # parameters of an output
    ],
)
def test_a_message_of_very_many_fields_is_refused_before_they_take_memory(message: bytes) -> None:
    with pytest.raises(MalformedRequestError, match=f"at most {MOST_FIELDS} fields"):
        parse(message, InferRequest)
