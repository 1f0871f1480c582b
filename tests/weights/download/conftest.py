"""Fixtures of the tests of downloads, which use no network of Keras."""

import pytest


@pytest.fixture(autouse=True)
def fresh_keras() -> None:
    """Leave Keras alone: resetting it before each test would take longer than the tests."""
