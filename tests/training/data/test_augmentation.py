"""Random parts, mirror images and shifts are what an augmentation says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from keras_archs.images.decoding import load_image
from keras_archs.images.preprocessing import Preprocessing
from keras_archs.training.data.augmentation import Augmentation, Crop
from keras_archs.training.data.random_crops import RandomCrops, random_box

SIZE = Preprocessing(size=(16, 16), mean=(0.0,) * 3, std=(1.0,) * 3, crop_fraction=1.0)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the path of an image whose red is the column, whose green is the row, and which has no black pixel."""
    y, x = np.mgrid[0:16, 0:16]
    path = tmp_path_factory.mktemp("image") / "image.png"
    Image.fromarray(np.stack([10 * x + 5, 10 * y + 5, 0 * x + 255], axis=-1).astype(np.uint8)).save(path)
    return path


def crops(path: Path, augmentation: Augmentation, count: int = 200) -> list[NDArray[np.uint8]]:
    crops, rng = RandomCrops(SIZE, augmentation, 1), np.random.default_rng(0)
    return [crops.load(path, rng) for _ in range(count)]


def is_mirrored(pixels: NDArray[np.uint8]) -> bool:
    return bool(pixels[8, 4, 0] > pixels[8, -5, 0])


def test_the_centre_is_what_inference_sees(path: Path) -> None:
    (pixels,) = crops(path, Augmentation("centre", flip=False), 1)
    np.testing.assert_array_equal(pixels, load_image(path, SIZE))


@pytest.mark.parametrize(("crop", "images", "decoded"), [("padded", 9, 1), ("padded", 10**6, 5), ("resized", 9, 5)])
def test_small_images_that_are_only_shifted_are_decoded_once(
    path: Path, monkeypatch: pytest.MonkeyPatch, crop: Crop, images: int, decoded: int
) -> None:
    read: list[Path] = []
    read_bytes = Path.read_bytes

    def count(path: Path) -> bytes:
        read.append(path)
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", count)
    augmentation, rng = Augmentation(crop), np.random.default_rng(0)
    kept = RandomCrops(SIZE, augmentation, images)
    assert len({kept.load(path, rng).tobytes() for _ in range(5)}) > 1
    assert len(read) == decoded


@pytest.mark.parametrize("crop", ["centre", "resized", "padded"])
def test_every_second_image_is_mirrored_unless_images_may_not_be(path: Path, crop: Crop) -> None:
    def share(flip: bool) -> float:
        return float(np.mean([is_mirrored(pixels) for pixels in crops(path, Augmentation(crop, flip=flip))]))

    assert share(flip=False) == 0
    assert 0.4 < share(flip=True) < 0.6


@pytest.mark.parametrize("stretch", [0.5, 0.9, 1.0, 1.3, 2.0])
@pytest.mark.parametrize("min_area", [0.08, 0.35, 1.0])
def test_a_random_box_has_the_area_and_the_shape_that_are_asked_for(stretch: float, min_area: float) -> None:
    rng = np.random.default_rng(0)
    boxes = [random_box(stretch, min_area, rng) for _ in range(300)]
    sides = np.array([(box.right - box.left, box.bottom - box.top) for box in boxes])
    shapes = stretch * sides[:, 0] / sides[:, 1]
    assert (shapes > 3 / 4 - 1e-9).all()
    assert (shapes < 4 / 3 + 1e-9).all()
    largest_area = min(1, 4 / 3 * min(stretch, 1 / stretch))
    assert sides.prod(axis=1).min() >= min(min_area, largest_area) - 1e-9
    if min_area < 0.5:
        assert sides.prod(axis=1).min() < min_area + 0.05
        centres = np.array([(box.left + box.right, box.top + box.bottom) for box in boxes])
        assert centres.std(axis=0).min() > 0.05


def test_a_box_larger_than_the_image_becomes_the_largest_box_in_the_centre() -> None:
    box = random_box(4.0, 1.0, np.random.default_rng(0))
    assert vars(box) == pytest.approx({"left": 1 / 3, "top": 0, "right": 2 / 3, "bottom": 1})


def test_padding_shifts_by_up_to_an_eighth_and_shows_black_at_the_border(path: Path) -> None:
    original = load_image(path, SIZE)
    shifts = set()
    for pixels in crops(path, Augmentation("padded", flip=False), 400):
        inside = pixels[..., 2] == 255
        rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
        part = pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        down = int(rows[0] - (part[0, 0, 1] - 5) // 10)
        across = int(columns[0] - (part[0, 0, 0] - 5) // 10)
        np.testing.assert_array_equal(part, original[rows - down][:, columns - across])
        assert (pixels[~inside] == 0).all()
        shifts.add((down, across))
    assert shifts == {(down, across) for down in range(-2, 3) for across in range(-2, 3)}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"crop": "random"}, "crop must be 'centre' or 'resized' or 'padded', got 'random'"),
        ({"min_area": 0.0}, "min_area must be above 0 and at most 1, got 0.0"),
        ({"rand_augment": 1.5}, "rand_augment must be 0 to 1, got 1.5"),
        ({"cutmix": -0.1}, "cutmix must be 0 to 1, got -0.1"),
        ({"erasing": float("nan")}, "erasing must be 0 to 1, got nan"),
        ({"mixup": -1.0}, "mixup must be a number of at least 0, got -1.0"),
    ],
)
def test_a_value_that_is_not_allowed_is_named(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Augmentation(**changes)  # type: ignore[arg-type]
