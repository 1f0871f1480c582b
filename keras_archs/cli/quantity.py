"""Large numbers as people write them: 500M, 1.5G, 5e8."""

from __future__ import annotations

import math

import typer

_FACTORS = {"k": 1e3, "m": 1e6, "g": 1e9}


def parse_quantity(text: str) -> float:
    """Return a number that may end in k (thousands), M (millions) or G (billions).

    Raises:
        typer.BadParameter: The text is no such number above 0.
    """
    stripped = text.strip().lower()
    factor = _FACTORS.get(stripped[-1:], 1.0)
    try:
        number = float(stripped if factor == 1 else stripped[:-1]) * factor
    except ValueError:
        number = 0.0
    if not 0 < number < math.inf:
        raise typer.BadParameter(f"a number is e.g. 500M, 1.5G or 5e8, above 0; got {text!r}")
    return number
