"""The registry describes networks without building them, and the descriptions are true of the networks."""

import ast
import csv
import importlib
import inspect
import math
import pkgutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import keras_archs
from keras_archs import models
from keras_archs.analysis.features import feature_extractor, feature_strides
from keras_archs.analysis.weightless import weightless
from keras_archs.cards.model_card import PublishedCost
from keras_archs.cards.origin import origin_of
from keras_archs.layers.options import ClassifierOptions
from keras_archs.registry import UnknownModelError, card_for, create_model, list_models, list_weights, model_card
from tests.support.networks import FAMILIES, FIXTURES, assert_same, macs, photographs
from tests.support.slow import slow_except

with (FIXTURES / "reference_counts.csv").open(encoding="utf-8") as table:
    REFERENCE = {row["name"]: row for row in csv.DictReader(table)}

# Cheap networks run at their published size, others on a small image; the largest and the deepest are only built.
SMALL = [name for name in list_models() if macs(name) < 1e9]
MEDIUM = [
    name
    for name in list_models()
    if name not in SMALL and model_card(name).cost.parameters < 30e6 and not name.endswith("-1202")
]

BUILDERS = {model_card(name).builder: name for name in list_models()}

# What `make test` builds and counts; `make test-all` builds and counts every network.
QUICK = {name for name in list_models() if macs(name) < 6e8 and not name.endswith(("-110", "-1202"))} | {
    *FAMILIES.values()
}
QUICK_FAMILIES = [name for name in FAMILIES.values() if macs(name) < 1e9 and not name.endswith("-110")]
QUICK_BUILDERS = {model_card(name).builder for name in QUICK_FAMILIES}


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


@pytest.mark.parametrize("name", slow_except(QUICK, list_models()))
def test_the_network_is_what_the_card_says(name: str) -> None:
    """Counts equal those of reference implementations, and the built model knows its card."""
    card = model_card(name)
    with weightless():  # counting needs no values, and there are a billion
        model = create_model(name)
    assert model.input_shape == (None, *card.preprocessing.size, 3)
    assert model.output_shape == (None, 10 if is_for_cifar(name) else 1000)
    names = [layer.name for layer in model.layers]
    assert len(names) == len(set(names))
    cost, reference = keras_archs.profile(model), REFERENCE[name]
    assert (cost.trainable, cost.non_trainable) == (int(reference["trainable"]), int(reference["non_trainable"]))
    assert cost.parameters == model.count_params()
    assert cost.macs is not None
    assert cost.macs / 1e9 == pytest.approx(float(reference["gmacs"]), abs=0.5001e-4)
    assert card.cost == PublishedCost(card.preprocessing.size, cost.trainable, cost.non_trainable, cost.macs)
    origin = origin_of(model)
    assert origin is not None
    assert origin.card is card
    assert_stages_halve_the_image(model)


OTHER_SIZES = {
    f"{entry.network}:{entry.tag}": entry
    for entry in list_weights()
    if entry.arguments or entry.preprocessing.size != model_card(entry.network).cost.size
}
QUICK_SIZES = [name for name, entry in OTHER_SIZES.items() if model_card(entry.network).cost_with(entry).macs < 1e9]


@pytest.mark.parametrize("name", slow_except(QUICK_SIZES, OTHER_SIZES))
def test_the_cost_with_weights_is_that_of_the_network_which_they_need(name: str) -> None:
    entry = OTHER_SIZES[name]
    card = model_card(entry.network)
    with weightless():
        model = create_model(entry.network, input_shape=(*entry.preprocessing.size, 3), **entry.arguments)
    cost = keras_archs.profile(model)
    assert cost.macs is not None
    assert card.cost_with(entry) == PublishedCost(
        entry.preprocessing.size, cost.trainable, cost.non_trainable, cost.macs
    )


def test_every_image_size_of_weights_has_a_cost() -> None:
    for entry in list_weights():
        size = model_card(entry.network).cost_with(entry).size
        assert size == entry.preprocessing.size, f"{entry.tag}: run python -m keras_archs.analysis.cost"


def is_for_cifar(name: str) -> bool:
    return model_card(name).preprocessing.size == (32, 32)


