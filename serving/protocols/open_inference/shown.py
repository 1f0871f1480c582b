"""What a client sent, short enough for an error."""

from __future__ import annotations

LONGEST = 60


def shown(received: object) -> str:
    """Return how Python writes a value, cut off after 60 characters."""
    text = repr(received[: LONGEST + 1] if isinstance(received, str | bytes) else received)
    return text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."
