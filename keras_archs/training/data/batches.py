"""Batches of augmented training images, decoded in parallel, the same for the same seed and step."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from keras_archs.images.errors import ImageError
from keras_archs.images.preprocessing import Preprocessing
from keras_archs.runtimes.machine import usable_cores
from keras_archs.training.data.augmentation import Augmentation
from keras_archs.training.data.changes import Changes
from keras_archs.training.data.labelled_images import LabelledImages
from keras_archs.training.data.unreadable import why_unreadable

# Batches that are decoded while the network trains on another.
_AHEAD: Final = 2
# Images that a thread decodes before it looks whether it is to end.
_LARGEST_TASK: Final = 8


class Batch(NamedTuple):
    """Normalised images and their classes."""

    images: NDArray[np.float32]
    """[B, H, W, C], normalised by the preprocessing."""
    targets: NDArray[np.float32]
    """[B, K], probabilities of the classes: one-hot, or mixed."""


class TrainingBatches:
    """Batches of augmented training images.

    Batch `step` (counted over all epochs from 0) depends on nothing but the arguments and the number: each epoch has an
    order of its own, drawn from `seed` and the epoch, and each image is changed by numbers drawn from `seed`, epoch and
    position. A training that goes on at a step gets the batches that it would have got.

    Several processes get parts of the batch that one process would get, with one difference: MixUp and CutMix mix the
    images of a process with each other.

    Memory holds at most four batches (the one in use, two that are ready or being prepared, and the next one), a
    decoded image per thread, and the pixels of small images (`RandomCrops`); MixUp and CutMix take a fifth batch.
    """

    def __init__(
        self,
        images: LabelledImages,
        classes: int,
        preprocessing: Preprocessing,
        augmentation: Augmentation,
        *,
        batch: int,
        seed: int,
        process: int = 0,
        processes: int = 1,
        threads: int | None = None,
    ) -> None:
        """Prepare the batches.

        Args:
            images: The training images.
            classes: Number of classes K.
            preprocessing: Size and normalisation.
            augmentation: Random changes.
            batch: Images of a step, over all processes; a multiple of `processes`. Images that are left at the end
                of an epoch are in no batch, unless the epoch would have none: then a batch repeats images.
            seed: Seed of order and changes, at least 0.
            process: Number of this process, from 0, which gets its share of the images of each step.
            processes: Number of processes.
            threads: Threads that decode; None for a number that fits the machine.

        Raises:
            ValueError: If a value is not allowed.
        """
        if not images.paths:
            raise ValueError("there is no image to train with")
        if not 0 <= images.classes.min() <= images.classes.max() < classes:
            raise ValueError(
                f"the classes of the images must be 0 to {classes - 1}, "
                f"got {images.classes.min()} to {images.classes.max()}"
            )
        if not 0 <= process < processes:
            raise ValueError(f"process must be 0 to {processes - 1}, got {process}")
        if batch < 1 or batch % processes:
            raise ValueError(f"batch must be a positive multiple of the {processes} processes, got {batch}")
        if seed < 0:
            raise ValueError(f"seed must be at least 0, got {seed}")
        if threads is not None and threads < 1:
            raise ValueError(f"threads must be at least 1, got {threads}")
        self._images = images
        self._classes = classes
        self._preprocessing = preprocessing
        self._batch = batch
        self._seed = seed
        self._process = process
        self._share = batch // processes
        self._threads = threads or usable_cores()
        self._changes = Changes(
            preprocessing, augmentation, images=len(images.paths), batch=self._share, classes=classes
        )
        self._unreadable: dict[int, str] = {}

    @property
    def steps_per_epoch(self) -> int:
        """Number of batches of an epoch, at least 1."""
        return max(1, len(self._images.paths) // self._batch)

    @property
    def unreadable(self) -> dict[str, str]:
        """Why an image could not be read, by its path, of the images that were needed so far."""
        found = dict(self._unreadable)  # threads may add to the original
        return {self._images.paths[index]: found[index] for index in sorted(found)}

    def iterate(self, first_step: int = 0) -> Generator[Batch, None, None]:
        """Yield the batches from a step on, without end, decoded ahead in threads; closing the iterator ends them.

        Images that cannot be read are replaced by another image of the same batch (see `unreadable`).

        Args:
            first_step: Number of the first batch, at least 0.

        Raises:
            ValueError: If `first_step` is negative, or no image of a batch can be read.
            MemoryError: If there is not enough memory.
        """
        if first_step < 0:
            raise ValueError(f"first_step must be at least 0, got {first_step}")
        decoders = ThreadPoolExecutor(self._threads, "decode")
        finisher = ThreadPoolExecutor(1, "finish-batch")
        pending: deque[Future[Batch]] = deque()
        try:
            for step in self._steps(first_step):
                pending.append(self._begin(step, decoders, finisher))
                if len(pending) > _AHEAD:
                    yield pending.popleft().result()
        finally:
            decoders.shutdown(cancel_futures=True)
            finisher.shutdown(cancel_futures=True)

    def _steps(self, first_step: int) -> Generator[_Step, None, None]:
        epoch, first = divmod(first_step, self.steps_per_epoch)
        while True:
            order = self._rng(epoch).permutation(len(self._images.paths))
            order = np.resize(order, max(self._batch, len(order)))
            for number in range(first, self.steps_per_epoch):
                yield _Step(epoch, number, order[number * self._batch : (number + 1) * self._batch])
            epoch, first = epoch + 1, 0

    def _begin(self, step: _Step, decoders: ThreadPoolExecutor, finisher: ThreadPoolExecutor) -> Future[Batch]:
        shape = (self._share, *self._preprocessing.size, self._preprocessing.channels)
        batch = Batch(np.empty(shape, np.float32), np.zeros((self._share, self._classes), np.float32))
        size = min(_LARGEST_TASK, -(-self._share // self._threads))
        rows = [range(start, min(start + size, self._share)) for start in range(0, self._share, size)]
        tasks = [decoders.submit(self._fill, batch, step, part) for part in rows]
        return finisher.submit(self._finish, batch, step, tasks)

    def _finish(self, batch: Batch, step: _Step, tasks: Sequence[Future[None]]) -> Batch:
        for task in tasks:
            task.result()
        return Batch(*self._changes.mix(*batch, self._rng(step.epoch, step.number, self._process)))

    def _fill(self, batch: Batch, step: _Step, rows: range) -> None:
        for row in rows:
            position = self._process * self._share + row
            index, pixels = self._load(step, position)
            batch.images[row] = self._preprocessing.normalize(pixels)
            batch.targets[row, self._images.classes[index]] = 1

    def _load(self, step: _Step, position: int) -> tuple[int, NDArray[np.uint8] | NDArray[np.float32]]:
        """Return the image at a position of a batch, or the next readable image, and its index."""
        for offset in range(self._batch):
            index = int(step.indices[(position + offset) % self._batch])
            if index in self._unreadable:
                continue
            # from the start for each image, so that it does not matter whether another is known to be unreadable
            rng = self._rng(step.epoch, step.number * self._batch + position)
            try:
                return index, self._changes.load(self._images.root / self._images.paths[index], rng)
            except (ImageError, OSError) as error:
                self._unreadable[index] = why_unreadable(error)
        path, reason = next(iter(self.unreadable.items()))
        raise ValueError(f"none of the {self._batch} images of a batch can be read, e.g. {path}: {reason}")

    def _rng(self, *key: int) -> np.random.Generator:
        # keys of one number draw the order of an epoch, of two numbers an image, of three the mixing
        return np.random.default_rng(np.random.SeedSequence(self._seed, spawn_key=key))


class _Step(NamedTuple):
    epoch: int
    number: int
    """Number of the batch in the epoch."""
    indices: NDArray[np.intp]
    """Index of each image of the batch, over all processes."""
