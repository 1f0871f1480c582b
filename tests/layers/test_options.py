"""Shared arguments have one description each, of which a family overrides the default or adds a sentence."""

import inspect
import json
from typing import Annotated, Any, TypedDict, get_type_hints

import numpy as np
import pytest

import keras_archs
from keras_archs.analysis.weightless import weightless
from keras_archs.cards.origin import origin_of
from keras_archs.layers.options import DropoutRate, Option, Override, SeRatio, option_of


class Options(TypedDict, total=False):
    plain: DropoutRate
    default: Annotated[DropoutRate, Override(default=0.3)]
    note: Annotated[SeRatio, Override(note="After each block.")]
    none: Annotated[DropoutRate, Override(default=None)]
    twice: Annotated[Annotated[DropoutRate, Override(default=0.3)], Override(note="In training.")]


@pytest.fixture
def options() -> dict[str, tuple[type, Option]]:
    return {name: option_of(hint) for name, hint in get_type_hints(Options, include_extras=True).items()}


def test_an_override_changes_the_default_and_adds_a_sentence(options: dict[str, tuple[type, Option]]) -> None:
    _, shared = option_of(DropoutRate)
    _, ratio = option_of(SeRatio)
    assert {name: option.default for name, (_, option) in options.items()} == {
        "plain": 0.0, "default": 0.3, "note": None, "none": None, "twice": 0.3
    }  # fmt: skip
    assert options["plain"] == (float, shared)
    assert options["default"][1].doc == shared.doc
    assert options["note"][1].doc == f"{ratio.doc} After each block."
    assert options["twice"][1].doc == f"{shared.doc} In training."


def test_an_override_keeps_type_and_check(options: dict[str, tuple[type, Option]]) -> None:
    for type_, option in options.values():
        assert type_ in (float, float | None)
        assert option.allowed(0.5)
        assert not option.allowed(-0.5)
    assert not options["twice"][1].allowed(1)


def test_help_says_meaning_and_range_of_each_argument() -> None:
    rate = "at least 0 and less than 1"
    for builder in {keras_archs.model_card(name).builder for name in keras_archs.list_models()}:
        build = getattr(keras_archs, builder)
        documentation = " ".join((inspect.getdoc(build) or "").split())
        for name in inspect.signature(build).parameters:
            text = documentation.partition(f" {name}: ")[2]
            assert text, (builder, name)
            assert {"dropout_rate": rate, "drop_path_rate": rate, "se_ratio": "positive"}.get(name, "") in text


INTEGERS = [np.int64(16), np.int32(16), np.uint8(16), np.array([16])[0]]


@pytest.mark.parametrize("number", INTEGERS, ids=lambda number: type(number).__name__)
def test_integers_of_numpy_are_integers(number: int) -> None:
    arguments: dict[str, Any] = {"widen_factor": np.int64(2), "input_shape": tuple(np.array([32, 48, 3]))}
    with weightless():
        model = keras_archs.WideResNet(depth=number, classes=number, **arguments)
        same = keras_archs.WideResNet(depth=16, widen_factor=2, classes=16, input_shape=(32, 48, 3))
    assert model.get_config() == same.get_config()
    origin = origin_of(model)
    assert origin is not None
    assert json.loads(json.dumps(origin.arguments))["classes"] == 16  # a card can be written


def test_fractions_and_truth_values_of_numpy_are_those_of_python() -> None:
    arguments: dict[str, Any] = {"alpha": np.float32(0.25), "include_top": np.False_}
    with weightless():
        ours = keras_archs.MobileNet(dropout_rate=np.float64(0.5), **arguments)
        same = keras_archs.MobileNet(alpha=0.25, dropout_rate=0.5, include_top=False)
    assert ours.get_config() == same.get_config()


@pytest.mark.parametrize(
    "value", [True, np.True_, 10.0, np.float64(10), "10", 0, np.int64(-1), None, np.array(10), np.array([10]), [10]]
)
def test_other_numbers_of_classes_are_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=r"ResNet20\(classes=.*\) is not allowed. classes: .*an integer of at least 1"):
        keras_archs.ResNet20(classes=value)


@pytest.mark.parametrize(
    "shape",
    [
        (True, 32, 3), (32, 32, True), (32.0, 32, 3), (np.float64(32), 32, 3), (32, np.True_, 3), (32, 32, None),
        (32, 32), (32, 32, 3, 1), (3, 32, 3), np.array([32, 32, 3]), 32, "323",
    ],
    ids=str,
)  # fmt: skip
def test_other_shapes_of_images_are_refused(shape: Any) -> None:
    with pytest.raises(ValueError, match=r"input_shape must be \(height, width, channels\)"):
        keras_archs.ResNet20(input_shape=shape)


@pytest.mark.parametrize(
    "argument",
    [
        {"include_top": 1}, {"include_top": 1.0}, {"include_top": np.array([1, 2])}, {"dropout_rate": False},
        {"dropout_rate": float("nan")}, {"se_ratio": False}, {"se_ratio": np.array([1, 2])}, {"width": True},
    ],
    ids=str,
)  # fmt: skip
def test_truth_values_are_no_numbers_and_numbers_are_no_truth_values(argument: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="is not allowed"):
        keras_archs.EfficientNet(**argument)
