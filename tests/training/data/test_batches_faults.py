"""Unreadable images are replaced and named; a training that ends early leaves no thread behind."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from keras_archs.images.preprocessing import Preprocessing
from keras_archs.training.data.augmentation import Augmentation
from keras_archs.training.data.batches import TrainingBatches
from keras_archs.training.data.labelled_images import LabelledImages
from keras_archs.training.data.random_crops import RandomCrops
from tests.support.shades import paint

SIZE = Preprocessing(size=(8, 8), mean=(0.0,), std=(1.0,))
SAME = Augmentation(crop="centre", flip=False)


def batches_of(images: LabelledImages, batch: int = 4, **options: int) -> TrainingBatches:
    return TrainingBatches(images, 10, SIZE, SAME, batch=batch, seed=0, **options)


def shades(batches: TrainingBatches, steps: int, first_step: int = 0) -> list[list[int]]:
    """Return the shades of the images in each batch, after a check that the class belongs to the image."""
    iterator = batches.iterate(first_step)
    found = []
    for batch in itertools.islice(iterator, steps):
        found.append([round(float(shade)) for shade in batch.images[:, 0, 0, 0]])
        np.testing.assert_array_equal(batch.targets.argmax(axis=1), np.array(found[-1]) // 10)
    iterator.close()
    return found


def paint_with_faults(folder: Path, unreadable: Sequence[int]) -> LabelledImages:
    """Write eight images of the shades 0, 10, 20, ..., some of which are no image."""
    return paint(folder, [None if n in unreadable else 10 * n for n in range(8)], range(8))


def test_an_unreadable_image_is_replaced_by_the_next_readable_image_of_the_batch(tmp_path: Path) -> None:
    sound, damaged = tmp_path / "sound", tmp_path / "damaged"
    sound.mkdir()
    damaged.mkdir()
    expected = shades(batches_of(paint_with_faults(sound, [])), 4)
    images = paint_with_faults(damaged, [2, 5])
    (damaged / "3.png").unlink()
    batches = batches_of(images)
    for batch, complete in zip(shades(batches, 4), expected, strict=True):
        for slot in range(4):
            readable = (shade for shade in complete[slot:] + complete[:slot] if shade not in {20, 30, 50})
            assert batch[slot] == next(readable)
    assert batches.unreadable == {
        "2.png": "The image is damaged or incomplete.",
        "3.png": "No such file or directory.",
        "5.png": "The image is damaged or incomplete.",
    }


def test_a_training_that_goes_on_gets_the_same_replacements(tmp_path: Path) -> None:
    images = paint_with_faults(tmp_path, [1, 4, 6])
    augmented = Augmentation(min_area=0.2)

    def batches(**options: int) -> TrainingBatches:
        return TrainingBatches(images, 10, SIZE, augmented, batch=4, seed=0, **options)

    whole = [batch.images for batch in itertools.islice(batches().iterate(), 6)]
    for step, expected in enumerate(whole):
        np.testing.assert_array_equal(next(batches().iterate(step)).images, expected)
        halves = [next(batches(process=p, processes=2).iterate(step)).images for p in (0, 1)]
        np.testing.assert_array_equal(np.concatenate(halves), expected)


def test_a_batch_without_a_readable_image_is_an_error_that_names_an_image(tmp_path: Path) -> None:
    batches = batches_of(paint_with_faults(tmp_path, range(8)))
    with pytest.raises(
        ValueError, match=r"none of the 4 images of a batch can be read, e.g. \d.png: The image is damaged"
    ):
        next(batches.iterate())
    assert_no_threads()


def assert_no_threads() -> None:
    names = [thread.name for thread in threading.enumerate()]
    assert not [name for name in names if name.startswith(("decode", "finish"))]


@pytest.mark.parametrize("error", [None, KeyboardInterrupt, RuntimeError])
def test_the_threads_end_with_the_training(tmp_path: Path, error: type[BaseException] | None) -> None:
    iterator = batches_of(paint_with_faults(tmp_path, []), threads=3).iterate()
    next(iterator)
    if error is None:
        iterator.close()
    else:
        with pytest.raises(error):
            iterator.throw(error)
    assert_no_threads()
    assert next(iterator, None) is None


def test_an_error_of_a_thread_reaches_the_training_and_ends_the_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> None:
        raise MemoryError("too little memory")

    monkeypatch.setattr(RandomCrops, "load", fail)
    with pytest.raises(MemoryError, match="too little memory"):
        next(batches_of(paint_with_faults(tmp_path, [])).iterate())
    assert_no_threads()


def test_threads_read_two_batches_ahead_and_no_further(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = threading.Semaphore(0)
    load = RandomCrops.load

    def count(crops: RandomCrops, path: Path, rng: np.random.Generator) -> object:
        loaded.release()
        return load(crops, path, rng)

    monkeypatch.setattr(RandomCrops, "load", count)
    iterator = batches_of(paint_with_faults(tmp_path, []), batch=2).iterate()
    next(iterator)
    for _ in range(6):  # the batch in use and two more, of two images each
        assert loaded.acquire(timeout=60)
    assert not loaded.acquire(timeout=0.2)
    iterator.close()
