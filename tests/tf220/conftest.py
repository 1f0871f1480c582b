"""Fixtures of the model tests."""

from tests.models.conftest import calibrate, fresh_keras

__all__ = ["calibrate", "fresh_keras"]
