"""Loads as people write them: `1,4,16`, or `1..64`, in which each number is twice the one before."""

from __future__ import annotations

import re

_NUMBER = r"\d+(?:\.\d+)?"
_LIST = re.compile(rf"{_NUMBER}(?:,{_NUMBER})*", re.ASCII)
_RANGE = re.compile(rf"({_NUMBER})\.\.({_NUMBER})", re.ASCII)
_MOST_CLIENTS = 10_000
_MOST_PER_SECOND = 10_000


def parse_clients(text: str) -> list[int]:
    """Return the numbers of clients.

    Raises:
        ValueError: The text is no list or range of whole numbers from 1 to 10,000.
    """
    numbers = _parse(text)
    if not numbers or any(not 1 <= number <= _MOST_CLIENTS or number != int(number) for number in numbers):
        raise ValueError(
            f"--concurrency is a list 1,4,16 or a range 1..64 of whole numbers, 1 to {_MOST_CLIENTS:,}; got {text!r}"
        )
    return [int(number) for number in numbers]


def parse_rates(text: str) -> list[float]:
    """Return the rates.

    Raises:
        ValueError: The text is no list or range of numbers above 0, up to 10,000.
    """
    numbers = _parse(text)
    if not numbers or not all(0 < number <= _MOST_PER_SECOND for number in numbers):
        raise ValueError(
            f"--rate is a list 50,100 or a range 25..400 of numbers above 0, up to {_MOST_PER_SECOND:,}; got {text!r}"
        )
    return numbers


def _parse(text: str) -> list[float]:
    """Return the numbers of a list, or those of a range with its end; none if the text is neither."""
    text = text.replace(" ", "")
    if _LIST.fullmatch(text):
        return [float(number) for number in text.split(",")]
    if not (ends := _RANGE.fullmatch(text)):
        return []
    number, last = float(ends[1]), float(ends[2])
    numbers = []
    while 0 < number < last:
        numbers.append(number)
        number *= 2
    return [*numbers, last] if number >= last > 0 and float(ends[1]) <= last else []
