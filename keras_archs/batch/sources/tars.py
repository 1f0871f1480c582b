"""Archives of images, as WebDataset has them: read from the beginning to the end, one image at a time in memory."""

from __future__ import annotations

import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Final

from keras_archs.batch.items import Item, damaged
from keras_archs.batch.sources import places
from keras_archs.batch.sources.files import is_image
from keras_archs.batch.sources.shard import digest

SUFFIXES: Final = (".tar", ".tar.gz", ".tgz")


@dataclass(frozen=True)
class TarShard:
    """All images of an archive: the archive is a shard, because it can only be read as a whole."""

    place: str

    @property
    def images(self) -> None:
        """Unknown: only reading tells."""

    @property
    def fingerprint(self) -> str:
        """Digest of the archive's path."""
        return digest([self.place])

    def items(self) -> Iterator[Item]:
        """Yield the images; if the archive is damaged, an image with the error follows those before the damage.

        Raises:
            OSError: The archive cannot be read, which says nothing about its content.
        """
        with places.as_os_errors(self.place):
            count = 0
            try:
                for name, content in _images(self.place):
                    yield Item(f"{self.place}#{name}", partial(bytes, content))
                    count += 1
            except (tarfile.TarError, EOFError, zlib.error) as error:
                yield damaged(self.place, f"The archive is damaged after {count:,} images: {error}.")


def _images(place: str) -> Iterator[tuple[str, bytes]]:
    with places.open_file(place) as file, tarfile.open(fileobj=file, mode="r|*") as archive:
        for member in archive:
            if member.isfile() and is_image(member.name) and (opened := archive.extractfile(member)):
                yield member.name, opened.read()
