"""Maps of Torch sources whose blocks all have the same parts."""

from collections.abc import Callable, Iterator, Mapping

from keras_archs.weights.assignment import Assignment
from keras_archs.weights.maps.blocks import Block, blocks
from keras_archs.weights.maps.conversions import modules
from keras_archs.weights.maps.name_map import Layers, NameMap


def block_map(outside: Mapping[str, str], block: Callable[[Block], str], parts: Mapping[str, str]) -> NameMap:
    """Return the map of a source. Layers that the source does not have are left out.

    Args:
        outside: Modules outside the blocks, by layer, and among them that of ``predictions``.
        block: From a block to the start of its modules' names.
        parts: Ends of the modules' names, by the ends of the layers' names; no block needs to have all of them.
    """

    def assignments(layers: Layers) -> Iterator[Assignment]:
        inside = {
            f"{found.name}_{step}": f"{block(found)}.{parts[step]}"
            for found in blocks(layers)
            for step in found.steps
            if step in parts
        }
        return modules({**outside, **inside}, layers)

    return NameMap(assignments, top=(f"{outside['predictions']}.",))
