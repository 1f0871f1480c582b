"""The client for ordinary, blocking code."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Self, TypeVar, overload

import httpx
from tenacity import Retrying

from keras_archs.client import calls
from keras_archs.client.answers import Classification, Explanation, Model, ModelDetails
from keras_archs.client.calls import Call, Selection
from keras_archs.client.encoding import ImageLike, encode, is_one_image, parts
from keras_archs.client.errors import NoAnswerError
from keras_archs.client.gateway import Attempt, Gateway
from keras_archs.client.retries import policy

T = TypeVar("T")


class Client:
    """Asks a gateway, over connections that stay open. Threads may share a client.

    A request is sent again if the gateway cannot be reached, if the connection breaks, or if the gateway answers 429 or
    503 and says when to come back (``Retry-After``), and only as long as the answer can arrive before the deadline.

    Args:
        url: Where the gateway is, such as ``"http://127.0.0.1:8000"``.
        key: API key or token, if the gateway asks for one.
        timeout: Seconds until a request must have been answered, all attempts together. The gateway is told, so that it
            does not work for nobody.
        attempts: Largest number of attempts of a request; 1 to send none again.
        concurrency: Requests in flight while a batch of images is sent.
        max_images: Largest number of images in a request; a longer batch is divided. At most the gateway's own limit,
            ``KERAS_ARCHS_MAX_IMAGES``.
        max_bytes: Bytes of images in a request of several images; a larger batch is divided. Less than the gateway's
            own limit, ``KERAS_ARCHS_MAX_BODY_MB``.
        http: An `httpx.Client` with your own certificates, proxies or limits, which you close; None for its defaults.

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
        http: httpx.Client | None = None,
    ) -> None:
        self._gateway = Gateway(url, key, timeout, attempts, concurrency, max_images, max_bytes)
        self._http = http or httpx.Client()
        self._owns_http = http is None

    def __repr__(self) -> str:
        return f"Client({self._gateway.url!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        if self._owns_http:
            self._http.close()

    # a path is a sequence of texts as well, and the first form is meant
    @overload
    def classify(  # type: ignore[overload-overlap]
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
    def classify(
        self,
        images: Iterable[ImageLike],
        model: str,
        *,
        version: int | None = None,
        label: str | None = None,
        top_k: int | None = None,
        timeout: float | None = None,
    ) -> list[Classification]: ...

    def classify(
        self,
        images: ImageLike | Iterable[ImageLike],
        model: str,
        *,
        version: int | None = None,
        label: str | None = None,
        top_k: int | None = None,
        timeout: float | None = None,
    ) -> Classification | list[Classification]:
        """Classify one image, or a batch of any length.

        A batch is divided into requests of at most ``max_images`` images and ``max_bytes`` bytes, ``concurrency`` of
        which are in flight; files are read when their request is sent. Without ``version``, a new version that is
        published meanwhile may answer the later requests.

        Args:
            images: A path, the bytes of a JPEG, PNG, WebP, BMP or GIF, a Pillow image, or a uint8 array of shape
                (height, width) or (height, width, channels); or an iterable of these.
            model: Name of the model.
            version: A version; None for the newest that is ready.
            label: A version label, such as ``"stable"``, instead of a version.
            top_k: Classes per image, 1 to the model's number of classes; None for 5, or all if fewer.
            timeout: Seconds until each request must have been answered; None for the client's.

        Returns:
            The classes of the image or, for an iterable, of each image in order.

        Raises:
            ProblemError: The gateway answered with an error.
            NoAnswerError: There was no answer.
            UnexpectedAnswerError: Something else than a gateway answered.
            OSError: A file cannot be read.
            ValueError: An argument is not allowed.
        """
        selection = Selection(model, version, label)
        if is_one_image(images):
            call = calls.classify([encode(images)], selection, top_k)  # type: ignore[arg-type]  # is checked above
            return self._send(call, timeout)[0]
        batch = parts(images, max_images=self._gateway.max_images, max_bytes=self._gateway.max_bytes)  # type: ignore[arg-type]
        return self._send_all((calls.classify(part, selection, top_k) for part in batch), timeout)

    def explain(
        self,
        image: ImageLike,
        model: str,
        *,
        version: int | None = None,
        label: str | None = None,
        index: int | None = None,
        timeout: float | None = None,
    ) -> Explanation:
        """Ask which places of an image are evidence for a class.

        Args:
            image: One image, in any form that `classify` takes.
            model: Name of the model.
            version: A version; None for the newest that is ready.
            label: A version label, instead of a version.
            index: Class index from 0; None for the most probable class.
            timeout: Seconds until the request must have been answered; None for the client's.

        Raises:
            ProblemError: The gateway answered with an error; its slug is "explanation-unsupported" if the network has
                no class activation maps.
            NoAnswerError: There was no answer.
            UnexpectedAnswerError: Something else than a gateway answered.
            OSError: The file cannot be read.
            ValueError: An argument is not allowed.
        """
        return self._send(calls.explain(encode(image), Selection(model, version, label), index), timeout)

    def models(self) -> tuple[Model, ...]:
        """Return the published models, with the state of their versions.

        Raises:
            ClientError: There was no usable answer; the subclass says why.
        """
        return self._send(calls.MODELS)

    def model(self, name: str) -> ModelDetails:
        """Return one model, with the card of the version that answers.

        Raises:
            ClientError: There was no usable answer; the subclass says why.
        """
        return self._send(calls.model(name))

    def ready(self) -> bool:
        """Return whether the gateway can be reached and has loaded its models.

        Raises:
            UnexpectedAnswerError: Something else than a gateway answered.
            ProblemError: The gateway answered with an error other than 503.
        """
        try:
            return self._send(calls.READY)
        except NoAnswerError:
            return False

    def _send(self, call: Call[T], timeout: float | None = None) -> T:
        deadline = self._gateway.deadline(timeout)
        answer: T = Retrying(**policy(self._gateway.attempts, deadline))(self._attempt, call, deadline)
        return answer

    def _attempt(self, call: Call[T], deadline: float) -> T:
        attempt = Attempt(self._gateway, call, deadline)
        with attempt.errors(), self._http.stream(**attempt.request()) as response:
            for content in response.iter_bytes():
                attempt.take(content)
        return call.read(attempt.reply(response))

    def _send_all(self, batch: Iterable[Call[list[T]]], timeout: float | None) -> list[T]:
        """Send the calls of a batch, some at a time, and return their answers in order."""
        answers: list[T] = []
        sent: deque[Future[list[T]]] = deque()
        threads = ThreadPoolExecutor(self._gateway.concurrency)
        try:
            for call in batch:
                if len(sent) == self._gateway.concurrency:
                    answers += sent.popleft().result()
                sent.append(threads.submit(self._send, call, timeout))
            for answer in sent:
                answers += answer.result()
        finally:  # after an error or Ctrl-C, nobody waits for the requests in flight
            threads.shutdown(wait=False, cancel_futures=True)
        return answers
