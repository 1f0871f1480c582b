"""Classification and explanation without HTTP: encoded images in, labelled scores and class activation maps out."""

from __future__ import annotations

import asyncio
import functools
import io
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from keras_archs.images.labels import ClassScore, Label, best_classes, class_score
from keras_archs.images.overlay import overlay
from keras_archs.repository.artifact import LIKELIEST
from keras_archs.repository.artifact_card import ArtifactCard
from keras_archs.runtimes.runtime import Arithmetic
from serving.core import errors
from serving.core.access import Caller
from serving.core.backlog import Backlog
from serving.core.decoding import Computed, Decoder
from serving.core.engine import Engine, Model, VersionUnloadedError
from serving.core.observer import Observer, Work
from serving.core.repository import ModelSpec
from serving.core.workers import Timed

DEFAULT_TOP_K = 5
LARGE_ANSWER = 500
"""Scores that are put together on the event loop; more of them take longer than a change of threads."""
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Timing:
    """Seconds that a request spent decoding, waiting for a free thread and in inference, and how inference computed."""

    decode: float
    queue: float
    inference: float
    arithmetic: Arithmetic


@dataclass(frozen=True)
class Scores:
    """The scores of all classes for each image.

    Attributes:
        card: Card of the model that answered.
        version: Version that answered.
        probabilities: float32 [N, classes].
        timing: Seconds per step.
    """

    card: ArtifactCard
    version: int
    probabilities: NDArray[np.float32]
    timing: Timing


@dataclass(frozen=True)
class Classification:
    """The best classes of each image.

    Attributes:
        card: Card of the model that answered.
        version: Version that answered.
        images: Best classes of each image, best first.
        timing: Seconds per step.
    """

    card: ArtifactCard
    version: int
    images: list[list[ClassScore]]
    timing: Timing


@dataclass(frozen=True)
class ExplanationTiming(Timing):
    """`Timing`, and the seconds spent drawing the overlay."""

    draw: float


@dataclass(frozen=True)
class Explanation:
    """The evidence for a class by image position.

    Attributes:
        card: Card of the model that answered.
        version: Version that answered.
        explained: Explained class and its score.
        grid: Class activation map, float32 [rows, columns], over the part of the image that the model sees.
        overlay: The map drawn over that part of the image, as PNG; None unless requested.
        timing: Seconds per step.
    """

    card: ArtifactCard
    version: int
    explained: ClassScore
    grid: NDArray[np.float32]
    overlay: bytes | None
    timing: ExplanationTiming


