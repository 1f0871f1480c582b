"""Real published files give what their networks are known to give.

Two of them are fixtures; `tests.support.real_files` says how to test the larger ones.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from skimage import data

import keras_archs
from keras_archs.cards import published_weights
from keras_archs.images.decoding import load_image
from keras_archs.images.labels import imagenet_labels
from keras_archs.weights.formats.reading import read_tensors
from tests.support.images import encode
from tests.support.networks import Floats, photographs
from tests.support.numpy_layers import Array, classifier, convolution, normalisation, relu
from tests.support.real_files import real
from tests.support.weights_server import Serve

CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


# Scores of the best classes: TensorFlow's own MobileNets on scikit-image's photographs.
SCORES = {
    "mobilenet-0.25-224": {
        "coffee": {"espresso": 0.897},
        "camera": {"tripod": 0.818},
        "chelsea": {"Egyptian cat": 0.523, "tabby": 0.214, "tiger cat": 0.177},
    },
    "mobilenet-1.0-224": {
        "coffee": {"espresso": 0.9909},
        "camera": {"tripod": 0.9934},
        "chelsea": {"tabby": 0.43, "Egyptian cat": 0.28, "tiger cat": 0.25},
        "rocket": {"missile": 0.65},
    },
}


@pytest.mark.parametrize(
    ("network", "path"),
    [
        real("mobilenet-0.25-224", "mobilenet_2_5_224_tf.h5"),
        real("mobilenet-1.0-224", "mobilenet_1_0_224_tf.h5"),
    ],
)
def test_mobilenet_knows_photographs(network: str, path: Path, serve: Serve) -> None:
    entry = serve(published_weights.entry(network, "imagenet"), path)
    model = keras_archs.create_model(network, weights="imagenet")
    assert len(serve.server.paths) == 1
    classes = [label.name for label in imagenet_labels()]
    for photograph, scores in SCORES[network].items():
        pixels = load_image(encode(getattr(data, photograph)(), "PNG"), entry.preprocessing)
        probabilities = np.asarray(model(entry.preprocessing.normalize(pixels)[None]))[0]
        best = [classes[index] for index in np.argsort(probabilities)[::-1][: len(scores)]]
        assert best == list(scores)
        found = {name: float(probabilities[classes.index(name)]) for name in scores}
        assert found == pytest.approx(scores, abs=0.004)


NORMALISATION = ("weight", "bias", "running_mean", "running_var")


def akamaster_logits(tensors: dict[str, Any], images: Floats) -> Array:
    """Return the logits of the authors' network in NumPy, from the tensors of its file.

    Where shapes change, its shortcut takes every second pixel and pads half of the new channels on either side.
    """

    def conv_bn(x: Array, conv: str, bn: str, stride: int = 1) -> Array:
        x = convolution(x, tensors[f"{conv}.weight"].transpose(2, 3, 1, 0), stride)
        return normalisation(
            x, *(tensors[f"{bn}.{part}"] for part in ("weight", "bias", "running_mean", "running_var"))
        )

    x = relu(conv_bn(images.astype(np.float64), "conv1", "bn1"))
    for block in (name.removesuffix(".conv1.weight") for name in tensors if name.endswith(".conv1.weight")):
        stride = 2 if block in {"layer2.0", "layer3.0"} else 1
        branch = relu(conv_bn(x, f"{block}.conv1", f"{block}.bn1", stride))
        branch = conv_bn(branch, f"{block}.conv2", f"{block}.bn2")
        padding = (branch.shape[-1] - x.shape[-1]) // 2
        x = relu(branch + np.pad(x[:, ::stride, ::stride], [(0, 0), (0, 0), (0, 0), (padding, padding)]))
    return classifier(x, tensors["linear.weight"].T, tensors["linear.bias"])


@pytest.mark.parametrize(
    ("network", "path"),
    [real("resnet-20", "resnet20-12fca82f.th"), real("resnet-56", "resnet56-4bfd9763.th")],
)
def test_cifar_resnet_computes_what_the_authors_network_computes(network: str, path: Path, serve: Serve) -> None:
    published = published_weights.entry(network, "cifar10")
    serve(published, path, checksum=published.files[0].checksum)  # this is the very file
    model = keras_archs.create_model(network, weights="cifar10", classifier_activation=None)
    assert len(serve.server.paths) == 1
    cat = np.asarray(Image.fromarray(data.chelsea()).resize((32, 32)))
    images = np.stack([published.preprocessing.normalize(cat), *photographs(32, 32)])
    logits = np.asarray(model(images))
    np.testing.assert_allclose(logits, akamaster_logits(read_tensors(path, "torch"), images), rtol=0, atol=1e-4)
    assert CIFAR10[logits[0].argmax()] == "cat"
