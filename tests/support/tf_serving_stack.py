"""A gateway with TensorFlow Serving behind it, and calls to both."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import grpc
import httpx
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import (
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from keras_archs.repository import models_config
from tests.support.backend import Backend
from tests.support.gateway import Gateway
from tests.support.images import encode

Publish = Callable[[Path, int], Path]
Observed = TypeVar("Observed")
IMAGE = encode(np.zeros((40, 40, 3), np.uint8))


@dataclass
class Stack:
    """A gateway, the server behind it, and their common repository with versions 1 and 2 of `tiny`."""

    repository: Path
    backend: Backend
    gateway: Gateway

    def classify(self, path: str = "/classify/tiny", **query: Any) -> httpx.Response:
        """Post one image to the gateway."""
        return self.gateway.client.post(path, content=IMAGE, params=query)

    def label(self, **labels: int) -> None:
        """Replace the labels of `tiny`."""
        with models_config.edited(self.repository) as config:
            entry = models_config.include(config, self.repository, "tiny")
            entry.version_labels.clear()
            entry.version_labels.update(labels)

    def becomes(self, status: int, path: str = "/classify/tiny") -> httpx.Response:
        """Post images until the gateway answers with this status; return that answer."""
        return eventually(lambda: self.classify(path), lambda response: response.status_code == status)


def eventually(observe: Callable[[], Observed], condition: Callable[[Observed], bool]) -> Observed:
    """Observe until the condition holds, for at most 60 s; return the last observation."""
    deadline = time.monotonic() + 60
    while not condition(observed := observe()):
        assert time.monotonic() < deadline, getattr(observed, "text", observed)
        time.sleep(0.02)
    return observed


def assert_problem(response: httpx.Response, status: int, kind: str) -> dict[str, Any]:
    """Check that a response is this kind of problem; return the problem document."""
    assert response.status_code == status, response.text
    problem: dict[str, Any] = response.json()
    assert problem["type"] == f"urn:keras-archs:problem:{kind}"
    assert ("Retry-After" in response.headers) == (status >= 503)
    return problem


def backend_metric(stack: Stack, metric: str) -> float:
    """Read one of the gateway's metrics about the server."""
    pattern = rf'^keras_archs_backend_{metric}{{backend="ipv4:{stack.backend.target}"}} (.+)$'
    (value,) = re.findall(pattern, stack.gateway.client.get("/metrics").text, re.MULTILINE)
    return float(value)


def predict(channel: grpc.Channel, *, signature: str = "", inputs: str = "images", **spec: Any) -> Any:
    """Send two images directly to the server."""
    request = predict_pb2.PredictRequest()
    request.model_spec.name = spec.get("name", "tiny")
    request.model_spec.signature_name = signature
    if "version" in spec:
        request.model_spec.version.value = spec["version"]
    if "label" in spec:
        request.model_spec.version_label = spec["label"]
    request.inputs[inputs].CopyFrom(tf.make_tensor_proto(np.zeros((2, 32, 32, 3), np.uint8)))
    request.output_filter.extend(spec.get("output_filter", []))
    return prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict(request)


def statuses(channel: grpc.Channel, name: str = "tiny", **spec: Any) -> dict[int, int]:
    """Ask the server directly for the states of a model's versions."""
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = name
    if "version" in spec:
        request.model_spec.version.value = spec["version"]
    if "label" in spec:
        request.model_spec.version_label = spec["label"]
    response = model_service_pb2_grpc.ModelServiceStub(channel).GetModelStatus(request)
    return {status.version: status.state for status in response.model_version_status}
