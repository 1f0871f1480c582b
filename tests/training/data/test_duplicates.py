"""Images that look alike are found across divisions and classes, and different images are not called alike."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance
from skimage import data as pictures

from keras_archs.training import Dataset, packaged
from keras_archs.training.data.duplicates import Duplicate, find_duplicates
from keras_archs.training.data.labelled_images import LabelledImages

Change = Callable[[Image.Image], Image.Image]


def photograph(name: str = "chelsea") -> Image.Image:
    return Image.fromarray(getattr(pictures, name)()).convert("RGB")


def parts(name: str, size: int = 150) -> list[Image.Image]:
    """Return parts of a photograph that do not overlap."""
    whole = photograph(name)
    return [
        whole.crop((left, top, left + size, top + size))
        for left in range(0, whole.width - size + 1, size)
        for top in range(0, whole.height - size + 1, size)
    ]


def dataset(
    root: Path,
    train: list[tuple[Image.Image, int]],
    validation: list[tuple[Image.Image, int]],
    **options: object,
) -> Dataset:
    """Write pictures with their classes: train/0.png, train/1.png, ..., validation/0.png, ..."""
    written = {}
    for split, entries in (("train", train), ("validation", validation)):
        (root / split).mkdir(parents=True)
        for number, (image, _) in enumerate(entries):
            image.save(root / split / f"{number}.png")
        paths = [f"{split}/{number}.png" for number in range(len(entries))]
        written[split] = LabelledImages(root, paths, np.array([index for _, index in entries], np.int32))
    data = Dataset("test", ("cat", "cup", "sky"), written["train"], written["validation"])
    return replace(data, **options)  # type: ignore[arg-type]


def pairs(data: Dataset) -> list[tuple[str, str]]:
    return [(pair.first, pair.second) for pair in find_duplicates(data)[0]]


def recompressed(quality: int) -> Change:
    def change(image: Image.Image) -> Image.Image:
        content = io.BytesIO()
        image.save(content, "JPEG", quality=quality)
        return Image.open(content)

    return change


CHANGES: dict[str, Change] = {
    "the same": lambda image: image,
    "JPEG of quality 30": recompressed(30),
    "JPEG of quality 90": recompressed(90),
    "smaller": lambda image: image.reduce(3),
    "larger": lambda image: image.resize((900, 600)),
    "stretched": lambda image: image.resize((400, 400)),
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.1),
    "darker": lambda image: ImageEnhance.Brightness(image).enhance(0.9),
    "more contrast": lambda image: ImageEnhance.Contrast(image).enhance(1.2),
    "grey": lambda image: image.convert("L"),
    "cut by 2 %": lambda image: image.crop((4, 3, image.width - 5, image.height - 3)),
    "mirrored": lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_copy_in_the_validation_images_is_named(tmp_path: Path, change: str) -> None:
    others = [(part, 1) for part in parts("coffee")]
    copy = CHANGES[change](photograph())
    data = dataset(tmp_path, [*others[:4], (photograph(), 0)], [*others[4:], (copy, 0)])
    (pair,), unreadable = find_duplicates(data)
    assert pair == Duplicate(
        "train/4.png", "train", f"validation/{len(others) - 4}.png", "validation", pair.distance, True,
        mirrored=change == "mirrored",
    )  # fmt: skip
    assert pair.distance <= 8
    assert not unreadable


def test_parts_of_photographs_that_do_not_overlap_are_not_alike(tmp_path: Path) -> None:
    names = ("chelsea", "coffee", "rocket", "astronaut", "brick", "grass", "gravel")
    images = [(part, index % 3) for index, name in enumerate(names) for part in parts(name, 100)]
    assert len(images) > 140
    assert pairs(dataset(tmp_path, images[::2], images[1::2])) == []


@pytest.mark.parametrize("name", ["digits", "mnist5k"])
def test_different_digits_are_not_alike(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    data = packaged(name)  # type: ignore[arg-type]
    some = np.arange(0, len(data.train.paths), 4)
    assert pairs(replace(data, train=data.train.take(some))) == []


def test_an_equal_digit_is_named_and_its_mirror_image_is_not(tmp_path: Path) -> None:
    digit = np.zeros((28, 28), np.uint8)
    digit[4:24, 12:15] = 255
    digit[4:7, 12:22] = 200
    images = [(Image.fromarray(digit), 0), (Image.fromarray(digit.T), 1)]
    data = dataset(
        tmp_path, images, [(Image.fromarray(digit), 0), (Image.fromarray(digit[:, ::-1]), 1)], may_flip=False
    )
    assert pairs(data) == [("train/0.png", "validation/0.png")]
    assert pairs(replace(data, may_flip=True)) == [
        ("train/0.png", "validation/1.png"),
        ("validation/0.png", "validation/1.png"),
    ]


def test_copies_in_one_division_are_named_only_if_their_classes_differ(tmp_path: Path) -> None:
    cat, cup, sky = photograph(), photograph("coffee"), photograph("rocket")
    data = dataset(tmp_path, [(cat, 0), (cat, 0), (cup, 0), (cup, 1)], [(sky, 2)])
    (pair,), _ = find_duplicates(data)
    assert (pair.first, pair.second, pair.same_class) == ("train/2.png", "train/3.png", False)


def test_pairs_of_two_classes_come_first_and_each_image_is_named(tmp_path: Path) -> None:
    cat, cup = photograph(), photograph("coffee")
    data = dataset(tmp_path, [(cat, 0), (cup, 1)], [(cat, 0), (recompressed(30)(cup), 2), (cat, 0)])
    found, _ = find_duplicates(data)
    assert [(pair.first, pair.second, pair.same_class) for pair in found] == [
        ("train/1.png", "validation/1.png", False),
        ("train/0.png", "validation/0.png", True),
        ("train/0.png", "validation/2.png", True),
    ]


def test_equal_images_of_one_shade_are_alike(tmp_path: Path) -> None:
    black, white = Image.new("L", (90, 90), 0), Image.new("L", (90, 90), 255)
    assert pairs(dataset(tmp_path, [(black, 0)], [(black, 0), (white, 0)])) == [("train/0.png", "validation/0.png")]


def test_a_thousand_equal_placeholders_are_a_thousand_pairs_at_most(tmp_path: Path) -> None:
    data = dataset(tmp_path, [(photograph(), 0)], [(photograph(), 0)])
    many = replace(data.train, paths=list(data.train.paths) * 1000, classes=np.zeros(1000, np.int32))
    found, _ = find_duplicates(replace(data, train=many))
    assert len(found) == 1000


def test_images_that_cannot_be_read_are_reported_and_compared_with_nothing(tmp_path: Path) -> None:
    data = dataset(tmp_path, [(photograph(), 0)] * 3, [(photograph("coffee"), 1)] * 2)
    (tmp_path / "train/1.png").write_bytes(b"no image")
    (tmp_path / "train/2.png").unlink()
    (tmp_path / "validation/1.png").write_bytes(b"no image")
    found, unreadable = find_duplicates(data)
    assert found == ()
    assert list(unreadable) == ["train/1.png", "train/2.png", "validation/1.png"]
    assert unreadable["train/2.png"] == "No such file or directory."


def test_the_progress_ends_with_the_number_of_images(tmp_path: Path) -> None:
    counts: list[int] = []
    data = dataset(tmp_path, [(Image.new("L", (1, 1)), 0)] * 100, [(Image.new("L", (1, 1)), 0)])
    find_duplicates(data, on_progress=counts.append)
    assert counts == [64, 101]
