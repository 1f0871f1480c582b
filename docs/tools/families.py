"""The families that have a page: their cards, the modules of their builders, the blocks that are drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from keras_archs.cards.model_card import ModelCard
from keras_archs.registry import list_models, model_card


@dataclass(frozen=True)
class Block:
    """A block that a page shows."""

    slug: str
    """File name of the picture, without its extension."""
    network: str
    """Name of a network in the registry."""
    layers: str
    """Regular expression that the names of the block's layers match from the start."""


@dataclass(frozen=True)
class Family:
    """One page of ``docs/families``."""

    slug: str
    title: str
    modules: tuple[str, ...]
    """Modules of `keras_archs.models` whose public builders the page documents."""
    cards: tuple[str, ...]
    """Values of `ModelCard.family` whose networks the page lists."""
    blocks: tuple[Block, ...]


FAMILIES = (
    Family(
        "resnet",
        "ResNet",
        ("resnet", "resnet_cifar"),
        ("ResNet",),
        (
            Block("resnet-basic", "resnet-18", "stage1_block1_"),
            Block("resnet-bottleneck", "resnet-50", "stage2_block2_"),
            Block("resnet-projection", "resnet-50", "stage2_block1_"),
        ),
    ),
    Family(
        "wide-resnet",
        "Wide ResNet",
        ("wide_resnet",),
        ("Wide ResNet",),
        (
            Block("wide-resnet-cifar", "wide-resnet-28-10", "stage2_block2_"),
            Block("wide-resnet-imagenet", "wide-resnet-50-2", "stage2_block2_"),
        ),
    ),
    Family(
        "resnext",
        "ResNeXt",
        ("resnext",),
        ("ResNeXt",),
        (Block("resnext", "resnext-50-32x4d", "stage1_block2_"),),
    ),
    Family(
        "stochastic-depth",
        "Stochastic depth",
        ("stochastic_depth",),
        ("Stochastic depth",),
        (Block("stochastic-depth", "stochastic-depth-resnet-50", "stage2_block2_"),),
    ),
    Family(
        "densenet",
        "DenseNet",
        ("densenet",),
        ("DenseNet", "DenseNet-BC"),
        (
            Block("densenet-layers", "densenet-121", "block1_layer[123]_"),
            Block("densenet-transition", "densenet-121", "transition1_"),
        ),
    ),
    Family(
        "inception",
        "BN-Inception",
        ("inception",),
        ("BN-Inception",),
        (Block("inception", "bn-inception", "inception3a_"),),
    ),
    Family(
        "mobilenet",
        "MobileNet",
        ("mobilenet",),
        ("MobileNet",),
        (Block("mobilenet", "mobilenet-1.0-224", "stage2_block1_"),),
    ),
    Family(
        "mobilenet-v2",
        "MobileNetV2",
        ("mobilenet_v2",),
        ("MobileNetV2",),
        (Block("mobilenet-v2", "mobilenet-v2-1.0", "stage2_block2_"),),
    ),
    Family(
        "mobilenet-v3",
        "MobileNetV3",
        ("mobilenet_v3",),
        ("MobileNetV3",),
        (Block("mobilenet-v3", "mobilenet-v3-large-1.0", "stage3_block2_"),),
    ),
    Family(
        "efficientnet",
        "EfficientNet",
        ("efficientnet",),
        ("EfficientNet",),
        (Block("efficientnet", "efficientnet-b0", "stage2_block2_"),),
    ),
    Family(
        "efficientnet-lite",
        "EfficientNet-Lite",
        ("efficientnet",),
        ("EfficientNet-Lite",),
        (Block("efficientnet-lite", "efficientnet-lite0", "stage2_block2_"),),
    ),
    Family(
        "efficientnet-v2",
        "EfficientNetV2",
        ("efficientnet_v2",),
        ("EfficientNetV2",),
        (
            Block("efficientnet-v2-fused", "efficientnet-v2-s", "stage2_block2_"),
            Block("efficientnet-v2", "efficientnet-v2-s", "stage4_block2_"),
        ),
    ),
    Family(
        "squeeze-and-excitation",
        "Squeeze-and-excitation",
        ("senet",),
        ("SE-ResNet", "SE-ResNeXt", "SENet"),
        (Block("squeeze-and-excitation", "se-resnet-50", "stage2_block2_"),),
    ),
)


def networks(family: Family) -> list[ModelCard]:
    """Return the cards of a page's networks, in natural order of their names."""
    return [card for name in list_models() if (card := model_card(name)).family in family.cards]


def builders(family: Family, public: Sequence[str], module_of: dict[str, str]) -> list[str]:
    """Return the names of the public builders that a page documents.

    Args:
        family: The page.
        public: Names that `keras_archs` exports.
        module_of: Module of each name, as the stub of `keras_archs` imports it.
    """
    names = [name for name in public if module_of.get(name) in {f"models.{module}" for module in family.modules}]
    if family.modules == ("efficientnet",):  # one file, two pages
        return [name for name in names if ("Lite" in name) == (family.slug == "efficientnet-lite")]
    return names
