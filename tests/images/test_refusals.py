"""Files that are no image, damaged or not supported raise ImageError, and the message says which."""

from __future__ import annotations

import struct
import zlib
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

from keras_archs.images.decoding import DEFAULT_MAX_PIXELS, load_image
from keras_archs.images.errors import ImageError, ImageTooLargeError, UnsupportedImageError
from keras_archs.images.formats import MEDIA_TYPES
from tests.support.pictures import GREY, RGB, bmp, encode, png, png_chunk, with_chunks


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GIF",
        b"<html></html>",
        b"RIFF\x24\0\0\0WAVEfmt ",
        b"Paris, 1 May",
    ],
    ids=["empty", "three bytes", "html", "sound", "text"],
)
def test_a_file_that_is_no_image_is_told_the_accepted_formats(data: bytes) -> None:
    with pytest.raises(ImageError, match="not an image in one of the formats JPEG, PNG, WEBP, BMP, GIF"):
        load_image(data, RGB)


def boxes(brand: bytes, *others: bytes) -> bytes:
    """Return the start of a file in ISO's base media format."""
    brands = brand + bytes(4) + b"".join(others)
    return struct.pack(">I", 8 + len(brands)) + b"ftyp" + brands


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (encode(Image.new("CMYK", (8, 8)), "TIFF"), "TIFF"),
        (encode(Image.new("RGB", (8, 8)), "ICO"), "ICO"),
        (encode(Image.new("RGB", (8, 8)), "PPM"), "PNM"),
        (encode(Image.new("CMYK", (8, 8)), "JPEG2000"), "JPEG 2000"),
        (encode(Image.new("RGB", (8, 8)), "JPEG2000", no_jp2=True), "JPEG 2000"),
        (encode(Image.new("RGB", (8, 8)), "AVIF"), "AVIF"),
        (boxes(b"heic", b"mif1"), "HEIC"),
        (boxes(b"mif1", b"miaf", b"heic"), "HEIC"),
        (boxes(b"isom", b"mp42"), "Video"),
        (b"\xff\x0a" + bytes(30), "JPEG XL"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
        (b"8BPS\0\x01", "Photoshop"),
        (b"%PDF-1.7", "PDF"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (b"<?xml version='1.0'?>\n<svg/>", "SVG"),
    ],
)
def test_a_format_that_is_not_decoded_is_named(data: bytes, name: str) -> None:
    with pytest.raises(UnsupportedImageError, match=f"^{name} is not supported: .* formats JPEG, PNG, WEBP, BMP, GIF"):
        load_image(data, RGB)


def with_frame(marker: int, *, precision: int = 8, height: int = 8) -> bytes:
    """Return a JPEG file whose frame header is replaced."""
    data = bytearray(encode(Image.new("RGB", (8, 8)), "JPEG"))
    start = data.index(b"\xff\xc0")
    data[start + 1] = marker
    data[start + 4 : start + 7] = struct.pack(">BH", precision, height)
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (with_frame(0xC1, precision=12), "JPEG with 12 bits per sample is not supported; 8 bits are"),
        (with_frame(0xC3), "lossless JPEG is not supported"),
        (with_frame(0xC5), "hierarchical JPEG is not supported"),
        (with_frame(0xF7), "JPEG-LS is not supported"),
        (with_frame(0xC0, height=0), "JPEG that tells its height after the first scan is not supported"),
        (bmp(bytes(99), (4, 4), 24, compression=4), "BMP with an embedded JPEG is not supported"),
        (bmp(bytes(99), (4, 4), 24, compression=5), "BMP with an embedded PNG is not supported"),
        (bmp(bytes(99), (4, 4), 8, compression=3, header_size=64), "BMP with compression 3 is not supported"),
        (bmp(bytes(99), (4, 4), 2), "BMP with 2 bits per pixel is not supported; 1, 4, 8, 16, 24 and 32 are"),
        (bmp(bytes(99), (4, 4), 32, 3, (0x3FF00000, 0xFFC00, 0x3FF)), "BMP image is of a kind that is not supported"),
        (bmp(bytes(99), (4, 4), 24, header_size=16), "BMP with a header of 16 bytes is not supported"),
        (png(b"\0" * 20, (4, 4), 3, 0), "PNG of colour type 0 with 3 bits, .* is not supported"),
        (with_chunks(encode(Image.new("RGB", (8, 8)), "PNG"), png_chunk(b"CgBI", b"")), "the chunk CgBI is not supp"),
    ],
)
def test_a_kind_of_an_accepted_format_that_is_not_decoded_is_named(data: bytes, message: str) -> None:
    with pytest.raises(UnsupportedImageError, match=message):
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
def test_a_decompression_bomb_is_refused_by_its_header(
    file_format: str, side: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda _: pytest.fail("the pixels are decoded"))
    with pytest.raises(ImageTooLargeError, match="at most 64,000,000 pixels"):
        load_image(header_of(side, side, file_format), RGB)


def test_the_caller_sets_the_pixel_limit() -> None:
    data = encode(Image.new("L", (100, 50)), "PNG")
    assert load_image(data, GREY, max_pixels=5000).shape == (28, 28, 1)
    with pytest.raises(ImageTooLargeError, match="at most 4,999 pixels"):
        load_image(data, GREY, max_pixels=4999)


def test_the_default_pixel_limit_is_below_pillows_own() -> None:
    assert Image.MAX_IMAGE_PIXELS is not None
    assert Image.MAX_IMAGE_PIXELS * 2 > DEFAULT_MAX_PIXELS


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
