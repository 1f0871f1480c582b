"""Names in a message: the first few, short and printable."""

from __future__ import annotations

from collections.abc import Callable, Collection
from itertools import islice
from typing import Final, TypeVar

_SHOWN: Final = 5
_LENGTH: Final = 60

T = TypeVar("T")


def listed(items: Collection[T], describe: Callable[[T], str]) -> str:
    """Return descriptions of the first few items, and how many more there are."""
    more = f" and {len(items) - _SHOWN:,} more" if len(items) > _SHOWN else ""
    return ", ".join(map(describe, islice(items, _SHOWN))) + more


def shown(name: str) -> str:
    """Return a name in quotes, control characters as escapes, a long name shortened."""
    return repr(name if len(name) <= _LENGTH else f"{name[: _LENGTH - 3]}...")
