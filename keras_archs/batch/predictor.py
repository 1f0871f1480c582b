"""A loaded version that makes rows of images."""

from __future__ import annotations

import numpy as np

from keras_archs.batch.items import Item
from keras_archs.batch.rows import Answer, Row
from keras_archs.batch.work import Work
from keras_archs.images.decoding import check_limits, decode
from keras_archs.images.errors import ImageError
from keras_archs.images.formats import inspect
from keras_archs.images.labels import best_indices
from keras_archs.repository.artifact import read_card
from keras_archs.runtimes.local import installed_runtime, load_embedder, load_version
from keras_archs.runtimes.runtime import Embed, Infer


class Predictor:
    """A version, loaded once, for several threads.

    A thread reads an image, decodes it and computes its answer, so that no image is handed over between threads. The
    runtime computes an image on one core, so that the answers do not depend on the number of threads.
    """

    def __init__(self, work: Work, *, threads: int) -> None:
        """Load a version, which takes seconds.

        Args:
            work: What to compute.
            threads: Images that are computed at a time, at least 1: one for each core that shall be busy.

        Raises:
            ArtifactError: The version must not be used, or cannot be loaded.
        """
        self.work = work
        self.card = read_card(work.version_dir)
        self.threads = 2 * threads
        """Threads that make rows: twice as many, so that a core whose thread waits for a file or Python has another."""
        runtime = installed_runtime(
            cache_dir=work.cache_dir, streams=threads, threads=threads, precision=work.precision
        )
        session = load_version(runtime, work.version_dir, self.card)
        self.arithmetic = session.arithmetic
        """What the version computes with on this machine."""
        self.dimension: int | None = None
        """Length of an embedding; None if none are wanted."""
        if work.embeddings:
            self._embed: Embed = load_embedder(runtime, session, work.version_dir, self.card)
            nothing = np.zeros((1, *self.card.preprocessing.size, self.card.preprocessing.channels), np.uint8)
            self.dimension = self._embed(nothing).features.shape[1]
        else:
            self._infer: Infer = session.infer

    def row(self, item: Item) -> Row:
        """Read an image, decode it and compute its answer; several threads may do so at a time."""
        try:
            content = item.read()
        except (OSError, ImageError) as error:
            return Row(item.path, error=_why(error), unread=isinstance(error, OSError))
        width = height = None
        try:
            picture = inspect(content)
            width, height = picture.upright_size
            check_limits(picture, self.card.preprocessing)
            pixels = decode(picture, self.card.preprocessing)
        except ImageError as error:
            return Row(item.path, width, height, error=str(error))
        embedding = None
        if self.dimension is None:
            probabilities = self._infer(pixels[np.newaxis])[0]
        else:
            (probabilities,), (embedding,) = self._embed(pixels[np.newaxis])
        classes = best_indices(probabilities, self.work.top_k).astype(np.int32)
        return Row(item.path, width, height, Answer(classes, probabilities[classes], embedding))


def _why(error: OSError | ImageError) -> str:
    """Return a sentence without a path, which is in a column of its own."""
    return str(error) if isinstance(error, ImageError) else f"{error.strerror or error}."
