"""BN-Inception of pytorchcv."""

from functools import partial

from keras_archs.weights.maps.conversions import modules
from keras_archs.weights.maps.name_map import NameMap

_UNITS = {
    "3a": "stage1.unit1",
    "3b": "stage1.unit2",
    "3c": "stage2.unit1",
    "4a": "stage2.unit2",
    "4b": "stage2.unit3",
    "4c": "stage2.unit4",
    "4d": "stage2.unit5",
    "4e": "stage3.unit1",
    "5a": "stage3.unit2",
    "5b": "stage3.unit3",
}
_BRANCHES = {
    "pointwise": "branch1",
    "single_reduce": "branch2.conv1",
    "single": "branch2.conv2",
    "double_reduce": "branch3.conv1",
    "double1": "branch3.conv2",
    "double2": "branch3.conv3",
    "projection": "branch4.conv",
}
# Modules that halve the image have no branch of a 1x1 convolution alone, and count the others from 1.
_HALVING = {"3c", "4e"}
_HALVING_BRANCHES = {
    "single_reduce": "branch1.conv1",
    "single": "branch1.conv2",
    "double_reduce": "branch2.conv1",
    "double1": "branch2.conv2",
    "double2": "branch2.conv3",
}
_CONVOLUTIONS = {
    "stem1": "features.init_block.conv1",
    "stem2_reduce": "features.init_block.conv2.conv1",
    "stem2": "features.init_block.conv2.conv2",
} | {
    f"inception{row}_{ours}": f"features.{unit}.branches.{theirs}"
    for row, unit in _UNITS.items()
    for ours, theirs in (_HALVING_BRANCHES if row in _HALVING else _BRANCHES).items()
}
_MODULES = {f"{ours}_{kind}": f"{theirs}.{kind}" for ours, theirs in _CONVOLUTIONS.items() for kind in ("conv", "bn")}

PYTORCHCV_BNINCEPTION = NameMap(partial(modules, _MODULES | {"predictions": "output"}), top=("output.",))
