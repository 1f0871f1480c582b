"""Ctrl-C or SIGTERM in a training: the first ends it in order, the second at once."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Final, Self

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
"""Ctrl-C, and the notice of a system that is about to end the process."""


class Interruption:
    """Context in which the first SIGINT or SIGTERM is only noted, and the second does what it did before.

    In another thread than the main one, which gets no signals, the context changes nothing.
    """

    def __init__(self) -> None:
        self.requested = False
        """Whether a signal arrived."""
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in _SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._restore()

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.requested = True
        self._restore()

    def _restore(self) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)
        self._before = {}
