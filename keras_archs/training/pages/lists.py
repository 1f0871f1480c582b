"""Lists of files, of which long ones are cut."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from keras_archs.training.pages.text import name

LISTED: Final = 200
"""Items of a list on a page."""


def listed(introduction: str, items: Sequence[str]) -> str:
    """Return a list of paths or other text, at most `LISTED` of it, and how many more there are.

    Args:
        introduction: HTML of a sentence above the list; empty for none.
        items: Plain text; without an item, nothing is returned.
    """
    if not items:
        return ""
    sentence = f"<p>{introduction}</p>\n" if introduction else ""
    lines = "".join(f'<li class="path">{name(item)}</li>\n' for item in items[:LISTED])
    more = f"<p>and {len(items) - LISTED:,} more</p>\n" if len(items) > LISTED else ""
    return f"{sentence}<ul>\n{lines}</ul>\n{more}"
