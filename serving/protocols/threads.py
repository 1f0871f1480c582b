"""Work on large requests and answers, which would hold up all others on the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")

SMALL_TEXT = 64 * 1024
"""Bytes of JSON that are read on the event loop, which takes less time than a change of threads."""
SMALL_MESSAGE = 1024 * 1024
"""The same for bytes that are only copied."""
SMALL_ANSWER = 10_000
"""Scores that are written on the event loop."""


async def run(work: Callable[[], Result], *, is_small: bool) -> Result:
    """Return what `work` returns, which runs in a thread unless it is small."""
    return work() if is_small else await asyncio.to_thread(work)
