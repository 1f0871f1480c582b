"""BN-Inception of Cadene/pretrained-models.pytorch, with the names of the Caffe model."""

from functools import partial

from keras_archs.weights.maps.conversions import modules
from keras_archs.weights.maps.name_map import NameMap

_ROWS = ("3a", "3b", "3c", "4a", "4b", "4c", "4d", "4e", "5a", "5b")
_BRANCHES = {
    "pointwise": "1x1",
    "single_reduce": "3x3_reduce",
    "single": "3x3",
    "double_reduce": "double_3x3_reduce",
    "double1": "double_3x3_1",
    "double2": "double_3x3_2",
    "projection": "pool_proj",
}
_CONVOLUTIONS = {"stem1": "conv1_7x7_s2", "stem2_reduce": "conv2_3x3_reduce", "stem2": "conv2_3x3"} | {
    f"inception{row}_{ours}": f"inception_{row}_{theirs}" for row in _ROWS for ours, theirs in _BRANCHES.items()
}
_MODULES = {f"{ours}_conv": theirs for ours, theirs in _CONVOLUTIONS.items()} | {
    f"{ours}_bn": f"{theirs}_bn" for ours, theirs in _CONVOLUTIONS.items()
}

CADENE_BNINCEPTION = NameMap(partial(modules, _MODULES | {"predictions": "last_linear"}), top=("last_linear.",))
