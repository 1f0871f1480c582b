"""New, corrupt and relabelled versions while clients send requests."""

from __future__ import annotations

import http.client
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from keras_archs.repository import models_config
from tests.support.engines import running_engine
from tests.support.gateway import Gateway
from tests.support.images import encode

CLIENTS, REQUESTS = 8, 1000
Publish = Callable[[Path, int], Path]


@pytest.fixture(params=["openvino", "tf-serving"])
def engine(request: pytest.FixtureRequest) -> str:
    """Name of an engine."""
    return str(request.param)


@pytest.fixture
def tiny_gateway(
    engine: str, tmp_path: Path, constant_classifier: Publish, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Gateway]:
    """A gateway with version 1 of a tiny model, whose version N predicts class N % 3."""
    monkeypatch.setenv("KERAS_ARCHS_POLL_SECONDS", "0.1")
    repository = tmp_path / "models"
    constant_classifier(repository, 1)
    with models_config.edited(repository):
        pass  # creates models.config with the published models
    with running_engine(engine, repository, tmp_path, "--preload", "tiny") as gateway:
        yield gateway


@pytest.fixture(scope="module")
def image() -> bytes:
    import numpy as np

    return encode(np.zeros((40, 40, 3), np.uint8))


def classify(connection: http.client.HTTPConnection, image: bytes, path: str = "/classify/tiny") -> int:
    """Return the version that answers, after checking that the predicted class is the version's."""
    connection.request("POST", path, image, {"Content-Type": "image/jpeg"})
    response = connection.getresponse()
    answer = json.loads(response.read())
    assert response.status == 200, answer
    assert answer["images"][0][0]["index"] == answer["version"] % 3
    return int(answer["version"])


@pytest.mark.parametrize("policy", ["all", "latest=1"])
def test_a_version_published_during_1000_requests_replaces_the_old_one_without_a_failure(
    tiny_gateway: Gateway, constant_classifier: Publish, tmp_path: Path, image: bytes, policy: str
) -> None:
    with models_config.edited(tmp_path / "models") as config:
        entry = models_config.include(config, tmp_path / "models", "tiny")
        entry.model_version_policy.CopyFrom(models_config.read_policy(policy))
    answers: Counter[int] = Counter()
    stop = time.monotonic() + 60

    def client(_: int) -> list[int]:
        connection = http.client.HTTPConnection("127.0.0.1", tiny_gateway.port, timeout=60)
        seen: list[int] = []
        # at least its share of the requests, and until the new version has answered
        while time.monotonic() < stop and (len(seen) < REQUESTS // CLIENTS or seen[-1] == 1):
            seen.append(classify(connection, image))
            answers[seen[-1]] += 1
        connection.close()
        return seen

    constant_classifier(tmp_path / "elsewhere", 2)  # a first export, so that the one below is fast
    with ThreadPoolExecutor(CLIENTS) as pool:
        running = [pool.submit(client, number) for number in range(CLIENTS)]
        while answers.total() < REQUESTS // 4 and not any(future.done() for future in running):
            time.sleep(0.01)
        constant_classifier(tmp_path / "models", 2)
        seen = [future.result() for future in running]
    assert sum(map(len, seen)) >= REQUESTS
    for versions in seen:
        assert versions == sorted(versions), "the old version answered after the new one"
        assert set(versions) == {1, 2}


REASONS = {"openvino": "has changed since it was published", "tf-serving": "the inference server cannot load it"}


def test_a_corrupt_version_is_reported_and_changes_nothing(
    engine: str, tiny_gateway: Gateway, constant_classifier: Publish, tmp_path: Path, image: bytes
) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", tiny_gateway.port, timeout=60)
    assert classify(connection, image) == 1
    corrupt = constant_classifier(tmp_path / "elsewhere", 2)
    graph = corrupt / "saved_model.pb"
    graph.write_bytes(graph.read_bytes()[:2000])
    corrupt.rename(tmp_path / "models" / "tiny" / "2")

    def second() -> dict[str, object]:
        versions = tiny_gateway.client.get("/models/tiny/versions").json()
        return versions[1] if len(versions) > 1 else {"state": "unseen"}

    for _ in range(2000):
        assert classify(connection, image) == 1
        if second()["state"] == "failed":
            break
    assert second()["state"] == "failed"
    assert REASONS[engine] in str(second()["error"])
    assert engine == "tf-serving" or "cannot load version 2 of tiny" in tiny_gateway.logged()
    answer = tiny_gateway.client.post("/classify/tiny/versions/2", content=image)
    assert answer.status_code == 503
    assert answer.json()["type"] == "urn:keras-archs:problem:model-unavailable"
    constant_classifier(tmp_path / "models", 3)  # the next sound version is served
    for _ in range(2000):
        if classify(connection, image) == 3:
            break
    assert classify(connection, image) == 3
    connection.close()


def test_labels_select_their_versions_and_can_be_moved(
    tiny_gateway: Gateway, constant_classifier: Publish, tmp_path: Path, image: bytes
) -> None:
    def label(**labels: int) -> None:
        with models_config.edited(tmp_path / "models") as config:
            entry = models_config.include(config, tmp_path / "models", "tiny")
            entry.version_labels.clear()
            entry.version_labels.update(labels)

    connection = http.client.HTTPConnection("127.0.0.1", tiny_gateway.port, timeout=60)
    constant_classifier(tmp_path / "models", 2)
    label(stable=1, canary=2)
    for _ in range(2000):
        listed = tiny_gateway.client.get("/models/tiny/versions").json()
        can_answer = all(version["state"] in ("idle", "ready") for version in listed)
        if can_answer and [version["labels"] for version in listed] == [["stable"], ["canary"]]:
            break
    assert classify(connection, image, "/classify/tiny/labels/stable") == 1
    assert classify(connection, image, "/classify/tiny/labels/canary") == 2
    label(stable=2)
    for _ in range(2000):
        if classify(connection, image, "/classify/tiny/labels/stable") == 2:
            break
    assert classify(connection, image, "/classify/tiny/labels/stable") == 2
    gone = tiny_gateway.client.post("/classify/tiny/labels/canary", content=image)
    assert gone.status_code == 404
    assert gone.json()["type"] == "urn:keras-archs:problem:label-not-found"
    connection.close()
