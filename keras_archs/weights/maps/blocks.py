"""The blocks of a network, told by the names of its layers, e.g. ``stage3_block2_expand_conv``."""

import re
from typing import NamedTuple

from keras_archs.weights.maps.name_map import Layers

_LAYER_NAME = re.compile(r"((?:stage|block)(\d+)_(?:block|layer)(\d+))_(.+)")


class Block(NamedTuple):
    """One block and the layers in it that have variables."""

    name: str
    """Start of the layers' names, e.g. ``"stage3_block2"``."""
    stage: int
    """Number of the stage, from 1."""
    place: int
    """Number of the block in its stage, from 1."""
    steps: tuple[str, ...]
    """What follows ``name`` and an underscore in the names of its layers, in the network's order."""


def blocks(layers: Layers) -> list[Block]:
    """Return the blocks of a network in order; layers outside blocks and layers without variables are left out."""
    steps: dict[tuple[str, int, int], list[str]] = {}
    for name, layer in layers.items():
        if (match := _LAYER_NAME.fullmatch(name)) and layer.weights:
            block, stage, place, step = match.groups()
            steps.setdefault((block, int(stage), int(place)), []).append(step)
    return [Block(*block, tuple(names)) for block, names in steps.items()]
