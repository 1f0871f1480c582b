"""The reference implementations, and the fixtures of the other model tests."""

from tests.support.networks import calibrate, fresh_keras

__all__ = ["calibrate", "fresh_keras"]
