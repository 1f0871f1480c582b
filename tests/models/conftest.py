"""A fresh Keras for every test, and networks with calibrated random weights."""

from tests.support.networks import calibrate, fresh_keras

__all__ = ["calibrate", "fresh_keras"]
