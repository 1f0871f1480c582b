"""Content negotiation by the header `Accept` (RFC 9110, section 12.5.1)."""

from __future__ import annotations

import re
from collections.abc import Sequence

_QUALITY = re.compile(r"q=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)")


def preferred(accept: str, offered: Sequence[str]) -> str | None:
    """Choose the offered media type with the highest quality value.

    Args:
        accept: Value of the header; an empty value accepts all media types.
        offered: Media types, such as "image/png", in order of the server's preference.

    Returns:
        The media type, the first among equals; None if `accept` allows none of them.
    """
    qualities = dict(map(_range, (accept or "*/*").lower().split(",")))

    def quality(media_type: str) -> float:
        ranges = (media_type, media_type.partition("/")[0] + "/*", "*/*")  # the most specific range decides
        return next((qualities[media_range] for media_range in ranges if media_range in qualities), 0.0)

    best = max(offered, key=quality)
    return best if quality(best) > 0 else None


def _range(text: str) -> tuple[str, float]:
    """Parse one media range; without a valid `q` its quality is 1."""
    media_range, *parameters = (part.strip() for part in text.split(";"))
    qualities = [match for parameter in parameters if (match := _QUALITY.fullmatch(parameter))]
    return media_range, float(qualities[0][1]) if qualities else 1.0
