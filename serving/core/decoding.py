"""Decode the images of requests, within bounds on pixels, memory and work, and fairly between callers."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from keras_archs.images.decoding import DecodingCancelledError, check_limits, decode, memory_needed
from keras_archs.images.errors import ImageError, ImageTooLargeError, UnsupportedImageError
from keras_archs.images.formats import Picture, inspect
from keras_archs.images.preprocessing import Preprocessing
from serving.core import errors
from serving.core.access import Caller
from serving.core.allocator import return_large_blocks
from serving.core.fair_pool import SHARE, FairPool, Prepared, light
from serving.core.observer import ImageSize
from serving.core.workers import Timed

Result = TypeVar("Result")
Pixels = NDArray[np.uint8]


class Computed(NamedTuple, Generic[Result]):
    """What was computed from one image: the result, and the seconds that decoding and computing took."""

    result: Result
    decode: float
    compute: float


class Decoder:
    """Threads that decode images, and that may compute what is wanted of them."""

    def __init__(self, *, workers: int, max_pixels: int, max_memory: int) -> None:
        """Create the threads.

        Args:
            workers: Images of one client that are decoded at the same time.
            max_pixels: Pixels of the largest image to decode.
            max_memory: Bytes that decoding may take, over all clients. An image that takes more than the share of one
                client is refused.
        """
        return_large_blocks()
        self._max_pixels = max_pixels
        self._max_image_memory = int(SHARE * max_memory)
        self._pool = FairPool(workers, max_memory, "decode")

    async def decode(
        self,
        images: Sequence[bytes],
        preprocessing: Preprocessing,
        caller: Caller,
        *,
        seen: Callable[[ImageSize], None] = lambda _: None,
    ) -> Timed[Pixels]:
        """Decode images and bring them to a network's input size.

        Args:
            images: At least one JPEG, PNG, WebP, BMP or GIF.
            preprocessing: Size, channels, crop and interpolation.
            caller: Who asks.
            seen: Called with the size of each image, on any thread, when its header was read.

        Raises:
            ServingError: An image was refused; the message begins with the number of the image, from 1.
        """
        tasks = self._tasks(images, preprocessing, seen, _decode)
        return await self._pool.run(tasks, caller)

    async def compute(
        self,
        function: Callable[[Pixels], Result],
        images: Sequence[bytes],
        preprocessing: Preprocessing,
        caller: Caller,
        kind: str,
        *,
        seen: Callable[[ImageSize], None] = lambda _: None,
    ) -> Timed[Computed[Result]]:
        """Decode images, and call a function with the pixels [1, H, W, C] of each on the thread that has decoded them.

        The pixels are still in the cache of the processor core then, and no thread has to be woken up.

        Args:
            function: What is computed.
            images: As for `decode`, like all others.
            preprocessing: Size, channels, crop and interpolation.
            caller: Who asks.
            kind: What is computed, such as the name of a model: the threads are shared fairly between kinds.
            seen: As for `decode`.

        Raises:
            ServingError: As for `decode`.
        """
        tasks = self._tasks(images, preprocessing, seen, functools.partial(_decode_and_compute, function))
        return await self._pool.run(tasks, caller, kind)

    async def run(self, function: Callable[[], Result], caller: Caller) -> Timed[Result]:
        """Run other work on the same threads, which takes little memory."""
        return await self._pool.run([light(function)], caller)

    @property
    def waiting(self) -> int:
        """Number of images that wait."""
        return self._pool.waiting

    @property
    def running(self) -> int:
        """Number of images that are decoded."""
        return self._pool.running

    def close(self) -> None:
        """Wait for running work; waiting work never starts."""
        self._pool.close()

    def _tasks(
        self,
        images: Sequence[bytes],
        preprocessing: Preprocessing,
        seen: Callable[[ImageSize], None],
        work: Callable[[int, Picture, Preprocessing, Callable[[], bool]], Result],
    ) -> list[Callable[[], Prepared[Result]]]:
        """Return a task for each image: its header is read, then `work` is done with it."""

        def prepare(number: int, encoded: bytes) -> Prepared[Result]:
            with _refusals(number):
                picture = inspect(encoded)
                seen(ImageSize(len(encoded), picture.pixels))
                check_limits(picture, preprocessing, max_pixels=self._max_pixels, max_memory=self._max_image_memory)
                memory = memory_needed(picture, preprocessing)
            return Prepared(memory, functools.partial(work, number, picture, preprocessing))

        return [functools.partial(prepare, number, encoded) for number, encoded in enumerate(images, start=1)]


def _decode(number: int, picture: Picture, preprocessing: Preprocessing, is_cancelled: Callable[[], bool]) -> Pixels:
    with _refusals(number):
        return decode(picture, preprocessing, is_cancelled)


def _decode_and_compute(
    function: Callable[[Pixels], Result],
    number: int,
    picture: Picture,
    preprocessing: Preprocessing,
    is_cancelled: Callable[[], bool],
) -> Computed[Result]:
    started = time.perf_counter()
    pixels = _decode(number, picture, preprocessing, is_cancelled)
    if is_cancelled():
        raise DecodingCancelledError
    decoded = time.perf_counter()
    result = function(pixels[np.newaxis])
    return Computed(result, decoded - started, time.perf_counter() - decoded)


@contextmanager
def _refusals(number: int) -> Iterator[None]:
    """Turn the errors of an image into those of a request."""
    try:
        yield
    except ImageTooLargeError as error:
        raise errors.ImageTooLargeError(f"image {number}: {error}") from error
    except UnsupportedImageError as error:
        raise errors.UnsupportedMediaTypeError(f"image {number}: {error}") from error
    except ImageError as error:
        raise errors.InvalidImageError(f"image {number}: {error}") from error
    except MemoryError as error:
        raise errors.OverloadedError(
            f"image {number}: there is not enough memory to decode it now; try again"
        ) from error
