"""Every format and pixel mode gives the same pixels; transparency shows white."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

from keras_archs.images.decoding import load_image
from keras_archs.images.preprocessing import Preprocessing
from tests.support.pictures import Pixels, bmp, distance, encode, png_of_samples, unresized

OVER_WHITE = 96  # alpha of the translucent images below


@pytest.mark.parametrize(
    ("make", "tolerance"),
    [
        (lambda image: encode(image, "PNG"), 0),
        (lambda image: encode(image, "BMP"), 0),
        (lambda image: encode(image, "WEBP", lossless=True), 0),
        (lambda image: encode(image, "WEBP", quality=95), 4),
        (lambda image: encode(image, "JPEG", quality=95), 2),
        (lambda image: encode(image, "JPEG", quality=95, progressive=True), 2),
        (lambda image: encode(image, "GIF"), 12),
        (lambda image: encode(image.quantize(256), "PNG"), 8),
        (lambda image: encode(image.quantize(256), "BMP"), 8),
        (lambda image: encode(image.convert("CMYK"), "JPEG", quality=95), 3),  # inverted, with Adobe's marker
        (lambda image: encode(image.convert("RGBA"), "PNG"), 0),
        (lambda image: encode(image.convert("RGBA"), "WEBP", lossless=True), 0),
        (lambda image: encode(image.convert("RGBA"), "BMP"), 0),
        (lambda image: png_of_samples(np.asarray(image).astype(np.uint16) * 257, 2), 0),
        (lambda image: png_of_samples(np.asarray(image.convert("RGBA")).astype(np.uint16) * 257, 6), 0),
        (lambda image: encode(image, "PNG", icc_profile=b"not a profile"), 0),
        (lambda image: encode(image, "JPEG", quality=95, exif=b"Exif\0\0not EXIF"), 2),
        (lambda image: encode(image, "PNG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff"), 0),
    ],
)
@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_colour_comes_out_the_same_from_every_pixel_format(
    blobs: Image.Image, make: Callable[[Image.Image], bytes], tolerance: float
) -> None:
    picture = load_image(make(blobs), unresized(64, 96))
    assert distance(picture, np.asarray(blobs)) <= tolerance


@pytest.mark.parametrize(
    ("make", "tolerance"),
    [
        (lambda grey: encode(grey, "PNG"), 0),
        (lambda grey: encode(grey, "JPEG", quality=95), 2),
        (lambda grey: encode(grey, "BMP"), 0),
        (lambda grey: encode(grey, "GIF"), 0),
        (lambda grey: encode(grey.convert("LA"), "PNG"), 0),
        (lambda grey: encode(grey.convert("RGB"), "PNG"), 0),
        (lambda grey: png_of_samples(np.asarray(grey).astype(np.uint16) * 257, 0), 0),
        (lambda grey: png_of_samples(np.asarray(grey.convert("LA")).astype(np.uint16) * 257, 4), 0),
    ],
)
@pytest.mark.parametrize("channels", [1, 3])
def test_grey_comes_out_the_same_from_every_pixel_format(
    blobs: Image.Image, make: Callable[[Image.Image], bytes], tolerance: float, channels: int
) -> None:
    grey = blobs.convert("L")
    picture = load_image(make(grey), unresized(64, 96, channels))
    expected = np.asarray(grey)[..., np.newaxis].repeat(channels, axis=-1)
    assert distance(picture, expected) <= tolerance


@pytest.mark.parametrize("file_format", ["PNG", "BMP", "GIF"])
def test_one_bit_images_are_resized_with_grey_levels(file_format: str) -> None:
    stripes = np.tile([[0, 255]], (64, 32)).astype(np.uint8)
    data = encode(Image.fromarray(stripes).convert("1"), file_format)
    np.testing.assert_array_equal(load_image(data, unresized(64, 64))[..., 0], stripes)
    assert distance(load_image(data, unresized(16, 16)), np.full((16, 16, 3), 127)) < 3


def test_translucent_pixels_are_composited_over_white(blobs: Image.Image) -> None:
    rgba = blobs.copy()
    rgba.putalpha(OVER_WHITE)
    expected = 255 + (np.asarray(blobs).astype(float) - 255) * OVER_WHITE / 255
    for data in (encode(rgba, "PNG"), encode(rgba, "WEBP", lossless=True, exact=True)):
        assert distance(load_image(data, unresized(64, 96)), expected) <= 1
    grey = blobs.convert("L")
    grey_alpha = Image.merge("LA", (grey, Image.new("L", grey.size, OVER_WHITE)))
    expected_grey = 255 + (np.asarray(grey).astype(float) - 255) * OVER_WHITE / 255
    assert distance(load_image(encode(grey_alpha, "PNG"), unresized(64, 96, 1))[..., 0], expected_grey) <= 1


def halves(mode: str, left: Any, right: Any) -> Image.Image:
    image = Image.new(mode, (32, 16), left)
    image.paste(right, (16, 0, 32, 16))
    if mode == "P":
        image.putpalette([40, 40, 40, 0, 99, 0])
    return image


@pytest.mark.parametrize(
    "data",
    [
        encode(halves("L", 40, 90), "PNG", transparency=90),
        encode(halves("RGB", (40, 40, 40), (0, 99, 0)), "PNG", transparency=(0, 99, 0)),
        png_of_samples(
            np.repeat([[40 * 257, 9000]], 16, axis=1).repeat(16, axis=0).astype(np.uint16),
            0,
            (b"tRNS", struct.pack(">H", 9000)),
        ),
        encode(halves("P", 0, 1), "PNG", transparency=b"\xff\x00"),
        encode(halves("P", 0, 1), "PNG", transparency=1),
        encode(halves("P", 0, 1), "GIF", transparency=1),
    ],
    ids=["grey", "rgb", "grey16", "palette", "palette-index", "gif"],
)
def test_transparent_colours_show_white(data: bytes) -> None:
    picture = load_image(data, unresized(16, 32))
    np.testing.assert_array_equal(picture[8, [4, 28]], [[40] * 3, [255] * 3])


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP"])
def test_exif_orientation_is_honoured(blobs: Image.Image, orientation: int, file_format: str) -> None:
    upright = np.asarray(blobs)
    # How a camera in each position stores the upright image (EXIF 2.32, tag 0x0112).
    stored: dict[int, Callable[[Pixels], Pixels]] = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: np.rot90(a, 1),
        7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
        8: lambda a: np.rot90(a, -1),
    }
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.fromarray(np.ascontiguousarray(stored[orientation](upright)))
    options = {"lossless": True} if file_format == "WEBP" else {"quality": 95}
    picture = load_image(encode(image, file_format, exif=exif, **options), unresized(64, 96))
    assert distance(picture, upright) < 2


@pytest.mark.parametrize(
    "options",
    [
        {"format": "GIF"},
        {"format": "PNG"},
        {"format": "WEBP", "lossless": True},
    ],
    ids=["GIF", "APNG", "WebP"],
)
def test_an_animation_gives_its_first_frame(options: dict[str, Any]) -> None:
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "lime", "blue")]
    file = io.BytesIO()
    frames[0].save(file, save_all=True, append_images=frames[1:], **options)
    np.testing.assert_array_equal(load_image(file.getvalue(), unresized(20, 20))[10, 10], [255, 0, 0])


def test_a_multi_picture_jpeg_gives_its_first_picture() -> None:
    file = io.BytesIO()
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "blue")]
    frames[0].save(file, "MPO", save_all=True, append_images=frames[1:])
    assert distance(load_image(file.getvalue(), unresized(20, 20))[10, 10], np.array([255, 0, 0])) < 3


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_a_transparent_grey_level_is_found_at_each_depth(bits: int) -> None:
    largest = 2**bits - 1
    samples = np.repeat([[0, largest]], 16, axis=1).repeat(16, axis=0).astype(np.uint16)
    for transparent in (0, 1 << bits):  # the bits above the depth have no meaning
        data = png_of_samples(samples, 0, (b"tRNS", struct.pack(">H", transparent)), bits=bits)
        assert (load_image(data, unresized(16, 32)) == 255).all()
    opaque = load_image(png_of_samples(samples, 0, bits=bits), unresized(16, 32))
    np.testing.assert_array_equal(opaque[8, [4, 28], 0], [0, 255])


def test_only_the_exact_16_bit_colour_is_transparent() -> None:
    colours = np.array([[0x1234, 0x5678, 0x9ABC], [0x1235, 0x5678, 0x9ABC], [0x1234, 0x56FF, 0x9ABC]], np.uint16)
    samples = colours.repeat(16, axis=0)[np.newaxis].repeat(16, axis=0)
    data = png_of_samples(samples, 2, (b"tRNS", struct.pack(">HHH", *colours[0].tolist())))
    picture = load_image(data, unresized(16, 48))
    np.testing.assert_array_equal(picture[8, [4, 20, 44]], [[255] * 3, [0x12, 0x56, 0x9A], [0x12, 0x56, 0x9A]])


@pytest.mark.parametrize(
    ("masks", "order"),
    [
        ((0xFF0000, 0xFF00, 0xFF, 0xFF000000), [2, 1, 0, 3]),
        ((0xFF, 0xFF00, 0xFF0000, 0xFF000000), [0, 1, 2, 3]),
        ((0, 0, 0, 0), [2, 1, 0, 3]),
    ],
)
def test_a_bitmap_whose_alpha_is_0_everywhere_is_opaque(
    blobs: Image.Image, masks: tuple[int, ...], order: list[int]
) -> None:
    rows = np.dstack([np.asarray(blobs), np.zeros((64, 96), np.uint8)])[::-1, :, order]
    picture = load_image(bmp(rows.tobytes(), (96, 64), 32, 3, masks, header_size=108), unresized(64, 96))
    np.testing.assert_array_equal(picture, np.asarray(blobs))
    rows[:32, :, 3] = 255  # rows of a bitmap begin at the bottom
    picture = load_image(bmp(rows.tobytes(), (96, 64), 32, 3, masks, header_size=108), unresized(64, 96))
    assert (picture[:32] == 255).all()
    np.testing.assert_array_equal(picture[32:], np.asarray(blobs)[32:])


@pytest.mark.parametrize("file_format", ["PNG", "WEBP"])
def test_other_formats_with_alpha_0_everywhere_are_transparent(blobs: Image.Image, file_format: str) -> None:
    rgba = blobs.copy()
    rgba.putalpha(0)
    options = {"lossless": True, "exact": True} if file_format == "WEBP" else {}
    assert (load_image(encode(rgba, file_format, **options), unresized(64, 96)) == 255).all()


@pytest.mark.parametrize(
    "make",
    [
        lambda image: encode(image, "PNG"),
        lambda image: encode(image.convert("LA"), "PNG"),
        lambda image: encode(image.quantize(64), "PNG", transparency=bytes(range(0, 256, 4))),
        lambda image: encode(image, "WEBP", lossless=True, exact=True),
        lambda image: encode(image.convert("RGB").quantize(64), "GIF", transparency=3),
    ],
    ids=["RGBA", "LA", "palette", "WebP", "GIF"],
)
@pytest.mark.parametrize("size", [(40, 56), (8, 8), (500, 700)])
def test_conversion_in_bands_equals_conversion_of_the_whole_image(
    monkeypatch: pytest.MonkeyPatch, cat: Image.Image, make: Callable[[Image.Image], bytes], size: tuple[int, int]
) -> None:
    rgba = cat.copy()
    rgba.putalpha(Image.linear_gradient("L").resize(cat.size))
    data = make(rgba)
    with Image.open(io.BytesIO(data)) as image:
        whole = image.convert("RGBA")
    canvas = Image.new("RGB", whole.size, "white")
    canvas.paste(whole, mask=whole)
    preprocessing = Preprocessing(size, (0.0,) * 3, (1.0,) * 3)
    expected = load_image(encode(canvas, "PNG"), preprocessing)
    monkeypatch.setattr("keras_archs.images.fitting._BAND_PIXELS", 5000)
    np.testing.assert_array_equal(load_image(data, preprocessing), expected)
