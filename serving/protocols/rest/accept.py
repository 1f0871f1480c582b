"""Which of several forms of an answer a client would rather have: the header `Accept` (RFC 9110, section 12.5.1)."""

from __future__ import annotations

import re
from collections.abc import Sequence

_QUALITY = re.compile(r"q=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)")


def preferred(accept: str, offered: Sequence[str]) -> str | None:
    """The media type of `offered` that `accept` likes best, of equals the first; None if it takes none of them.

    Args:
        accept: The header; an empty one takes anything.
        offered: Media types, such as "image/png".
    """
    qualities = dict(map(_range, (accept or "*/*").lower().split(",")))

    def quality(media_type: str) -> float:
        ranges = (media_type, media_type.partition("/")[0] + "/*", "*/*")  # the most specific decides
        return next((qualities[one] for one in ranges if one in qualities), 0.0)

    best = max(offered, key=quality)
    return best if quality(best) > 0 else None


def _range(text: str) -> tuple[str, float]:
    media_range, *parameters = (part.strip() for part in text.split(";"))
    found = [one for parameter in parameters if (one := _QUALITY.fullmatch(parameter))]
    return media_range, float(found[0][1]) if found else 1.0
