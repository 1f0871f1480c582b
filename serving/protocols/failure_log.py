"""One line in the log for each failed request, as long as a flood of them does not fill the disk."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass

BURST = 20
"""Lines of one status that are logged at once; afterwards one line a second."""
MAX_CHARACTERS = 200

log = logging.getLogger(__name__)


@dataclass
class _Allowance:
    """How many lines of one status may be logged at present, and how many were not."""

    since: float
    lines: float = BURST
    dropped: int = 0

    def takes(self, now: float) -> bool:
        self.lines = min(BURST, self.lines + now - self.since)
        self.since = now
        if self.lines < 1:
            self.dropped += 1
            return False
        self.lines -= 1
        return True


_allowances: dict[int, _Allowance] = {}


def log_failure(status: int, client: str, request: str, detail: str) -> None:
    """Log a failed request: as information if the client is at fault, as a warning if the server is.

    Args:
        status: HTTP status of the answer.
        client: Address of the client.
        request: Method and path.
        detail: Why the request failed; it may contain what the client sent.
    """
    level = logging.WARNING if status >= 500 else logging.INFO
    if not log.isEnabledFor(level):
        return
    now = time.monotonic()
    allowance = _allowances.setdefault(status, _Allowance(now))
    if allowance.takes(now):
        more = f" (and {allowance.dropped} more {status} that are not logged)" if allowance.dropped else ""
        allowance.dropped = 0
        fields = {"status": status, "client": client, "request": printable(request), "detail": printable(detail)}
        log.log(
            level,
            "%d to %s for %s: %s%s",
            status,
            client or "-",
            fields["request"],
            fields["detail"],
            more,
            extra=fields,
        )


def printable(text: str) -> str:
    """Return the beginning of `text` on one line, without control characters."""
    shown = text if len(text) <= MAX_CHARACTERS else text[: MAX_CHARACTERS - 3] + "..."
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in shown)
