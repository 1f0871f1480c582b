"""Requests as TensorFlow Serving documents them are read; all others are refused in words."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
import pytest

from serving.core.errors import InvalidImageError, InvalidParameterError, MalformedRequestError, ServingError
from serving.protocols.tensorflow_rest.classify_body import read_classify
from serving.protocols.tensorflow_rest.predict_body import PredictRequest, read_predict

PIXELS = np.arange(24, dtype=np.uint8).reshape(2, 2, 2, 3)
LISTS = PIXELS.tolist()
B64 = [{"b64": base64.b64encode(image).decode()} for image in (b"one", b"two")]


def predict(**body: Any) -> PredictRequest:
    return read_predict(json.dumps(body).encode(), max_images=3)


def classify(**body: Any) -> list[bytes]:
    return read_classify(json.dumps(body).encode(), max_images=3)


@pytest.mark.parametrize("signature", [{}, {"signature_name": "serving_default"}])
@pytest.mark.parametrize(
    "images",
    [
        {"instances": LISTS},
        {"instances": [{"images": image} for image in LISTS]},
        {"inputs": LISTS},
        {"inputs": {"images": LISTS}},
    ],
)
def test_pixels_come_by_row_or_by_column_with_or_without_the_inputs_name(
    images: dict[str, Any], signature: dict[str, str]
) -> None:
    asked = predict(**images, **signature)
    np.testing.assert_array_equal(asked.images, PIXELS)
    assert asked.is_by_row == ("instances" in images)


@pytest.mark.parametrize("signature", [{}, {"signature_name": "serving_bytes"}])
@pytest.mark.parametrize(
    "images",
    [
        {"instances": B64},
        {"instances": [{"image_bytes": image} for image in B64]},
        {"inputs": B64},
        {"inputs": {"image_bytes": B64}},
    ],
)
def test_encoded_images_come_by_row_or_by_column_with_or_without_the_inputs_name(
    images: dict[str, Any], signature: dict[str, str]
) -> None:
    asked = predict(**signature, **images)
    assert asked.images == [b"one", b"two"]
    assert asked.is_by_row == ("instances" in images)


def test_unknown_fields_and_the_order_of_fields_do_not_matter() -> None:
    asked = predict(parameters={"a": [1, {}]}, instances=B64, signature_name="serving_bytes", more=None)
    assert asked.images == [b"one", b"two"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "either 'instances' or 'inputs'; got neither"),
        ({"instances": LISTS, "inputs": LISTS}, "either 'instances' or 'inputs'; got both"),
        ({"instances": 1.0}, "instances: images are a list"),
        ({"instances": "foo"}, "instances: images are a list"),
        ({"instances": ["foo"]}, "instances: images are a list"),
        ({"instances": None}, "instances: images are a list"),
        ({"instances": [1.0, 2.0, 5.0]}, "a pixel is a whole number from 0 to 255"),
        ({"instances": []}, "an empty list"),
        ({"instances": [B64[0], LISTS[0]]}, "Expected `object`, got `array`"),
        ({"instances": [LISTS[0], B64[0]]}, "instances: images are a list"),
        ({"instances": [B64[0], {"images": LISTS[0]}]}, "all encoded, or all pixels; got both"),
        ({"instances": [{"images": LISTS[0]}, {"images": LISTS[0][:1]}]}, r"same shape; got \[2, 2, 3\] and \[1, 2"),
        ({"instances": [{}]}, r"instances\[0\] has exactly one of"),
        ({"instances": [{"images": LISTS[0], **B64[0]}]}, r"instances\[0\] has exactly one of"),
        ({"instances": [{"image": LISTS[0]}]}, "unknown field `image`"),
        ({"instances": [{"b64": "no base64"}]}, "Invalid base64"),
        ({"instances": [{"b64": 1}]}, "Expected `bytes.*got `int`"),
        ({"instances": 2 * B64}, "at most 3 images; got 4"),
        ({"instances": [{"images": image} for image in 2 * LISTS]}, "at most 3 images; got 4"),
        ({"instances": 2 * LISTS}, "at most 3 images; got 4"),
        ({"inputs": B64[0]}, "unknown field `b64`"),
        ({"inputs": {}}, "either 'images' or 'image_bytes'"),
        ({"inputs": {"images": LISTS, "image_bytes": B64}}, "either 'images' or 'image_bytes'"),
        ({"inputs": {"image_bytes": B64[0]}}, "Expected `array`, got `object`"),
        ({"instances": LISTS, "signature_name": 1}, "signature_name"),
        ({"instances": LISTS, "signature_name": "foo"}, "no signature 'foo' answers :predict; serving_default takes"),
        ({"instances": B64, "signature_name": "classify"}, "no signature 'classify' answers :predict; use :classify"),
        ({"instances": B64, "signature_name": "serving_default"}, "serving_default takes images; .* for serving_bytes"),
        ({"instances": LISTS, "signature_name": "serving_bytes"}, "serving_bytes takes image_bytes"),
    ],
)
def test_other_requests_for_predictions_are_refused_in_words(body: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidParameterError, match=message):
        predict(**body)


def test_an_empty_image_is_none() -> None:
    with pytest.raises(InvalidImageError, match="image 2 is empty"):
        predict(instances=[B64[0], {"b64": ""}])


@pytest.mark.parametrize("context", [{}, {"context": {"camera": "left", "places": [1, 2.5], "lit": True}}])
def test_an_example_is_an_encoded_image_and_features_that_have_no_effect(context: dict[str, Any]) -> None:
    examples = [{"image/encoded": B64[0], "caption": "seaside"}, {"image/encoded": [B64[1]], "sizes": [1, 2]}]
    assert classify(examples=examples, **context) == [b"one", b"two"]
    assert classify(examples=examples, signature_name="classify") == [b"one", b"two"]


def test_an_image_in_the_context_is_that_of_all_examples() -> None:
    assert classify(context={"image/encoded": B64[0]}, examples=[{}, {"caption": "x"}]) == [b"one", b"one"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "has 'examples', a list of objects"),
        ({"examples": {}}, "examples: Expected `array`, got `object`"),
        ({"examples": [1]}, "examples: Expected `object`, got `int`"),
        ({"examples": []}, "at least one image; got none"),
        ({"examples": [{"image": B64[0]}]}, r"examples\[0\] has no feature 'image/encoded'"),
        ({"examples": [{"image/encoded": "text"}]}, "examples: Expected"),
        ({"examples": [{"image/encoded": B64}]}, r"examples\[0\]: .* has one image; got 2"),
        ({"examples": [{"image/encoded": B64[0]}] * 4}, "at most 3 images; got 4"),
        (
            {"context": {"image/encoded": B64[0]}, "examples": [{"image/encoded": B64[0]}]},
            r"examples\[0\]: the feature 'image/encoded' is in the context, too",
        ),
        ({"examples": [], "signature_name": "serving_default"}, "'serving_default' answers :classify; classify, the"),
    ],
)
def test_other_requests_for_classes_are_refused_in_words(body: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidParameterError, match=message):
        classify(**body)


@pytest.mark.parametrize("read", [read_predict, read_classify])
@pytest.mark.parametrize(
    "body",
    [b"", b"{", b'{"instances": [1 2]}', b'{"instances": [01]}', b'{"instances": [NaN]}', b'{"x": 1} {}', b"\xff"],
)
def test_what_is_no_json_is_malformed(read: Any, body: bytes) -> None:
    with pytest.raises(MalformedRequestError, match=r"^the body: "):
        read(body, 3)


@pytest.mark.parametrize("read", [read_predict, read_classify])
@pytest.mark.parametrize(
    "opening", ["[", '{"a":', '{"instances":', '{"examples":[{"image/encoded":', '{"inputs":{"images":']
)
def test_deep_nesting_is_refused(read: Any, opening: str) -> None:
    for start in ('{"instances":', '{"inputs":', '{"examples":', '{"other":'):
        with pytest.raises(ServingError):
            read((start + opening * 100_000).encode(), 3)


@pytest.mark.parametrize("read", [read_predict, read_classify])
@pytest.mark.parametrize("field", ["instances", "inputs", "examples"])
def test_millions_of_objects_are_refused_before_they_are_built(read: Any, field: str) -> None:
    with pytest.raises(InvalidParameterError):
        read(f'{{"{field}": [{"{}," * 1_000_000}{{}}]}}'.encode(), 3)
