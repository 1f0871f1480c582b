"""Fixtures of the tests against TensorFlow 2.20."""

from tests.support.networks import calibrate, fresh_keras

__all__ = ["calibrate", "fresh_keras"]
