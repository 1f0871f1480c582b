"""A loaded version and the threads that decode images and compute answers."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait

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

_SECONDS_BETWEEN_LOOKS = 0.1


class Predictor:
    """A version, loaded once, and the threads that use it.

    Each thread reads an image, decodes it and computes its answer, so that no image is handed over between threads. The
    runtime computes an image on one core, so that the answers do not depend on the number of threads.
    """

    def __init__(self, work: Work, *, threads: int) -> None:
        """Load a version, which takes seconds.

        Args:
            work: What to compute.
            threads: Threads that compute at a time, at least 1: one for each core that shall be busy. Twice as many
                read and decode, so that a core whose thread waits for a file or for Python has another.

        Raises:
            ArtifactError: The version must not be used, or cannot be loaded.
        """
        self.work = work
        self.card = read_card(work.version_dir)
        self._threads = 2 * threads
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

    def rows(self, items: Iterable[Item]) -> Iterator[Row]:
        """Compute the rows of images, in the order of the images.

        The images are taken from `items` one at a time, when a thread needs one, so that no more images are in memory
        than threads work on. When the iterator is closed, the threads end after the image that they work on.

        Args:
            items: The images.
        """
        feed = _Feed(items)
        rows: dict[int, Row] = {}

        def work() -> None:
            while taken := feed.take():
                position, item = taken
                rows[position] = self._row(item)

        with ThreadPoolExecutor(self._threads, thread_name_prefix="images") as executor:
            try:
                pending = {executor.submit(work) for _ in range(self._threads)}
                position = 0
                while pending:
                    done, pending = wait(pending, _SECONDS_BETWEEN_LOOKS, FIRST_EXCEPTION)
                    for future in done:
                        future.result()
                    while position in rows:
                        yield rows.pop(position)
                        position += 1
            finally:
                feed.close()

    def _row(self, item: Item) -> Row:
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


class _Feed:
    """Images with their positions, which threads take."""

    def __init__(self, items: Iterable[Item]) -> None:
        self._items = enumerate(items)
        self._lock = threading.Lock()
        self._is_closed = False

    def take(self) -> tuple[int, Item] | None:
        """Return the next image; None if there is none."""
        with self._lock:
            return None if self._is_closed else next(self._items, None)

    def close(self) -> None:
        """Leave no image to take."""
        self._is_closed = True


def _why(error: OSError | ImageError) -> str:
    """Return a sentence without a path, which is in a column of its own."""
    return str(error) if isinstance(error, ImageError) else f"{error.strerror or error}."
