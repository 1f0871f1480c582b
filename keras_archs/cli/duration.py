"""Durations as people write them: 90, 90s, 10m, 1h30m, 250ms."""

from __future__ import annotations

import re

import typer

_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s?)?", re.ASCII)
_MILLISECONDS = re.compile(r"(\d+(?:\.\d+)?)ms", re.ASCII)


def parse_duration(text: str) -> float:
    """Return a duration in seconds.

    Args:
        text: Hours, minutes and seconds, of which any may be missing, e.g. "1h30m", or milliseconds, "250ms"; a number
            alone is seconds.

    Raises:
        typer.BadParameter: The text is no duration above 0.
    """
    stripped = text.strip().lower()
    if match := _MILLISECONDS.fullmatch(stripped):
        total = float(match[1]) / 1000
    else:
        match = _DURATION.fullmatch(stripped)
        hours, minutes, seconds = (float(part or 0) for part in match.groups()) if match else (0, 0, 0)
        total = 3600 * hours + 60 * minutes + seconds
    if not total:
        raise typer.BadParameter(f"a duration is e.g. 250ms, 90s, 10m or 1h30m, above 0; got {text!r}")
    return total