def assert_stages_halve_the_image(model: keras.Model) -> None:
    _, height, width, _ = model.input_shape
    strides = feature_strides(model)
    assert list(strides.values()) == sorted(strides.values())
    expected = {1, 2, 4} if height == 32 else {4, 8, 16, 32}
    assert expected <= set(strides.values())
    for stage, feature_map in feature_extractor(model, list(strides)).output.items():
        assert feature_map.shape[1:3] == (math.ceil(height / strides[stage]), math.ceil(width / strides[stage]))
    assert max(strides.values()) == max(expected)


@pytest.mark.parametrize("builder", slow_except(QUICK_BUILDERS, BUILDERS))
def test_networks_are_built_for_other_images_without_classifier_and_under_other_names(builder: str) -> None:
    images = keras.Input((None, 64, 1), name="greyscale")
    with weightless():
        model = getattr(keras_archs, builder)(
            input_tensor=images * 2.0, include_top=False, pooling="max", name="encoder", prefix="left_"
        )
    assert (model.name, model.input_shape, len(model.output_shape)) == ("encoder", (None, None, 64, 1), 2)
    *_, pooling = model.layers
    assert isinstance(pooling, keras.layers.GlobalMaxPooling2D)
    assert all(layer.name.startswith("left_") for layer in model.layers if layer.name != "greyscale")


@pytest.fixture(scope="module")
def network(request: pytest.FixtureRequest, calibrate: Callable[..., keras.Model]) -> keras.Model:
    """A network for images of any size, with random weights under which photographs differ in their logits."""
    name = request.param
    model = create_model(name, input_shape=(None, None, 3), classes=100, classifier_activation=None, name=name)
    return calibrate(model, 32 if is_for_cifar(name) else 192)


def static_twin(network: keras.Model, height: int, width: int, **arguments: Any) -> keras.Model:
    """The same network for images of one size."""
    twin = create_model(
        network.name, input_shape=(height, width, 3), classes=100, classifier_activation=None, **arguments
    )
    twin.set_weights(network.get_weights())
    return twin


@pytest.mark.parametrize("network", slow_except(QUICK_FAMILIES, [*SMALL, *MEDIUM]), indirect=True, scope="module")
def test_a_network_for_any_size_equals_one_for_this_size(network: keras.Model) -> None:
    published = model_card(network.name).preprocessing.size
    odd = (33, 47) if published == (32, 32) else (113, 161)
    for shape in (published, odd) if network.name in SMALL else (odd,):
        images = photographs(*shape)
        assert_same(np.asarray(network(images)), np.asarray(static_twin(network, *shape)(images)), tolerance=1e-5)


@pytest.mark.parametrize("network", slow_except(QUICK_FAMILIES, FAMILIES.values()), indirect=True, scope="module")
def test_a_saved_network_reloads(network: keras.Model, tmp_path: Path) -> None:
    network.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_array_equal(loaded(photographs(65, 64)), network(photographs(65, 64)))


@pytest.mark.parametrize("network", slow_except(QUICK_FAMILIES, FAMILIES.values()), indirect=True, scope="module")
def test_mixed_precision_answers_in_float32(network: keras.Model) -> None:
    keras.config.set_dtype_policy("mixed_float16")
    mixed = static_twin(network, 64, 64)
    first = next(layer for layer in mixed.layers if isinstance(layer, keras.layers.Conv2D))
    assert first.compute_dtype == "float16"
    images = photographs(64, 64)
    answer, expected = np.asarray(mixed(images)), np.asarray(network(images))
    assert answer.dtype == np.float32
    assert np.std(answer - expected) < 0.1 * np.std(expected)


def test_two_networks_in_one_graph() -> None:
    images = keras.Input((64, 64, 3), name="images")
    left = keras_archs.ResNet18(input_tensor=images, prefix="left_", classes=5)
    right = keras_archs.ResNet18(input_tensor=images * 2.0, prefix="right_", classes=5)
    both = keras.Model(images, left.output + right.output)
    assert both(np.zeros((1, 64, 64, 3), np.float32)).shape == (1, 5)


BAD_VALUES = {
    "include_top": ("yes", "True or False"),
    "weights": ("noisy-student", "path of a .keras or .weights.h5 file"),
    "input_tensor": (np.zeros((1, 64, 64, 3)), "Keras tensor"),
    "pooling": ("mean", '"avg" or "max"'),
    "classes": (0, "at least 1"),
    "classifier_activation": ("sigmoyd", '"sigmoid"'),
}


