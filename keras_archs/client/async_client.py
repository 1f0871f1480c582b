"""The client for asyncio."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Self, TypeVar, overload

import httpx
from tenacity import AsyncRetrying

from keras_archs.client import calls
from keras_archs.client.answers import Classification, Explanation, Model, ModelDetails
from keras_archs.client.calls import Call, Selection
from keras_archs.client.encoding import ImageLike, encode, is_one_image, parts
from keras_archs.client.errors import NoAnswerError
from keras_archs.client.gateway import Attempt, Gateway
from keras_archs.client.retries import policy

T = TypeVar("T")


class AsyncClient:
    """Asks a gateway from asyncio. Everything else is as for `Client`; files are read in a thread.

    Args:
        url: As for `Client`.
        key: As for `Client`.
        timeout: As for `Client`.
        attempts: As for `Client`.
        concurrency: As for `Client`.
        max_images: As for `Client`.
        max_bytes: As for `Client`.
        http: An `httpx.AsyncClient` with your own certificates, proxies or limits, which you close; None for its
            defaults.

    Raises:
        ValueError: An argument is not allowed.
    """

    def __init__(
        self,
        url: str,
        *,
        key: str | None = None,
        timeout: float = 30.0,
        attempts: int = 3,
        concurrency: int = 4,
        max_images: int = 16,
        max_bytes: int = 16_000_000,
        http: httpx.AsyncClient | None = None,
    ) -> None:
        self._gateway = Gateway(url, key, timeout, attempts, concurrency, max_images, max_bytes)
        self._http = http or httpx.AsyncClient()
        self._owns_http = http is None

    def __repr__(self) -> str:
        return f"AsyncClient({self._gateway.url!r})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        if self._owns_http:
            await self._http.aclose()

    # a path is a sequence of texts as well, and the first form is meant
    @overload
    async def classify(  # type: ignore[overload-overlap]
        self,
        images: ImageLike,
        model: str,
        *,
        version: int | None = None,
        label: str | None = None,
        top_k: int | None = None,
        timeout: float | None = None,
    ) -> Classification: ...

    @overload
    async def classify(
        self,
        images: Iterable[ImageLike],
        model: str,
        *,
        version: int | None = None,
        label: str | None = None,
        top_k: int | None = None,
        timeout: float | None = None,
    ) -> list[Classification]: ...

    async def classify(
        self,
        images: ImageLike | Iterable[ImageLike],
        model: str,
        *,
        version: int | None = None,
        label: str | None = None,
        top_k: int | None = None,
        timeout: float | None = None,
    ) -> Classification | list[Classification]:
        """Classify one image, or a batch of any length: see `Client.classify`."""
        selection = Selection(model, version, label)
        if is_one_image(images):
            encoded = await asyncio.to_thread(encode, images)  # type: ignore[arg-type]  # is checked above
            return (await self._send(calls.classify([encoded], selection, top_k), timeout))[0]
        batch = parts(images, max_images=self._gateway.max_images, max_bytes=self._gateway.max_bytes)  # type: ignore[arg-type]
        return await self._send_all((calls.classify(part, selection, top_k) for part in batch), timeout)

    async def explain(
        self,
        image: ImageLike,
        model: str,
        *,
        version: int | None = None,
        label: str | None = None,
        index: int | None = None,
        timeout: float | None = None,
    ) -> Explanation:
        """Ask which places of an image are evidence for a class: see `Client.explain`."""
        encoded = await asyncio.to_thread(encode, image)
        return await self._send(calls.explain(encoded, Selection(model, version, label), index), timeout)

    async def models(self) -> tuple[Model, ...]:
        """Return the published models: see `Client.models`."""
        return await self._send(calls.MODELS)

    async def model(self, name: str) -> ModelDetails:
        """Return one model: see `Client.model`."""
        return await self._send(calls.model(name))

    async def ready(self) -> bool:
        """Return whether the gateway can be reached and has loaded its models: see `Client.ready`."""
        try:
            return await self._send(calls.READY)
        except NoAnswerError:
            return False

    async def _send(self, call: Call[T], timeout: float | None = None) -> T:
        deadline = self._gateway.deadline(timeout)
        return await AsyncRetrying(**policy(self._gateway.attempts, deadline))(self._attempt, call, deadline)

    async def _attempt(self, call: Call[T], deadline: float) -> T:
        attempt = Attempt(self._gateway, call, deadline)
        with attempt.errors():
            async with self._http.stream(**attempt.request()) as response:
                async for content in response.aiter_bytes():
                    attempt.take(content)
        return call.read(attempt.reply(response))

    async def _send_all(self, batch: Iterator[Call[list[T]]], timeout: float | None) -> list[T]:
        """Send the calls of a batch, some at a time, and return their answers in order."""
        answers: list[T] = []
        sent: deque[asyncio.Task[list[T]]] = deque()
        try:
            while call := await asyncio.to_thread(next, batch, None):
                if len(sent) == self._gateway.concurrency:
                    answers += await sent.popleft()
                sent.append(asyncio.create_task(self._send(call, timeout)))
            while sent:
                answers += await sent.popleft()
        finally:
            for task in sent:
                task.cancel()
            await asyncio.gather(*sent, return_exceptions=True)
        return answers
