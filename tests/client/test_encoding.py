"""Images in the forms that callers have."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from keras_archs.client.encoding import encode, parts

PIXELS = np.random.default_rng(0).integers(0, 256, (5, 7, 4), np.uint8)


def decoded(image: Any) -> Image.Image:
    return Image.open(io.BytesIO(encode(image)))


@pytest.mark.parametrize("pixels", [PIXELS[:, :, :3], PIXELS, PIXELS[:, :, 0], PIXELS[::-1, ::2, :3]])
def test_pixels_arrive_as_they_are(pixels: Any) -> None:
    np.testing.assert_array_equal(np.array(decoded(pixels)), pixels)


def test_a_single_channel_is_greyscale() -> None:
    np.testing.assert_array_equal(np.array(decoded(PIXELS[:, :, :1])), PIXELS[:, :, 0])


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "HSV", "RGBX", "PA"])
def test_every_common_mode_of_pillow_is_encoded(mode: str) -> None:
    with Image.fromarray(PIXELS[:, :, :3]) as rgb:
        via = {"LAB": None, "PA": "P"}.get(mode, mode)
        image = Image.new(mode, rgb.size) if via is None else rgb.convert(via).convert(mode)
    assert decoded(image).size == (7, 5)


def test_an_image_is_turned_as_its_file_says() -> None:
    file = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(PIXELS[:, :, :3]).save(file, "TIFF", exif=exif)
    with Image.open(file) as image:
        np.testing.assert_array_equal(np.array(decoded(image)), np.rot90(PIXELS[:, :, :3], -1))


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (PIXELS.astype(np.float32), r"got float32 of shape \(5, 7, 4\)"),
        (PIXELS[np.newaxis], r"got uint8 of shape \(1, 5, 7, 4\); pass list\(array\)"),
        (PIXELS[:, :, :2], r"\(5, 7, 2\)"),
        (PIXELS[:0], r"\(0, 7, 4\)"),
    ],
)
def test_an_array_that_is_no_image_is_refused(array: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        encode(array)


def test_what_is_no_image_is_refused() -> None:
    with pytest.raises(TypeError, match="got builtins"):
        encode(7)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="'F' has no range of values"):
        encode(Image.new("F", (2, 2)))


def test_a_part_is_made_when_it_is_asked_for() -> None:
    taken: list[int] = []

    def images() -> Any:
        for number in range(10):
            taken.append(number)
            yield b"image"

    divided = parts(images(), max_images=2, max_bytes=100)
    assert next(divided) == [b"image"] * 2
    assert len(taken) == 3
