"""Networks without shortcuts around a block give the logits of torchvision and timm."""

from collections.abc import Callable

import keras
import pytest
import torch

import keras_archs
from tests.support.networks import assert_same, photographs
from tests.support.torch_twins import give_weights, logits

# After the module above, which makes them importable.
import timm  # isort: skip
import torchvision  # isort: skip

REFERENCES: dict[str, Callable[[], torch.nn.Module]] = {
    "densenet-161": lambda: torchvision.models.densenet161(weights=None),
    # timm's MobileNet is of Torch lineage by default: other padding, other epsilon.
    "mobilenet-1.0-224": lambda: timm.create_model("mobilenetv1_100", pad_type="same", bn_eps=1e-3),
    "efficientnet-lite0": lambda: timm.create_model("tf_efficientnet_lite0"),
}


@pytest.mark.parametrize("name", REFERENCES)
def test_logits_are_those_of_the_reference(name: str, calibrate: Callable[[keras.Model], keras.Model]) -> None:
    ours = calibrate(keras_archs.create_model(name, input_shape=(None, None, 3), classifier_activation=None))
    theirs = REFERENCES[name]()
    give_weights(ours, theirs)
    assert sum(p.numel() for p in theirs.parameters()) == keras_archs.model_card(name).cost.trainable
    for shape in ((128, 128), (161, 113)):
        images = photographs(*shape)
        assert_same(keras.ops.convert_to_numpy(ours(images)), logits(theirs, images), tolerance=1e-4)
