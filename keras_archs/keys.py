"""Keys of the gateway: a JSON file, or a folder with a file for each key, that hold what a key may do and its hash.

The gateway reads what `keras-archs keys` writes. A key itself is stored nowhere: it is a random number of 160 bits, so
that SHA-256 alone makes it as hard to find as it was to guess. Slow hashes protect passwords, which people choose; here
they would only let strangers keep the gateway busy.

A file is an object with the fields of each key under its name. In a folder, such as a mounted secret of Kubernetes,
each file has the name of its key and holds the fields; files whose names begin with a dot are not read.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

PREFIX = "keras_archs_"
EVERY_MODEL = "*"
"""Stands for all models in the list of a key, and in the claim of a token."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class KeysError(ValueError):
    """The keys cannot be read, or a key cannot be what it should be."""


@dataclass(frozen=True)
class Key:
    """What is stored of a key.

    Attributes:
        sha256: SHA-256 of the key, in hexadecimal.
        models: Names of the models that the key may use; `*` for all.
        requests_per_minute: Requests that may be sent with the key; None for the gateway's own limit.
        bytes_per_minute: Bytes of request bodies that may be sent with the key; None for the gateway's own limit.
        created: When the key was made, with the time zone.
        expires: When the key becomes invalid, with the time zone; None for never.
        weight: Share of the machine relative to that of other keys in use at the same time, above 0.
    """

    sha256: str
    models: tuple[str, ...]
    created: datetime
    requests_per_minute: int | None = None
    bytes_per_minute: int | None = None
    expires: datetime | None = None
    weight: float = 1.0


def new_secret() -> str:
    """Return a new key, whose prefix tells people and scanners what it is."""
    return PREFIX + secrets.token_hex(20)


def sha256_of(secret: str) -> str:
    """Return the hash of a key, in hexadecimal."""
    return hashlib.sha256(secret.encode()).hexdigest()


def read(path: Path) -> dict[str, Key]:
    """Read keys by their names.

    Raises:
        KeysError: What is there are no keys.
        OSError: The file or the folder cannot be read.
    """
    if not path.is_dir():
        return {name: _key(name, fields) for name, fields in _object(path).items()}
    files = sorted(file for file in path.iterdir() if not file.name.startswith(".") and file.is_file())
    return {file.name: _key(file.name, _object(file)) for file in files}


def add(path: Path, name: str, key: Key) -> None:
    """Add a key.

    Args:
        path: File, which is created if it is missing, or folder of keys.
        name: Name of the key: letters, digits, dots, hyphens and underscores, at most 64.
        key: The key.

    Raises:
        KeysError: There is a key of this name, or it is no name for a key.
        OSError: The file cannot be written.
    """
    _check_name(name)
    with _locked(path):
        keys = read(path) if path.exists() else {}
        if name in keys:
            raise KeysError(f"{path} has a key {name} already: revoke it first, or choose another name")
        if path.is_dir():
            _replace(path / name, _fields(key))
        else:
            _replace(path, {other: _fields(keys[other]) for other in keys} | {name: _fields(key)})


def remove(path: Path, name: str) -> None:
    """Remove a key.

    Raises:
        KeysError: There is no key of this name.
        OSError: The file cannot be written.
    """
    with _locked(path):
        keys = read(path)
        if name not in keys:
            raise KeysError(f"{path} has no key {name}; it has {', '.join(keys) or 'none'}")
        if path.is_dir():
            (path / name).unlink()
        else:
            _replace(path, {other: _fields(keys[other]) for other in keys if other != name})


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise KeysError(
            f"a name of a key is 1 to 64 letters, digits, dots, hyphens and underscores, and begins with a letter or a "
            f"digit; got {name!r}"
        )


def _object(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except ValueError as error:
        raise KeysError(f"{path.name} is not valid JSON: {error}") from None
    if not isinstance(content, dict):
        raise KeysError(f"{path.name} is not a JSON object")
    return content


def _key(name: str, fields: object) -> Key:
    """Build a key from the fields that a file has, after checking each of them."""
    _check_name(name)
    if not isinstance(fields, dict) or fields.keys() - Key.__dataclass_fields__.keys():
        raise KeysError(f"key {name} is not an object with the fields {', '.join(Key.__dataclass_fields__)}")
    sha256, models = fields.get("sha256"), fields.get("models")
    if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
        raise KeysError(f"sha256 of key {name} is not 64 hexadecimal digits in lower case")
    if not isinstance(models, list) or not models or not all(isinstance(model, str) for model in models):
        raise KeysError(f"models of key {name} is not a list of names, or of * for all models")
    return Key(
        sha256=sha256,
        models=tuple(models),
        created=_moment(name, "created", fields.get("created")),
        expires=None if fields.get("expires") is None else _moment(name, "expires", fields["expires"]),
        requests_per_minute=_limit(name, "requests_per_minute", fields),
        bytes_per_minute=_limit(name, "bytes_per_minute", fields),
        weight=_weight(name, fields.get("weight", 1.0)),
    )


def _limit(name: str, field: str, fields: Mapping[str, Any]) -> int | None:
    value = fields.get(field)
    if value is not None and (type(value) is not int or value < 1):
        raise KeysError(f"{field} of key {name} is not a whole number above 0")
    return value


def _weight(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= sys.float_info.max:
        raise KeysError(f"weight of key {name} is not a number above 0")
    return float(value)


def _moment(name: str, field: str, value: object) -> datetime:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise KeysError(f"{field} of key {name} is not a date and time with a time zone, as 2027-01-31T12:00:00Z is")
    return moment


def _fields(key: Key) -> dict[str, Any]:
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in asdict(key).items()
        if value is not None
    }


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Keep other processes from changing the keys at the same time."""
    import fcntl  # not on Windows, where keys can still be read

    folder = os.open(path if path.is_dir() else path.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
        os.fsync(folder)
    finally:
        os.close(folder)


def _replace(path: Path, content: Mapping[str, Any]) -> None:
    """Write a file so that readers see the old content or the new; a new file can be read by its owner only."""
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)  # with mode 0600
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(json.dumps(content, indent=2) + "\n")
            file.flush()
            if path.exists():
                os.fchmod(file.fileno(), path.stat().st_mode & 0o777)
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink()
        raise
