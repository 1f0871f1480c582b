"""The body of a request over HTTP: what is read from it, and what is refused; sizes, shapes and nesting of any kind."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from serving.core.errors import InvalidParameterError, MalformedRequestError, ServingError
from serving.protocols.open_inference.http_body import json_length, parse_request
from serving.protocols.open_inference.inputs import Binary, images_of
from serving.protocols.open_inference.outputs import Requested

MAX_IMAGES = 4
SMALL_SIZES = st.integers(1, 3)


def request(*inputs: dict[str, Any], **fields: Any) -> bytes:
    """The JSON of a request."""
    return json.dumps({"inputs": list(inputs), **fields}).encode()


def pixels(*, shape: Any = (1, 1, 2, 1), data: Any = (7, 9), **fields: Any) -> dict[str, Any]:
    """An input of raw pixels as JSON."""
    return {"name": "images", "datatype": "UINT8", "shape": shape, "data": data, **fields}


def encoded(**fields: Any) -> dict[str, Any]:
    """An input of one encoded image."""
    return {"name": "image_bytes", "datatype": "BYTES", "shape": [1], **fields}


def images(body: bytes, length: int | None = None) -> Any:
    """The images of a body."""
    return images_of(parse_request(body, len(body) if length is None else length).tensor, MAX_IMAGES)


def refusal(body: bytes, length: int | None = None) -> ServingError:
    """The error for a body."""
    with pytest.raises((MalformedRequestError, InvalidParameterError)) as raised:
        images(body, length)
    return raised.value


def with_lengths(*elements: bytes) -> bytes:
    """Elements of the datatype BYTES as bytes."""
    return b"".join(len(element).to_bytes(4, "little") + element for element in elements)


@given(st.lists(st.binary(min_size=1), min_size=1, max_size=MAX_IMAGES))
def test_encoded_images_come_out_of_bytes_behind_the_json_as_they_were_put_in(files: list[bytes]) -> None:
    data = with_lengths(*files)
    head = request(encoded(shape=[len(files)], parameters={"binary_data_size": len(data)}))
    assert images(head + data, len(head)) == files


@given(st.lists(st.binary(min_size=1), min_size=1, max_size=MAX_IMAGES))
def test_encoded_images_come_out_of_json_as_they_were_put_in(files: list[bytes]) -> None:
    data = [base64.b64encode(file).decode() for file in files]
    assert images(request(encoded(shape=[len(files)], data=data))) == files


@given(st.data(), SMALL_SIZES, SMALL_SIZES, SMALL_SIZES, st.sampled_from([1, 3]), st.sampled_from(["flat", "nested"]))
def test_pixels_come_out_as_they_were_put_in(data: st.DataObject, n: int, h: int, w: int, c: int, form: str) -> None:
    content = data.draw(st.binary(min_size=n * h * w * c, max_size=n * h * w * c))
    array = np.frombuffer(content, np.uint8).reshape(n, h, w, c)
    head = request(pixels(shape=array.shape, data=None, parameters={"binary_data_size": len(content)}))
    np.testing.assert_array_equal(images(head + content, len(head)), array)
    numbers = (array.ravel() if form == "flat" else array).tolist()
    np.testing.assert_array_equal(images(request(pixels(shape=array.shape, data=numbers))), array)


@given(st.binary())
def test_any_bytes_are_elements_or_malformed(content: bytes) -> None:
    try:
        elements = Binary(content).strings(2)
    except MalformedRequestError:
        return
    assert with_lengths(*elements) == content


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=10,
)
NAMES = st.sampled_from(["images", "image_bytes"]) | JSON
SHAPES = st.lists(st.integers(-2, 5) | st.integers(), max_size=5) | JSON
OUTPUTS = st.fixed_dictionaries({"name": st.just("probabilities") | JSON}, optional={"parameters": JSON})
INPUTS = st.fixed_dictionaries(
    {"name": NAMES, "datatype": st.sampled_from(["UINT8", "BYTES"]) | JSON, "shape": SHAPES},
    optional={"data": JSON, "parameters": st.dictionaries(st.just("binary_data_size"), st.integers() | JSON)},
)
REQUESTS = st.fixed_dictionaries(
    {"inputs": st.lists(INPUTS, max_size=2) | JSON},
    optional={
        "id": JSON,
        "outputs": st.lists(OUTPUTS, max_size=2) | JSON,
        "parameters": st.dictionaries(st.sampled_from(["timeout", "binary_data_output"]), JSON) | JSON,
    },
)


@given(REQUESTS, st.binary(max_size=40), st.integers(0, 1 << 70) | st.none())
@example({"inputs": []}, b"", None)
def test_any_request_is_read_or_refused_as_the_clients_mistake(
    content: dict[str, Any], data: bytes, declared: int | None
) -> None:
    head = json.dumps(content).encode()
    body = head + data
    try:
        images(body, json_length([str(len(head) if declared is None else declared)], body))
    except ServingError as error:
        assert error.status in {400, 422}
        assert 0 < len(str(error)) < 1000


@given(st.binary(), st.text())
def test_any_bytes_and_any_header_are_refused_as_the_clients_mistake(body: bytes, header: str) -> None:
    with pytest.raises((MalformedRequestError, InvalidParameterError)):
        images(body, json_length([header], body))


@pytest.mark.parametrize("header", ["", "-1", "+5", " 5", "5 ", "1e1", "0x5", "5.0", "12", "\u0665", "9" * 5000])
def test_the_length_of_the_json_is_a_plain_number_that_the_body_has(header: str) -> None:
    with pytest.raises(MalformedRequestError, match="from 0 to 11 bytes"):
        json_length([header], b"hello world")
    assert json_length(["5"], b"hello world") == json_length(["0005"], b"hello world") == 5


def test_two_lengths_of_the_json_are_refused() -> None:
    with pytest.raises(MalformedRequestError):
        json_length(["5", "6"], b"hello world")


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (request(), "one input, either 'images' or 'image_bytes'; got 0"),
        (request(pixels(), encoded(data=["/9j/"])), "got 2 inputs"),
        (request(pixels(name="input_1")), "the inputs are 'images' and 'image_bytes'; got 'input_1'"),
        (request(pixels(datatype="FP32")), "datatype of 'images' is UINT8; got 'FP32'"),
        (request(encoded(datatype="UINT8", data=[1])), "datatype of 'image_bytes' is BYTES"),
        (request(pixels(shape=[1, 2, 1])), "[N, H, W, C], each at least 1; got [1, 2, 1]"),
        (request(pixels(shape=[])), "got []"),
        (request(pixels(shape=[0, 1, 2, 1], data=[])), "each at least 1"),
        (request(pixels(shape=[-1, 1, 2, 1])), "each at least 1"),
        (request(pixels(shape=[5, 1, 1, 1], data=[0] * 5)), "at most 4 images; got 5"),
        (request(encoded(shape=[10**18], data=["/9j/"])), "at most 4 images"),
        (request(pixels(shape=[1, 10**9, 10**9, 3])), "says 3000000000000000000 numbers; got 2"),
        (request(pixels(data=[7])), "says 2 numbers; got 1"),
        (request(pixels(data=[7, 9, 11])), "says 2 numbers; got 3"),
        (request(pixels(data=[7, 256])), "<= 255"),
        (request(pixels(data=[7, -1])), ">= 0"),
        (request(pixels(data=[7, 9.5])), "got `float`"),
        (request(pixels(data=[7, "9"])), "got `str`"),
        (request(pixels(data=[7, None])), "got `null`"),
        (request(pixels(data=[[], [7, 9]])), "says 2 numbers; got 3"),
        (request(pixels(data=[[], [9]])), "malformed"),
        (request(pixels(data={"a": 7, "b": 9})), "data"),
        (request(pixels(data=None)), "neither data nor a binary_data_size"),
        (request(pixels(parameters={"binary_data_size": 2})), "both data and a binary_data_size"),
        (request(encoded(data=["/9j/", "/9j/"])), "says 1 strings; got 2"),
        (request(encoded(data=["/9j"])), "element 1 is not standard base64"),
        (request(encoded(data=["data:image/jpeg;base64,/9j/"])), "element 1 is not standard base64"),
        (request(encoded(data=["\u00e4\u00e4\u00e4\u00e4"])), "element 1 is not standard base64"),
        (request(encoded(data=chr(34))), "Expected `array`, got `str`"),
        (b'{"inputs": [{"name": "images"}]}', "missing required field `shape`"),
        (b"[]", "Expected `object`, got `array`"),
        (b"{", "truncated"),
        (b"", "truncated"),
        (b"\xff\xfe", "malformed"),
        (b'{"inputs": [{"name": "\xff"}]}', "UTF-8"),
        (request(pixels(data=0)).replace(b": 0}", b": " + b"[" * 100_000 + b"]" * 100_000 + b"}"), "nested too deeply"),
        (request(pixels(), outputs=[{"name": "logits"}]), "the output is 'probabilities'; got 'logits'"),
        (request(pixels(), outputs=[{"name": "probabilities"}] * 2), "there is one output"),
        (request(pixels(), outputs=[{"name": "probabilities", "parameters": {"classification": 0}}]), "at least 1"),
        (request(pixels(), outputs=[{"name": "probabilities", "parameters": {"classification": True}}]), "got True"),
        (request(pixels(), outputs=[{"name": "probabilities", "parameters": {"binary_data": 1}}]), "true or false"),
        (request(pixels(), parameters={"binary_data_output": "yes"}), "true or false; got 'yes'"),
        (request(pixels(), parameters={"timeout": -1}), "microseconds"),
        (request(pixels(), parameters={"timeout": 10**400}), "microseconds"),
        (request(pixels(shape=(1, 10**4000, 10**4000, 1))), "<= 9223372036854775807"),
        (request(pixels(), parameters={"timeout": [1]}), "parameters"),
        (request(pixels(), parameters={"x" * 10_001: 1}), "at most 10000 bytes"),
        (request(pixels(), id=5), "got `int`"),
    ],
)
def test_a_mistake_is_named(body: bytes, says: str) -> None:
    assert says in str(refusal(body))


@pytest.mark.parametrize("size", [-1, 5, 1 << 63, 1.0, True, "4"])
def test_the_size_of_binary_data_is_a_number_of_bytes_that_the_body_has(size: Any) -> None:
    head = request(pixels(shape=[1, 1, 4, 1], data=None, parameters={"binary_data_size": size}))
    error = refusal(head + b"\1\2\3\4", len(head))
    assert error.status == 400
    assert "4 bytes are left in the body" in str(error)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "says 1 elements; got 0"),
        (b"\1\0", "ends after the tensor's data"),
        (b"\5\0\0\0abcd", "ends after the tensor's data"),
        (b"\xff\xff\xff\xffabcd", "ends after the tensor's data"),
        (with_lengths(b"a") + b"b", "1 bytes follow the last element"),
        (with_lengths(b""), "image 1 is empty"),
    ],
)
def test_an_element_has_as_many_bytes_as_its_length_says(data: bytes, says: str) -> None:
    head = request(encoded(parameters={"binary_data_size": len(data)}))
    with pytest.raises(ServingError, match=says) as raised:
        images(head + data, len(head))
    assert raised.value.status == 400


def test_bytes_that_belong_to_no_input_are_refused() -> None:
    head = request(pixels())
    assert "3 bytes of the body belong to no input" in str(refusal(head + b"abc", len(head)))


def test_pixels_behind_the_json_are_as_many_as_their_shape_says() -> None:
    head = request(pixels(data=None, parameters={"binary_data_size": 3}))
    assert "says 2 bytes of data; got 3" in str(refusal(head + b"abc", len(head)))


def test_what_the_protocol_does_not_know_is_ignored_and_null_is_nothing() -> None:
    body = request(
        pixels(parameters={"content_type": "np"}, extra=1), outputs=None, parameters=None, id=None, more={"a": [1]}
    )
    asked = parse_request(body, len(body))
    assert (asked.id, asked.output, asked.timeout) == (None, Requested(), None)
    assert images(body).tolist() == [[[[7], [9]]]]


def test_options_are_read() -> None:
    options = {"binary_data_output": True, "timeout": 1_500_000}
    body = request(
        pixels(), id="42", parameters=options, outputs=[{"name": "probabilities", "parameters": {"classification": 3}}]
    )
    asked = parse_request(body, len(body))
    assert (asked.id, asked.output, asked.timeout) == ("42", Requested(is_binary=True, classes=3), 1.5)


def test_an_output_says_for_itself_whether_it_is_binary() -> None:
    outputs = [{"name": "probabilities", "parameters": {"binary_data": False}}]
    body = request(pixels(), parameters={"binary_data_output": True}, outputs=outputs)
    assert not parse_request(body, len(body)).output.is_binary


def test_a_large_body_takes_no_more_memory_than_a_few_times_its_size() -> None:
    import tracemalloc

    bodies = [
        request(pixels(data=0)).replace(b": 0}", b": [" + b"[]," * 1_000_000 + b"0]}"),
        request(pixels(data=0)).replace(b": 0}", b": [" + b"{}," * 1_000_000 + b"0]}"),
        request(pixels(), parameters={"a": 0}).replace(b": 0}", b": [" + b"0," * 1_000_000 + b"0]}"),
        request(encoded(data=["/9j/"] * 300_000)),
        b'{"more": [' + b"{}," * 1_000_000 + b"0]}",
    ]
    for body in bodies:
        tracemalloc.start()
        with pytest.raises(ServingError):
            images(body)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 3 * len(body)
