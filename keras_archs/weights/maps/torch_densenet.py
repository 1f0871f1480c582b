"""DenseNet of torchvision and timm."""

import re
from collections.abc import Iterable
from dataclasses import replace

from keras_archs.weights.maps.block_map import block_map
from keras_archs.weights.maps.name_map import Tensors

_OLD = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12])\.")
_TRANSITIONS = {
    f"transition{number}_{ours}": f"features.transition{number}.{theirs}"
    for number in (1, 2, 3)
    for ours, theirs in (("bn", "norm"), ("conv", "conv"))
}


def _renamed(tensors: Tensors, expected: Iterable[str]) -> Tensors:
    """Return the tensors of an old file under today's names: ``norm1`` for ``norm.1``, and so on."""
    return {_OLD.sub(r"\1\2.", name): tensor for name, tensor in tensors.items()}


_TODAY = block_map(
    {
        "stem_conv": "features.conv0",
        "stem_bn": "features.norm0",
        **_TRANSITIONS,
        "top_bn": "features.norm5",
        "predictions": "classifier",
    },
    lambda block: f"features.denseblock{block.stage}.denselayer{block.place}",
    {"bottleneck_bn": "norm1", "bottleneck_conv": "conv1", "growth_bn": "norm2", "growth_conv": "conv2"},
)
TORCH_DENSENET = replace(_TODAY, rename=_renamed)
