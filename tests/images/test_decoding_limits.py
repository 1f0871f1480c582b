"""What decoding may take is known from the header: memory by the decoder's real peak, and work."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest
from PIL import Image

from keras_archs.images.decoding import DecodingCancelledError, check_limits, decode, load_image, memory_needed
from keras_archs.images.errors import ImageError, ImageTooLargeError
from keras_archs.images.formats import inspect
from tests.support.pictures import (
    PNG_SIGNATURE,
    RGB,
    bmp,
    empty_png,
    encode,
    png_chunk,
    with_chunks,
    with_scans,
    with_segments,
)

SIDE = 2040
PALETTE = (b"PLTE", bytes(range(256)) * 3)
GREY_RAMP = b"".join(bytes([level, level, 9, 0]) for level in range(256))


def blank(mode: str, file_format: str, **options: object) -> bytes:
    return encode(Image.new(mode, (SIDE, SIDE)), file_format, **options)


# Bytes per pixel of the whole way from the file to the pixels of the input; 3 MB more for small things.
PEAKS: dict[str, tuple[float, Callable[[], bytes]]] = {
    "RGBA PNG": (4, lambda: empty_png(SIDE, SIDE, 8, 6)),
    "grey PNG with alpha": (4, lambda: empty_png(SIDE, SIDE, 8, 4)),
    "16-bit RGBA PNG": (4, lambda: empty_png(SIDE, SIDE, 16, 6)),
    "16-bit grey PNG": (2, lambda: empty_png(SIDE, SIDE, 16, 0)),
    "RGB PNG with a transparent colour": (4, lambda: empty_png(SIDE, SIDE, 8, 2, (b"tRNS", bytes(6)))),
    "16-bit RGB PNG with a transparent colour": (8, lambda: empty_png(SIDE, SIDE, 16, 2, (b"tRNS", bytes(6)))),
    "palette PNG": (1, lambda: empty_png(SIDE, SIDE, 8, 3, PALETTE)),
    "palette PNG with transparency": (1, lambda: empty_png(SIDE, SIDE, 8, 3, PALETTE, (b"tRNS", bytes([9, 99])))),
    "1-bit PNG": (1, lambda: empty_png(SIDE, SIDE, 1, 0)),
    "JPEG": (4 / 64, lambda: blank("RGB", "JPEG")),
    "progressive JPEG": (6 + 4 / 64, lambda: blank("RGB", "JPEG", progressive=True, subsampling=0)),
    "progressive JPEG with chroma subsampling": (3 + 4 / 64, lambda: blank("RGB", "JPEG", progressive=True)),
    "progressive CMYK JPEG": (8 + 4 / 64, lambda: blank("CMYK", "JPEG", progressive=True)),
    "lossless WebP": (17, lambda: blank("RGBA", "WEBP", lossless=True, exact=True)),
    "WebP": (17, lambda: blank("RGB", "WEBP")),
    "WebP with alpha": (17, lambda: blank("RGBA", "WEBP", exact=True)),
    "GIF": (1, lambda: blank("P", "GIF")),
    "GIF with transparency": (1, lambda: blank("P", "GIF", transparency=0)),
    "32-bit BMP": (4, lambda: bmp(bytes(4 * SIDE**2), (SIDE, SIDE), 32, 3, (0xFF0000, 0xFF00, 0xFF, 0xFF << 24))),
    "8-bit BMP": (1, lambda: bmp(bytes(SIDE**2), (SIDE, SIDE), 8, palette=GREY_RAMP)),
    "BMP with runs": (
        4,
        lambda: bmp((b"\xff\x07" * (SIDE // 255) + b"\0\0") * SIDE, (SIDE, SIDE), 8, 1, palette=GREY_RAMP),
    ),
}
MEASURE = """
import json, os, pathlib, sys
from keras_archs.images.decoding import load_image
from tests.support.pictures import RGB

def status(key):
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(key)) * 1024

peaks = {}
for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):
    data = path.read_bytes()
    reader, writer = os.pipe()
    if os.fork() == 0:  # in a new process, whose allocator keeps no memory of other images
        pathlib.Path("/proc/self/clear_refs").write_text("5")  # VmHWM starts again
        before = status("VmRSS")
        load_image(data, RGB)
        os.write(writer, str(status("VmHWM") - before).encode())
        os._exit(0)
    os.close(writer)
    with open(reader) as answer:
        peaks[path.name] = int(answer.read())
    os.wait()
print(json.dumps(peaks))
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux' peak of the resident memory")
def test_the_memory_known_from_the_header_is_the_decoders_real_peak(tmp_path: Path) -> None:
    files = {name: make() for name, (_, make) in PEAKS.items()}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    result = subprocess.run([sys.executable, "-c", MEASURE, str(tmp_path)], capture_output=True, check=True)
    peaks = json.loads(result.stdout)
    for name, (bytes_per_pixel, _) in PEAKS.items():
        known = memory_needed(inspect(files[name]), RGB)
        assert peaks[name] <= known + 3e6, name
        promised = bytes_per_pixel * SIDE**2
        assert promised <= known <= promised + 2 * len(files[name]) + 15e6, name


