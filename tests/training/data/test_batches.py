"""Batches depend on seed and step alone, contain each image once an epoch, and are shared among processes."""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from keras_archs.images.decoding import load_image
from keras_archs.images.preprocessing import Preprocessing
from keras_archs.training.data.augmentation import Augmentation
from keras_archs.training.data.batches import Batch, TrainingBatches
from keras_archs.training.data.labelled_images import LabelledImages
from tests.support.pictures import encode
from tests.support.shades import paint

SIZE = Preprocessing(size=(8, 8), mean=(10.0, 20.0, 30.0), std=(2.0, 4.0, 8.0))
SAME = Augmentation(crop="centre", flip=False)
COUNT = 10


@pytest.fixture(scope="module")
def shades(tmp_path_factory: pytest.TempPathFactory) -> LabelledImages:
    """Return images of one shade each, 10 times their number, in three classes."""
    numbers = range(COUNT)
    return paint(tmp_path_factory.mktemp("shades"), [10 * n for n in numbers], [n % 3 for n in numbers])


@pytest.fixture(scope="module")
def noise(tmp_path_factory: pytest.TempPathFactory) -> LabelledImages:
    """Return images of random pixels, which show every change."""
    folder = tmp_path_factory.mktemp("noise")
    pixels = np.random.default_rng(0).integers(0, 256, (COUNT, 12, 16, 3), np.uint8)
    for number, image in enumerate(pixels):
        (folder / f"{number}.png").write_bytes(encode(Image.fromarray(image), "PNG"))
    return LabelledImages(folder, [f"{n}.png" for n in range(COUNT)], np.arange(COUNT, dtype=np.int32) % 3)


def take(batches: TrainingBatches, count: int, first_step: int = 0) -> list[Batch]:
    iterator = batches.iterate(first_step)
    try:
        return list(itertools.islice(iterator, count))
    finally:
        iterator.close()


def numbers(batch: Batch) -> list[int]:
    """Return which images of `shades` are in a batch."""
    return [round(value) for value in ((batch.images[:, 0, 0, 0] * 2 + 10) / 10).tolist()]


def assert_equal(left: list[Batch], right: list[Batch]) -> None:
    assert len(left) == len(right)
    for one, other in zip(left, right, strict=True):
        np.testing.assert_array_equal(one.images, other.images)
        np.testing.assert_array_equal(one.targets, other.targets)


def test_images_are_normalised_and_targets_are_one_hot(shades: LabelledImages) -> None:
    (batch,) = take(TrainingBatches(shades, 4, SIZE, SAME, batch=5, seed=0), 1)
    assert batch.images.shape == (5, 8, 8, 3)
    assert batch.images.dtype == batch.targets.dtype == np.float32
    for image, target, number in zip(batch.images, batch.targets, numbers(batch), strict=True):
        expected = SIZE.normalize(load_image(shades.root / shades.paths[number], SIZE))
        np.testing.assert_array_equal(image, expected)
        np.testing.assert_array_equal(target, np.eye(4, dtype=np.float32)[number % 3])


def test_an_epoch_has_each_image_at_most_once_and_each_epoch_another_order(shades: LabelledImages) -> None:
    batches = TrainingBatches(shades, 3, SIZE, SAME, batch=4, seed=0)
    assert batches.steps_per_epoch == 2
    epochs = [[n for batch in take(batches, 2, 2 * epoch) for n in numbers(batch)] for epoch in range(6)]
    assert all(len(set(epoch)) == 8 for epoch in epochs)
    assert len(set(map(tuple, epochs))) == 6
    assert set().union(*epochs) == set(range(COUNT))  # those left in an epoch come in another


def test_with_fewer_images_than_a_batch_the_batch_repeats_images(shades: LabelledImages) -> None:
    batches = TrainingBatches(shades, 3, SIZE, SAME, batch=24, seed=0)
    assert batches.steps_per_epoch == 1
    counts = np.bincount(numbers(take(batches, 1)[0]), minlength=COUNT)
    assert set(counts.tolist()) == {2, 3}


