"""What can go wrong with a request: the gateway refuses it, does not answer, or answers something else."""

from __future__ import annotations

import functools
from typing import Any


class ClientError(OSError):
    """A request without a usable answer."""


class ProblemError(ClientError):
    """The gateway answered with an error.

    Attributes:
        status: HTTP status code.
        slug: Identifier of the kind of error, such as "model-not-found"; empty if the answer is no problem document
            (RFC 9457), because a proxy gave it.
        title: Short description of the kind, the same for each occurrence.
        detail: What is wrong with this request.
        request_id: Id of the request in the gateway's log; empty if the answer has none.
        retry_after: Seconds after which the same request may succeed; None if the answer does not say.
    """

    def __init__(
        self,
        *,
        status: int,
        slug: str = "",
        title: str = "",
        detail: str = "",
        request_id: str = "",
        retry_after: float | None = None,
    ) -> None:
        super().__init__(f"{detail or title} (status {status}{f', request {request_id}' if request_id else ''})")
        self.status = status
        self.slug = slug
        self.title = title
        self.detail = detail
        self.request_id = request_id
        self.retry_after = retry_after

    def __reduce__(self) -> tuple[Any, ...]:
        # process pools send exceptions as pickles, which forget keyword arguments otherwise
        return functools.partial(type(self), **vars(self)), ()


class NoAnswerError(ClientError):
    """The gateway could not be reached, or did not answer before the deadline, or broke the connection.

    Attributes:
        is_temporary: Whether another attempt may succeed before the deadline.
    """

    def __init__(self, message: str, is_temporary: bool = True) -> None:
        super().__init__(message)
        self.is_temporary = is_temporary

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.is_temporary)


class UnexpectedAnswerError(ClientError):
    """The answer is none of the gateway's: the URL leads to another server, or to a proxy's own page."""