def test_an_image_that_needs_more_memory_than_allowed_is_refused_by_its_header() -> None:
    cases = {
        "WEBP": encode(Image.new("RGB", (8, 8)), "WEBP", lossless=True),
        "PNG": empty_png(8, 8, 16, 6),
        "BMP": bmp(bytes(256), (8, 8), 32),
    }
    for file_format, data in cases.items():
        with pytest.raises(ImageTooLargeError, match=rf"{file_format} image of 8 x 8 .* MB of memory .* at most 0 MB"):
            check_limits(inspect(data), RGB, max_memory=1000)


def resized(file: bytes, width: int, height: int) -> bytes:
    """Return a JPEG file whose header tells another size."""
    data = bytearray(file)
    start = next(data.index(marker) for marker in (b"\xff\xc2", b"\xff\xc0") if marker in data)
    data[start + 5 : start + 9] = struct.pack(">HH", height, width)
    return bytes(data)


@pytest.mark.parametrize("scans", [40, 100])
@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_a_jpeg_of_many_scans_is_refused_by_its_work(mode: str, scans: int) -> None:
    data = with_scans(encode(Image.new(mode, (64, 64)), "JPEG", progressive=True), scans)
    assert load_image(data, RGB).shape == (224, 224, 3)
    with pytest.raises(ImageTooLargeError, match=r"JPEG image of 8000 x 8000 pixels takes [\d,]+ million steps"):
        load_image(resized(data, 8000, 8000), RGB)


@pytest.mark.parametrize("options", [{}, {"subsampling": 0}, {"progressive": False}])
@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_progressive_files_of_50_megapixels_are_accepted(mode: str, options: dict[str, object]) -> None:
    data = encode(Image.new(mode, (64, 64)), "JPEG", **{"progressive": True} | options)
    check_limits(inspect(resized(data, 8660, 5773)), RGB)


def test_a_bitmap_of_runs_is_refused_above_ten_megapixels() -> None:
    with pytest.raises(ImageTooLargeError, match=r"BMP image of 4000 x 4000 pixels takes .* steps"):
        load_image(bmp(b"\0\0" * 4000 + b"\0\1", (4000, 4000), 8, 1, palette=GREY_RAMP), RGB)


def test_endless_headers_are_refused() -> None:
    jpeg, png, gif = (encode(Image.new("L", (8, 8)), name) for name in ("JPEG", "PNG", "GIF"))
    start = gif.index(b",")
    endless = {
        "segments": with_segments(jpeg, *[(b"\xff\xfe", b"")] * 10_001),
        "chunks": with_chunks(png, *[png_chunk(b"tEXt", b"")] * 50_001),
        "blocks": gif[:start] + b"!\xfe" + b"\x01a" * 50_001 + b"\0" + gif[start:],
        "blocks before": gif[:start] + bytes(50_001) + gif[start:],
    }
    for what, data in endless.items():
        with pytest.raises(ImageError, match=f"more than [0-9,]+ {what}"):
            load_image(data, RGB)


@pytest.mark.parametrize(
    "data",
    [
        empty_png(4000, 2000, 8, 6),
        empty_png(4000, 2000, 8, 3, PALETTE, (b"tRNS", b"\x80")),
        with_scans(encode(Image.new("RGB", (2000, 2000)), "JPEG", progressive=True), 30),
        encode(Image.new("P", (4000, 4000)), "GIF"),
        encode(Image.new("RGB", (2000, 2000)), "BMP"),
    ],
    ids=["PNG", "palette PNG", "JPEG", "GIF", "BMP"],
)
def test_decoding_stops_when_the_image_is_no_longer_wanted(data: bytes) -> None:
    picture = inspect(data)
    calls = count(1)
    decode(picture, RGB, lambda: next(calls) < 0)
    all_calls = next(calls) - 1
    assert all_calls >= 6  # the header takes up to four
    calls = count(1)
    with pytest.raises(DecodingCancelledError):
        decode(picture, RGB, lambda: next(calls) == all_calls)
    assert next(calls) == all_calls + 1


LACK = """
import resource, sys
from keras_archs.images.decoding import load_image
from tests.support.pictures import RGB

data = sys.stdin.buffer.read()
taken = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmSize")) * 1024
resource.setrlimit(resource.RLIMIT_AS, (taken + 4_000_000, -1))
try:
    load_image(data, RGB)
except Exception as error:
    print(type(error).__name__)
"""


@pytest.mark.parametrize("name", ["RGBA PNG", "progressive JPEG", "WebP", "BMP with runs"])
def test_a_lack_of_memory_is_not_damage(name: str) -> None:
    pytest.importorskip("resource", reason="needs POSIX resource limits")
    data = PEAKS[name][1]()
    result = subprocess.run([sys.executable, "-c", LACK], input=data, capture_output=True, check=True)
    assert result.stdout == b"MemoryError\n"


def test_an_image_with_a_signature_only_is_damaged() -> None:
    for data in (PNG_SIGNATURE, b"\xff\xd8\xff", b"GIF89a", b"BM", b"RIFF\0\0\0\0WEBP"):
        with pytest.raises(ImageError, match="damaged or incomplete"):
            load_image(data, RGB)