@pytest.mark.parametrize("threads", [1, 7])
def test_a_training_that_goes_on_gets_the_batches_that_it_would_have_got(noise: LabelledImages, threads: int) -> None:
    def batches(threads: int, seed: int = 3) -> TrainingBatches:
        return TrainingBatches(noise, 3, SIZE, Augmentation(), batch=4, seed=seed, threads=threads)

    whole = take(batches(2), 9)
    for first in (0, 1, 2, 5):
        assert_equal(take(batches(threads), 9 - first, first), whole[first:])
    assert (take(batches(threads, seed=4), 1)[0].images != whole[0].images).any()


def test_an_image_is_changed_otherwise_in_each_epoch(noise: LabelledImages) -> None:
    one = LabelledImages(noise.root, noise.paths[:1], noise.classes[:1])
    images = [batch.images for batch in take(TrainingBatches(one, 3, SIZE, Augmentation(), batch=2, seed=0), 4)]
    assert len({image.tobytes() for image in np.concatenate(images)}) == 8


@pytest.mark.parametrize("augmentation", [Augmentation(), Augmentation("padded", erasing=0.5)])
def test_processes_share_the_batch_of_one_process(noise: LabelledImages, augmentation: Augmentation) -> None:
    whole = take(TrainingBatches(noise, 3, SIZE, augmentation, batch=6, seed=1), 3)
    for processes in (2, 3):
        parts = [
            take(TrainingBatches(noise, 3, SIZE, augmentation, batch=6, seed=1, process=p, processes=processes), 3)
            for p in range(processes)
        ]
        for step, expected in enumerate(whole):
            assert_equal([Batch(*map(np.concatenate, zip(*(part[step] for part in parts), strict=True)))], [expected])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch": 0}, "positive multiple of the 1 processes, got 0"),
        ({"batch": 5, "processes": 2}, "positive multiple of the 2 processes, got 5"),
        ({"process": 2, "processes": 2}, "process must be 0 to 1, got 2"),
        ({"process": -1}, "process must be 0 to 0, got -1"),
        ({"seed": -1}, "seed must be at least 0, got -1"),
        ({"threads": 0}, "threads must be at least 1, got 0"),
        ({"classes": 2}, "classes of the images must be 0 to 1, got 0 to 2"),
    ],
)
def test_a_value_that_is_not_allowed_is_named(shades: LabelledImages, changes: dict[str, int], message: str) -> None:
    arguments = {"batch": 4, "seed": 0, "classes": 3} | changes
    with pytest.raises(ValueError, match=message):
        TrainingBatches(shades, arguments.pop("classes"), SIZE, SAME, **arguments)
    batches = TrainingBatches(shades, 3, SIZE, SAME, batch=4, seed=0)
    with pytest.raises(ValueError, match="first_step must be at least 0, got -1"):
        next(batches.iterate(-1))


def test_no_image_is_an_error() -> None:
    nothing = LabelledImages(Path(), [], np.array([], np.int32))
    with pytest.raises(ValueError, match="there is no image"):
        TrainingBatches(nothing, 2, SIZE, SAME, batch=4, seed=0)


def test_crops_and_mirror_images_need_neither_keras_nor_tensorflow(shades: LabelledImages) -> None:
    script = f"""
import sys
import numpy as np
from pathlib import Path
from keras_archs.images.preprocessing import Preprocessing
from keras_archs.training.data.augmentation import Augmentation
from keras_archs.training.data.batches import TrainingBatches
from keras_archs.training.data.labelled_images import LabelledImages
images = LabelledImages(Path({str(shades.root)!r}), {list(shades.paths)!r}, np.zeros({COUNT}, np.int32))
next(TrainingBatches(images, 2, Preprocessing((8, 8), (0.,), (1.,)), Augmentation(), batch=4, seed=0).iterate())
print(not {{"keras", "tensorflow"}} & set(sys.modules))
"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, text=True)
    assert result.stdout == "True\n"
