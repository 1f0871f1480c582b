"""timm's weights of EfficientNet and MobileNetV3 load into our networks: same tensors, same logits."""

import keras
import numpy as np
import pytest

import keras_archs
from keras_archs.weights.loading import Source, load_tensors
from keras_archs.weights.maps import NAME_MAPS
from tests.support.networks import photographs, relative_distance
from tests.support.references_torch import logits, randomised, reference
from tests.support.slow import slow_except

QUICK = {
    "efficientnet-b0": "timm-efficientnet",
    "efficientnet-lite0": "timm-efficientnet",
    "efficientnet-v2-b0": "timm-efficientnet",
    "mobilenet-v3-small-0.75": "timm-mobilenet-v3",
    "mobilenet-v3-small-minimalistic": "timm-mobilenet-v3",
}
NETWORKS = QUICK | {
    **{f"efficientnet-b{number}": "timm-efficientnet" for number in range(1, 8)},
    **{f"efficientnet-lite{number}": "timm-efficientnet" for number in range(1, 5)},
    **{f"efficientnet-v2-{variant}": "timm-efficientnet" for variant in ("b1", "b2", "b3", "s", "m", "l")},
    **{
        f"mobilenet-v3-{variant}": "timm-mobilenet-v3"
        for variant in ("small-1.0", "large-0.75", "large-1.0", "large-minimalistic")
    },
}


@pytest.mark.parametrize("network", slow_except(list(QUICK), NETWORKS))
def test_timms_tensors_give_timms_logits(network: str) -> None:
    theirs = randomised(reference(NETWORKS[network], network), 128, 96)
    tensors = {name: tensor.numpy() for name, tensor in theirs.state_dict().items()}
    keras.config.set_dtype_policy("float64")  # rounding in deep networks comes close to the tolerance in float32
    ours = keras_archs.create_model(network, input_shape=(None, None, 3), classifier_activation=None)
    load_tensors(ours, tensors, Source(NAME_MAPS[NETWORKS[network]], classes=1000))
    images = photographs(128, 96)
    distance = relative_distance(np.asarray(ours(images)), logits(theirs.double(), images))
    print(f"{NETWORKS[network]} {network} {distance:.1e}")
    assert distance < 1e-4


@pytest.mark.parametrize(
    ("network", "last"),
    [("mobilenet-v3-small-0.75", "blocks.5.0.conv.weight"), ("efficientnet-lite0", "conv_head.weight")],
)
def test_timms_tensors_fill_a_network_without_its_classifier(network: str, last: str) -> None:
    theirs = reference(NETWORKS[network], network)
    tensors = {name: tensor.numpy() for name, tensor in theirs.state_dict().items()}
    body = keras_archs.create_model(network, include_top=False)
    load_tensors(body, tensors, Source(NAME_MAPS[NETWORKS[network]], classes=1000))
    np.testing.assert_array_equal(body.get_layer("top_conv").kernel, tensors[last].transpose(2, 3, 1, 0))
