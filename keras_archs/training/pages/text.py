"""Names and numbers as text of a page, whatever characters the names have."""

from __future__ import annotations

import re
from html import escape
from typing import Final

# Control characters, separators of lines, controls of the writing direction, and bytes of file names that are no UTF-8.
_INVISIBLE: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def text(value: str, longest: int | None = None) -> str:
    """Return text for the content of an element or the value of an attribute.

    Args:
        value: Any text. Control characters are shown by their codes. Bytes of file names that are no UTF-8 are
            shown as U+FFFD.
        longest: Number of characters above which the middle is left out, at least 10; None for no limit.
    """
    visible = _INVISIBLE.sub(_shown, value)
    if longest is not None and len(visible) > longest:
        end = longest // 3
        visible = f"{visible[: longest - end - 1]}…{visible[-end:]}"
    return escape(visible)


def name(value: str, longest: int | None = None) -> str:
    """Return a name of a class or a file as an element, which keeps the writing direction of the name to itself.

    Args:
        value: Any text.
        longest: As in `text`.
    """
    return f"<bdi>{text(value, longest)}</bdi>"


def percent(share: float) -> str:
    """Return a share, 0 to 1, in per cent."""
    return f"{100 * share:.1f}&nbsp;%"


def counted(count: int, noun: str, plural: str | None = None) -> str:
    """Return a number of things in words: "1 image", "2,000 images"."""
    return f"{count:,} {noun if count == 1 else plural or f'{noun}s'}"


def _shown(character: re.Match[str]) -> str:
    return "\ufffd" if "\ud800" <= character[0] <= "\udfff" else character[0].encode("unicode_escape").decode("ascii")
