"""The registry tells what a network is without building it, and what it tells is true of the network."""

import csv
import math
import subprocess
import sys

import keras
import pytest

import keras_archs
from keras_archs.origin import Origin, origin_of
from keras_archs.registry import UnknownModelError, card_for, create_model, list_models, model_card
from keras_archs.weights import IMAGENET

from .conftest import FIXTURES

with (FIXTURES / "reference_counts.csv").open(encoding="utf-8") as table:
    REFERENCE = {row["name"]: row for row in csv.DictReader(table)}


def test_neither_keras_nor_tensorflow_is_loaded() -> None:
    program = (
        "import sys, keras_archs, keras_archs.registry as registry\n"
        "names = keras_archs.list_models()\n"
        "assert [registry.model_card(name).cost.macs for name in names]\n"
        "print(len(names), {'keras', 'tensorflow', 'jax', 'torch'} & set(sys.modules))"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout.split(maxsplit=1) == [str(len(list_models())), "set()\n"]


def test_every_public_name_resolves() -> None:
    assert {"EfficientNetB7", "create_model", "profile", "Preprocessing"} <= set(keras_archs.__all__)
    for name in keras_archs.__all__:
        assert callable(getattr(keras_archs, name))
    assert keras_archs.__version__


def test_the_reference_covers_the_registry() -> None:
    assert set(REFERENCE) == set(list_models())


@pytest.mark.parametrize("name", list_models())
def test_the_network_is_what_the_card_says(name: str) -> None:
    """Counts equal those of other people's implementations; the card finds back to itself."""
    card = model_card(name)
    with keras.StatelessScope(initialize_variables=False):  # counting needs no values, and there are a billion
        model = create_model(name)
    assert model.input_shape == (None, *card.preprocessing.size, 3)
    assert model.output_shape == (None, 10 if card.preprocessing.size == (32, 32) else 1000)  # CIFAR-10, ImageNet
    names = [layer.name for layer in model.layers]
    assert len(names) == len(set(names))
    trainable = sum(math.prod(variable.shape) for variable in model.trainable_weights)
    non_trainable = sum(math.prod(variable.shape) for variable in model.non_trainable_weights)
    reference = REFERENCE[name]
    assert (trainable, non_trainable) == (int(reference["trainable"]), int(reference["non_trainable"]))
    assert model.count_params() == card.cost.parameters == trainable + non_trainable
    assert card.cost.macs / 1e9 == pytest.approx(float(reference["gmacs"]), abs=0.5001e-4)
    origin = origin_of(model)
    assert origin is not None
    assert card_for(origin) is card


def test_weights_on_the_cards_are_the_ones_there_are() -> None:
    for name in list_models():
        card = model_card(name)
        assert card.weights == (("imagenet",) if card.builder in IMAGENET else ())


def test_list_in_natural_order() -> None:
    assert list_models("efficientnet-b*") == [f"efficientnet-b{n}" for n in range(8)]
    assert list_models(weights="imagenet") == [f"efficientnet-lite{n}" for n in range(3)]
    assert list_models("nothing-*") == []


def test_preprocessing_follows_the_weights() -> None:
    b2, lite2 = (model_card(f"efficientnet-{variant}").preprocessing for variant in ("b2", "lite2"))
    assert b2.size == lite2.size == (260, 260)
    assert b2.crop_fraction == pytest.approx(260 / 292)
    assert b2.mean == pytest.approx((123.675, 116.28, 103.53))
    assert b2.std == pytest.approx((58.395, 57.12, 57.375))
    assert (lite2.mean, lite2.std) == ((127, 127, 127), (128, 128, 128))


def test_unknown_models_are_refused_with_the_closest_names() -> None:
    with pytest.raises(UnknownModelError, match=r"'EfficientNet-b9': did you mean efficientnet-b\d"):
        model_card("EfficientNet-b9")
    with pytest.raises(UnknownModelError, match=r"list_models\(\)"):
        create_model("???")


def test_arguments_reach_the_builder() -> None:
    model = create_model("efficientnet-lite0", classes=3, input_shape=(64, 64, 3), name="three")
    assert (model.name, model.output_shape) == ("three", (None, 3))
    with pytest.raises(TypeError, match=r"EfficientNetLite0\(\) got unknown arguments \['clases'\]"):
        create_model("efficientnet-lite0", clases=3)


def test_no_card_for_an_unknown_builder() -> None:
    assert card_for(Origin("SomeNet", {}, None)) is None
