"""Pictures are small, complete files inside the page."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import numpy as np
from PIL import Image

from keras_archs.images.preprocessing import Preprocessing
from keras_archs.training.pages.pictures import picture, read_pictures


def decoded(element: str) -> Image.Image:
    found = re.search(r'src="data:image/jpeg;base64,([^"]+)"', element)
    assert found
    return Image.open(io.BytesIO(base64.b64decode(found[1])))


def test_a_picture_is_reduced_to_its_side() -> None:
    element = picture(np.full((300, 600, 3), (200, 30, 30), np.uint8), side=100)
    assert 'width="100" height="50"' in element
    image = decoded(element)
    assert image.size == (100, 50)
    red, green, blue = np.asarray(image).mean(axis=(0, 1))
    assert red > 190
    assert max(green, blue) < 40


def test_a_greyscale_picture_of_single_pixels_keeps_them() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 1), np.uint8)
    element = picture(pixels, kind="evidence")
    assert 'class="evidence coarse"' in element
    assert np.abs(np.asarray(decoded(element)).astype(int) - pixels[..., 0]).max() < 24


def test_a_picture_of_one_pixel_is_shown() -> None:
    assert decoded(picture(np.zeros((1, 1, 3), np.uint8))).size == (1, 1)


def test_pictures_come_in_the_order_of_the_files_and_a_missing_file_is_none(tmp_path: Path) -> None:
    files = [tmp_path / f"{number}.png" for number in range(20)]
    for number, file in enumerate(files):
        Image.new("RGB", (8, 8), (10 * number,) * 3).save(file)
    files[7].unlink()
    files[9].write_bytes(b"no image")
    preprocessing = Preprocessing(size=(4, 4), mean=(0,), std=(1,))
    pictures = read_pictures(files, preprocessing)
    assert [None if each is None else int(each[0, 0, 0]) for each in pictures] == [
        None if number in {7, 9} else 10 * number for number in range(20)
    ]
    assert picture(None) == '<div class="none"></div>'
