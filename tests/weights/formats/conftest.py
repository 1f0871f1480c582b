"""Readers need no Keras, so there is none to reset for every test."""

import pytest


@pytest.fixture(autouse=True)
def fresh_keras() -> None:
    """Replaces the fixture of the other tests of weights, which takes longer than most of these tests."""
