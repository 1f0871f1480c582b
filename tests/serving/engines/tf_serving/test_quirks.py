"""Quirks of TensorFlow Serving that the gateway hides from clients."""

from __future__ import annotations

import functools
import operator
from pathlib import Path

import grpc
import pytest
from grpc import StatusCode

from keras_archs.repository import models_config
from tests.support.tf_serving_stack import Publish, Stack, assert_problem, eventually, predict


def test_a_loading_version_is_503_not_404(stack: Stack, constant_classifier: Publish, channel: grpc.Channel) -> None:
    stack.backend.fail(hold_loads=True)
    constant_classifier(stack.repository, 3)
    path = "/classify/tiny/versions/3"
    assert eventually(lambda: stack.classify(path).status_code, lambda status: status != 404) == 503
    problem = assert_problem(stack.classify(path), 503, "model-unavailable")
    assert problem["detail"] == "version 3 of tiny is not loaded yet; try again"
    with pytest.raises(grpc.RpcError) as raised:
        predict(channel, version=3)
    assert raised.value.code() == StatusCode.NOT_FOUND  # the server answers the same for unknown versions
    listed = stack.gateway.client.get("/models/tiny/versions").json()
    assert [version["state"] for version in listed] == ["ready", "ready", "loading"]
    assert stack.classify().json()["version"] == 2  # the other versions continue to answer
    stack.backend.fail()
    assert stack.becomes(200, path).json()["version"] == 3
    with models_config.edited(stack.repository) as config:  # restores the initial state
        entry = models_config.include(config, stack.repository, "tiny")
        entry.model_version_policy.CopyFrom(models_config.read_policy("specific=1,2"))
    assert_problem(stack.becomes(404, path), 404, "version-not-found")


def test_an_unknown_label_is_404_although_the_server_answers_invalid_argument(
    stack: Stack, channel: grpc.Channel
) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        predict(channel, label="gold")
    assert raised.value.code() == StatusCode.INVALID_ARGUMENT
    assert_problem(stack.classify("/classify/tiny/labels/gold"), 404, "label-not-found")


def test_labels_are_listed_although_the_servers_status_ignores_them(stack: Stack) -> None:
    listed = stack.gateway.client.get("/models/tiny/versions").json()
    assert [(version["version"], version["labels"]) for version in listed] == [(1, ["stable"]), (2, ["canary"])]


def test_moving_a_label_rolls_back(stack: Stack) -> None:
    path = "/classify/tiny/labels/stable"
    for version in (2, 1):
        stack.label(stable=version, canary=2)
        eventually(lambda: stack.classify(path).json()["version"], functools.partial(operator.eq, version))


def test_the_gateway_uses_only_the_servers_grpc_port(stack: Stack) -> None:
    connections = stack.gateway.process.net_connections("tcp")
    remote_ports = {c.raddr.port for c in connections if c.raddr and c.laddr.port != stack.gateway.port}
    assert remote_ports == {stack.backend.port}  # gRPC: deeply nested JSON on the REST port crashes the server


def test_the_gateway_loads_neither_tensorflow_nor_openvino_and_needs_little_memory(stack: Stack) -> None:
    for _ in range(20):
        assert stack.classify().is_success
    libraries = Path(f"/proc/{stack.gateway.process.pid}/maps").read_text()
    assert "grpc" in libraries
    assert "libtensorflow" not in libraries
    assert "openvino" not in libraries
    assert stack.gateway.resident_mb() < 120
