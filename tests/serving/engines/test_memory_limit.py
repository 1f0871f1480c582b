"""The memory of loaded models is bounded; requests in flight are answered all the same."""

from __future__ import annotations

import asyncio
import gc
import math
import subprocess
import sys
from pathlib import Path

import pytest

from serving.core.access import Caller
from serving.core.engine import State
from serving.core.repository import ModelSpec
from serving.engines.embedded import EmbeddedEngine
from tests.serving.engines.test_embedded import IMAGES, explain, predicted_version, started, states
from tests.support.fake_runtime import FakeRuntime, eventually, publish

# Loaded, a version of the fake runtime takes twice the size of its graph, and its explainer as much again.


@pytest.fixture
def runtime() -> FakeRuntime:
    return FakeRuntime()


def test_the_memory_limit_unloads_the_least_recently_used_model(tmp_path: Path, runtime: FakeRuntime) -> None:
    async def scenario() -> None:
        for name in ("a", "b", "c"):
            publish(tmp_path, name, 1, kilobytes=100)
        async with started(tmp_path, runtime, memory_limit=500_000) as engine:
            for name in ("a", "b", "a", "c"):
                await engine.acquire(ModelSpec(name))
            loaded = {name for name in "abc" if states(engine, name)[1] == State.READY}
            assert loaded == {"a", "c"}
            assert await predicted_version(engine, ModelSpec("b")) == 1  # loaded again
        assert runtime.loads == ["a/1", "b/1", "c/1", "b/1"]

    asyncio.run(scenario())


def test_simultaneous_loads_respect_the_memory_limit(tmp_path: Path, runtime: FakeRuntime) -> None:
    async def scenario() -> None:
        for name in "abcd":
            publish(tmp_path, name, 1, kilobytes=100)
        async with started(tmp_path, runtime, memory_limit=500_000) as engine:
            await asyncio.gather(*(predicted_version(engine, ModelSpec(name)) for name in "abcd"))
            assert [states(engine, name)[1] for name in "abcd"].count(State.READY) == 2

    asyncio.run(scenario())


def test_an_explainer_counts_towards_the_memory_limit(tmp_path: Path, runtime: FakeRuntime) -> None:
    async def scenario() -> None:
        for name in ("a", "b"):
            publish(tmp_path, name, 1, kilobytes=100)
        async with started(tmp_path, runtime, memory_limit=500_000) as engine:
            for name in ("a", "b"):
                await engine.acquire(ModelSpec(name))
            assert (await explain(engine, ModelSpec("b"))).chosen[0] == 1
            assert states(engine, "a")[1] == State.IDLE
            await engine.acquire(ModelSpec("a"))
            assert states(engine, "b")[1] == State.IDLE  # b with its explainer has doubled

    asyncio.run(scenario())


def test_a_model_larger_than_the_memory_limit_is_served_alone(tmp_path: Path, runtime: FakeRuntime) -> None:
    async def scenario() -> None:
        publish(tmp_path, "big", 1, kilobytes=300)
        publish(tmp_path, "net", 1)
        async with started(tmp_path, runtime, memory_limit=10_000) as engine:
            assert await predicted_version(engine) == 1
            assert await predicted_version(engine, ModelSpec("big")) == 1
            assert states(engine) == {1: State.IDLE}

    asyncio.run(scenario())


def test_explaining_does_not_unload_the_model_that_is_explained(tmp_path: Path, runtime: FakeRuntime) -> None:
    async def scenario() -> None:
        publish(tmp_path, "net", 1, kilobytes=100)
        async with started(tmp_path, runtime, memory_limit=300_000) as engine:
            for _ in range(3):
                assert (await explain(engine)).chosen[0] == 1
        assert runtime.loads == ["net/1", "explain 1"]

    asyncio.run(scenario())


def loaded_bytes(engine: EmbeddedEngine) -> int:
    """Return the memory of the versions whose status is ready."""
    return sum(
        200_000 for statuses in engine.model_statuses().values() for status in statuses if status.state == State.READY
    )


