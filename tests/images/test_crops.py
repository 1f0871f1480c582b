"""A chosen part of an image comes to the input as the whole image does: upright, in any format, reduced early."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from keras_archs.images.box import Box
from keras_archs.images.decoding import check_limits, load_crop, load_image, memory_needed
from keras_archs.images.errors import ImageError, ImageTooLargeError
from keras_archs.images.formats import inspect
from keras_archs.images.preprocessing import Preprocessing
from tests.support.pictures import GREY, RGB, distance, encode, unresized

WHOLE = Box(0, 0, 1, 1)
QUARTER = Box(0.5, 0, 1, 0.5)

# Images as stored for the upright image, by EXIF orientation (EXIF 2.32, table of the tag Orientation).
STORED = {
    1: lambda image: image,
    2: lambda image: image[:, ::-1],
    3: lambda image: image[::-1, ::-1],
    4: lambda image: image[::-1],
    5: lambda image: image.swapaxes(0, 1),
    6: lambda image: image.swapaxes(0, 1)[::-1],
    7: lambda image: image.swapaxes(0, 1)[::-1, ::-1],
    8: lambda image: image.swapaxes(0, 1)[:, ::-1],
}


def test_the_box_alone_is_kept_and_stretched_to_the_input(cat: Image.Image) -> None:
    data = encode(cat, "PNG")
    expected = np.asarray(cat.resize((224, 224), Image.Resampling.BICUBIC, box=(225, 0, 450, 150)))
    np.testing.assert_array_equal(load_crop(data, RGB, lambda width, height: QUARTER), expected)


def test_the_whole_image_is_what_load_image_gives_without_a_crop(cat: Image.Image, tmp_path: Path) -> None:
    path = tmp_path / "cat.png"
    cat.crop((0, 0, 300, 300)).save(path)
    uncropped = Preprocessing((224, 224), RGB.mean, RGB.std, crop_fraction=1.0)
    np.testing.assert_array_equal(load_crop(path, RGB, lambda width, height: WHOLE), load_image(path, uncropped))


@pytest.mark.parametrize("orientation", STORED)
def test_the_box_is_one_of_the_upright_image(orientation: int, blobs: Image.Image) -> None:
    sizes = []

    def choose(width: int, height: int) -> Box:
        sizes.append((width, height))
        return Box(0.25, 0.125, 1, 0.5)

    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](np.asarray(blobs))))
    crop = load_crop(encode(stored, "PNG", exif=exif), unresized(24, 72), choose)
    np.testing.assert_array_equal(crop, np.asarray(blobs)[8:32, 24:])
    assert sizes == [blobs.size]


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_jpeg_is_decoded_at_the_size_that_the_box_needs(orientation: int) -> None:
    photograph = Image.fromarray(skimage.data.coffee()).resize((2400, 1600), Image.Resampling.LANCZOS)
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(photograph, "JPEG", quality=92, exif=exif)
    with Image.open(io.BytesIO(data)) as image:
        upright = image.copy() if orientation == 1 else image.transpose(Image.Transpose.ROTATE_270)
    small = Preprocessing((96, 96), RGB.mean, RGB.std)
    memory = []
    for box in (WHOLE, Box(0.25, 0.25, 0.75, 0.75), Box(0.4, 0.4, 0.6, 0.6)):
        sides = [share * side for share, side in zip(vars(box).values(), upright.size * 2, strict=True)]
        expected = np.asarray(upright.resize((96, 96), Image.Resampling.BICUBIC, box=tuple(sides)))
        assert distance(load_crop(data, small, lambda width, height, box=box: box), expected) < 1.5  # type: ignore[misc]
        memory.append(memory_needed(inspect(data), small, box))
    assert memory[0] < memory[1] < memory[2] / 2  # at an eighth, at a quarter and at all of the sides


@settings(max_examples=60, deadline=None)
@given(
    size=st.tuples(st.integers(1, 70), st.integers(1, 70)),
    corner=st.tuples(st.floats(0, 0.9), st.floats(0, 0.9)),
    preprocessing=st.sampled_from([RGB, GREY]),
    pixels=st.sampled_from(
        [("PNG", "L"), ("PNG", "RGBA"), ("PNG", "I;16"), ("JPEG", "RGB"), ("WEBP", "RGBA"), ("BMP", "P"), ("GIF", "1")]
    ),
)
def test_every_box_of_every_format_gives_the_inputs_shape_and_keeps_the_colour(
    size: tuple[int, int], corner: tuple[float, float], preprocessing: Preprocessing, pixels: tuple[str, str]
) -> None:
    file_format, mode = pixels
    data = encode(Image.new("L", size, 255).convert(mode), file_format)
    box = Box(*corner, corner[0] + (1 - corner[0]) / 3, corner[1] + (1 - corner[1]) / 5)
    crop = load_crop(data, preprocessing, lambda width, height: box)
    assert crop.shape == (*preprocessing.size, preprocessing.channels)
    if mode != "I;16":
        assert crop.min() >= 253


def test_a_crop_is_refused_for_the_reasons_that_an_image_is(blobs: Image.Image) -> None:
    data = encode(blobs, "PNG")
    with pytest.raises(ImageTooLargeError, match="at most 100 pixels"):
        load_crop(data, RGB, lambda width, height: WHOLE, max_pixels=100)
    with pytest.raises(ImageTooLargeError, match="MB of memory"):
        check_limits(inspect(data), RGB, max_memory=1000, box=WHOLE)
    with pytest.raises(ImageError, match="damaged"):
        load_crop(data[:-40], RGB, lambda width, height: WHOLE)


@pytest.mark.parametrize(
    "corners", [(0, 0, 0, 1), (0.5, 0, 0.4, 1), (-0.1, 0, 1, 1), (0, 0, 1, 1.01), (0, float("nan"), 1, 1)]
)
def test_an_empty_box_and_a_box_outside_the_image_are_refused(corners: tuple[float, float, float, float]) -> None:
    with pytest.raises(ValueError, match="a box needs 0 <= left < right <= 1"):
        Box(*corners)
