"""The files of keras.applications load into our networks: same order of variables, same logits."""

from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

import keras_archs
from keras_archs.weights.formats.reading import read_tensors
from keras_archs.weights.loading import Source, layers_of, load_tensors
from keras_archs.weights.maps import NAME_MAPS
from tests.support import references_keras
from tests.support.networks import photographs, relative_distance
from tests.support.slow import slow_except

NETWORKS = {
    **{f"densenet-{depth}": "keras-densenet" for depth in (121, 169, 201)},
    **{f"mobilenet-{alpha}-224": "keras-mobilenet" for alpha in ("0.25", "0.5", "0.75", "1.0")},
    **{f"mobilenet-v2-{alpha}": "keras-mobilenet-v2" for alpha in ("0.35", "0.5", "0.75", "1.0", "1.3", "1.4")},
    **{
        f"mobilenet-v3-{size}-{variant}": "keras-mobilenet-v3"
        for size in ("small", "large")
        for variant in ("0.75", "1.0", "minimalistic")
    },
    **{f"efficientnet-b{number}": "keras-efficientnet" for number in range(8)},
    **{f"efficientnet-v2-{variant}": "keras-efficientnet-v2" for variant in ("b0", "b1", "b2", "b3", "s", "m", "l")},
}
"""All networks of keras.applications that we have, once for all image sizes of MobileNet, and their name maps."""


@pytest.mark.parametrize(
    "network",
    slow_except(
        ["mobilenet-0.25-224", "mobilenet-v2-0.35", "mobilenet-v3-small-0.75", "efficientnet-b0", "efficientnet-v2-b0"],
        NETWORKS,
    ),
)
def test_our_variables_are_in_the_order_of_keras_applications(network: str) -> None:
    ours, theirs = keras_archs.create_model(network), references_keras.reference(network, 64, 64)
    assignments = list(NAME_MAPS[NETWORKS[network]].assignments(layers_of(ours)))
    variables = {
        f"{layer.name}/{variable.name}": variable
        for layer in theirs.layers
        for variable in layer.weights
        if not isinstance(layer, keras.layers.Normalization)  # of the input, which is preprocessing here
    }
    assert [assignment.tensor for assignment in assignments] == list(variables)
    for tensor, variable, convert in assignments:
        assert convert(np.zeros(variables[tensor].shape)).shape == variable.shape


@pytest.mark.parametrize("network", slow_except(["mobilenet-v3-small-0.75"], NETWORKS))
def test_a_file_that_keras_wrote_gives_the_logits_of_its_network(network: str, tmp_path: Path) -> None:
    theirs, images = references_keras.randomised(network, 96, 64), photographs(96, 64)
    logits = np.asarray(theirs(images))
    for layer in theirs.layers:
        if isinstance(layer, keras.layers.Normalization) and layer.weights:  # as in published files
            layer.adapt_variance.assign(np.reshape(references_keras.VARIANCE, layer.adapt_variance.shape))
            layer.adapt_mean.assign(np.reshape(references_keras.MEAN, layer.adapt_mean.shape))
    theirs.save(tmp_path / "model.h5")
    with h5py.File(tmp_path / "model.h5") as model, h5py.File(tmp_path / "weights.h5", "w") as weights:
        model.copy("model_weights", weights)  # published files lack the architecture

    ours = keras_archs.create_model(network, input_shape=(None, None, 3), classifier_activation=None)
    load_tensors(ours, read_tensors(tmp_path / "weights.h5", "h5"), Source(NAME_MAPS[NETWORKS[network]], classes=1000))
    distance = relative_distance(np.asarray(ours(images)), logits)
    print(f"{NETWORKS[network]} {network} {distance:.1e}")
    assert distance < 1e-4
