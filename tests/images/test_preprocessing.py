"""Every format and pixel mode gives the same pixels, and malformed files raise ImageError only."""

from __future__ import annotations

import io
import json
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage.data
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from keras_archs.images.preprocessing import (
    DEFAULT_MAX_PIXELS,
    MEDIA_TYPES,
    ImageError,
    ImageTooLargeError,
    Preprocessing,
    load_image,
)

Pixels = NDArray[np.uint8]

RGB = Preprocessing(size=(224, 224), mean=(127.0,) * 3, std=(128.0,) * 3)
GREY = Preprocessing(size=(28, 28), mean=(33.3,), std=(78.6,), crop_fraction=1.0)


def unresized(height: int, width: int, channels: int = 3) -> Preprocessing:
    """Return a preprocessing that keeps every pixel of an image of this size."""
    return Preprocessing((height, width), (0.0,) * channels, (1.0,) * channels, crop_fraction=1.0)


def encode(image: Image.Image, file_format: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, file_format, **options)
    return file.getvalue()


def png(samples: NDArray[np.uint16], color_type: int, *extra: tuple[bytes, bytes]) -> bytes:
    """Return a 16-bit PNG file in a pixel format that Pillow cannot write."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width = samples.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    header = struct.pack(">IIBBBBB", width, height, 16, color_type, 0, 0, 0)
    chunks = [(b"IHDR", header), *extra, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*item) for item in chunks)


def distance(left: NDArray[Any], right: NDArray[Any]) -> float:
    return float(np.abs(left.astype(float) - right.astype(float)).mean())


@pytest.fixture(scope="module")
def cat() -> Image.Image:
    return Image.fromarray(skimage.data.chelsea()[:300, :450])


@pytest.fixture(scope="module")
def blobs() -> Image.Image:
    """Image that is smooth, so that chroma subsampling and palettes change little, and different in every corner."""
    y, x = np.mgrid[0:64, 0:96].astype(np.float64)
    channels = [x / 95, y / 63, 0.5 + 0.5 * np.sin(x / 20) * np.cos(y / 15)]
    return Image.fromarray((255 * np.stack(channels, axis=-1)).round().astype(np.uint8))


# Preprocessing


def test_normalize_subtracts_the_mean_and_divides_by_the_deviation() -> None:
    preprocessing = Preprocessing((2, 2), mean=(0.0, 100.0, 200.0), std=(1.0, 2.0, 4.0))
    images = np.full((5, 2, 2, 3), 200, np.uint8)
    normalized = preprocessing.normalize(images)
    assert normalized.dtype == np.float32
    np.testing.assert_array_equal(normalized, np.broadcast_to([200.0, 50.0, 0.0], images.shape))
    assert (images == 200).all()
    np.testing.assert_array_equal(preprocessing.normalize(images[0].tolist()), normalized[0])


def test_normalize_refuses_a_wrong_number_of_channels() -> None:
    with pytest.raises(ValueError, match=r"3 channels, got the shape \(2, 2, 1\)"):
        RGB.normalize(np.zeros((2, 2, 1)))


@pytest.mark.parametrize("preprocessing", [RGB, GREY])
def test_preprocessing_survives_json(preprocessing: Preprocessing) -> None:
    data = json.loads(json.dumps(preprocessing.to_json()))
    assert Preprocessing.from_json(data) == preprocessing
    assert preprocessing.channels == len(data["mean"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": [224]}, r"two positive integers \(height, width\), got \(224,\)"),
        ({"size": [224, 0]}, r"got \(224, 0\)"),
        ({"size": [224, 224.0]}, "224.0"),
        ({"size": 224}, "got 224"),
        ({"mean": [1, 2]}, r"1 entry \(greyscale\) or 3 \(RGB\), got \(1, 2\)"),
        ({"mean": [1]}, r"equally long, got \(1,\)"),
        ({"mean": [1, 2, "3"]}, "finite numbers, got .*'3'"),
        ({"std": [1, 1, float("nan")]}, "std must be a tuple of finite numbers"),
        ({"std": [1, 1, 0]}, r"positive, got \(1, 1, 0\)"),
        ({"crop_fraction": 0}, "above 0 and at most 1, got 0"),
        ({"crop_fraction": 1.5}, "got 1.5"),
        ({"crop_fraction": True}, "got True"),
        ({"interpolation": "lanczos"}, "'bicubic' or 'bilinear', got 'lanczos'"),
        ({"interpolation": ["bicubic"]}, "got "),
        ({"gamma": 2.2}, "must have the keys size, mean, std, crop_fraction, interpolation, got .*gamma"),
    ],
)
def test_an_invalid_preprocessing_raises_an_error_that_names_the_field_and_the_value(
    changes: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Preprocessing.from_json(RGB.to_json() | changes)


@pytest.mark.parametrize("data", [None, [], "size", {}])
def test_from_json_refuses_data_without_the_fields(data: object) -> None:
    with pytest.raises(ValueError, match="size, mean, std, crop_fraction, interpolation"):
        Preprocessing.from_json(data)


# Geometry


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


# Pixel formats


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
        (lambda image: png(np.asarray(image).astype(np.uint16) * 257, 2), 0),
        (lambda image: png(np.asarray(image.convert("RGBA")).astype(np.uint16) * 257, 6), 0),
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
        (lambda grey: png(np.asarray(grey).astype(np.uint16) * 257, 0), 0),
        (lambda grey: png(np.asarray(grey.convert("LA")).astype(np.uint16) * 257, 4), 0),
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
        png(
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


# Refusals


def test_a_path_and_its_bytes_give_the_same_pixels(tmp_path: Path, blobs: Image.Image) -> None:
    path = tmp_path / "blobs.png"
    path.write_bytes(encode(blobs, "PNG"))
    expected = load_image(path.read_bytes(), RGB)
    np.testing.assert_array_equal(load_image(path, RGB), expected)
    np.testing.assert_array_equal(load_image(str(path), RGB), expected)
    with pytest.raises(FileNotFoundError):
        load_image(tmp_path / "missing.png", RGB)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GIF",
        b"<html></html>",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"%PDF-1.7",
        encode(Image.new("RGB", (8, 8)), "TIFF"),
        encode(Image.new("RGB", (8, 8)), "ICO"),
        encode(Image.new("RGB", (8, 8)), "PPM"),
    ],
    ids=["empty", "three bytes", "html", "svg", "pdf", "tiff", "ico", "ppm"],
)
def test_other_formats_are_refused(data: bytes) -> None:
    with pytest.raises(ImageError, match="not an image in one of the formats JPEG, PNG, WEBP, BMP, GIF"):
        load_image(data, RGB)


@pytest.mark.parametrize("file_format", MEDIA_TYPES.values())
@pytest.mark.parametrize("kept", [0.5, 0.9])
def test_truncated_images_are_an_error(cat: Image.Image, file_format: str, kept: float) -> None:
    data = encode(cat, file_format)
    with pytest.raises(ImageError):
        load_image(data[: int(len(data) * kept)], RGB)


def test_the_message_for_a_damaged_image_reveals_no_internals(cat: Image.Image) -> None:
    with pytest.raises(ImageError) as caught:
        load_image(encode(cat, "PNG")[:5000], RGB)
    assert str(caught.value) == "The image is damaged or incomplete."


def header_of(width: int, height: int, file_format: str) -> bytes:
    """Return a small file whose header declares a large image."""
    data = bytearray(encode(Image.new("L", (8, 8)), file_format))
    if file_format == "PNG":
        data[16:24] = struct.pack(">II", width, height)
        data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    elif file_format == "BMP":
        data[18:26] = struct.pack("<ii", width, height)
    elif file_format == "GIF":
        data[6:10] = struct.pack("<HH", width, height)
    else:
        start = data.index(b"\xff\xc0") + 5
        data[start : start + 4] = struct.pack(">HH", height, width)
    return bytes(data)


@pytest.mark.parametrize("file_format", ["PNG", "BMP", "GIF", "JPEG"])
@pytest.mark.parametrize("side", [9_000, 50_000])
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_decompression_bomb_is_refused_by_its_header(file_format: str, side: int) -> None:
    started = time.perf_counter()
    with pytest.raises(ImageTooLargeError, match="at most 64,000,000 pixels"):
        load_image(header_of(side, side, file_format), RGB)
    assert time.perf_counter() - started < 0.5


def test_a_decompression_bomb_takes_no_memory() -> None:
    pytest.importorskip("resource", reason="needs POSIX resource limits")
    script = """
