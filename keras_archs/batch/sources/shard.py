"""A part of a source: consecutive images, whose rows are computed and written together."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import Protocol

from keras_archs.batch.items import Item


class Shard(Protocol):
    """Consecutive images of a source, as a description that can be pickled: no image has been read yet."""

    @property
    def images(self) -> int | None:
        """Number of images; None if only reading tells."""

    @property
    def fingerprint(self) -> str:
        """Digest of what the shard names; two listings of an unchanged source give the same."""

    def items(self) -> Iterator[Item]:
        """Yield the images in order; threads take turns with the iterator."""


def digest(parts: Iterable[str]) -> str:
    """Return a digest of texts and their order."""
    total = hashlib.blake2b(digest_size=16)
    for part in parts:
        total.update(part.encode("utf-8", "surrogateescape") + b"\n")
    return total.hexdigest()