@pytest.mark.parametrize("builder", BUILDERS)
def test_bad_arguments_are_refused_with_what_is_allowed(builder: str) -> None:
    build = getattr(keras_archs, builder)
    own = inspect.signature(build).parameters.keys() - ClassifierOptions.__annotations__.keys()
    documentation = " ".join((inspect.getdoc(build) or "").split())
    for key, (value, allowed) in {**BAD_VALUES, **dict.fromkeys(own, (-1, "-1"))}.items():
        with pytest.raises(ValueError) as error:
            build(**{key: value})
        message = str(error.value)
        assert allowed in message
        if key in own:  # no argument of a family allows -1
            received, _, described = message.partition(" is not allowed. ")
            assert received == f"{builder}({key}=-1)"
            assert described in documentation
    for shape, allowed in (
        ((1, 64, 3), "at least"),
        ((64, 64), "(height, width, channels)"),
        ((64, 64, 0), "1 channel"),
    ):
        with pytest.raises(ValueError) as error:
            build(input_shape=shape)
        assert str(shape) in str(error.value)
        assert allowed in str(error.value)
    with pytest.raises(TypeError, match=rf"{builder}\(\) got unknown arguments \['clases'\]; it takes \['include_top'"):
        build(clases=10)
    with pytest.raises(TypeError, match=rf"{builder}\(\) takes keyword arguments only, got 1"):
        build(False)


@pytest.mark.parametrize("name", [name for name in list_models() if not model_card(name).weights])
def test_weights_that_nobody_published_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f": {name} has no weights 'imagenet'. Nobody is known to have"):
        create_model(name, weights="imagenet")


def test_cards_list_the_existing_weights() -> None:
    assert model_card("efficientnet-lite0").weights == ("imagenet", "pypi", "timm/in1k")
    assert model_card("resnet-56").weights == ("cifar10", "akamaster")
    assert model_card("densenet-264").weights == ()
    for name in list_models():
        assert model_card(name).weights[1:] == tuple(entry.tag for entry in list_weights(name))


def test_list_in_natural_order() -> None:
    assert list_models("efficientnet-b*") == [f"efficientnet-b{n}" for n in range(8)]
    assert list_models("nothing-*") == []


def test_models_are_listed_by_their_weights() -> None:
    assert list_models("densenet-*", weights="imagenet") == [f"densenet-{n}" for n in (121, 161, 169, 201)]
    assert list_models("densenet-*", weights="cifar10") == [f"densenet-bc-{n}" for n in ("100-12", "190-40", "250-24")]
    assert list_models("res*", weights="timm/gluon_in1k") == [
        *(f"resnet-{depth}" for depth in (18, 34, 50, 101, 152)),
        *(f"resnext-{variant}" for variant in ("50-32x4d", "101-32x4d", "101-64x4d")),
    ]
    assert list_models(weights="timm/somebody") == []


def test_a_card_shows_the_accuracy_of_the_default_weights_beside_that_of_the_authors() -> None:
    card = model_card("resnext-101-64x4d")
    assert card.top1 is not None and card.published is not None and card.default is not None
    assert (card.top1.value, card.published.value) == (83.246, 79.6)
    assert card.top1 is card.default.top1
    slim = model_card("mobilenet-0.25-128")
    assert slim.default is not None and slim.default.top1 is None
    assert slim.top1 is slim.published is not None
    assert model_card("se-resnet-34").top1 is None


def test_preprocessing_follows_the_weights() -> None:
    caffe, torch = model_card("se-bn-inception").preprocessing, model_card("bn-inception").preprocessing
    assert list(caffe.std) == [1, 1, 1]
    assert torch.std == pytest.approx((58.395, 57.12, 57.375))
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


def test_a_card_is_found_by_builder_and_arguments() -> None:
    assert card_for("SomeNet", {}) is None
    assert card_for("ResNet50", {"classes": 7}) is model_card("resnet-50")
    assert card_for("MobileNet", {"alpha": 0.25, "rho": 128 / 224}) is model_card("mobilenet-0.25-128")


