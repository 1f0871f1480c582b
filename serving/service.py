"""Classification, knowing nothing of HTTP: encoded images in, labelled scores out."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from keras_archs.artifact import ArtifactCard
from keras_archs.labels import ClassScore, best_classes
from keras_archs.preprocessing import ImageError, ImageTooLargeError, Preprocessing, load_image
from serving import errors
from serving.engines import Engine, VersionGoneError
from serving.repository import ModelSpec
from serving.workers import WorkerPool

DEFAULT_TOP_K = 5


@dataclass(frozen=True)
class Timing:
    """Seconds that a request spent decoding, waiting for a free thread, and in inference."""

    decode: float
    queue: float
    inference: float


@dataclass(frozen=True)
class Classification:
    """The answer: per image its best classes, best first; and who gave it."""

    card: ArtifactCard
    version: int
    images: list[list[ClassScore]]
    timing: Timing


class ClassificationService:
    """Classifies images with the models of one engine, within bounds on time, pixels and requests at once."""

    def __init__(
        self, engine: Engine, *, decode_workers: int, max_pixels: int, max_pending: int, timeout: float
    ) -> None:
        """Wraps `engine`, which the caller starts and closes.

        Args:
            engine: Where the models are.
            decode_workers: Threads that decode images.
            max_pixels: Largest image to decode.
            max_pending: Requests that may wait or run at once.
            timeout: Seconds until an answer must be ready.
        """
        self.engine = engine
        self._decoders = WorkerPool(decode_workers, "decode")
        self._max_pixels = max_pixels
        self._max_pending = max_pending
        self._pending = 0
        self._timeout = timeout

    async def classify(
        self, images: Sequence[bytes], spec: ModelSpec, *, top_k: int | None = None, within: float | None = None
    ) -> Classification:
        """Classifies encoded images.

        Args:
            images: At least one JPEG, PNG, WebP, BMP or GIF.
            spec: The model, and its version or label.
            top_k: How many classes to return per image, at most as many as the model has; None for 5, or all of fewer.
            within: Seconds that the client will wait; None for as long as the service would, which is the most.

        Raises:
            ServingError: Of the kind that says why there is no answer.
        """
        seconds = self._timeout if within is None else min(within, self._timeout)
        deadline = asyncio.get_running_loop().time() + seconds
        with self._admitted():
            try:
                async with asyncio.timeout_at(deadline):
                    try:
                        return await self._classify(images, spec, top_k, deadline)
                    except VersionGoneError:  # so another answers by now, whose input may be another as well
                        return await self._classify(images, spec, top_k, deadline)
            except TimeoutError:
                raise errors.DeadlineExceededError(f"there was no answer within {seconds:g} s") from None

    @contextmanager
    def _admitted(self) -> Iterator[None]:
        if self._pending >= self._max_pending:
            raise errors.OverloadedError(f"{self._pending} requests are waiting or running; try again")
        self._pending += 1
        try:
            yield
        finally:
            self._pending -= 1

    async def _classify(
        self, images: Sequence[bytes], spec: ModelSpec, top_k: int | None, deadline: float
    ) -> Classification:
        model = await self.engine.acquire(spec)
        classes = len(model.card.labels)
        top_k = min(DEFAULT_TOP_K, classes) if top_k is None else top_k
        if top_k > classes:
            raise errors.InvalidParameterError(f"top_k is from 1 to {classes}, the classes of {spec.name}; got {top_k}")
        decode = functools.partial(_decode, preprocessing=model.card.preprocessing, max_pixels=self._max_pixels)
        decoded = await self._decoders.map(decode, list(enumerate(images)))
        prediction = await model.predict(np.stack(decoded.results), deadline)
        return Classification(
            card=model.card,
            version=model.version,
            images=[best_classes(scores, model.card.labels, top_k) for scores in prediction.probabilities],
            timing=Timing(decoded.busy, decoded.queue + prediction.queue, prediction.inference),
        )

    async def close(self) -> None:
        """Ends the decoding in hand."""
        await asyncio.to_thread(self._decoders.close)


def _decode(numbered: tuple[int, bytes], preprocessing: Preprocessing, max_pixels: int) -> NDArray[np.uint8]:
    number, encoded = numbered
    try:
        return load_image(encoded, preprocessing, max_pixels=max_pixels)
    except ImageTooLargeError as error:
        raise errors.ImageTooLargeError(f"image {number + 1}: {error}") from error
    except ImageError as error:
        raise errors.InvalidImageError(f"image {number + 1}: {error}") from error
