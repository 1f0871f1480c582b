"""Damaged pictures neither crash nor delay the gateway, whatever was damaged, and its memory stays the same."""

from __future__ import annotations

import base64
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.damaged_pictures import damaged_picture, decode_in_process, whole_pictures
from tests.support.gateway import Gateway, running_gateway

PATH = "/classify/tiny"
SECONDS = 2  # of the processor: a busy machine changes nothing
GROWTH_MB = 40


@pytest.fixture(scope="module")
def gateway(
    tmp_path_factory: pytest.TempPathFactory, constant_classifier: Callable[[Path, int], Path]
) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("damaged")
    constant_classifier(folder / "models", 1)
    with running_gateway(folder / "models", folder / "log", "--preload", "tiny") as running:
        yield running


@pytest.mark.parametrize("count", [600, pytest.param(20_000, marks=pytest.mark.fuzz)])
def test_a_damaged_picture_is_decoded_or_refused(count: int) -> None:
    decoded = decode_in_process(range(count))
    print(decoded)
    assert decoded.failures == {}
    assert decoded.outcomes["decoded"] > count / 10, "the damage is so large that decoders see nothing of it"
    assert decoded.outcomes["ImageError"] > count / 10
    assert decoded.slowest[0] < SECONDS
    assert decoded.growth_mb < GROWTH_MB


def post(client: httpx.Client, number: int, picture: bytes) -> httpx.Response:
    """Send a picture as the body, in a form, or in JSON."""
    match number % 3:
        case 0:
            return client.post(PATH, content=picture)
        case 1:
            return client.post(PATH, files={"image": ("name", picture, "image/jpeg")})
        case _:
            return client.post(PATH, json={"images": [base64.b64encode(picture).decode()]})


@pytest.mark.parametrize("count", [150, pytest.param(3_000, marks=pytest.mark.fuzz)])
def test_a_damaged_picture_over_http_is_answered_or_refused(gateway: Gateway, count: int) -> None:
    def processor_seconds() -> float:
        times = gateway.process.cpu_times()
        return float(times.user + times.system)

    for number, picture in enumerate(whole_pictures()):
        assert post(gateway.client, number, picture).status_code == 200
    statuses: Counter[int] = Counter()
    slowest, before = 0.0, gateway.resident_mb()
    for number in range(count):
        started = processor_seconds()
        response = post(gateway.client, number, damaged_picture(number))
        slowest = max(slowest, processor_seconds() - started)
        statuses[response.status_code] += 1
        assert response.status_code in {200, 400, 413, 415}, f"picture {number}: {response.text}"
    growth = gateway.resident_mb() - before
    print(dict(statuses), f"slowest {slowest:.2f} s, growth {growth:.1f} MB")
    assert slowest < SECONDS
    assert growth < GROWTH_MB
    assert not re.search("Traceback| ERROR ", gateway.logged())
    for number, picture in enumerate(whole_pictures()):
        assert post(gateway.client, number, picture).status_code == 200
