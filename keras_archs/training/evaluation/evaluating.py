"""Run a published version over images with known classes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from keras_archs.images.decoding import load_image
from keras_archs.images.errors import ImageError
from keras_archs.repository.artifact_card import ArtifactCard
from keras_archs.runtimes.runtime import Session
from keras_archs.training.data.labelled_images import LabelledImages
from keras_archs.training.data.parallel import in_threads
from keras_archs.training.data.unreadable import why_unreadable
from keras_archs.training.evaluation.answers import UNREADABLE, Answers


def evaluate(
    session: Session,
    card: ArtifactCard,
    images: LabelledImages,
    *,
    threads: int | None = None,
    on_progress: Callable[[int], None] = lambda done: None,
) -> Answers:
    """Classify images, and compare the answers with the right classes.

    Each thread decodes and classifies a batch at a time, so that neither waits for the other. Images are not kept: a
    million of them take the memory of their paths and of some numbers for each.

    Args:
        session: The version, loaded.
        card: Card of the version.
        images: Images and their classes.
        threads: Threads that decode and classify; None for two per core that the process may use.
        on_progress: Called on the calling thread from time to time with the number of images so far.

    Returns:
        The answers. Images that cannot be read have a message instead.

    Raises:
        ValueError: The classes of the network do not exclude each other, so that an image has no one right answer.
        MemoryError: There is not enough memory to decode an image.
    """
    if card.multi_label:
        raise ValueError(
            f"several classes of {card.name} may apply to an image (sigmoid): top-1 and top-5 are defined only for "
            "networks whose probabilities add up to 1 (softmax)"
        )
    run = _Run(session, card, images)
    started = time.perf_counter()
    in_threads(run.classify, len(images.paths), batch=session.max_batch, threads=threads, on_progress=on_progress)
    return run.answers(time.perf_counter() - started)


class _Run:
    """The work that the threads share, and its results as columns."""

    def __init__(self, session: Session, card: ArtifactCard, images: LabelledImages) -> None:
        self._session = session
        self._card = card
        self._images = images
        self._lock = threading.Lock()
        count = len(images.paths)
        self._predicted = np.full(count, UNREADABLE, np.int32)
        self._rank = np.full(count, UNREADABLE, np.int32)
        self._probability = np.zeros(count, np.float32)
        self._probability_of_right = np.zeros(count, np.float32)
        self._unreadable: dict[int, str] = {}

    def classify(self, batch: range) -> None:
        """Decode and classify images."""
        pixels = {index: image for index in batch if (image := self._load(index)) is not None}
        if not pixels:
            return
        indices = list(pixels)
        probabilities = self._session.infer(np.stack(list(pixels.values())))
        right = self._images.classes[indices]
        of_right = probabilities[range(len(indices)), right]
        self._predicted[indices] = probabilities.argmax(axis=1)
        self._probability[indices] = probabilities.max(axis=1)
        self._probability_of_right[indices] = of_right
        self._rank[indices] = _ranks(probabilities, right, of_right)

    def answers(self, seconds: float) -> Answers:
        """Return the results of all images."""
        return Answers(
            labels=self._card.labels,
            images=self._images,
            predicted=self._predicted,
            rank=self._rank,
            probability=self._probability,
            probability_of_right=self._probability_of_right,
            unreadable=dict(sorted(self._unreadable.items())),
            seconds=seconds,
        )

    def _load(self, index: int) -> NDArray[np.uint8] | None:
        try:
            return load_image(self._images.root / self._images.paths[index], self._card.preprocessing)
        except (ImageError, OSError) as error:
            with self._lock:
                self._unreadable[index] = why_unreadable(error)
            return None


def _ranks(
    probabilities: NDArray[np.float32], right: NDArray[np.int32], of_right: NDArray[np.float32]
) -> NDArray[np.intp]:
    """Return how many classes are likelier than the right class; of equal probabilities, the first class is.

    A probability that is not a number counts as likelier, so that a network that overflows is never right.
    """
    likelier = ~(probabilities <= of_right[:, np.newaxis])
    equal = probabilities == of_right[:, np.newaxis]
    before = np.arange(probabilities.shape[1]) < right[:, np.newaxis]
    return np.asarray((likelier | (equal & before)).sum(axis=1))