class ClassificationService:
    """Classifies images with the models of one engine, within limits on time and on what decoding takes."""

    def __init__(
        self,
        engine: Engine,
        decoder: Decoder,
        *,
        timeout_seconds: float,
        backlog: Backlog | None = None,
        observers: Sequence[Observer] = (),
    ) -> None:
        """Wrap `engine`, which the caller starts and closes, and `decoder`, which `close` closes.

        Args:
            engine: Engine that resolves and runs the models.
            decoder: Threads that decode images.
            timeout_seconds: Seconds until the deadline of a request; a client may only choose a shorter time.
            backlog: Is told of all work; None for a new one.
            observers: Are told what the service does.
        """
        self.engine = engine
        self._decoder = decoder
        self._observers = observers
        self.timeout_seconds = timeout_seconds
        self.backlog = backlog or Backlog()

    def check(self, spec: ModelSpec, caller: Caller) -> None:
        """Refuse what cannot be answered, before the body of the request is read.

        Raises:
            ServingError: The caller may not use the model, or no such model, version or label is served.
        """
        for observer in self._observers:
            observer.asked(spec, caller)
        caller.check_may_use(spec.name)
        self.engine.check_published(spec)

    async def score(
        self,
        images: Sequence[bytes] | NDArray[np.uint8],
        spec: ModelSpec,
        *,
        caller: Caller,
        timeout_seconds: float | None = None,
    ) -> Scores:
        """Compute the scores of all classes.

        Args:
            images: At least one encoded JPEG, PNG, WebP, BMP or GIF; or pixels, uint8 [N, H, W, C], in the size and the
                channels of the model's input, which are not preprocessed further.
            spec: The model, and its version or label.
            caller: Who asks; decoding is shared fairly between callers.
            timeout_seconds: Seconds until the deadline; None, or a longer time than the service's, for the service's.

        Raises:
            ServingError: The request failed; the subclass says why.
        """
        return await self._with_deadline(lambda deadline: self._score(images, spec, deadline, caller), timeout_seconds)

    async def classify(
        self,
        images: Sequence[bytes],
        spec: ModelSpec,
        *,
        caller: Caller,
        top_k: int | None = None,
        timeout_seconds: float | None = None,
    ) -> Classification:
        """Classify encoded images.

        Args:
            images: At least one JPEG, PNG, WebP, BMP or GIF.
            spec: The model, and its version or label.
            top_k: Classes to return per image, 1 to the model's number of classes; None for 5, or all if fewer.
            caller: As for `score`.
            timeout_seconds: As for `score`.

        Raises:
            ServingError: The request failed; the subclass says why.
        """
        return await self._with_deadline(
            lambda deadline: self._classify(images, spec, top_k, deadline, caller), timeout_seconds
        )

    async def explain(
        self,
        image: bytes,
        spec: ModelSpec,
        *,
        caller: Caller,
        index: int | None = None,
        draw: bool = False,
        timeout_seconds: float | None = None,
    ) -> Explanation:
        """Compute which places of an encoded image are evidence for a class.

        Args:
            image: JPEG, PNG, WebP, BMP or GIF.
            spec: The model, and its version or label.
            caller: As for `score`.
            index: Class index from 0; None for the most probable class.
            draw: Whether to draw the map over the image.
            timeout_seconds: As for `score`.

        Raises:
            ServingError: The request failed; the subclass says why.
        """
        return await self._with_deadline(
            lambda deadline: self._explain(image, spec, index, draw, deadline, caller), timeout_seconds
        )

    async def _with_deadline(
        self, answer: Callable[[float], Awaitable[Answer]], timeout_seconds: float | None
    ) -> Answer:
        seconds = self.timeout_seconds if timeout_seconds is None else min(timeout_seconds, self.timeout_seconds)
        deadline = asyncio.get_running_loop().time() + seconds
        try:
            async with asyncio.timeout_at(deadline):
                try:
                    return await answer(deadline)
                except VersionUnloadedError:
                    # start over with the version that replaced it, which may need another preprocessing
                    return await answer(deadline)
        except (TimeoutError, errors.DeadlineExceededError) as error:
            kind = errors.ClientDeadlineError if seconds < self.timeout_seconds else errors.DeadlineExceededError
            raise kind(str(error) or f"there was no answer within {seconds:g} s") from None

    async def _score(
        self, images: Sequence[bytes] | NDArray[np.uint8], spec: ModelSpec, deadline: float, caller: Caller
    ) -> Scores:
        return await self._run(spec, await self.engine.acquire(spec), images, deadline, caller)

    async def _run(
        self,
        spec: ModelSpec,
        model: Model,
        images: Sequence[bytes] | NDArray[np.uint8],
        deadline: float,
        caller: Caller,
    ) -> Scores:
        with self._observed(spec, model) as work, self.backlog.entry(caller, spec.name, len(images)) as entry:
            if isinstance(images, np.ndarray):
                probabilities = await self._predict(_checked(images, model.card), model, deadline, caller, work)
            else:
                probabilities = await self._decode_and_predict(images, model, deadline, caller, work)
            work.probabilities = probabilities
            seconds = work.seconds()
            timing = Timing(seconds.get("decode", 0.0), seconds["queue"], seconds["inference"], model.arithmetic)
            entry.worked = timing.decode + timing.inference
        return Scores(model.card, model.version, probabilities, timing)

    async def _decode_and_predict(
        self, images: Sequence[bytes], model: Model, deadline: float, caller: Caller, work: Work
    ) -> NDArray[np.float32]:
        started, preprocessing = time.perf_counter(), model.card.preprocessing
        with model.per_image() as infer:
            if infer is not None:
                done = await self._decoder.compute(
                    infer, images, preprocessing, caller, work.model, seen=work.sizes.append
                )
                decode, inference = _shares(done)
                work.did(started, queue=done.queue, decode=decode, inference=inference)
                return _joined([computed.result for computed in done.results])
        decoded = await self._decoder.decode(images, preprocessing, caller, seen=work.sizes.append)
        work.did(started, queue=decoded.queue, decode=decoded.busy)
        return await self._predict(_batch(decoded.results), model, deadline, caller, work)

    async def _predict(
        self, pixels: NDArray[np.uint8], model: Model, deadline: float, caller: Caller, work: Work
    ) -> NDArray[np.float32]:
        started = time.perf_counter()
        prediction = await model.predict(pixels, deadline, caller)
        work.did(started, queue=prediction.queue, inference=prediction.inference)
        return prediction.probabilities

    @contextmanager
    def _observed(self, spec: ModelSpec, model: Model) -> Iterator[Work]:
        work = Work(spec.name, model.version, model.card)
        for observer in self._observers:
            observer.begin(work)
        try:
            yield work
        finally:
            for observer in self._observers:
                observer.end(work)

    async def _classify(
        self, images: Sequence[bytes], spec: ModelSpec, top_k: int | None, deadline: float, caller: Caller
    ) -> Classification:
        model = await self.engine.acquire(spec)
        classes = len(model.card.labels)
        top_k = min(DEFAULT_TOP_K, classes) if top_k is None else top_k
        if top_k > classes:
            raise errors.InvalidParameterError(f"top_k is from 1 to {classes}, the classes of {spec.name}; got {top_k}")
        scores = await self._run(spec, model, images, deadline, caller)
        best = functools.partial(_best_classes, scores.probabilities, model.card.labels, top_k)
        is_large = len(images) * top_k > LARGE_ANSWER
        return Classification(
            card=model.card,
            version=model.version,
            images=await asyncio.to_thread(best) if is_large else best(),
            timing=scores.timing,
        )

    async def _explain(
        self, image: bytes, spec: ModelSpec, index: int | None, draw: bool, deadline: float, caller: Caller
    ) -> Explanation:
        model = await self.engine.acquire(spec)
        card, classes = model.card, len(model.card.labels)
        if not card.explains:
            raise errors.ExplanationUnsupportedError(
                f"version {model.version} of {spec.name} has no class activation maps: its network does not end in "
                "global average pooling and a dense layer, or it was exported before exports included them"
            )
        if index is not None and not 0 <= index < classes:
            raise errors.InvalidParameterError(
                f"class is from 0 to {classes - 1}, the classes of {spec.name}; got {index}"
            )
        requested = np.array([LIKELIEST if index is None else index], np.int64)
        with self._observed(spec, model) as work, self.backlog.entry(caller, f"explain {spec.name}", 1) as entry:
            started = time.perf_counter()
            decoded = await self._decoder.decode([image], card.preprocessing, caller, seen=work.sizes.append)
            work.did(started, queue=decoded.queue, decode=decoded.busy)
            started = time.perf_counter()
            prediction = await model.explain(_batch(decoded.results), requested, deadline, caller)
            work.did(started, queue=prediction.queue, inference=prediction.inference)
            ((grid,), (chosen,), (probabilities,)) = prediction.activation_maps
            drawing = functools.partial(_draw, decoded.results[0], grid)
            started = time.perf_counter()
            drawn = await self._decoder.run(drawing, caller) if draw else None
            if drawn:
                work.did(started, queue=drawn.queue, draw=drawn.busy)
            entry.worked = decoded.busy + prediction.inference + (drawn.busy if drawn else 0.0)
        return Explanation(
            card=card,
            version=model.version,
            explained=class_score(probabilities, card.labels, int(chosen)),
            grid=grid,
            overlay=drawn.results[0] if drawn else None,
            timing=ExplanationTiming(
                decoded.busy,
                decoded.queue + prediction.queue + (drawn.queue if drawn else 0.0),
                prediction.inference,
                prediction.arithmetic,
                drawn.busy if drawn else 0.0,
            ),
        )

    async def close(self) -> None:
        """Wait for running decoding and stop the threads."""
        await asyncio.to_thread(self._decoder.close)


