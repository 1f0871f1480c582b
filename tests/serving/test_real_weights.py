"""A network with real published weights, from its file to the gateway's answer."""

from pathlib import Path

import pytest

import keras_archs
from keras_archs.cards import published_weights
from tests.support.gateway import running_gateway
from tests.support.real_files import real
from tests.support.weights_server import Serve, isolated, serve, weights_server

__all__ = ["isolated", "serve", "weights_server"]


@pytest.mark.parametrize(("network", "path"), [real("mobilenet-1.0-224", "mobilenet_1_0_224_tf.h5")])
def test_the_gateway_names_the_espresso(
    network: str, path: Path, serve: Serve, photographs: dict[str, bytes], tmp_path: Path
) -> None:
    serve(published_weights.entry(network, "imagenet"), path)
    model = keras_archs.create_model(network, weights="imagenet")
    keras_archs.export_model(model, tmp_path / "models", name=network)
    with running_gateway(tmp_path / "models", tmp_path / "log", "--preload", network) as gateway:
        answer = gateway.client.post(f"/classify/{network}", files=list(photographs.items())).json()
    best = {name: scores[0] for name, scores in zip(photographs, answer["images"], strict=True)}
    assert answer["trained"]
    assert (best["coffee"]["label"], best["camera"]["label"]) == ("espresso", "tripod")
    assert best["coffee"]["score"] > 0.98
    assert best["camera"]["score"] > 0.98
