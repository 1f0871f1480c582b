"""The images that a command names, whatever they are in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from keras_archs.batch.sources import lists, places, tables, tars
from keras_archs.batch.sources.files import files_in_folder, shards_of_files
from keras_archs.batch.sources.shard import Shard
from keras_archs.batch.sources.tables import shards_of_table
from keras_archs.batch.sources.tars import TarShard

DEFAULT_SHARD_IMAGES: Final = 1000
"""Seconds of work, of which an interruption loses little more, and a file of reasonable size."""


@dataclass(frozen=True)
class Source:
    """Images in an order that stays the same."""

    places: tuple[str, ...]
    """Files, folders, lists, tables and archives, as paths or addresses, in the order of the images."""
    shard_images: int = DEFAULT_SHARD_IMAGES
    """Number of images in a shard; an archive is a shard, and a table is divided between its row groups."""
    image_column: str = "image"
    """Column of a table that has the images."""

    def shards(self) -> Iterator[Shard]:
        """Yield the shards while the source is listed.

        Raises:
            OSError: A folder, a list or a table cannot be read.
            ValueError: A list or a table is damaged, or has no such column.
        """
        for suffixes, group in groupby(self.places, _suffixes):
            if suffixes is tars.SUFFIXES:
                yield from map(TarShard, group)
            elif suffixes is tables.SUFFIXES:
                for place in group:
                    yield from shards_of_table(place, self.image_column, self.shard_images)
            else:
                yield from shards_of_files(_paths(group), self.shard_images)

    def count(self) -> int | None:
        """List the source and return the number of images; None if only reading tells.

        Raises:
            OSError: A folder, a list or a table cannot be read.
            ValueError: A list or a table is damaged, or has no such column.
        """
        total = 0
        for shard in self.shards():
            if shard.images is None:
                return None
            total += shard.images
        return total


def open_source(
    given: Sequence[str], *, shard_images: int = DEFAULT_SHARD_IMAGES, image_column: str = "image"
) -> Source:
    """Return the images of places, after a look whether the places exist.

    Args:
        given: Image files, folders, lists (.txt, .csv), tables (.parquet) and archives (.tar), as paths or addresses.
        shard_images: Number of images in a shard.
        image_column: Column of a table that has the images.

    Raises:
        OSError: A path does not exist.
        ValueError: There is no file system with such addresses.
        ModuleNotFoundError: A package for such addresses is not installed.
    """
    for place in given:
        places.check(place)
    return Source(tuple(given), shard_images, image_column)


def _suffixes(place: str) -> tuple[str, ...]:
    """Return the suffixes of the kind of place that a place is by its name; none for files, folders and lists."""
    return next((kind for kind in (tars.SUFFIXES, tables.SUFFIXES) if place.lower().endswith(kind)), ())


def _paths(given: Iterable[str]) -> Iterator[str]:
    for place in given:
        if place.lower().endswith(lists.SUFFIXES):
            yield from lists.paths_in_list(place)
        elif places.is_folder(place):
            yield from files_in_folder(place)
        else:
            yield place
