"""Image files: named one by one, in lists, and in folders."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import PurePath
from typing import Final

from keras_archs.batch.items import Item
from keras_archs.batch.sources import places
from keras_archs.batch.sources.shard import digest

SUFFIXES: Final = frozenset(
    # the formats that are decoded
    {".jpg", ".jpeg", ".jpe", ".png", ".webp", ".bmp", ".gif"}
    # and common ones that are not, so that these images are in the table with their error
    | {".avif", ".heic", ".heif", ".jp2", ".jxl", ".tif", ".tiff"}
)
"""Suffixes of images, in lower case; the content alone decides the format."""

_READERS: Final = 16
"""Files that are asked for at the same time, if they are not on this machine."""
_AHEAD: Final = 2 * _READERS
"""Files that have been asked for before they are needed, at most."""


@dataclass(frozen=True)
class FileShard:
    """Consecutive image files."""

    paths: tuple[str, ...]

    @property
    def images(self) -> int:
        """Number of images."""
        return len(self.paths)

    @property
    def fingerprint(self) -> str:
        """Digest of the paths."""
        return digest(self.paths)

    def items(self) -> Iterator[Item]:
        """Yield the files; those that are not on this machine are read ahead."""
        items = (Item(path, partial(places.read_file, path)) for path in self.paths)
        return _read_ahead(items) if any(map(places.is_address, self.paths)) else items


def shards_of_files(paths: Iterable[str], shard_images: int) -> Iterator[FileShard]:
    """Divide paths into shards, of which the last may be smaller."""
    remaining = iter(paths)
    while shard := tuple(islice(remaining, shard_images)):
        yield FileShard(shard)


def files_in_folder(folder: str) -> Iterator[str]:
    """Yield the images in a folder and in the folders inside, each folder's in the order of their names.

    Hidden files and folders do not matter, and links to folders are not followed. The names of one folder at a time are
    in memory.

    Raises:
        OSError: A folder cannot be read.
    """
    for place, folders, names in places.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(filter(is_image, names)):
            yield places.join(place, name)


def is_image(path: str) -> bool:
    """Return whether a path has the suffix of an image, and is not hidden."""
    name = PurePath(path)
    return name.suffix.lower() in SUFFIXES and not name.name.startswith(".")


def _read_ahead(items: Iterable[Item]) -> Iterator[Item]:
    """Read the next images while others are computed: a network takes long to answer, but answers many at a time."""
    readers = ThreadPoolExecutor(_READERS, thread_name_prefix="readers")
    reading: deque[tuple[str, Future[bytes]]] = deque()
    is_abandoned = True
    try:
        for item in items:
            reading.append((item.path, readers.submit(item.read)))
            if len(reading) == _AHEAD:
                path, content = reading.popleft()
                yield Item(path, content.result)
        for path, content in reading:
            yield Item(path, content.result)
        is_abandoned = False
    finally:
        readers.shutdown(wait=False, cancel_futures=is_abandoned)
