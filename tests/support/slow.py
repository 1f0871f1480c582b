"""Which parameters of a test are quick: `make test` runs these, `make test-all` runs all."""

from collections.abc import Collection, Iterable
from typing import TypeVar

import pytest
from _pytest.mark.structures import ParameterSet

Value = TypeVar("Value")


def slow_except(quick: Collection[Value], values: Iterable[Value]) -> list[ParameterSet]:
    """Return all values as parameters of a test, marked as slow unless they are in ``quick``."""
    return [pytest.param(value, marks=() if value in quick else pytest.mark.slow) for value in values]
