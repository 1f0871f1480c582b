"""The networks of the sources of weights, in Torch, with random weights.

`reference` builds the network that a source's files belong to. torchvision, timm and pytorchcv are packages; the CIFAR
networks of akamaster/pytorch_resnet_cifar10 and Cadene's BN-Inception are not, and are written here from the papers,
with the names of tensors that their files have.
"""

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import nn

from tests.support.networks import photographs

# Makes timm and torchvision importable.
from tests.support.torch_twins import logits  # isort: skip
import timm  # isort: skip
import torchvision  # isort: skip

__all__ = ["logits", "randomised", "reference", "reference_name"]

NO_ARGUMENTS: Mapping[str, Any] = MappingProxyType({})

MOBILENET_V3 = {"0.75": "075", "1.0": "100", "minimalistic": "minimal_100"}


def reference_name(source: str, network: str, arguments: Mapping[str, Any] = NO_ARGUMENTS) -> str:
    """Return the name of a network in torchvision, timm or pytorchcv.

    Args:
        source: ``"torchvision"``, ``"timm"`` or ``"pytorchcv"``.
        network: Name in the registry.
        arguments: The builder's arguments that differ from its defaults.
    """
    kind, _, variant = network.rpartition("-")
    if kind in {"mobilenet-v3-large", "mobilenet-v3-small"}:
        return f"tf_{kind.replace('-v', 'v').replace('-', '_')}_{MOBILENET_V3[variant]}"
    if network.startswith("efficientnet"):
        return f"tf_{network.replace('-v2', 'v2').replace('-', '_')}"
    name = network.replace("se-", "se", 1).replace("bn-", "bn", 1)
    name = re.sub(r"-(\d+)", r"\1", name, count=1).replace("-", "_")  # "resnext-50-32x4d": "resnext50_32x4d"
    if arguments.get("stem_pooling") == "caffe":
        return f"legacy_{name}"
    if source == "pytorchcv":
        return _pytorchcv_name(name, stride_in_1x1=arguments.get("stride_in_1x1", False))
    return name


def _pytorchcv_name(name: str, *, stride_in_1x1: bool) -> str:
    """Return pytorchcv's name, whose ``b`` is for bottlenecks that halve the image in their 3x3 convolution."""
    if name == "wide_resnet28_10":
        return "wrn28_10_cifar10"
    if name == "resnext29_16x64d":
        return "resnext29_16x64d_cifar10"
    if found := re.fullmatch(r"densenet_bc_?(\d+)_(\d+)", name):
        return f"densenet{found[1]}_k{found[2]}_bc_cifar10"
    bottlenecks = re.fullmatch(r"(se)?resnet(50|101|152)", name)
    return f"{name}b" if bottlenecks and not stride_in_1x1 else name


def reference(
    names: str, network: str, arguments: Mapping[str, Any] = NO_ARGUMENTS, *, source: str | None = None
) -> nn.Module:
    """Build the network of a source, with random weights as the source initialises them.

    Args:
        names: Key of the name map for the source's tensors.
        network: Name in the registry.
        arguments: Arguments of our builder, e.g. ``{"stride_in_1x1": True}``.
        source: ``"torchvision"`` or ``"timm"``, where both have the network under the same names of tensors; None for
            torchvision if it has it.
    """
    if names == "akamaster-resnet":
        return AkamasterResNet(depth=int(network.removeprefix("resnet-")))
    if names == "cadene-bninception":
        return CadeneBNInception()
    if names.startswith("pytorchcv"):
        from pytorchcv.model_provider import get_model

        model: nn.Module = get_model(reference_name("pytorchcv", network, arguments))
        # The window of its last pooling is all of an image of the published size; now, of any size.
        model.features.final_pool = nn.AdaptiveAvgPool2d(1)
        return model
    name = reference_name("timm", network, arguments)
    if source != "timm" and names in {"torchvision-resnet", "torch-densenet"}:
        if name in torchvision.models.list_models():
            return torchvision.models.get_model(name, weights=None)
        assert source != "torchvision", f"torchvision has no {name}"
    return timm.create_model(name, pretrained=False)


def randomised(model: nn.Module, height: int = 128, width: int = 96, *, bgr: bool = False) -> nn.Module:
    """Give a network random weights, and its normalisations the statistics of two photographs under them.

    As `tests.support.networks.calibrated`: signals neither vanish nor saturate, and every tensor differs from what the
    source initialises it to.

    Args:
        model: The network.
        height: Height of the photographs.
        width: Width of the photographs.
        bgr: Whether the network takes the channels in the order blue, green, red.
    """
    random = torch.Generator().manual_seed(0)
    normalisations = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    images = torch.from_numpy(photographs(height, width).transpose(0, 3, 1, 2).copy())
    images = images.flip(1) if bgr else images
    model.eval()  # without dropout, which would add to the variance
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                module.weight.normal_(0, np.sqrt(2 / module.weight[0].numel()), generator=random)
            elif isinstance(module, nn.BatchNorm2d):
                module.weight.uniform_(0.7, 1.3, generator=random)
            if isinstance(getattr(module, "bias", None), nn.Parameter):
                module.bias.normal_(0, 0.2, generator=random)
        for layer in normalisations:
            layer.train()
            layer.momentum = 1.0
        model(images)
        for layer in normalisations:
            layer.eval()
            # The last feature maps are small samples: a floor keeps channels of accidentally low variance from
            # exploding.
            layer.running_var += 0.03 * layer.running_var.median()
        *_, head = (module for module in model.modules() if isinstance(module, nn.Linear))
        head.weight /= (model(images) - head.bias).std()
    return model


