"""Damaged pictures without end: files that Pillow wrote, in every form that is decoded, changed at random."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from multiprocessing import get_context

import psutil
from PIL import Image
from skimage import data

from keras_archs.images.decoding import check_limits, decode
from keras_archs.images.errors import ImageError
from keras_archs.images.formats import inspect
from keras_archs.runtimes.heap import give_back_memory
from tests.support.pictures import RGB, encode

SIZE = (160, 120)
MAX_PIXELS = 64_000_000
MAX_MEMORY = 400_000_000
"""Of the gateway's 500 MB for decoding, a client gets four fifths."""

ORIENTATION = 0x0112
HEADER = 64
"""Bytes in which the damage has the largest effect."""
NOTABLE = (b"\x00", b"\xff", b"\x7f", b"\x80", b"\x00\x00", b"\xff\xff", b"\xff\xd9", b"\xff\xda", b"\xff\xff\xff\xff")

Damage = Callable[[bytes, random.Random], bytes]


@cache
def whole_pictures() -> tuple[bytes, ...]:
    """Return the undamaged files."""
    photograph = Image.fromarray(data.coffee()).resize(SIZE)
    other = Image.fromarray(data.chelsea()).resize(SIZE)
    grey = photograph.convert("L")
    transparent = photograph.copy()
    transparent.putalpha(grey)
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    frames = {"save_all": True, "append_images": [other, photograph]}
    return (
        encode(photograph, "JPEG", quality=90),
        encode(photograph, "JPEG", quality=90, subsampling=0, restart_marker_blocks=4),
        encode(photograph, "JPEG", progressive=True, optimize=True),
        encode(photograph, "JPEG", exif=exif.tobytes()),
        encode(photograph.convert("CMYK"), "JPEG"),
        encode(photograph.convert("CMYK"), "JPEG", progressive=True),
        encode(grey, "JPEG"),
        encode(photograph, "PNG"),
        encode(photograph, "PNG", exif=exif.tobytes()),
        encode(transparent, "PNG"),
        encode(grey.convert("I;16"), "PNG"),
        encode(grey.convert("1"), "PNG"),
        encode(photograph.quantize(16), "PNG", transparency=3),
        encode(photograph, "PNG", **frames),
        encode(photograph, "WEBP", quality=80),
        encode(photograph, "WEBP", exif=exif.tobytes()),
        encode(transparent, "WEBP", lossless=True),
        encode(photograph, "WEBP", **frames),
        encode(photograph, "BMP"),
        encode(transparent, "BMP"),
        encode(photograph.quantize(), "BMP"),
        encode(grey.convert("1"), "BMP"),
        encode(photograph.quantize(), "GIF"),
        encode(photograph.quantize(8), "GIF", transparency=2, interlace=1),
        encode(photograph, "GIF", **frames),
    )


def damaged_picture(number: int) -> bytes:
    """Return the damaged picture of this number, always the same."""
    chance = random.Random(number)
    picture = chance.choice(whole_pictures())
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        picture = chance.choice(DAMAGES)(picture, chance)
    return picture


def _flip_bits(picture: bytes, chance: random.Random) -> bytes:
    changed = bytearray(picture)
    for _ in range(chance.choice((1, 2, 8, 32))):
        if changed:
            changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def _flip_bits_of_the_header(picture: bytes, chance: random.Random) -> bytes:
    return _flip_bits(picture[:HEADER], chance) + picture[HEADER:]


def _overwrite(picture: bytes, chance: random.Random) -> bytes:
    value = chance.choice(NOTABLE)
    at = chance.randrange(len(picture) + 1)
    return picture[:at] + value + picture[at + len(value) :]


def _state_a_wrong_length(picture: bytes, chance: random.Random) -> bytes:
    size = chance.choice((2, 4))
    number = chance.choice((0, 1, len(picture), (1 << 8 * size) - 1, 1 << (8 * size - 1), chance.randrange(2**16)))
    value = (number % (1 << 8 * size)).to_bytes(size, chance.choice(("big", "little")))
    at = chance.randrange(min(len(picture), 4 * HEADER) + 1)
    return picture[:at] + value + picture[at + size :]


def _truncate(picture: bytes, chance: random.Random) -> bytes:
    return picture[: chance.randrange(len(picture) + 1)]


def _remove(picture: bytes, chance: random.Random) -> bytes:
    start = chance.randrange(len(picture) + 1)
    return picture[:start] + picture[start + chance.randrange(1, 1000) :]


def _insert(picture: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(picture) + 1)
    return picture[:at] + chance.randbytes(chance.randrange(1, 1000)) + picture[at:]


def _repeat(picture: bytes, chance: random.Random) -> bytes:
    start = chance.randrange(len(picture) + 1)
    part = picture[start : start + chance.randrange(1, 5000)]
    return picture[:start] + part * chance.randrange(2, 20) + picture[start:]


def _give_another_header(picture: bytes, chance: random.Random) -> bytes:
    size = chance.randrange(4, 4 * HEADER)
    return chance.choice(whole_pictures())[:size] + picture[size:]


def _continue_with_another(picture: bytes, chance: random.Random) -> bytes:
    other = chance.choice(whole_pictures())
    return picture[: chance.randrange(len(picture) + 1)] + other[chance.randrange(len(other)) :]


DAMAGES: tuple[Damage, ...] = (
    _flip_bits,
    _flip_bits_of_the_header,
    _overwrite,
    _state_a_wrong_length,
    _truncate,
    _remove,
    _insert,
    _repeat,
    _give_another_header,
    _continue_with_another,
)


@dataclass
class Decoded:
    """What became of damaged pictures.

    Attributes:
        outcomes: How many were decoded, or refused with an error of this name.
        failures: Numbers of the pictures whose error is none of the decoder's, with the error.
        slowest: Processor time of the slowest picture in seconds, and its number.
        growth_mb: Growth of the process after its first thousand pictures, or its first half if there are less.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    failures: dict[int, str] = field(default_factory=dict)
    slowest: tuple[float, int] = (0.0, 0)
    growth_mb: float = 0.0


def decode_in_process(numbers: range) -> Decoded:
    """Decode damaged pictures in a process of its own; if they crash it, `BrokenProcessPool` is raised."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_decode_all, numbers).result()


def _decode_all(numbers: range) -> Decoded:
    decoded, settled, process = Decoded(), min(1000, len(numbers) // 2), psutil.Process()
    before = 0
    for index, number in enumerate(numbers):
        if index == settled:
            give_back_memory()
            before = process.memory_info().rss
        file = damaged_picture(number)
        started = time.process_time()
        decoded.outcomes[_outcome(file, number, decoded.failures)] += 1
        decoded.slowest = max(decoded.slowest, (time.process_time() - started, number))
    give_back_memory()
    decoded.growth_mb = (process.memory_info().rss - before) / 1e6
    return decoded


def _outcome(file: bytes, number: int, failures: dict[int, str]) -> str:
    try:
        picture = inspect(file)
        check_limits(picture, RGB, max_pixels=MAX_PIXELS, max_memory=MAX_MEMORY)
        pixels = decode(picture, RGB)
    except ImageError as error:
        return type(error).__name__
    except Exception as error:  # noqa: BLE001  any other error is what the test looks for
        failures[number] = repr(error)
        return "failed"
    if pixels.shape != (*RGB.size, RGB.channels):
        failures[number] = f"an array of shape {pixels.shape}"
    return "decoded"
