"""Damaged or unusual metadata do not matter: the picture is what the file shows."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from keras_archs.images.decoding import load_image
from keras_archs.images.errors import ImageError
from tests.support.pictures import RGB, distance, encode, png_chunk, unresized, with_chunks, with_scans, with_segments

MEGABYTES = bytes(3_000_000)


@pytest.mark.parametrize(
    "chunk",
    [
        png_chunk(b"tEXt", b"Title\0Cat", checksum=1),
        png_chunk(b"gAMA", b"\0\0\xb1\x8f", checksum=1),
        png_chunk(b"eXIf", b"MM\0*", checksum=1),
        png_chunk(b"iCCP", b"profile\0\0" + zlib.compress(MEGABYTES)),
        png_chunk(b"iCCP", b"profile\0\x07" + zlib.compress(b"x")),
        png_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(MEGABYTES)),
        png_chunk(b"iTXt", b"Comment\0\x01\0\0\0" + zlib.compress(MEGABYTES)),
        png_chunk(b"pHYs", b"\0\0\x0b"),
        png_chunk(b"gAMA", b""),
        png_chunk(b"cHRM", b"\0"),
        png_chunk(b"sRGB", b""),
        png_chunk(b"acTL", b"\0"),
        png_chunk(b"fcTL", bytes(26)),
        png_chunk(b"prVt", b"private"),
    ],
    ids=lambda chunk: chunk[4:8].decode(),
)
def test_an_odd_ancillary_chunk_of_a_png_does_not_matter(blobs: Image.Image, chunk: bytes) -> None:
    sound = encode(blobs, "PNG")
    for data in (with_chunks(sound, chunk), sound[:-12] + chunk + sound[-12:]):
        np.testing.assert_array_equal(load_image(data, unresized(64, 96)), np.asarray(blobs))


@pytest.mark.parametrize("kind", [b"IHDR", b"PLTE", b"tRNS", b"IDAT"])
def test_a_wrong_checksum_of_the_picture_itself_is_damage(blobs: Image.Image, kind: bytes) -> None:
    data = bytearray(encode(blobs.quantize(16), "PNG", transparency=bytes(16)))
    start = data.index(kind)
    data[start + 4 + int.from_bytes(data[start - 4 : start])] ^= 1
    with pytest.raises(ImageError, match="damaged"):
        load_image(bytes(data), RGB)


@pytest.mark.parametrize(
    "segment",
    [
        (b"\xff\xe0", b"JFIF\0"),
        (b"\xff\xe0", b"AVI1"),
        (b"\xff\xe1", b"Exif\0\0not EXIF"),
        (b"\xff\xe1", b"http://ns.adobe.com/xap/1.0/"),
        (b"\xff\xe2", b"ICC_PROFILE\0"),
        (b"\xff\xe2", b"MPF\0II*\0"),
        (b"\xff\xed", b"Photoshop 3.0\x008BIM\x03\xed"),
        (b"\xff\xee", b"Adobe\0"),
        (b"\xff\xfe", b""),
    ],
)
def test_an_odd_segment_of_a_jpeg_does_not_matter(blobs: Image.Image, segment: tuple[bytes, bytes]) -> None:
    data = with_segments(encode(blobs, "JPEG", quality=95), segment)
    assert distance(load_image(data, unresized(64, 96)), np.asarray(blobs)) < 2


def test_comments_and_padding_before_the_first_frame_of_a_gif_do_not_matter(blobs: Image.Image) -> None:
    data = encode(blobs.quantize(64), "GIF")
    start = 13 + (3 << (data[10] & 7) + 1)
    odd = b"\0\0" + b"!\xff\x0bNETSCAPE2.0\x01\x07\0" + b"!\xfe\x03abc\0"
    expected = load_image(data, unresized(64, 96))
    np.testing.assert_array_equal(load_image(data[:start] + odd + data[start:], unresized(64, 96)), expected)


def test_orientation_is_read_before_and_behind_the_picture_of_a_png(blobs: Image.Image) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    chunk = png_chunk(b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0"))
    sound = encode(blobs, "PNG")
    for data in (with_chunks(sound, chunk), sound[:-12] + chunk + sound[-12:]):
        np.testing.assert_array_equal(load_image(data, unresized(64, 96)), np.asarray(blobs)[::-1, ::-1])


def test_scans_outside_the_picture_do_not_count(blobs: Image.Image) -> None:
    progressive = encode(blobs, "JPEG", quality=95, progressive=True)
    expected = load_image(progressive, unresized(64, 96))
    pictures = io.BytesIO()
    blobs.save(pictures, "MPO", save_all=True, append_images=[blobs] * 30, quality=95, progressive=True)
    scan, end = b"\xff\xda\x00\x0c\x03", b"\xff\xd9"
    for data in (
        progressive + struct.pack(">I", 8) + b"mdat" + (scan + bytes(20)) * 500,  # a telephone's video
        pictures.getvalue(),
        with_segments(progressive, *[(b"\xff\xe5", progressive)] * 30),  # thumbnails
        with_segments(progressive, (b"\xff\xfe", end + scan * 200)),
    ):
        np.testing.assert_array_equal(load_image(data, unresized(64, 96)), expected)


def test_a_picture_does_not_end_inside_a_comment(blobs: Image.Image) -> None:
    endless = with_scans(encode(blobs, "JPEG", progressive=True), 101)
    last = endless.rindex(b"\xff\xda")
    for data in (endless, endless[:last] + b"\xff\xfe\x00\x04\xff\xd9" + endless[last:]):
        with pytest.raises(ImageError, match="more than 100 scans"):
            load_image(data, RGB)
