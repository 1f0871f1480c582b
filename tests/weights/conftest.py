"""A fresh Keras for every test, networks with calibrated random weights, and a server of files of weights."""

from tests.support.networks import calibrate, fresh_keras
from tests.support.weights_server import isolated, serve, weights_server

__all__ = ["calibrate", "fresh_keras", "isolated", "serve", "weights_server"]