def _best_classes(probabilities: NDArray[np.float32], labels: Sequence[Label], top_k: int) -> list[list[ClassScore]]:
    return [best_classes(scores, labels, top_k) for scores in probabilities]


def _shares(done: Timed[Computed[NDArray[np.float32]]]) -> tuple[float, float]:
    """Return the seconds of decoding and of inference, which overlap if there are several images."""
    decode = sum(computed.decode for computed in done.results)
    both = decode + sum(computed.compute for computed in done.results)
    return done.busy * decode / both, done.busy * (both - decode) / both


def _joined(probabilities: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Put batches together; a single batch is not copied."""
    return probabilities[0] if len(probabilities) == 1 else np.concatenate(probabilities)


def _batch(images: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Stack the images into one array; a single image is not copied."""
    return images[0][np.newaxis] if len(images) == 1 else np.stack(images)


def _checked(pixels: NDArray[np.uint8], card: ArtifactCard) -> NDArray[np.uint8]:
    expected = (*card.preprocessing.size, card.preprocessing.channels)
    if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[1:] != expected or not len(pixels):
        raise errors.InvalidParameterError(
            f"pixels for {card.name} are uint8 of the shape [N, {', '.join(map(str, expected))}]; "
            f"got {pixels.dtype} {list(pixels.shape)}"
        )
    return pixels


def _draw(pixels: NDArray[np.uint8], grid: NDArray[np.float32]) -> bytes:
    height, width, _ = pixels.shape
    rgb = np.broadcast_to(pixels, (height, width, 3))  # greyscale images have one channel
    png = io.BytesIO()
    overlay(rgb, grid).save(png, "PNG")
    return png.getvalue()
