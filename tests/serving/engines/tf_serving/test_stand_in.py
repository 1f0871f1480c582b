"""The stand-in for TensorFlow Serving answers like the real server; the other tests here rely on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import tensorflow as tf
from grpc import StatusCode
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_status_pb2,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from tests.support.backend import Backend
from tests.support.engines import serving_flags
from tests.support.tf_serving_stack import IMAGE, Stack, predict, statuses


def test_the_stand_in_predicts_and_names_the_version(channel: grpc.Channel) -> None:
    for spec, version in (({}, 2), ({"version": 1}, 1), ({"label": "stable"}, 1), ({"label": "canary"}, 2)):
        response = predict(channel, **spec)
        assert (response.model_spec.version.value, response.model_spec.signature_name) == (version, "serving_default")
        probabilities = tf.make_ndarray(response.outputs["probabilities"])
        assert probabilities.argmax(axis=1).tolist() == [version % 3] * 2
        assert not response.outputs["probabilities"].tensor_content  # repeated fields, as by default


@pytest.mark.parametrize(
    ("request_options", "code", "text"),
    [
        ({"name": "none"}, "NOT_FOUND", "Servable not found for request: Latest(none)"),
        ({"version": 7}, "NOT_FOUND", "Servable not found for request: Specific(tiny, 7)"),
        ({"label": "gold"}, "INVALID_ARGUMENT", "Unrecognized servable version label: gold"),
        ({"name": ""}, "INVALID_ARGUMENT", "ModelSpec has no name specified."),
        ({"signature": "x"}, "FAILED_PRECONDITION", 'Serving signature key "x" not found.'),
        ({"inputs": "pixels"}, "INVALID_ARGUMENT", "Sent extra: {pixels}. Missing but required: {images}."),
        ({"output_filter": ["y"]}, "INVALID_ARGUMENT", "output tensor alias not found in signature: y"),
    ],
)
def test_the_stand_in_has_the_servers_error_messages(
    channel: grpc.Channel, request_options: dict[str, Any], code: str, text: str
) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        predict(channel, **request_options)
    assert raised.value.code() == StatusCode[code]
    assert text in raised.value.details()


def test_the_stand_in_reports_states_and_ignores_labels(channel: grpc.Channel) -> None:
    available = get_model_status_pb2.ModelVersionStatus.AVAILABLE
    assert statuses(channel) == statuses(channel, label="stable") == {1: available, 2: available}
    assert statuses(channel, version=2) == {2: available}
    for spec, text in (
        ({"name": "none"}, "Could not find any versions of model none"),
        ({"version": 7}, "Could not find version 7 of model tiny"),
    ):
        with pytest.raises(grpc.RpcError) as raised:
            statuses(channel, **spec)
        assert (raised.value.code(), raised.value.details()) == (StatusCode.NOT_FOUND, text)


def test_the_stand_in_explains(channel: grpc.Channel) -> None:
    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = "tiny", "explain"
    request.inputs["images"].CopyFrom(tf.make_tensor_proto(np.zeros((2, 32, 32, 3), np.uint8)))
    request.inputs["classes"].CopyFrom(tf.make_tensor_proto(np.array([-1, 0])))
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    outputs = stub.Predict(request).outputs
    assert {name: tuple(dim.size for dim in output.tensor_shape.dim) for name, output in outputs.items()} == {
        "maps": (2, 32, 32),
        "chosen": (2,),
        "probabilities": (2, 3),
    }
    assert list(outputs["chosen"].int64_val) == [2, 0]
    request.inputs["classes"].CopyFrom(tf.make_tensor_proto(np.array([-1, 3])))
    with pytest.raises(grpc.RpcError) as raised:
        stub.Predict(request)
    assert raised.value.code() == StatusCode.INVALID_ARGUMENT


def test_the_stand_in_classifies_examples(channel: grpc.Channel) -> None:
    request = classification_pb2.ClassificationRequest()
    request.model_spec.name, request.model_spec.signature_name = "tiny", "classify"
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    with pytest.raises(grpc.RpcError, match=r"Input is empty\."):
        stub.Classify(request)
    features = request.input.example_list.examples.add().features
    features.feature["image/encoded"].bytes_list.value.append(IMAGE)
    (answer,) = stub.Classify(request).result.classifications
    assert answer.classes[0].label == "two"


def test_labels_at_startup_need_a_flag(stack: Stack, tmp_path: Path) -> None:
    flags = [flag for flag in serving_flags(stack.repository) if "labels" not in flag]
    with pytest.raises(
        RuntimeError, match=r"assign label to version \d of model tiny, which is not currently available"
    ):
        Backend(tmp_path / "log", *flags).start()
