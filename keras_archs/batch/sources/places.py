"""Places of files: paths of this machine, and addresses such as s3://bucket/photos, of any file system of fsspec."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

from keras_archs.analysis.extras import import_extra

_EXTRAS: Final = {"s3": "s3", "gs": "gcs", "gcs": "gcs", "http": "batch", "https": "batch"}
"""Extra that installs what a kind of address needs."""
_PAUSES: Final = (0.5, 2.0)
"""Seconds between attempts to read a file that is not on this machine."""


def is_address(place: str) -> bool:
    """Return whether a place is an address, not a path."""
    return "://" in place


def join(folder: str, path: str) -> str:
    """Return a path that is relative to a folder; a path that is absolute, or an address, is that already."""
    if is_address(path):
        return path
    return f"{folder}/{path}" if is_address(folder) else os.path.join(folder, path)  # noqa: PTH118, texts


def parent(place: str) -> str:
    """Return the folder that a file is in."""
    return place.rpartition("/")[0] if is_address(place) else os.path.dirname(place)  # noqa: PTH120, a text


def check(place: str) -> None:
    """Check that a path exists, or that addresses of this kind can be used; nothing is asked for over the network.

    Raises:
        OSError: There is no such file or folder.
        ValueError: No file system has such addresses.
        ModuleNotFoundError: A package is not installed.
    """
    if is_address(place):
        _file_system(place)
    else:
        Path(place).stat()


def is_folder(place: str) -> bool:
    """Return whether a place is a folder; an address over HTTP is one if it ends in a slash.

    Raises:
        OSError: The place cannot be reached, or there is no such address.
    """
    if not is_address(place):
        return Path(place).is_dir()
    if place.startswith(("http://", "https://")):
        return place.endswith("/")
    file_system, path = _file_system(place)
    try:
        with as_os_errors(place):
            return bool(file_system.info(path)["type"] == "directory")
    except FileNotFoundError as error:  # with the path alone, or no message
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), place) from error


def walk(folder: str) -> Iterator[tuple[str, list[str], list[str]]]:
    """Yield folder, names of folders and names of files of a folder and all below, as `os.walk`, one at a time.

    Raises:
        OSError: A folder cannot be read.
    """
    if not is_address(folder):
        yield from os.walk(folder, onerror=_fail)
        return
    file_system, path = _file_system(folder)
    yield from _walk(file_system, path, folder.rstrip("/"))


def _walk(file_system: Any, path: str, address: str) -> Iterator[tuple[str, list[str], list[str]]]:
    # not `file_system.walk`, which leaves out folders below that cannot be read
    with as_os_errors(path):
        entries = [
            entry for entry in file_system.ls(path, detail=True) if entry["name"].rstrip("/") != path.rstrip("/")
        ]
    named = {entry["name"].rstrip("/").rpartition("/")[2]: entry for entry in entries}
    folders = [name for name, entry in named.items() if entry["type"] == "directory"]
    yield address, folders, [name for name in named if name not in set(folders)]
    for name in folders:
        yield from _walk(file_system, named[name]["name"], f"{address}/{name}")


def open_file(place: str) -> BinaryIO:
    """Open a file to read.

    Raises:
        OSError: The file cannot be opened.
    """
    if not is_address(place):
        return Path(place).open("rb")
    file_system, path = _file_system(place)
    with as_os_errors(place):
        return cast(BinaryIO, file_system.open(path, "rb"))


def read_file(place: str) -> bytes:
    """Return the content of a file; an address is asked three times, unless it says that there is no such file.

    Raises:
        OSError: The file cannot be read.
    """
    if not is_address(place):
        return Path(place).read_bytes()
    file_system, path = _file_system(place)
    for pause in _PAUSES:
        try:
            with as_os_errors(place):
                return cast(bytes, file_system.cat_file(path))
        except (FileNotFoundError, PermissionError):
            raise
        except OSError:
            time.sleep(pause)
    with as_os_errors(place):
        return cast(bytes, file_system.cat_file(path))


def _file_system(address: str) -> tuple[Any, str]:
    """Return the file system of an address, and the path on it."""
    fsspec = import_extra("fsspec", "batch")
    protocol = address.partition("://")[0]
    try:
        # listings are not kept, because they may be large
        file_system, path = fsspec.url_to_fs(address, use_listings_cache=False)
    except ImportError as error:
        extra = _EXTRAS.get(protocol)
        hint = f"pip install 'keras-archs[{extra}]'" if extra else str(error)
        raise ModuleNotFoundError(f"{protocol}:// needs a package that is not installed: {hint}") from error
    except ValueError as error:
        known = ", ".join(f"{name}://" for name in _EXTRAS)
        raise ValueError(
            f"{address}: there are no addresses {protocol}://; allowed are {known} and others of fsspec"
        ) from error
    return file_system, path


@contextmanager
def as_os_errors(place: str) -> Iterator[None]:
    """Turn what is raised inside the `with` block into OSError: libraries of file systems have errors of their own."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        raise OSError(f"{place}: {error or type(error).__name__}") from error


def _fail(error: OSError) -> None:
    raise error
