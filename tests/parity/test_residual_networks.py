"""Residual networks give the logits of torchvision and timm, with the same weights and photographs."""

from collections.abc import Callable
from functools import partial

import keras
import numpy as np
import pytest
import torch

import keras_archs
from tests.support.networks import assert_same, photographs, relative_distance
from tests.support.torch_twins import give_weights, logits, residual_order

# After the module above, which makes them importable.
import timm  # isort: skip
import torchvision  # isort: skip
from timm.layers import SEModule  # isort: skip

# timm rounds the bottleneck of its SE-ResNet-18 and 34 up to 8 channels; this is C/16, as in the Caffe models.
EXACT_SE = partial(SEModule, rd_ratio=1 / 16, rd_divisor=1)

TORCHVISION = {
    "resnet-18": "resnet18",
    "resnet-34": "resnet34",
    "resnet-50": "resnet50",
    "resnet-101": "resnet101",
    "wide-resnet-50-2": "wide_resnet50_2",
    "resnext-50-32x4d": "resnext50_32x4d",
    "resnext-101-32x8d": "resnext101_32x8d",
    "resnext-101-64x4d": "resnext101_64x4d",
}
TIMM = {
    "resnext-101-32x4d": ("resnext101_32x4d", {}),
    "se-resnet-18": ("resnet18", {"block_args": {"attn_layer": EXACT_SE}}),
    "se-resnet-34": ("resnet34", {"block_args": {"attn_layer": EXACT_SE}}),
    "se-resnet-50": ("seresnet50", {}),
    "se-resnet-101": ("seresnet101", {}),
    "se-resnext-50-32x4d": ("seresnext50_32x4d", {}),
    "se-resnext-101-32x4d": ("seresnext101_32x4d", {}),
    "senet-154": ("senet154", {}),
}


def reference(name: str) -> torch.nn.Module:
    if name in TORCHVISION:
        return torchvision.models.get_model(TORCHVISION[name], weights=None)
    model, arguments = TIMM[name]
    return timm.create_model(model, pretrained=False, zero_init_last=False, **arguments)


@pytest.mark.parametrize("name", [*TORCHVISION, *TIMM])
def test_logits_are_those_of_the_reference(name: str, calibrate: Callable[[keras.Model], keras.Model]) -> None:
    keras.config.set_dtype_policy("float64")  # so that a hundred layers of rounding hide nothing
    ours = calibrate(keras_archs.create_model(name, input_shape=(None, None, 3), classifier_activation=None))
    theirs = reference(name).double()
    give_weights(ours, theirs, residual_order)
    assert sum(p.numel() for p in theirs.parameters()) == keras_archs.model_card(name).cost.trainable
    for shape in ((128, 128), (161, 113)):
        images = photographs(*shape)
        assert_same(keras.ops.convert_to_numpy(ours(images)), logits(theirs, images), tolerance=1e-5)


def test_a_wrong_variant_would_be_noticed(calibrate: Callable[[keras.Model], keras.Model]) -> None:
    ours = calibrate(keras_archs.ResNet50(stride_in_1x1=True, input_shape=(None, None, 3), classifier_activation=None))
    theirs = reference("resnet-50")
    give_weights(ours, theirs, residual_order)
    images = photographs(224, 224)
    assert relative_distance(np.asarray(keras.ops.convert_to_numpy(ours(images))), logits(theirs, images)) > 0.1
