"""Fixtures of the model tests."""

from tests.support.networks import calibrate, fresh_keras

__all__ = ["calibrate", "fresh_keras"]