import resource, sys
from keras_archs.images.preprocessing import ImageTooLargeError, Preprocessing, load_image
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    load_image(sys.stdin.buffer.read(), Preprocessing((224, 224), (0.0,), (1.0,)))
except ImageTooLargeError:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    for data in (header_of(50_000, 50_000, "PNG"), encode(Image.new("1", (12_000, 12_000)), "PNG")):
        result = subprocess.run([sys.executable, "-c", script], input=data, capture_output=True, check=True)
        assert int(result.stdout) < 20_000  # KiB


def test_the_caller_sets_the_pixel_limit() -> None:
    data = encode(Image.new("L", (100, 50)), "PNG")
    assert load_image(data, GREY, max_pixels=5000).shape == (28, 28, 1)
    with pytest.raises(ImageTooLargeError, match="at most 4,999 pixels"):
        load_image(data, GREY, max_pixels=4999)


def test_the_default_pixel_limit_is_below_pillows_own() -> None:
    assert Image.MAX_IMAGE_PIXELS is not None
    assert Image.MAX_IMAGE_PIXELS * 2 > DEFAULT_MAX_PIXELS


def test_a_jpeg_with_endless_scans_is_refused() -> None:
    data = encode(Image.new("RGB", (2000, 2000)), "JPEG", progressive=True)
    assert load_image(data, RGB).shape == (224, 224, 3)
    last_scan = data[data.rindex(b"\xff\xda") : -2]
    with pytest.raises(ImageError, match="more than 100 scans"):
        load_image(data[:-2] + last_scan * 200 + data[-2:], RGB)


