"""Classification and its explanation, knowing nothing of HTTP: encoded images in, labelled scores and maps out."""

from __future__ import annotations

import asyncio
import functools
import io
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from keras_archs.images.labels import ClassScore, best_classes, class_score
from keras_archs.images.overlay import overlay
from keras_archs.images.preprocessing import ImageError, ImageTooLargeError, Preprocessing, load_image
from keras_archs.repository.artifact import LIKELIEST, ArtifactCard
from serving.core import errors
from serving.core.engine import Engine, VersionGoneError
from serving.core.repository import ModelSpec
from serving.core.workers import Timed, WorkerPool

DEFAULT_TOP_K = 5
Answer = TypeVar("Answer")


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


@dataclass(frozen=True)
class ExplanationTiming(Timing):
    """The same, and the seconds spent drawing."""

    draw: float


@dataclass(frozen=True)
class Explanation:
    """Where an image speaks for a class; and who says so.

    Attributes:
        card: The model's card.
        version: Its version.
        explained: The class.
        grid: Its class activation map, float32 [rows, columns], over what the model sees of the image.
        picture: The map laid over what the model sees, as PNG, if it was asked for.
        timing: Where the time went.
    """

    card: ArtifactCard
    version: int
    explained: ClassScore
    grid: NDArray[np.float32]
    picture: bytes | None
    timing: ExplanationTiming


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
        return await self._in_time(lambda deadline: self._classify(images, spec, top_k, deadline), within)

    async def explain(
        self,
        image: bytes,
        spec: ModelSpec,
        *,
        index: int | None = None,
        draw: bool = False,
        within: float | None = None,
    ) -> Explanation:
        """Shows which places of an encoded image speak for a class.

        Args:
            image: JPEG, PNG, WebP, BMP or GIF.
            spec: The model, and its version or label.
            index: The class; None for the likeliest.
            draw: Whether to make a picture of the map.
            within: As for `classify`.

        Raises:
            ServingError: Of the kind that says why there is no answer.
        """
        return await self._in_time(lambda deadline: self._explain(image, spec, index, draw, deadline), within)

    async def _in_time(self, answer: Callable[[float], Awaitable[Answer]], within: float | None) -> Answer:
        seconds = self._timeout if within is None else min(within, self._timeout)
        deadline = asyncio.get_running_loop().time() + seconds
        with self._admitted():
            try:
                async with asyncio.timeout_at(deadline):
                    try:
                        return await answer(deadline)
                    except VersionGoneError:  # so another answers by now, whose input may be another as well
                        return await answer(deadline)
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
        decoded = await self._decoded(images, model.card)
        prediction = await model.predict(_batch(decoded.results), deadline)
        return Classification(
            card=model.card,
            version=model.version,
            images=[best_classes(scores, model.card.labels, top_k) for scores in prediction.probabilities],
            timing=Timing(decoded.busy, decoded.queue + prediction.queue, prediction.inference),
        )

    async def _explain(
        self, image: bytes, spec: ModelSpec, index: int | None, draw: bool, deadline: float
    ) -> Explanation:
        model = await self.engine.acquire(spec)
        card, classes = model.card, len(model.card.labels)
        if not card.explains:
            raise errors.ExplanationUnsupportedError(
                f"version {model.version} of {spec.name} has no class activation maps: it does not end in global "
                "average pooling and a dense layer, or was exported before there were any"
            )
        if index is not None and not 0 <= index < classes:
            raise errors.InvalidParameterError(
                f"class is from 0 to {classes - 1}, the classes of {spec.name}; got {index}"
            )
        decoded = await self._decoded([image], card)
        wanted = np.array([LIKELIEST if index is None else index], np.int64)
        explanation = await model.explain(_batch(decoded.results), wanted, deadline)
        ((grid,), (chosen,), (probabilities,)) = explanation.found
        drawn = await self._decoders.map(functools.partial(_draw, decoded.results[0]), [grid]) if draw else None
        return Explanation(
            card=card,
            version=model.version,
            explained=class_score(probabilities, card.labels, int(chosen)),
            grid=grid,
            picture=drawn.results[0] if drawn else None,
            timing=ExplanationTiming(
                decoded.busy,
                decoded.queue + explanation.queue + (drawn.queue if drawn else 0.0),
                explanation.inference,
                drawn.busy if drawn else 0.0,
            ),
        )

    async def _decoded(self, images: Sequence[bytes], card: ArtifactCard) -> Timed[NDArray[np.uint8]]:
        decode = functools.partial(_decode, preprocessing=card.preprocessing, max_pixels=self._max_pixels)
        return await self._decoders.map(decode, list(enumerate(images)))

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


def _batch(images: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """The images as one array; a single one is not copied."""
    return images[0][np.newaxis] if len(images) == 1 else np.stack(images)


def _draw(pixels: NDArray[np.uint8], grid: NDArray[np.float32]) -> bytes:
    height, width, _ = pixels.shape
    drawn = io.BytesIO()
    overlay(np.broadcast_to(pixels, (height, width, 3)), grid).save(drawn, "PNG")  # of greyscale, three channels
    return drawn.getvalue()
