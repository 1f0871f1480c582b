"""Decoding for requests: bounded in memory and work, shared between clients, and stopped when nobody waits for it."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from keras_archs.images.decoding import DecodingCancelledError, decode
from serving.core.access import Caller
from serving.core.decoding import Decoder
from serving.core.errors import (
    ImageTooLargeError,
    InvalidImageError,
    OverloadedError,
    ServingError,
    UnsupportedMediaTypeError,
)
from tests.support.pictures import RGB, empty_png, encode, with_scans

SMALL = encode(Image.new("RGB", (40, 40)), "JPEG")
LIMIT = 500_000_000  # the default of the settings


@asynccontextmanager
async def decoder(workers: int = 2, max_memory: int = LIMIT) -> AsyncIterator[Decoder]:
    made = Decoder(workers=workers, max_pixels=64_000_000, max_memory=max_memory)
    try:
        yield made
    finally:
        await asyncio.to_thread(made.close)


@pytest.fixture(scope="module")
def progressive() -> bytes:
    """A progressive JPEG of 64 megapixels and 750 KB, whose decoding takes a second."""
    return encode(Image.new("RGB", (8000, 8000)), "JPEG", progressive=True, subsampling=0)


def refusal(data: bytes, **limits: int) -> ServingError:
    async def scenario() -> ServingError:
        async with decoder(**limits) as made:
            with pytest.raises(ServingError) as raised:
                await made.decode([SMALL, data], RGB, Caller("a"))
            return raised.value

    return asyncio.run(scenario())


def test_pictures_of_the_largest_size_are_decoded_within_the_default_memory(progressive: bytes) -> None:
    async def scenario() -> None:
        async with decoder() as made:
            for data in (progressive, empty_png(8000, 8000, 8, 6)):
                (pixels,) = (await made.decode([data], RGB, Caller("a"))).results
                assert pixels.shape == (224, 224, 3)

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "data",
    [
        encode(Image.new("RGBA", (16383, 3900)), "WEBP", lossless=True, method=0),
        empty_png(8000, 8000, 16, 2, (b"tRNS", bytes(6))),
    ],
    ids=["WebP", "PNG"],
)
def test_a_small_file_that_takes_more_than_the_memory_is_refused(data: bytes) -> None:
    assert len(data) < 500_000
    error = refusal(data)
    assert type(error) is ImageTooLargeError
    assert str(error).startswith("image 2: The ") and "at most 400 MB are accepted" in str(error)


def test_a_jpeg_of_a_hundred_scans_is_refused(progressive: bytes) -> None:
    error = refusal(with_scans(progressive, 100))
    assert type(error) is ImageTooLargeError
    assert "steps" in str(error)


@pytest.mark.parametrize(
    ("data", "kind", "message"),
    [
        (b"no image", InvalidImageError, "image 2: This is not an image in one of the formats"),
        (SMALL[:300], InvalidImageError, "image 2: The image is damaged or incomplete"),
        (b"II*\0" + bytes(40), UnsupportedMediaTypeError, "image 2: TIFF is not supported"),
        (empty_png(9000, 9000, 1, 0), ImageTooLargeError, "image 2: The image is too large: at most 64,000,000 pixels"),
    ],
)
def test_a_refusal_says_which_image_and_why(data: bytes, kind: type[ServingError], message: str) -> None:
    error = refusal(data)
    assert type(error) is kind
    assert str(error).startswith(message)


def test_a_lack_of_memory_is_overload_not_damage(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> NDArray[np.uint8]:
        raise MemoryError

    monkeypatch.setattr("serving.core.decoding.decode", fail)
    error = refusal(SMALL)
    assert type(error) is OverloadedError
    assert error.retry_after == 1


class Watch:
    """Counts the decodings that run and how they end."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.started = threading.Semaphore(0)
        self.stopped = threading.Semaphore(0)
        self.finished = 0
        monkeypatch.setattr("serving.core.decoding.decode", self._decode)

    def _decode(self, *arguments: Any) -> NDArray[np.uint8]:
        self.started.release()
        try:
            pixels = decode(*arguments)
        except DecodingCancelledError:
            self.stopped.release()
            raise
        self.finished += 1
        return pixels


async def acquire(semaphore: threading.Semaphore) -> None:
    assert await asyncio.to_thread(semaphore.acquire, timeout=20)


@pytest.mark.parametrize("make", [lambda jpeg: jpeg, lambda _: empty_png(8000, 8000, 8, 6)], ids=["JPEG", "PNG"])
def test_decoding_stops_when_its_clients_leave(
    monkeypatch: pytest.MonkeyPatch, progressive: bytes, make: Callable[[bytes], bytes]
) -> None:
    watch = Watch(monkeypatch)
    data = make(progressive)

    async def scenario() -> None:
        async with decoder(workers=1) as made:
            leaving = [asyncio.create_task(made.decode([data], RGB, Caller("a"))) for _ in range(40)]
            await acquire(watch.started)
            for task in leaving:
                task.cancel()
            await acquire(watch.stopped)
            await made.decode([SMALL], RGB, Caller("a"))
        assert watch.finished == 1

    asyncio.run(scenario())


def test_one_client_cannot_take_all_decoders(monkeypatch: pytest.MonkeyPatch, progressive: bytes) -> None:
    watch = Watch(monkeypatch)

    async def scenario() -> None:
        async with decoder(workers=1) as made:
            greedy = asyncio.create_task(made.decode([progressive] * 32, RGB, Caller("greedy")))
            await acquire(watch.started)
            for number in range(1, 6):
                await made.decode([SMALL], RGB, Caller("honest"))
                assert watch.finished == number  # and no image of the greedy client
            greedy.cancel()
            await acquire(watch.stopped)

    asyncio.run(scenario())


MANY_CLIENTS = """
import asyncio, json, pathlib, sys
from serving.core.access import Caller
from serving.core.decoding import Decoder
from tests.support.pictures import RGB

def status(key):
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(key)) * 1024

async def main():
    files = [path.read_bytes() for path in pathlib.Path(sys.argv[1]).iterdir()]
    decoder = Decoder(workers=4, max_pixels=64_000_000, max_memory=100_000_000)
    before = status("VmRSS")
    await asyncio.gather(*(decoder.decode([file], RGB, Caller(f"client {n % 5}")) for n in range(4) for file in files))
    print(json.dumps([status("VmHWM") - before, status("VmRSS") - before]))
    decoder.close()

asyncio.run(main())
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux' peak of the resident memory")
def test_many_clients_with_large_pictures_stay_within_the_memory_and_leave_nothing(tmp_path: Path) -> None:
    files = {
        "png": empty_png(4000, 4000, 8, 6),
        "palette": empty_png(4000, 4000, 8, 3, (b"PLTE", bytes(768)), (b"tRNS", b"\x80")),
        "jpeg": encode(Image.new("RGB", (3000, 3000)), "JPEG", progressive=True, subsampling=0),
        "webp": encode(Image.new("RGBA", (2000, 2000)), "WEBP", lossless=True, method=0),
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    result = subprocess.run([sys.executable, "-c", MANY_CLIENTS, str(tmp_path)], capture_output=True, check=True)
    peak, kept = json.loads(result.stdout)
    assert peak < 115e6
    assert kept < 25e6
