"""The embedded engine loads, replaces and unloads versions, tested with a fake runtime."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from keras_archs.repository import artifact
from keras_archs.runtimes.runtime import ActivationMaps
from serving.core.access import Caller
from serving.core.engine import State
from serving.core.errors import ModelNotFoundError, ModelUnavailableError, VersionNotFoundError
from serving.core.repository import ModelSpec
from serving.engines.embedded import EmbeddedEngine
from tests.support.fake_runtime import FakeRuntime, eventually, publish

NET = ModelSpec("net")
IMAGES = np.zeros((3, 8, 8, 3), np.uint8)


@asynccontextmanager
async def started(
    repository: Path, runtime: FakeRuntime, memory_limit: int | None = None
) -> AsyncIterator[EmbeddedEngine]:
    engine = EmbeddedEngine(repository, runtime, workers=2, poll_seconds=0.01, memory_limit=memory_limit)
    await engine.start()
    try:
        yield engine
    finally:
        runtime.may_load.set()
        await engine.close()


async def predicted_version(engine: EmbeddedEngine, spec: ModelSpec = NET) -> int:
    prediction = await (await engine.acquire(spec)).predict(IMAGES, deadline=math.inf, caller=Caller("a"))
    assert prediction.probabilities.shape == (len(IMAGES), 20)
    return int(prediction.probabilities[-1].argmax())


async def becomes(engine: EmbeddedEngine, version: int) -> None:
    async def is_current() -> bool:
        return await predicted_version(engine) == version

    await eventually(is_current)


def states(engine: EmbeddedEngine, name: str = "net") -> dict[int, State]:
    return {status.version: status.state for status in engine.model_statuses()[name]}


@pytest.fixture
def runtime() -> FakeRuntime:
    return FakeRuntime()


def test_a_model_is_loaded_on_first_use(tmp_path: Path, runtime: FakeRuntime) -> None:
    async def scenario() -> None:
        publish(tmp_path, "net", 1)
        async with started(tmp_path, runtime) as engine:
            assert states(engine) == {1: State.IDLE}
            version, card = await engine.resolve(NET)
            assert (version, card.name) == (1, "net")
            assert runtime.loads == []
            assert await predicted_version(engine) == 1
            assert states(engine) == {1: State.READY}

    asyncio.run(scenario())


def test_simultaneous_requests_share_one_load(tmp_path: Path, runtime: FakeRuntime) -> None:
    async def scenario() -> None:
        publish(tmp_path, "net", 1)
        async with started(tmp_path, runtime) as engine:
            runtime.may_load.clear()
            waiting = [asyncio.create_task(predicted_version(engine)) for _ in range(50)]
            await eventually(lambda: asyncio.sleep(0, bool(runtime.loads)))
            assert states(engine) == {1: State.LOADING}
            waiting[0].cancel()  # a cancelled request does not cancel the load for the others
            runtime.may_load.set()
            assert await asyncio.gather(*waiting[1:]) == [1] * 49
        assert runtime.loads == ["net/1"]

    asyncio.run(scenario())


def test_a_new_version_replaces_the_current_one_once_it_is_ready(tmp_path: Path, runtime: FakeRuntime) -> None:
    async def scenario() -> None:
        publish(tmp_path, "net", 1)
        async with started(tmp_path, runtime) as engine:
            held = await engine.acquire(NET)
            runtime.may_load.clear()
            publish(tmp_path, "net", 2)
            await eventually(lambda: asyncio.sleep(0, states(engine).get(2) == State.LOADING))
            assert await predicted_version(engine) == 1
            runtime.may_load.set()
            await becomes(engine, 2)
            assert states(engine) == {1: State.IDLE, 2: State.READY}
            prediction = await held.predict(IMAGES, deadline=math.inf, caller=Caller("a"))
            assert prediction.probabilities[0].argmax() == 1  # an acquired version stays usable
            assert await predicted_version(engine, ModelSpec("net", version=1)) == 1

    asyncio.run(scenario())


def test_the_current_version_stays_when_a_new_one_cannot_be_loaded(tmp_path: Path, runtime: FakeRuntime) -> None:
    async def scenario() -> None:
        publish(tmp_path, "net", 1)
        async with started(tmp_path, runtime) as engine:
            assert await predicted_version(engine) == 1
            runtime.broken.add(2)
            publish(tmp_path, "net", 2)
            await eventually(lambda: asyncio.sleep(0, states(engine).get(2) == State.FAILED))
            assert await predicted_version(engine) == 1
            (_, failed) = engine.model_statuses()["net"]
            assert failed.error == "the engine cannot read its graph"  # without the path
            with pytest.raises(ModelUnavailableError, match="version 2 of net cannot be loaded"):
                await engine.acquire(ModelSpec("net", version=2))
            assert runtime.loads.count("net/2") == 1  # not retried at once
            publish(tmp_path, "net", 3)
            await becomes(engine, 3)

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda folder: (folder / artifact.SAVED_MODEL).write_bytes(b"cut"), "has changed since it was published"),
        (lambda folder: (folder / artifact.CARD).unlink(), "no assets.extra/model_card.json"),
        (lambda folder: (folder / artifact.CARD).write_text("{}"), "cannot be read"),
    ],
)
def test_first_use_skips_a_damaged_newest_version(
    tmp_path: Path, runtime: FakeRuntime, damage: Callable[[Path], object], reason: str
) -> None:
    async def scenario() -> None:
        publish(tmp_path, "net", 1)
        damage(publish(tmp_path, "net", 2))
        async with started(tmp_path, runtime) as engine:
            assert await predicted_version(engine) == 1
            (_, failed) = engine.model_statuses()["net"]
            assert failed.state == State.FAILED
            assert failed.error is not None and reason in failed.error
            assert str(tmp_path) not in failed.error

    asyncio.run(scenario())


def test_a_model_is_unavailable_when_all_versions_fail(tmp_path: Path, runtime: FakeRuntime) -> None:
    async def scenario() -> None:
        runtime.broken |= {1, 2}
        publish(tmp_path, "net", 1)
        publish(tmp_path, "net", 2)
        async with started(tmp_path, runtime) as engine:
            for _ in range(3):
                with pytest.raises(ModelUnavailableError, match="cannot be loaded"):
                    await engine.acquire(NET)
        assert sorted(runtime.loads) == ["net/1", "net/2"]

    asyncio.run(scenario())


async def explain(engine: EmbeddedEngine, spec: ModelSpec = NET) -> ActivationMaps:
    model = await engine.acquire(spec)
    classes = np.array([artifact.LIKELIEST, 1, 5], np.int64)
    return (await model.explain(IMAGES, classes, deadline=math.inf, caller=Caller("a"))).activation_maps


def test_the_explainer_is_loaded_once_on_first_use(tmp_path: Path, runtime: FakeRuntime) -> None:
    async def scenario() -> None:
        publish(tmp_path, "net", 1)
        async with started(tmp_path, runtime) as engine:
            assert await predicted_version(engine) == 1
            assert runtime.loads == ["net/1"]
            runtime.may_load.clear()
            waiting = [asyncio.create_task(explain(engine)) for _ in range(20)]
            await eventually(lambda: asyncio.sleep(0, "explain 1" in runtime.loads))
            assert await predicted_version(engine) == 1  # predictions do not wait for that load
            waiting[0].cancel()  # a cancelled request does not cancel the load for the others
            runtime.may_load.set()
            for maps in await asyncio.gather(*waiting[1:]):
                assert maps.chosen.tolist() == [1, 1, 5]
                assert maps.maps.mean(axis=(1, 2)).tolist() == [1, 1, 0]
                assert maps.probabilities.shape == (3, 20)
        assert runtime.loads == ["net/1", "explain 1"]

    asyncio.run(scenario())


def test_a_failed_explainer_is_retried_and_does_not_stop_predictions(tmp_path: Path, runtime: FakeRuntime) -> None:
    async def scenario() -> None:
        publish(tmp_path, "net", 1)
        runtime.broken_explainers.add(1)
        async with started(tmp_path, runtime) as engine:
            with pytest.raises(
                ModelUnavailableError, match=r"^version 1 of net cannot explain now$"
            ):  # without the path
                await explain(engine)
            assert await predicted_version(engine) == 1
            runtime.broken_explainers.clear()
            assert (await explain(engine)).chosen[0] == 1

    asyncio.run(scenario())


def test_a_late_load_of_an_old_version_does_not_replace_the_new_one(tmp_path: Path, runtime: FakeRuntime) -> None:
    async def scenario() -> None:
        publish(tmp_path, "net", 1)
        async with started(tmp_path, runtime) as engine:
            runtime.may_load.clear()
            late = asyncio.create_task(predicted_version(engine))
            await eventually(lambda: asyncio.sleep(0, bool(runtime.loads)))
            publish(tmp_path, "net", 2)
            await eventually(lambda: asyncio.sleep(0, 2 in states(engine)))
            newer = [asyncio.create_task(predicted_version(engine)) for _ in range(5)]
            runtime.may_load.set()
            assert await asyncio.gather(late, *newer) == [1, 2, 2, 2, 2, 2]
            assert await predicted_version(engine) == 2

    asyncio.run(scenario())


def test_versions_removed_from_disk_are_no_longer_served(tmp_path: Path, runtime: FakeRuntime) -> None:
    async def scenario() -> None:
        publish(tmp_path, "net", 1)
        newest = publish(tmp_path, "net", 2)
        async with started(tmp_path, runtime) as engine:
            assert await predicted_version(engine) == 2
            newest.rename(tmp_path / "gone")
            await becomes(engine, 1)  # rollback by removal
            with pytest.raises(VersionNotFoundError):
                await engine.acquire(ModelSpec("net", version=2))
            (tmp_path / "net" / "1").rename(tmp_path / "gone too")
            await eventually(lambda: asyncio.sleep(0, not engine.model_statuses()))
            with pytest.raises(ModelNotFoundError):
                await engine.acquire(NET)

    asyncio.run(scenario())


def test_a_labelled_version_stays_loaded_and_a_moved_label_takes_effect(tmp_path: Path, runtime: FakeRuntime) -> None:
    def label(version: int) -> None:
        config = tmp_path / "models.config.new"
        config.write_text(
            "model_config_list { config { name: 'net' model_version_policy { all {} }"
            f" version_labels {{ key: 'stable' value: {version} }} }} }}"
        )
        config.rename(tmp_path / "models.config")

    async def scenario() -> None:
        publish(tmp_path, "net", 1)
        label(1)
        stable = ModelSpec("net", label="stable")
        async with started(tmp_path, runtime) as engine:
            assert await predicted_version(engine) == 1
            publish(tmp_path, "net", 2)
            await becomes(engine, 2)
            assert states(engine) == {1: State.READY, 2: State.READY}
            assert await predicted_version(engine, stable) == 1
            label(2)

            async def moved() -> bool:
                return await predicted_version(engine, stable) == 2

            await eventually(moved)

    asyncio.run(scenario())


def test_an_unreadable_models_config_is_reported_and_changes_nothing(tmp_path: Path, runtime: FakeRuntime) -> None:
    async def scenario() -> None:
        publish(tmp_path, "net", 1)
        async with started(tmp_path, runtime) as engine:
            assert engine.not_ready_reason() is None
            (tmp_path / "models.config").write_text("model_config_list {")
            await eventually(lambda: asyncio.sleep(0, bool(engine.problems())))
            assert engine.not_ready_reason() is None
            assert await predicted_version(engine) == 1
            (tmp_path / "models.config").unlink()
            await eventually(lambda: asyncio.sleep(0, not engine.problems()))

    asyncio.run(scenario())


def configure(repository: Path, entry: str) -> None:
    new = repository / "models.config.new"
    new.write_text(f"model_config_list {{ config {{ name: 'net' {entry} }} }}")
    new.rename(repository / "models.config")


def test_a_policy_that_selects_a_version_that_cannot_be_loaded_keeps_the_current_version(
    tmp_path: Path, runtime: FakeRuntime
) -> None:
    async def scenario() -> None:
        runtime.broken.add(2)
        publish(tmp_path, "net", 1)
        configure(tmp_path, "model_version_policy { latest { num_versions: 1 } }")
        async with started(tmp_path, runtime) as engine:
            assert await predicted_version(engine) == 1
            publish(tmp_path, "net", 2)
            await eventually(lambda: asyncio.sleep(0, states(engine) == {2: State.FAILED}))
            assert await predicted_version(engine) == 1
            with pytest.raises(VersionNotFoundError):
                await engine.acquire(ModelSpec("net", version=1))
            publish(tmp_path, "net", 3)
            await becomes(engine, 3)
            await eventually(lambda: asyncio.sleep(0, states(engine) == {3: State.READY}))

    asyncio.run(scenario())


def test_a_base_path_that_changes_is_followed(tmp_path: Path, runtime: FakeRuntime) -> None:
    async def scenario() -> None:
        for folder, version in (("a", 1), ("b", 1), ("b", 2)):
            publish(tmp_path, folder, version)
        configure(tmp_path, "base_path: '/models/a'")
        async with started(tmp_path, runtime) as engine:
            assert await predicted_version(engine) == 1
            configure(tmp_path, "base_path: '/models/b' model_version_policy { specific { versions: 1 } }")

            async def answers_from_b() -> bool:
                return (await engine.acquire(NET)).folder == tmp_path / "b" / "1"

            await eventually(answers_from_b)
            configure(tmp_path, "base_path: '/models/b'")
            await becomes(engine, 2)

    asyncio.run(scenario())


def test_a_failed_load_is_logged_with_its_traceback(
    tmp_path: Path, runtime: FakeRuntime, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        runtime.broken.add(1)
        publish(tmp_path, "net", 1)
        async with started(tmp_path, runtime) as engine:
            with pytest.raises(ModelUnavailableError):
                await engine.acquire(NET)

    asyncio.run(scenario())
    (record,) = [record for record in caplog.records if "cannot load version 1 of net" in record.getMessage()]
    assert record.exc_info is not None and isinstance(record.exc_info[1], RuntimeError)
