"""With the tensors of a Torch source's network, by its own names, our network gives its logits."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import keras
import numpy as np
import pytest
import torch

import keras_archs
from keras_archs.weights.loading import Source, load_tensors
from keras_archs.weights.maps import NAME_MAPS
from tests.support.networks import photographs, relative_distance
from tests.support.references_torch import logits, randomised, reference
from tests.support.slow import slow_except

IN_1X1 = {"stride_in_1x1": True}
CAFFE = {"stem_pooling": "caffe"}
BOTH = IN_1X1 | CAFFE

RESNETS = ("resnet-18", "resnet-34", "resnet-50", "resnet-101", "resnet-152")
RESNEXTS = ("resnext-50-32x4d", "resnext-101-32x4d", "resnext-101-64x4d")
SE_RESNEXTS = ("se-resnext-50-32x4d", "se-resnext-101-32x4d")
DENSENETS = ("densenet-121", "densenet-161", "densenet-169", "densenet-201")
DEEP = ("50", "101", "152")


class Case(NamedTuple):
    """A network of a source, and the arguments of our builder for it."""

    names: str
    network: str
    arguments: Mapping[str, Any] = MappingProxyType({})

    def __str__(self) -> str:
        return " ".join([self.names, self.network, *map(str, self.arguments.values())])


CASES = [
    *(Case("torchvision-resnet", name) for name in (*RESNETS, *RESNEXTS, "resnext-101-32x8d")),
    *(Case("torchvision-resnet", name) for name in ("wide-resnet-50-2", "wide-resnet-101-2")),
    *(Case("timm-senet", name) for name in ("se-resnet-50", *SE_RESNEXTS, "senet-154")),
    *(Case("cadene-senet", f"se-resnet-{depth}", BOTH) for depth in DEEP),
    *(Case("cadene-senet", name, CAFFE) for name in (*SE_RESNEXTS, "senet-154")),
    *(Case("pytorchcv-resnet", name) for name in (*RESNETS, *RESNEXTS)),
    *(Case("pytorchcv-resnet", f"resnet-{depth}", IN_1X1) for depth in DEEP),
    *(Case("pytorchcv-resnet", name) for name in ("se-resnet-18", "se-resnet-50", "se-resnet-101", *SE_RESNEXTS)),
    *(Case("pytorchcv-resnet", f"se-resnet-{depth}", IN_1X1) for depth in DEEP),
    Case("pytorchcv-senet", "senet-154"),
    Case("pytorchcv-resnext-cifar", "resnext-29-16x64d"),
    Case("pytorchcv-wrn", "wide-resnet-28-10"),
    *(Case("akamaster-resnet", f"resnet-{depth}") for depth in (20, 32, 44, 56, 110, 1202)),
    *(Case("torch-densenet", name) for name in DENSENETS),
    *(Case("pytorchcv-densenet", name) for name in DENSENETS),
    *(Case("pytorchcv-densenet-cifar", f"densenet-bc-{kind}") for kind in ("100-12", "190-40", "250-24")),
    Case("pytorchcv-bninception", "bn-inception"),
    Case("cadene-bninception", "bn-inception"),
]
SMALL = [
    Case("torchvision-resnet", "resnext-50-32x4d"),
    Case("timm-senet", "se-resnet-50"),
    Case("pytorchcv-resnet", "se-resnet-18"),
    Case("akamaster-resnet", "resnet-20"),
    Case("torch-densenet", "densenet-121"),
    Case("pytorchcv-densenet-cifar", "densenet-bc-100-12"),
    Case("pytorchcv-bninception", "bn-inception"),
    Case("cadene-bninception", "bn-inception"),
]


def sizes_of(case: Case) -> tuple[tuple[int, int], ...]:
    """Return heights and widths of the photographs to compare."""
    if keras_archs.model_card(case.network).preprocessing.size == (32, 32):
        return ((32, 32),)
    if case.network == "bn-inception":
        return ((128, 96),)  # Caffe's pooling takes multiples of 32
    return ((224, 224) if "stem_pooling" in case.arguments else (128, 96), (113, 161))


def build(case: Case) -> keras.Model:
    """Build our network, for images of any size and with logits."""
    keras.config.set_dtype_policy("float64")  # so that a hundred layers of rounding hide nothing
    return keras_archs.create_model(
        case.network, input_shape=(None, None, 3), classifier_activation=None, **case.arguments
    )


def load(case: Case, ours: keras.Model, theirs: torch.nn.Module) -> None:
    """Give our network the tensors of theirs."""
    tensors = {name: tensor.numpy() for name, tensor in theirs.state_dict().items()}
    load_tensors(ours, tensors, Source(NAME_MAPS[case.names], classes=ours.output_shape[-1]))


def distance(ours: keras.Model, theirs: torch.nn.Module, shape: tuple[int, int]) -> float:
    """Return how far the logits of two photographs of this height and width are apart."""
    images = photographs(*shape)
    return relative_distance(np.asarray(ours(images)), logits(theirs.double(), images))


@pytest.mark.parametrize("case", slow_except(SMALL, CASES), ids=str)
def test_logits_are_those_of_the_source(case: Case) -> None:
    theirs = randomised(reference(*case), *min(sizes_of(case)))
    ours = build(case)
    load(case, ours, theirs)
    for shape in sizes_of(case):
        assert distance(ours, theirs, shape) < 1e-5


def test_the_se_authors_network_needs_caffes_pooling() -> None:
    theirs = randomised(reference(*(case := Case("cadene-senet", "se-resnet-50", BOTH))))
    ours = build(case)
    load(case, ours, theirs)
    assert distance(ours, theirs, (128, 96)) < 1e-5
    theirs.pool0 = torch.nn.MaxPool2d(3, 2, padding=1)
    assert distance(ours, theirs, (128, 96)) > 0.1


def without_early_relu(block: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
    """Compute a block of timm's legacy_seresnet18 without the ReLU between the last normalisation and the gates."""
    shortcut = x if block.downsample is None else block.downsample(x)
    x = block.bn2(block.conv2(block.bn1(block.conv1(x)).relu()))
    return (block.se_module(x) + shortcut).relu()


def test_timms_legacy_basic_block_is_another_network_than_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = randomised(reference("cadene-senet", "se-resnet-18", CAFFE))
    theirs.pool0 = torch.nn.MaxPool2d(3, 2, padding=1)  # so that only the blocks differ
    ours = build(case := Case("cadene-senet", "se-resnet-18"))
    load(case, ours, theirs)
    assert distance(ours, theirs, (128, 96)) > 0.1
    monkeypatch.setattr("timm.models.senet.SEResNetBlock.forward", without_early_relu)
    assert distance(ours, theirs, (128, 96)) < 1e-5
