"""The three forms of ResNeXt's block (figure 3) compute the same from the same weights, divided into other kernels."""

from collections.abc import Callable, Iterator

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

import keras_archs
from keras_archs.analysis.weightless import weightless
from tests.support.networks import assert_same, photographs, relative_distance

Floats = NDArray[np.float32]
Calibrate = Callable[[keras.Model], keras.Model]

NAME, GROUPS = "resnext-29-8x64d", 8
SHAPE = (16, 16, 3)


def cut(model: keras.Model, *, ends: bool) -> Iterator[tuple[str, Floats]]:
    """Yield the weights of a network with grouped convolutions, divided into the kernels of the ungrouped forms.

    A path gets its outputs of the first and of the grouped convolution and, with ``ends``, its inputs of the last.
    """
    for variable in model.weights:
        value = np.asarray(variable)
        layer, weight = variable.path.split("/")
        *block, unit = layer.removesuffix("_bn").split("_")
        bn = "_bn" if layer.endswith("_bn") else ""
        if unit in ("conv1", "conv2") and layer.startswith("stage"):
            pieces = np.split(value, GROUPS, axis=-1)
        elif unit == "conv3" and not bn and ends:
            pieces = np.split(value, GROUPS, axis=2)
        else:
            yield variable.path, value
            continue
        for number, piece in enumerate(pieces, start=1):
            yield "_".join([*block, f"path{number}", unit]) + f"{bn}/{weight}", piece


@pytest.fixture(scope="module")
def grouped(calibrate: Calibrate) -> keras.Model:
    keras.config.set_dtype_policy("float64")  # so that rounding in thirty layers hides no difference
    return calibrate(keras_archs.create_model(NAME, input_shape=SHAPE, classifier_activation=None))


@pytest.mark.parametrize("form", ["split", "concatenated"])
def test_the_forms_are_equivalent(grouped: keras.Model, form: str) -> None:
    keras.config.set_dtype_policy("float64")
    other = keras_archs.create_model(NAME, block_form=form, input_shape=SHAPE, classifier_activation=None)
    pieces = dict(cut(grouped, ends=form == "split"))
    assert {variable.path for variable in other.weights} == set(pieces)
    for variable in other.weights:
        variable.assign(pieces[variable.path])
    images = photographs(*SHAPE[:2])
    assert_same(np.asarray(other(images)), np.asarray(grouped(images)), tolerance=1e-5)

    # Negative control: a path with another path's weights is another network.
    first, second = (other.get_layer(f"stage3_block2_path{number}_conv2") for number in (1, 2))
    first.set_weights(second.get_weights())
    assert relative_distance(np.asarray(other(images)), np.asarray(grouped(images))) > 0.1


@pytest.mark.parametrize("form", ["split", "concatenated"])
def test_the_forms_cost_the_same(form: str) -> None:
    with weightless():
        models = [keras_archs.create_model(NAME, block_form=name) for name in ("grouped", form)]
    one, other = map(keras_archs.profile, models)
    assert (one.trainable, one.non_trainable, one.macs) == (other.trainable, other.non_trainable, other.macs)


def test_unknown_forms_are_refused_with_the_allowed_ones() -> None:
    with pytest.raises(ValueError, match=r"block_form='merged'.*\"split\".*\"concatenated\".*\"grouped\""):
        keras_archs.create_model(NAME, block_form="merged")
