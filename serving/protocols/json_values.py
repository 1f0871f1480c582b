"""JSON into types that say what is read: the rest of a body is skipped without being built."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from serving.core.errors import InvalidParameterError, MalformedRequestError

Value = TypeVar("Value")


def decode(text: bytes | memoryview | msgspec.Raw, kind: type[Value], where: str) -> Value:
    """Read a value of the given type.

    Args:
        text: The JSON.
        kind: What to read.
        where: Name of the value in errors.

    Raises:
        MalformedRequestError: The text is not JSON.
        InvalidParameterError: It is the JSON of another type.
    """
    try:
        return msgspec.json.decode(text, type=kind)
    except msgspec.ValidationError as error:
        raise InvalidParameterError(f"{where}: {error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MalformedRequestError(f"{where}: {error}") from error
    except RecursionError as error:
        raise MalformedRequestError(f"{where}: arrays are nested too deeply") from error
