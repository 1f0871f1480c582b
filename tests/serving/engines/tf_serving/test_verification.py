"""A server gets requests for a version only once it has answered like the exported model."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import numpy as np
import pytest
from numpy.typing import NDArray

from keras_archs.repository import artifact, models_config, reference_answers
from keras_archs.repository.artifact_card import ArtifactCard
from keras_archs.repository.checksums import checksums
from keras_archs.repository.reference_answers import ReferenceAnswers
from serving.core.engine import State, VersionStatus
from serving.core.errors import ModelUnavailableError
from serving.core.repository import ModelSpec
from serving.engines.tf_serving import TfServingEngine
from serving.engines.tf_serving.protos import PredictRequest
from tests.support.fake_runtime import eventually, publish
from tests.support.fake_server import CLASSES, FakeServer
from tests.support.tf_serving_engine import predicted_version, started

IMAGES = 3


def one_hot(version: int) -> NDArray[np.float32]:
    return np.eye(CLASSES, dtype=np.float32)[[version] * IMAGES]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with versions 1 and 2 of `net`, both with reference answers, and both served."""
    for version in (1, 2):
        folder = publish(tmp_path, "net", version)
        images = np.arange(IMAGES * 8 * 8 * 3).reshape(IMAGES, 8, 8, 3).astype(np.uint8)
        reference_answers.write(folder, ReferenceAnswers(images, one_hot(version)))
        rewrite_card(folder, lambda card, folder=folder: replace(card, checksums=checksums(folder)))  # type: ignore[misc]
    with models_config.edited(tmp_path):
        pass
    return tmp_path


def rewrite_card(folder: Path, change: Callable[[ArtifactCard], ArtifactCard]) -> None:
    (folder / artifact.CARD).write_text(json.dumps(change(artifact.read_card(folder)).to_json()))


def first(engine: TfServingEngine) -> VersionStatus:
    return engine.model_statuses()["net"][0]


def aborting(code: grpc.StatusCode, message: str, times: int = 1_000_000) -> Callable[..., Any]:
    """Return an answer of a fake server that is this status for the first calls."""
    calls = iter(range(times))

    async def answer(request: PredictRequest, context: grpc.aio.ServicerContext) -> None:
        if next(calls, None) is not None:
            await context.abort(code, message)

    return answer


def test_each_server_is_asked_for_each_reference_image_once(repository: Path) -> None:
    async def scenario() -> None:
        servers = FakeServer(), FakeServer()
        async with started(repository, *servers) as engine:
            assert first(engine).state == State.READY
            await asyncio.sleep(0.2)  # several polls
            assert [len(server.requests) for server in servers] == [IMAGES, IMAGES]
            assert await predicted_version(engine) == 1

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        (one_hot(2), "the probability is 0 instead of 1"),
        (np.full((IMAGES, CLASSES), np.nan, np.float32), "the probability is nan"),
        (one_hot(1) * 0.9, "the probability is 0.9 instead of 1; the difference may be at most 0.05"),
        (one_hot(1)[:, :-1], "expected float32 [1, 20]"),
    ],
    ids=["another class", "not a number", "less sure", "fewer classes"],
)
def test_a_version_that_a_server_answers_otherwise_than_published_is_refused(
    repository: Path, answers: NDArray[np.float32], reason: str
) -> None:
    async def scenario() -> None:
        async with started(repository, FakeServer(probabilities=answers)) as engine:
            status = first(engine)
            assert status.state == State.FAILED
            assert status.error is not None
            assert reason in status.error
            with pytest.raises(ModelUnavailableError, match="version 1 of net cannot be loaded"):
                await predicted_version(engine, ModelSpec("net", version=1))

    asyncio.run(scenario())


@pytest.mark.parametrize("code", [grpc.StatusCode.INTERNAL, grpc.StatusCode.INVALID_ARGUMENT])
def test_a_version_that_a_server_cannot_run_is_refused_without_internals(
    repository: Path, code: grpc.StatusCode, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        async with started(repository, FakeServer(answer=aborting(code, "/models/net: no kernel"))) as engine:
            assert first(engine) == VersionStatus(
                1,
                State.FAILED,
                error="the inference server cannot answer with it; the gateway's log has the details",
            )

    asyncio.run(scenario())
    assert "no kernel" in caplog.text


def test_only_the_servers_that_answer_as_published_get_requests(repository: Path) -> None:
    async def scenario() -> None:
        sound, wrong = FakeServer(), FakeServer(probabilities=one_hot(3))
        async with started(repository, sound, wrong) as engine:
            for _ in range(10):
                assert await predicted_version(engine) == 1
            assert (len(sound.requests), len(wrong.requests)) == (IMAGES + 10, IMAGES)

    asyncio.run(scenario())


def test_the_older_version_goes_on_when_the_newer_is_refused(repository: Path) -> None:
    async def scenario() -> None:
        server = FakeServer()
        async with started(repository, server) as engine:
            rewrite_card(repository / "net" / "2", lambda card: replace(card, name="other"))
            server.states = {1: server.states[1], 2: server.states[1]}
            await eventually(lambda: asyncio.sleep(0, engine.model_statuses()["net"][1].state == State.FAILED))
            reason = engine.model_statuses()["net"][1].error
            assert reason is not None and "a model named 'other'" in reason
            assert await predicted_version(engine) == 1

    asyncio.run(scenario())


@pytest.mark.parametrize("code", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED])
def test_an_overloaded_server_is_asked_again(repository: Path, code: grpc.StatusCode) -> None:
    async def scenario() -> None:
        async with started(repository, FakeServer(answer=aborting(code, "queue full", times=3))) as engine:
            assert first(engine).state == State.LOADING
            await eventually(lambda: asyncio.sleep(0, first(engine).state == State.READY))

    asyncio.run(scenario())


def test_a_server_that_does_not_answer_the_reference_images_keeps_nobody_waiting(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.engines.tf_serving.verification.WAIT_SECONDS", 0.1)

    async def hang(request: PredictRequest, context: grpc.aio.ServicerContext) -> None:
        await asyncio.sleep(3600)

    async def scenario() -> None:
        sound, hanging = FakeServer(), FakeServer(answer=hang)
        async with started(repository, sound, hanging) as engine:
            for _ in range(10):
                assert await predicted_version(engine) == 1
            assert len(hanging.requests) == 1

    asyncio.run(scenario())