def test_many_versions_asked_for_by_number_stay_below_the_limit(tmp_path: Path, runtime: FakeRuntime) -> None:
    async def scenario() -> None:
        for version in range(1, 20):
            publish(tmp_path, "net", version, kilobytes=100)
        async with started(tmp_path, runtime, memory_limit=900_000) as engine:
            for version in range(1, 20):
                assert await predicted_version(engine, ModelSpec("net", version=version)) == version
                assert loaded_bytes(engine) <= 900_000
            ready = {version for version, state in states(engine).items() if state == State.READY}
            assert ready == {16, 17, 18, 19}

    asyncio.run(scenario())


def test_an_idle_model_is_unloaded_before_a_model_in_use(tmp_path: Path, runtime: FakeRuntime) -> None:
    async def scenario() -> None:
        for name in ("used", "idle", "new"):
            publish(tmp_path, name, 1, kilobytes=100)
        async with started(tmp_path, runtime, memory_limit=500_000) as engine:
            used = await engine.acquire(ModelSpec("used"))
            await engine.acquire(ModelSpec("idle"))  # used more recently
            runtime.may_infer.clear()
            running = asyncio.create_task(used.predict(IMAGES, deadline=math.inf, caller=Caller("a")))
            await eventually(lambda: asyncio.sleep(0, used.calls == 1))
            await engine.acquire(ModelSpec("new"))
            assert [states(engine, name)[1] for name in ("used", "idle")] == [State.READY, State.IDLE]
            runtime.may_infer.set()
            await running

    asyncio.run(scenario())


def test_a_load_waits_until_requests_let_go_of_an_unloaded_model(tmp_path: Path, runtime: FakeRuntime) -> None:
    async def scenario() -> None:
        for name in ("old", "new"):
            publish(tmp_path, name, 1, kilobytes=100)
        async with started(tmp_path, runtime, memory_limit=300_000) as engine:
            held = await engine.acquire(ModelSpec("old"))
            loading = asyncio.create_task(predicted_version(engine, ModelSpec("new")))
            await eventually(lambda: asyncio.sleep(0, states(engine, "old")[1] == State.IDLE))
            prediction = await held.predict(IMAGES, deadline=math.inf, caller=Caller("a"))
            assert prediction.probabilities[0].argmax() == 1
            assert runtime.loads == ["old/1"]
            del held
            gc.collect()
            assert await loading == 1
        assert runtime.loads == ["old/1", "new/1"]

    asyncio.run(scenario())


def test_a_request_for_an_explanation_and_another_load_do_not_wait_for_each_other(
    tmp_path: Path, runtime: FakeRuntime
) -> None:
    async def scenario() -> None:
        for name in ("a", "b", "c"):
            publish(tmp_path, name, 1, kilobytes=100)
        async with started(tmp_path, runtime, memory_limit=300_000) as engine:
            await engine.acquire(ModelSpec("a"))
            runtime.may_load.clear()
            waiting = [
                asyncio.create_task(predicted_version(engine, ModelSpec("b"))),
                asyncio.create_task(explain(engine, ModelSpec("a"))),
                asyncio.create_task(predicted_version(engine, ModelSpec("c"))),
            ]
            await eventually(lambda: asyncio.sleep(0, "b/1" in runtime.loads))
            runtime.may_load.set()
            async with asyncio.timeout(3):
                await asyncio.gather(*waiting)

    asyncio.run(scenario())


GROWTH = """
import gc, sys
from pathlib import Path
from keras_archs.repository import artifact
from keras_archs.runtimes.heap import give_back_memory
from keras_archs.runtimes.openvino_runtime import OpenVinoRuntime

def memory():
    gc.collect()
    give_back_memory()
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssAnon"))
    return int(line.split()[1]) * 1024

runtime, version_dir = OpenVinoRuntime(streams=2), Path(sys.argv[1])
card = artifact.read_card(version_dir)
first = runtime.load(version_dir, card)
before = memory()
second = runtime.load(version_dir, card)
print((memory() - before) / second.memory)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
def test_the_estimate_is_close_to_what_a_loaded_network_takes(lite0_repository: Path) -> None:
    version_dir = lite0_repository / "efficientnet-lite0" / "1"
    child = subprocess.run(
        [sys.executable, "-c", GROWTH, str(version_dir)], capture_output=True, text=True, check=True, timeout=120
    )
    assert 0.7 < float(child.stdout) < 1.4