class BasicBlock(nn.Module):
    """Two 3x3 convolutions; where shapes change, the shortcut takes every second pixel and pads channels."""

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.stride, self.missing = stride, channels - channels_in

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        branch = self.bn2(self.conv2(self.bn1(self.conv1(x)).relu()))
        shortcut = x[:, :, :: self.stride, :: self.stride]
        before = self.missing // 2  # half of the zeros are before the channels, half behind
        return (branch + nn.functional.pad(shortcut, (0, 0, 0, 0, before, self.missing - before))).relu()


class AkamasterResNet(nn.Module):
    """He et al. 2015, section 4.2: 6n + 2 layers for images of 32 pixels, option A."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        channels_in = 16
        for stage, channels in enumerate((16, 32, 64), start=1):
            blocks = []
            for block in range((depth - 2) // 6):
                blocks.append(BasicBlock(channels_in, channels, stride=2 if stage > 1 and block == 0 else 1))
                channels_in = channels
            setattr(self, f"layer{stage}", nn.Sequential(*blocks))
        self.linear = nn.Linear(64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.bn1(self.conv1(x)).relu()
        x = self.layer3(self.layer2(self.layer1(x)))
        logits: torch.Tensor = self.linear(x.mean((2, 3)))
        return logits


# Ioffe & Szegedy 2015, figure 5, as in the Caffe model: filters of the 1x1 convolution (0 for none), of the two 3x3
# convolutions, of the three of the double branch, and of the projection behind the pooling (0 for none).
MODULES = {
    "3a": (64, (64, 64), (64, 96, 96), 32),
    "3b": (64, (64, 96), (64, 96, 96), 64),
    "3c": (0, (128, 160), (64, 96, 96), 0),
    "4a": (224, (64, 96), (96, 128, 128), 128),
    "4b": (192, (96, 128), (96, 128, 128), 128),
    "4c": (160, (128, 160), (128, 160, 160), 128),
    "4d": (96, (128, 192), (160, 192, 192), 128),
    "4e": (0, (128, 192), (192, 256, 256), 0),
    "5a": (352, (192, 320), (160, 224, 224), 128),
    "5b": (352, (192, 320), (192, 224, 224), 128),
}


class CadeneBNInception(nn.Module):
    """BN-Inception with the names of the Caffe model's layers. It takes BGR images of 0 to 255 minus their mean."""

    def __init__(self) -> None:
        super().__init__()
        self._add("conv1_7x7_s2", 3, 64, 7, 2)
        self._add("conv2_3x3_reduce", 64, 64, 1)
        self._add("conv2_3x3", 64, 192, 3)
        channels = 192
        for name, (single, (reduce, filters), (double_reduce, first, second), projection) in MODULES.items():
            module, stride = f"inception_{name}_", 1 if projection else 2
            if single:
                self._add(f"{module}1x1", channels, single, 1)
            self._add(f"{module}3x3_reduce", channels, reduce, 1)
            self._add(f"{module}3x3", reduce, filters, 3, stride)
            self._add(f"{module}double_3x3_reduce", channels, double_reduce, 1)
            self._add(f"{module}double_3x3_1", double_reduce, first, 3)
            self._add(f"{module}double_3x3_2", first, second, 3, stride)
            if projection:
                self._add(f"{module}pool_proj", channels, projection, 1)
            channels = single + filters + second + (projection or channels)
        self.last_linear = nn.Linear(channels, 1000)

    def _add(self, name: str, channels_in: int, channels: int, size: int, stride: int = 1) -> None:
        self.add_module(name, nn.Conv2d(channels_in, channels, size, stride, padding=size // 2))
        self.add_module(f"{name}_bn", nn.BatchNorm2d(channels))

    def _conv(self, x: torch.Tensor, *names: str) -> torch.Tensor:
        for name in names:
            x = self.get_submodule(f"{name}_bn")(self.get_submodule(name)(x)).relu()
        return x

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shrink: Callable[[torch.Tensor], torch.Tensor] = nn.MaxPool2d(3, 2, ceil_mode=True)
        x = shrink(self._conv(x, "conv1_7x7_s2"))
        x = shrink(self._conv(x, "conv2_3x3_reduce", "conv2_3x3"))
        for name, (single, _, _, projection) in MODULES.items():
            module = f"inception_{name}_"
            branches = [self._conv(x, f"{module}1x1")] if single else []
            branches.append(self._conv(x, f"{module}3x3_reduce", f"{module}3x3"))
            branches.append(
                self._conv(x, f"{module}double_3x3_reduce", f"{module}double_3x3_1", f"{module}double_3x3_2")
            )
            if not projection:
                branches.append(shrink(x))
            else:  # the average counts the zeros beyond the border
                pool = nn.MaxPool2d(3, 1, padding=1) if name == "5b" else nn.AvgPool2d(3, 1, padding=1)
                branches.append(self._conv(pool(x), f"{module}pool_proj"))
            x = torch.cat(branches, dim=1)
        logits: torch.Tensor = self.last_linear(x.mean((2, 3)))
        return logits
