"""What TensorFlow Serving does differently from what a client expects, and the gateway does not."""

from __future__ import annotations

import functools
import operator
from pathlib import Path

import grpc
import pytest
from grpc import StatusCode

from keras_archs.repository import models_config
from tests.support.tf_serving_stack import Publish, Stack, eventually, predict, problem


def test_a_version_that_is_still_loading_is_503_and_not_404(
    stack: Stack, constant_classifier: Publish, channel: grpc.Channel
) -> None:
    stack.backend.fail(load_delay=3)
    constant_classifier(stack.repository, 3)
    path = "/classify/tiny/versions/3"
    assert eventually(lambda: stack.classify(path).status_code, lambda status: status != 404) == 503
    found = problem(stack.classify(path), 503, "model-unavailable")
    assert found["detail"] == "version 3 of tiny is not loaded yet; try again"
    with pytest.raises(grpc.RpcError) as raised:
        predict(channel, version=3)
    assert raised.value.code() == StatusCode.NOT_FOUND  # the server's own answer cannot be told from "unknown"
    listed = stack.gateway.client.get("/models/tiny/versions").json()
    assert [version["state"] for version in listed] == ["ready", "ready", "loading"]
    assert stack.classify().json()["version"] == 2  # the others go on
    assert stack.becomes(200, path).json()["version"] == 3
    with models_config.edited(stack.repository) as config:  # as it was
        entry = models_config.include(config, stack.repository, "tiny")
        entry.model_version_policy.CopyFrom(models_config.read_policy("specific=1,2"))
    problem(stack.becomes(404, path), 404, "version-not-found")


def test_an_unknown_label_is_404_where_the_server_says_invalid_argument(stack: Stack, channel: grpc.Channel) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        predict(channel, label="gold")
    assert raised.value.code() == StatusCode.INVALID_ARGUMENT
    problem(stack.classify("/classify/tiny/labels/gold"), 404, "label-not-found")


def test_labels_are_listed_by_version_although_the_servers_status_ignores_them(stack: Stack) -> None:
    listed = stack.gateway.client.get("/models/tiny/versions").json()
    assert [(version["version"], version["labels"]) for version in listed] == [(1, ["stable"]), (2, ["canary"])]


def test_rolling_back_is_moving_a_label(stack: Stack) -> None:
    path = "/classify/tiny/labels/stable"
    for version in (2, 1):
        stack.label(stable=version, canary=2)
        eventually(lambda: stack.classify(path).json()["version"], functools.partial(operator.eq, version))


def test_the_servers_rest_port_is_never_asked(stack: Stack) -> None:
    connections = stack.gateway.process.net_connections("tcp")
    called = {one.raddr.port for one in connections if one.raddr and one.laddr.port != stack.gateway.port}
    assert called == {stack.backend.port}  # gRPC's; JSON, which can end that server, goes no further than the gateway


def test_the_gateway_has_neither_tensorflow_nor_openvino_and_stays_small(stack: Stack) -> None:
    for _ in range(20):
        assert stack.classify().is_success
    libraries = Path(f"/proc/{stack.gateway.process.pid}/maps").read_text()
    assert "grpc" in libraries
    assert "libtensorflow" not in libraries
    assert "openvino" not in libraries
    assert stack.gateway.resident_mb() < 120
