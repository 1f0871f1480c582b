"""Versions 1 and 2 of `tiny` on TensorFlow Serving with a gateway before it; and of `net`, for fake servers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from keras_archs.repository import models_config
from tests.support.backend import running_backend
from tests.support.clock import Clock
from tests.support.engines import serving_flags
from tests.support.fake_runtime import publish
from tests.support.gateway import running_gateway
from tests.support.tf_serving_stack import Publish, Stack


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, constant_classifier: Publish) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("stack")
    repository = folder / "models"
    for version in (1, 2):
        constant_classifier(repository, version)
    with models_config.edited(repository) as config:
        models_config.include(config, repository, "tiny").version_labels.update({"stable": 1, "canary": 2})
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("KERAS_ARCHS_POLL_SECONDS", "0.1")
        with running_backend(folder / "backend.log", *serving_flags(repository)) as backend:
            flags = ("--engine", "tf-serving", "--backend", backend.target)
            with running_gateway(repository, folder / "gateway.log", *flags) as gateway:
                yield Stack(repository, backend, gateway)


@pytest.fixture
def stack(running: Stack) -> Iterator[Stack]:
    """The running stack; both versions are ready before each test, and faults end after each test."""
    for version in (1, 2):
        running.becomes(200, f"/classify/tiny/versions/{version}")
    yield running
    if running.backend.is_running:
        running.backend.fail()
    assert "Traceback" not in running.gateway.logged()


@pytest.fixture
def channel(stack: Stack) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(stack.backend.target) as opened:
        yield opened


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with versions 1 and 2 of `net`, both served."""
    for version in (1, 2):
        publish(tmp_path, "net", version)
    with models_config.edited(tmp_path):
        pass
    return tmp_path


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of all circuit breakers."""
    clock = Clock()
    monkeypatch.setattr("serving.engines.tf_serving.breaker.time", clock)
    return clock
