"""Cache of features on disk, so that images that a network has seen once cost nothing.

    <Keras' folder>/keras_archs/features/<digest>/<name>.npz    `keys` and `values` of some images

The digest stands for the network, its weights and the preprocessing, a key for the content of an image's file. Each
file is written under another name, then renamed, and never changed: several processes may share the folder, and one
that is killed leaves whole files. An .npz file has checksums; a damaged one is removed. Files that were not used for
longest are removed as soon as all files together exceed `LIMIT`. A cache that cannot be used is no reason not to
train: failures are logged.
"""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
import zipfile
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from keras_archs.weights.download.places import keras_home

log = logging.getLogger(__name__)

LIMIT: Final = 4_000_000_000
"""Bytes that the files of all networks may take; the features of 780,000 images of EfficientNet-Lite0."""

_KEY_BYTES: Final = 16


def default_folder() -> Path:
    """Return the folder for features of all networks; the variable KERAS_HOME moves it."""
    return keras_home() / "keras_archs" / "features"


def key_of(content: bytes) -> bytes:
    """Return the key of an image: a digest of its file's content."""
    return hashlib.blake2b(content, digest_size=_KEY_BYTES).digest()


class FeatureCache:
    """Features of one network, by the content of images."""

    def __init__(self, folder: Path, name: str, dimension: int, *, limit: int = LIMIT) -> None:
        """Prepare a cache; nothing is read or written.

        Args:
            folder: Folder for features of all networks, created if needed.
            name: Name of the folder inside that nothing but these features is in.
            dimension: Number of features D of an image.
            limit: Bytes that the files of all networks may take.
        """
        self._all = folder
        self._folder = folder / name
        self._dimension = dimension
        self._limit = limit

    def is_empty(self) -> bool:
        """Whether there is no file."""
        return not any(self._files())

    def find(self, keys: Collection[bytes]) -> dict[bytes, NDArray[np.float32]]:
        """Return the features, float32 [D], of those of the images that have some."""
        wanted = set(keys)
        found: dict[bytes, NDArray[np.float32]] = {}
        for path in self._files():
            try:
                found |= self._read(path, wanted - found.keys())
            except FileNotFoundError:  # another process has removed it
                continue
            except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
                log.warning("cached features are damaged and are computed again: %s: %s", path, error)
                _remove(path)
        return found

    def store(self, features: Mapping[bytes, NDArray[np.float32]]) -> None:
        """Add features, float32 [D], by the keys of their images."""
        if not features:
            return
        keys = np.frombuffer(b"".join(features), np.uint8).reshape(-1, _KEY_BYTES)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            descriptor, name = tempfile.mkstemp(".incoming", dir=self._folder)
            incoming = Path(name)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    np.savez(file, keys=keys, values=np.stack(list(features.values())))
                incoming.rename(incoming.with_suffix(".npz"))
            finally:
                incoming.unlink(missing_ok=True)
            self._keep_within_limit()
        except OSError as error:
            log.warning("features cannot be cached, so that the next training computes them again: %s", error)

    def _files(self) -> Iterator[Path]:
        return self._folder.glob("*.npz")

    def _read(self, path: Path, wanted: set[bytes]) -> dict[bytes, NDArray[np.float32]]:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            keys = [row.tobytes() for row in file["keys"]]
            rows = {key: row for row, key in enumerate(keys) if key in wanted}
            if not rows:
                return {}
            values = file["values"]
        if values.shape != (len(keys), self._dimension) or values.dtype != np.float32:
            raise ValueError(f"values of the shape {values.shape} and the type {values.dtype}")
        os.utime(path)
        return {key: values[row] for key, row in rows.items()}

    def _keep_within_limit(self) -> None:
        """Remove the files of all networks that were not used for longest, parts of interrupted writing too."""
        total = 0
        for path, status in sorted(_with_status(self._all.glob("*/*")), key=lambda file: -file[1].st_mtime):
            total += status.st_size
            if total > self._limit:
                _remove(path)


def _with_status(paths: Iterable[Path]) -> Iterator[tuple[Path, os.stat_result]]:
    for path in paths:
        with suppress(FileNotFoundError):  # another process has removed or renamed it
            yield path, path.stat()


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        log.warning("cached features cannot be removed: %s", error)