@settings(max_examples=100, deadline=None)
@given(
    st.binary(max_size=200),
    st.sampled_from(
        [
            b"",
            b"\xff\xd8\xff",
            b"\x89PNG\r\n\x1a\n",
            b"BM",
            b"GIF89a",
            b"RIFF\xff\0\0\0WEBPVP8X",
            b"RIFF\xff\0\0\0WEBPVP8L",
        ]
    ),
)
def test_random_bytes_raise_image_errors_only(data: bytes, prefix: bytes) -> None:
    with pytest.raises(ImageError):
        load_image(prefix + data, RGB)


def _seeds() -> dict[str, bytes]:
    y, x = np.mgrid[0:24, 0:24].astype(np.uint8)
    image = Image.fromarray(np.stack([10 * x, 10 * y, x * y], axis=-1))
    exif = Image.Exif()
    exif[0x0112] = 6
    animated = partial(encode, image, save_all=True, append_images=[image.rotate(90)])
    return {
        "jpeg": encode(image, "JPEG", exif=exif),
        "progressive": encode(image, "JPEG", progressive=True),
        "cmyk": encode(image.convert("CMYK"), "JPEG"),
        "png": encode(image, "PNG", exif=exif),
        "palette": encode(image.quantize(32), "PNG", transparency=b"\x80" * 32),
        "apng": animated("PNG"),
        "webp": encode(image.convert("RGBA"), "WEBP", exif=exif),
        "animated webp": animated("WEBP"),
        "bmp": encode(image, "BMP"),
        "gif": animated("GIF"),
    }


SEEDS = _seeds()


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(SEEDS)), st.data())
@pytest.mark.filterwarnings("ignore")  # Pillow warns about damaged metadata
def test_mutated_images_raise_image_errors_only(seed: str, data: st.DataObject) -> None:
    mutated = bytearray(SEEDS[seed])
    for _ in range(data.draw(st.integers(1, 4))):
        position = data.draw(st.integers(0, len(mutated) - 1))
        mutated[position] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(len(mutated) // 2, len(mutated)))
    try:
        picture = load_image(bytes(mutated[:cut]), RGB, max_pixels=1_000_000)
    except ImageError:
        return
    assert picture.shape == (224, 224, 3)


# Guarantees for the gateway


def test_load_image_is_thread_safe(cat: Image.Image) -> None:
    sources = [encode(cat, file_format) for file_format in MEDIA_TYPES.values()] * 8
    expected = [load_image(source, RGB) for source in sources]
    with ThreadPoolExecutor(8) as executor:
        for picture, alone in zip(executor.map(partial(load_image, preprocessing=RGB), sources), expected, strict=True):
            np.testing.assert_array_equal(picture, alone)


def test_neither_keras_nor_tensorflow_is_imported() -> None:
    script = "import sys, keras_archs.images.preprocessing; print(not {'keras', 'tensorflow'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, text=True)
    assert result.stdout == "True\n"
