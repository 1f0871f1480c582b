"""Published weights of keras.applications, in files as Keras 2 wrote them, give the logits of its networks.

The networks have random weights; the file comes over HTTP and loads by the tag of the published weights.
"""

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

import keras_archs
from keras_archs.cards.published_weights import entries
from keras_archs.registry import list_models, model_card
from tests.support import references_keras
from tests.support.file_checksums import checksum_of
from tests.support.networks import photographs, relative_distance
from tests.support.references_keras import MEAN, VARIANCE
from tests.support.slow import slow_except
from tests.support.weights_server import Serve

ENTRIES = {entry.network: entry for name in list_models() for entry in entries(name) if entry.tag == "keras"}
SMALLEST = {ENTRIES[name].names: name for name in sorted(ENTRIES, key=lambda name: -model_card(name).cost.macs)}


@pytest.mark.parametrize("network", slow_except(set(SMALLEST.values()) - {"densenet-121"}, ENTRIES))
def test_logits_are_those_of_keras_applications(
    network: str, serve: Serve, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    entry, images = ENTRIES[network], photographs(96, 64)
    theirs = references_keras.randomised(network, 96, 64)
    path = references_keras.write_legacy_h5(tmp_path / entry.files[0].name, theirs)
    expected = np.asarray(theirs(images))

    serve(entry, path, checksum=checksum_of(path, entry.files[0].checksum))
    ours = keras_archs.create_model(
        network, weights="imagenet", input_shape=(None, None, 3), classifier_activation=None
    )
    assert len(serve.server.paths) == 1
    error = relative_distance(np.asarray(ours(images)), expected)
    record_property("relative error", error)
    assert error < 1e-4


def preprocessed(network: str, images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return what a network of keras.applications computes with, for images of 0 to 255, of shape (n, 32, 32, 3)."""
    match network.split("-"):
        case "densenet", *_:
            return np.asarray(keras.applications.densenet.preprocess_input(images.copy()))
        case "mobilenet", "v2", *_:
            return np.asarray(keras.applications.mobilenet_v2.preprocess_input(images.copy()))
        case "mobilenet", "v3", *_:
            model = keras.applications.MobileNetV3Small(weights=None, input_shape=(32, 32, 3), minimalistic=True)
        case "mobilenet", *_:
            return np.asarray(keras.applications.mobilenet.preprocess_input(images.copy()))
        case "efficientnet", "v2", variant:
            model = getattr(keras.applications, f"EfficientNetV2{variant.upper()}")(
                weights=None, input_shape=(32, 32, 3)
            )
        case _:  # with published weights only, it divides by the root of the deviations after the normalisation
            mean, variance = (np.asarray(values, np.float32) for values in (MEAN, VARIANCE))
            return np.asarray((images / 255 - mean) / np.sqrt(variance) / np.sqrt(variance))
    preprocessing = keras.layers.Rescaling | keras.layers.Normalization
    *_, last = (layer for layer in model.layers if isinstance(layer, preprocessing))
    return np.asarray(keras.Model(model.input, last.output)(images))


@pytest.mark.parametrize(
    "network",
    [
        "densenet-121",
        "mobilenet-0.25-128",
        "mobilenet-v2-0.35",
        "mobilenet-v3-small-minimalistic",
        "efficientnet-b0",
        "efficientnet-v2-b0",
        pytest.param("efficientnet-v2-s", marks=pytest.mark.slow),
    ],
)
def test_the_normalisation_is_that_of_keras_applications(network: str) -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)).astype(np.float32)
    ours = ENTRIES[network].preprocessing
    np.testing.assert_allclose(ours.normalize(images), preprocessed(network, images), atol=1e-5)


def test_entries_of_one_kind_have_one_normalisation() -> None:
    """So that the test above covers all of them."""
    kinds = {
        (
            entry.names,
            entry.network.rpartition("-")[2] in {"s", "m", "l"},
            entry.preprocessing.mean,
            entry.preprocessing.std,
        )
        for entry in ENTRIES.values()
    }
    assert sorted(names for names, *_ in kinds) == sorted([*SMALLEST, "keras-efficientnet-v2"])
