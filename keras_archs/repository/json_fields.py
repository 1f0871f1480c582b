"""Fields of data that JSON brought: read strictly, and named in the message if they are missing or malformed."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Mapping
from typing import Any, TypeVar

T = TypeVar("T", str, bool, list[Any], dict[str, Any])
_JSON_TYPES: Mapping[type, str] = {str: "a string", bool: "true or false", list: "an array", dict: "an object"}


def text(data: dict[str, Any], key: str, where: str = "") -> str:
    """Return a field that must be a string with at least one visible character."""
    value = typed_field(data, key, str, where)
    if not value.strip():
        raise ValueError(f"{_path(where, key)} must not be empty, got {value!r}")
    return value


def text_or_null(data: dict[str, Any], key: str, where: str = "") -> str | None:
    """Return a field that must be a string or null."""
    return None if field(data, key, where) is None else typed_field(data, key, str, where)


def count(data: dict[str, Any], key: str, where: str = "") -> int:
    """Return a field that must be a whole number of at least 1."""
    value = field(data, key, where)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{_path(where, key)} must be a whole number of at least 1, got {reprlib.repr(value)}")
    return value


def share(data: dict[str, Any], key: str, where: str = "") -> float:
    """Return a field that must be a number from 0 to 1."""
    value = field(data, key, where)
    if not isinstance(value, int | float) or isinstance(value, bool) or not (math.isfinite(value) and 0 <= value <= 1):
        raise ValueError(f"{_path(where, key)} must be a number from 0 to 1, got {reprlib.repr(value)}")
    return float(value)


def typed_field(data: dict[str, Any], key: str, kind: type[T], where: str = "") -> T:
    """Return a field that must have a type."""
    return typed(field(data, key, where), kind, _path(where, key))


def field(data: dict[str, Any], key: str, where: str = "") -> Any:
    """Return a field that must be there."""
    if key not in data:
        raise ValueError(f"{_path(where, key)} is missing")
    return data[key]


def typed(value: object, kind: type[T], where: str) -> T:
    """Return a value that must have a type; `where` names the value in the message."""
    if not isinstance(value, kind):
        raise ValueError(f"{where} must be {_JSON_TYPES[kind]}, got {reprlib.repr(value)}")
    return value


def _path(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key
