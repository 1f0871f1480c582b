"""An image is cropped around its centre and resized to the input, whatever its size, format and orientation."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from keras_archs.images.decoding import load_image
from keras_archs.images.formats import MEDIA_TYPES
from keras_archs.images.preprocessing import Preprocessing
from tests.support.pictures import GREY, RGB, distance, encode


def test_the_box_is_centred_and_has_the_inputs_aspect_ratio() -> None:
    picture = np.zeros((100, 300, 3), np.uint8)
    picture[10:90, 110:190] = 255  # 80 of the 100 pixels of the largest centred square
    data = encode(Image.fromarray(picture), "PNG")
    kept = load_image(data, Preprocessing((40, 40), RGB.mean, RGB.std, crop_fraction=0.8))
    assert (kept[1:-1, 1:-1] == 255).all()  # at the border the filter uses pixels outside the box
    whole = load_image(data, Preprocessing((100, 100), RGB.mean, RGB.std, crop_fraction=1.0))
    np.testing.assert_array_equal(whole, picture[:, 100:200])
    flat = load_image(data, Preprocessing((40, 80), RGB.mean, RGB.std, crop_fraction=1.0))
    assert flat.shape == (40, 80, 3)
    assert abs(int((flat[20] == 255).all(axis=-1).sum()) - 32) <= 2  # 80 of the 200 columns kept


def test_the_filter_is_that_of_the_preprocessing(cat: Image.Image) -> None:
    data = encode(cat, "PNG")
    box = (93.75, 18.75, 356.25, 281.25)  # 0.875 of the centred square of 300
    for interpolation, resample in (("bicubic", 3), ("bilinear", 2)):
        preprocessing = Preprocessing.from_json(RGB.to_json() | {"interpolation": interpolation})
        expected = np.asarray(cat.resize((224, 224), Image.Resampling(resample), box=box))
        np.testing.assert_array_equal(load_image(data, preprocessing), expected)


@pytest.mark.parametrize("side", [64, 96, 224])
def test_reduction_by_the_jpeg_decoder_changes_pixels_by_less_than_one_level_on_average(side: int) -> None:
    photograph = Image.fromarray(skimage.data.astronaut())
    data = encode(photograph.resize((900, 900), Image.Resampling.LANCZOS), "JPEG", quality=92)
    with Image.open(io.BytesIO(data)) as image:
        box = (56.25, 56.25, 843.75, 843.75)
        expected = np.asarray(image.resize((side, side), Image.Resampling.BICUBIC, box=box))
    preprocessing = Preprocessing((side, side), RGB.mean, RGB.std)
    assert distance(load_image(data, preprocessing), expected) < 1


@pytest.mark.parametrize("size", [(1, 1), (1, 65535), (65535, 1), (2, 3), (5000, 10)])
@pytest.mark.parametrize("preprocessing", [RGB, GREY])
def test_images_of_extreme_shape_keep_their_colour(size: tuple[int, int], preprocessing: Preprocessing) -> None:
    picture = load_image(encode(Image.new("RGB", size, (200, 200, 200)), "PNG"), preprocessing)
    assert picture.shape == (*preprocessing.size, preprocessing.channels)
    assert (picture == 200).all()


@settings(max_examples=60, deadline=None)
@given(
    size=st.tuples(st.integers(1, 70), st.integers(1, 70)),
    preprocessing=st.builds(
        lambda size, channels, fraction: Preprocessing(size, (0.0,) * channels, (1.0,) * channels, fraction),
        st.tuples(st.integers(1, 40), st.integers(1, 40)),
        st.sampled_from([1, 3]),
        st.floats(0.05, 1.0),
    ),
    pixels=st.sampled_from(
        [("PNG", mode) for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")]
        + [("JPEG", mode) for mode in ("L", "RGB", "CMYK")]
        + [("WEBP", mode) for mode in ("RGB", "RGBA")]
        + [("BMP", mode) for mode in ("1", "L", "P", "RGB", "RGBA")]
        + [("GIF", mode) for mode in ("1", "L", "P")]
    ),
    grey=st.integers(0, 255),
)
def test_every_size_and_mode_gives_the_inputs_shape(
    size: tuple[int, int], preprocessing: Preprocessing, pixels: tuple[str, str], grey: int
) -> None:
    file_format, mode = pixels
    picture = load_image(encode(Image.new("L", size, grey).convert(mode), file_format), preprocessing)
    assert picture.shape == (*preprocessing.size, preprocessing.channels)
    assert picture.dtype == np.uint8
    assert picture.flags.writeable


def test_load_image_is_thread_safe(cat: Image.Image) -> None:
    sources = [encode(cat, file_format) for file_format in MEDIA_TYPES.values()] * 8
    expected = [load_image(source, RGB) for source in sources]
    with ThreadPoolExecutor(8) as executor:
        for picture, alone in zip(executor.map(partial(load_image, preprocessing=RGB), sources), expected, strict=True):
            np.testing.assert_array_equal(picture, alone)


def test_a_path_and_its_bytes_give_the_same_pixels(tmp_path: Path, blobs: Image.Image) -> None:
    path = tmp_path / "blobs.png"
    path.write_bytes(encode(blobs, "PNG"))
    expected = load_image(path.read_bytes(), RGB)
    np.testing.assert_array_equal(load_image(path, RGB), expected)
    np.testing.assert_array_equal(load_image(str(path), RGB), expected)
    with pytest.raises(FileNotFoundError):
        load_image(tmp_path / "missing.png", RGB)
