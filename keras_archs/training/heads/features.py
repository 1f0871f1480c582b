"""Features of images from a frozen network, which runs once per image; cached by image and weights."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from keras_archs.images.decoding import load_image
from keras_archs.images.errors import ImageError
from keras_archs.training.data.labelled_images import LabelledImages
from keras_archs.training.data.parallel import in_threads
from keras_archs.training.data.unreadable import why_unreadable
from keras_archs.training.heads.feature_cache import FeatureCache, key_of

if TYPE_CHECKING:
    from keras_archs.training.heads.backbone import Backbone

_STORED_AT_ONCE: Final = 2000
"""Images whose features are written together: an interruption loses at most so many."""


@dataclass(frozen=True)
class Features:
    """Features of N images: the input of a network's classifier."""

    values: NDArray[np.float32]
    """[N, D]; rows of images that could not be read are zero."""
    unreadable: dict[int, str]
    """Why an image could not be read, by its position."""
    cached: int = 0
    """Number of images whose features were in the cache."""
    seconds: Mapping[str, float] = field(default_factory=dict)
    """Time of "images" (all) and of "graph" (from the network to OpenVINO, before the first image that the cache
    lacks), and processor time of "decode" and "inference", which overlap."""

    @property
    def readable(self) -> NDArray[np.intp]:
        """Positions of the images that could be read, [R]."""
        return np.setdiff1d(np.arange(len(self.values)), list(self.unreadable)).astype(np.intp)


def features_of(
    images: LabelledImages,
    backbone: Backbone,
    cache: FeatureCache | None = None,
    *,
    on_progress: Callable[[int], None] = lambda done: None,
) -> Features:
    """Compute the features of images, or take them from the cache.

    Each thread decodes an image and runs the network, so that neither waits for the other. Only features are kept.

    Args:
        images: The images.
        backbone: The network; compiled only if the cache lacks an image.
        cache: Cache of the features of this network; None for none.
        on_progress: Called on the calling thread from time to time with the number of images so far.
    """
    run = _Run([images.root / path for path in images.paths], backbone, cache)
    started = time.perf_counter()
    run.look_up()
    on_progress(run.cached)
    run.compute(on_progress)
    return Features(
        run.values,
        dict(sorted(run.unreadable.items())),
        run.cached,
        {
            "images": time.perf_counter() - started,
            "graph": run.graph_seconds,
            "decode": run.decode_seconds,
            "inference": run.inference_seconds,
        },
    )


class _Run:
    """The work that the threads share, and its results."""

    def __init__(self, paths: list[Path], backbone: Backbone, cache: FeatureCache | None) -> None:
        self._paths = paths
        self._backbone = backbone
        self._cache = cache
        self._missing: list[int] = list(range(len(paths)))
        self._unstored: dict[bytes, NDArray[np.float32]] = {}
        self._lock = threading.Lock()
        self.values = np.zeros((len(paths), backbone.dimension), np.float32)
        self.unreadable: dict[int, str] = {}
        self.graph_seconds = self.decode_seconds = self.inference_seconds = 0.0

    @property
    def cached(self) -> int:
        """Number of images that were in the cache."""
        return len(self._paths) - len(self._missing)

    def look_up(self) -> None:
        """Take the features that the cache has."""
        if self._cache is None or self._cache.is_empty():
            return
        keys: dict[int, bytes] = {}

        def read(positions: range) -> None:
            for index in positions:
                try:
                    keys[index] = key_of(self._paths[index].read_bytes())
                except OSError:
                    continue  # reported when the image is decoded

        in_threads(read, len(self._paths))
        found = self._cache.find(set(keys.values()))
        for index, key in keys.items():
            if key in found:
                self.values[index] = found[key]
        self._missing = [index for index in self._missing if keys.get(index) not in found]

    def compute(self, on_progress: Callable[[int], None]) -> None:
        """Compute the features that are missing."""
        if not self._missing:
            return
        started = time.perf_counter()
        _ = self._backbone.infer  # compiled on this thread, before others need it
        self.graph_seconds = time.perf_counter() - started
        before = time.process_time()
        cached = self.cached
        try:
            in_threads(self._compute, len(self._missing), on_progress=lambda done: on_progress(cached + done))
        finally:
            self._store(at_least=1)
        self.inference_seconds = max(0.0, time.process_time() - before - self.decode_seconds)

    def _compute(self, positions: range) -> None:
        for position in positions:
            self._compute_one(self._missing[position])

    def _compute_one(self, index: int) -> None:
        started = time.thread_time()
        try:
            content = self._paths[index].read_bytes()
            pixels = load_image(content, self._backbone.preprocessing)
        except (ImageError, OSError) as error:
            self.unreadable[index] = why_unreadable(error)
            return
        key = key_of(content)
        decoded = time.thread_time() - started
        self.values[index] = self._backbone.infer(pixels[np.newaxis])[0]
        with self._lock:
            self.decode_seconds += decoded
            self._unstored[key] = self.values[index]
        self._store(at_least=_STORED_AT_ONCE)

    def _store(self, at_least: int) -> None:
        with self._lock:
            if self._cache is None or len(self._unstored) < at_least:
                return
            unstored, self._unstored = self._unstored, {}
        self._cache.store(unstored)
