"""Formats that are not decoded, known by their first bytes, so that a refusal can name them."""

from __future__ import annotations

from typing import Final

_SIGNATURES: Final = (
    (b"\x00\x00\x00\x0cjP  ", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\x00\x00\x00\x0cJXL ", "JPEG XL"),
    (b"\xff\x0a", "JPEG XL"),
    (b"II\xbc", "JPEG XR"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
    (b"II+\x00", "TIFF"),
    (b"MM\x00+", "TIFF"),
    (b"8BPS", "Photoshop"),
    (b"\x00\x00\x01\x00", "ICO"),
    (b"\x00\x00\x02\x00", "CUR"),
    (b"icns", "ICNS"),
    (b"qoif", "QOI"),
    (b"DDS ", "DDS"),
    (b"\x76\x2f\x31\x01", "OpenEXR"),
    (b"#?RADIANCE", "Radiance HDR"),
    (b"SIMPLE  =", "FITS"),
    (b"\x8bJNG\r\n\x1a\n", "JNG"),
    (b"\x8aMNG\r\n\x1a\n", "MNG"),
    (b"BA", "OS/2 bitmap array"),
    (b"%PDF-", "PDF"),
    *((b"P%d" % kind + space, "PNM") for kind in range(1, 7) for space in (b"\n", b" ", b"\r", b"\t")),
    (b"P7\n", "PAM"),
)
# Brands of the ISO base media file format.
_BRANDS: Final = {
    **dict.fromkeys((b"avif", b"avis"), "AVIF"),
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"), "HEIC"),
}


def name_of(data: bytes) -> str | None:
    """Return the name of the format, or None if it is not known."""
    if data[4:8] == b"ftyp":
        end = min(int.from_bytes(data[:4]), 256)
        brands = [data[8:12], *(data[start : start + 4] for start in range(16, end, 4))]
        return next((_BRANDS[brand] for brand in brands if brand in _BRANDS), "Video")
    text = data[:256].lstrip().lower()
    if text.startswith(b"<svg") or (text.startswith(b"<?xml") and b"<svg" in data[:1024].lower()):
        return "SVG"
    return next((name for signature, name in _SIGNATURES if data.startswith(signature)), None)