PACKAGE = Path(keras_archs.__file__).parent
STUB = ast.parse((PACKAGE / "__init__.pyi").read_text(encoding="utf-8"))
IMPORTED = {node.module: {alias.name for alias in node.names} for node in STUB.body if isinstance(node, ast.ImportFrom)}
CARDS_OF = {"resnet_cifar": "resnet"}
"""Families whose cards are in another family's module: cards have a module per paper."""


def builders_by_family() -> dict[str, list[str]]:
    """Return the names of the public builders by the family's module in keras_archs/models/."""
    modules = [
        importlib.import_module(found.name) for found in pkgutil.iter_modules(models.__path__, "keras_archs.models.")
    ]
    return {
        module.__name__.rpartition(".")[2]: [
            name
            for name, value in vars(module).items()
            if getattr(value, "__module__", "") == module.__name__ and "__signature__" in getattr(value, "__dict__", {})
        ]
        for module in modules
        if module.__name__ != "keras_archs.models.architecture"
    }


def missing_places(family: str, builders: Iterable[str]) -> Iterator[str]:
    """Say for each place that a family must be entered in, but is not: file, and what to add.

    Args:
        family: Module in keras_archs/models/.
        builders: Names of its public functions.
    """
    cards = CARDS_OF.get(family, family)
    if find_spec(f"keras_archs.cards.{cards}") is None:
        yield f"keras_archs/cards/{cards}.py: add the module, with CARDS of {family}"
    else:
        names = [card.name for card in importlib.import_module(f"keras_archs.cards.{cards}").CARDS]
        if not set(names) <= set(list_models()):
            yield f"keras_archs/registry.py: add CARDS of keras_archs.cards.{cards} to _FAMILIES"
        elif not {model_card(name).builder for name in names} & set(builders):
            yield f"keras_archs/cards/{cards}.py: add a card with a builder of {family}"
    for builder in sorted(set(builders) - IMPORTED.get(f"models.{family}", set())):
        yield f"keras_archs/__init__.pyi: import {builder} from .models.{family}"
    for builder in sorted(set(builders) - set(keras_archs.__all__)):
        yield f"keras_archs/__init__.pyi: add {builder} to __all__"


@pytest.mark.parametrize(("family", "builders"), builders_by_family().items())
def test_a_family_is_complete(family: str, builders: list[str]) -> None:
    assert builders, f"keras_archs/models/{family}.py has no public builder"
    assert not list(missing_places(family, builders))


def test_every_card_has_a_builder_and_a_cost() -> None:
    modules = set(builders_by_family())
    for module in pkgutil.iter_modules([str(PACKAGE / "cards")]):
        if hasattr(importlib.import_module(f"keras_archs.cards.{module.name}"), "CARDS"):
            assert module.name in modules, f"keras_archs/models/{module.name}.py is missing, but its cards exist"
    with (PACKAGE / "cards" / "costs.csv").open(encoding="utf-8") as file:
        rows = {row["name"] for row in csv.DictReader(file)}
    for name in list_models():
        assert hasattr(keras_archs, model_card(name).builder), f"{name}: keras_archs has no {model_card(name).builder}"
        assert name in rows, f"costs.csv has no row for {name}: run python -m keras_archs.analysis.cost"


def test_a_missing_place_is_named() -> None:
    assert list(missing_places("some_net", ["SomeNet50"])) == [
        "keras_archs/cards/some_net.py: add the module, with CARDS of some_net",
        "keras_archs/__init__.pyi: import SomeNet50 from .models.some_net",
        "keras_archs/__init__.pyi: add SomeNet50 to __all__",
    ]


def test_an_unregistered_family_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if its line in the registry had been forgotten, or its card had no builder of the family."""
    others = [name for name in list_models() if model_card(name).family != "Wide ResNet"]
    builders = builders_by_family()["wide_resnet"]
    assert next(missing_places("wide_resnet", ["SomeNet50"])) == (
        "keras_archs/cards/wide_resnet.py: add a card with a builder of wide_resnet"
    )
    monkeypatch.setattr(sys.modules[__name__], "list_models", lambda: others)
    assert list(missing_places("wide_resnet", builders)) == [
        "keras_archs/registry.py: add CARDS of keras_archs.cards.wide_resnet to _FAMILIES"
    ]
