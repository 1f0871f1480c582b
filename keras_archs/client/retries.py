"""When a request is sent again: after failures that pass, with growing pauses, and never after its deadline."""

from __future__ import annotations

import time
from typing import Any

from tenacity import RetryCallState, retry_if_exception, stop_after_attempt, stop_before_delay, wait_exponential_jitter

from keras_archs.client.errors import NoAnswerError, ProblemError

_TEMPORARY = (429, 503)
_PAUSES = wait_exponential_jitter(multiplier=0.1, max=5, jitter=0.1)  # from 0.1 s, doubled for each attempt


def policy(attempts: int, deadline: float) -> dict[str, Any]:
    """Return the arguments of `tenacity.Retrying` and `tenacity.AsyncRetrying`.

    Args:
        attempts: Largest number of attempts.
        deadline: When the answer must have arrived, on the monotonic clock; an attempt that would begin later is
            not made.
    """
    return {
        "retry": retry_if_exception(is_temporary),
        "wait": _pause,
        "stop": stop_after_attempt(attempts) | stop_before_delay(max(0.0, deadline - time.monotonic())),
        "reraise": True,
    }


def is_temporary(error: BaseException) -> bool:
    """Return whether the same request may succeed soon.

    Connections that fail or break are, in the middle of an answer too: the gateway computes an answer anew without
    changing anything. So are the statuses 429 and 503 if the server says when to come back.
    """
    match error:
        case NoAnswerError():
            return error.is_temporary
        case ProblemError():
            return error.status in _TEMPORARY and error.retry_after is not None
    return False


def _pause(state: RetryCallState) -> float:
    """Return the seconds before the next attempt: not before the server asks for it, and not all clients at once."""
    error = state.outcome.exception() if state.outcome else None
    after = error.retry_after if isinstance(error, ProblemError) else None
    return (after or 0.0) + _PAUSES(state)
