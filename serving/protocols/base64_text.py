"""Bytes in JSON."""

from __future__ import annotations

import binascii


def from_base64(text: str | bytes) -> bytes:
    """Return the bytes of standard base64.

    Raises:
        ValueError: The text is anything else.
    """
    if len(text) % 4:
        raise ValueError("Incorrect padding")  # of which the strict mode accepts too much
    return binascii.a2b_base64(text, strict_mode=True)
