"""A version answers what the model answers: probabilities, whatever the model ends in, or the export is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import keras_archs
from keras_archs.export.publish import ExportedModel
from keras_archs.repository.artifact import read_card

PREPROCESSING = keras_archs.Preprocessing(size=(8, 8), mean=(0.0,) * 3, std=(255.0,) * 3)
IMAGES = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3)).astype(np.uint8)

Apply = Callable[[Any], Any]


def network(*end: Apply) -> keras.Model:
    """Build a network whose answers differ between images."""
    keras.utils.set_random_seed(1)
    inputs = keras.Input((8, 8, 3))
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(6, 3)(inputs))
    for apply in end:
        x = apply(x)
    return keras.Model(inputs, x)


def dense(units: int, activation: Any = None, **arguments: Any) -> keras.Layer:
    wide = keras.initializers.RandomNormal(0, 8, seed=2)
    return layers.Dense(units, activation=activation, kernel_initializer=wide, **arguments)


def export(repository: Path, model: keras.Model, **arguments: Any) -> ExportedModel:
    given: dict[str, Any] = {"name": "small", "preprocessing": PREPROCESSING, "allow_untrained": True}
    return keras_archs.export_model(model, repository, **given | arguments)


def served(version: ExportedModel) -> Any:
    loaded = tf.saved_model.load(str(version.path))
    return loaded.signatures["serving_default"](images=tf.constant(IMAGES))["probabilities"].numpy()


def answered(model: keras.Model) -> Any:
    return np.asarray(model.predict(PREPROCESSING.normalize(IMAGES), verbose=0), np.float32)


@pytest.mark.parametrize(
    "end",
    [
        lambda: [dense(3, "softmax"), layers.Activation("linear", dtype="float32")],
        lambda: [dense(3), layers.Dropout(0.2), keras.ops.softmax],
        lambda: [keras.Sequential([layers.Dense(5), dense(3)]), layers.Softmax()],
    ],
)
def test_probabilities_are_served_as_they_are(tmp_path: Path, end: Callable[[], list[Apply]]) -> None:
    model = network(*end())
    np.testing.assert_allclose(served(export(tmp_path, model)), answered(model), atol=1e-6)


@pytest.mark.parametrize(
    "end", [lambda: [keras.Sequential([dense(2)])], lambda: [dense(3), layers.Activation("linear", dtype="float32")]]
)
def test_logits_are_served_as_probabilities_also_from_a_nested_head(
    tmp_path: Path, end: Callable[[], list[Apply]]
) -> None:
    model = network(*end())
    expected = keras.ops.convert_to_numpy(keras.ops.softmax(answered(model)))
    np.testing.assert_allclose(served(export(tmp_path, model)), expected, atol=1e-6)


def test_a_network_in_mixed_precision_is_served_in_float32(tmp_path: Path) -> None:
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = network(dense(3, "softmax"), layers.Activation("linear", dtype="float32"))
        half = network(dense(3, "softmax"))
    finally:
        keras.config.set_dtype_policy("float32")
    for name, exported in (("single", model), ("half", half)):
        probabilities = served(export(tmp_path, exported, name=name))
        assert probabilities.dtype == np.float32
        np.testing.assert_allclose(probabilities, answered(exported), atol=1e-3)


def test_one_logit_is_served_only_if_the_caller_says_of_what(tmp_path: Path) -> None:
    model = network(dense(1))
    with pytest.raises(ValueError, match='activation="sigmoid"'):
        export(tmp_path, model)
    with pytest.raises(ValueError, match="softmax over one class is always 1"):
        export(tmp_path, model, activation="softmax")
    with pytest.raises(ValueError, match="softmax over one class is always 1"):
        export(tmp_path, network(dense(1, "softmax")))
    with pytest.raises(ValueError, match="logits, no probabilities"):
        export(tmp_path, model, activation="linear")
    p = keras.ops.convert_to_numpy(keras.ops.sigmoid(answered(model)))
    version = export(tmp_path, model, activation="sigmoid", labels=["cat", "dog"])
    np.testing.assert_allclose(served(version), np.concatenate([1 - p, p], axis=1), atol=1e-6)


def test_one_sigmoid_answers_for_two_labels_or_for_one(tmp_path: Path) -> None:
    model = network(dense(1, "sigmoid"))
    p = answered(model)
    pair = export(tmp_path, model, labels=["cat", "dog"])
    np.testing.assert_allclose(served(pair), np.concatenate([1 - p, p], axis=1), atol=1e-6)
    card = read_card(pair.path)
    assert ([label.name for label in card.labels], card.multi_label, card.explains) == (["cat", "dog"], False, False)
    alone = export(tmp_path, model, labels=["defect"])
    np.testing.assert_allclose(served(alone), p, atol=1e-6)
    assert read_card(alone.path).multi_label
    for labels in (None, ["a", "b", "c"]):
        with pytest.raises(ValueError, match="give two labels"):
            export(tmp_path, model, labels=labels)


def test_sigmoids_are_served_as_independent_scores_and_the_card_says_so(tmp_path: Path) -> None:
    named = keras_archs.MobileNet(classes=3, input_shape=(32, 32, 3), classifier_activation="sigmoid")
    card = read_card(export(tmp_path, named, name="named", preprocessing=None).path)
    assert card.multi_label
    assert card.architecture is not None
    assert card.architecture["arguments"]["classifier_activation"] == "sigmoid"
    for name, end in {"built in": [dense(3, "sigmoid")], "operation": [dense(3), keras.ops.sigmoid]}.items():
        model = network(*end)
        version = export(tmp_path, model, name=name.replace(" ", "-"))
        np.testing.assert_allclose(served(version), answered(model), atol=1e-6)
        assert np.abs(served(version).sum(axis=1) - 1).max() > 0.1
        assert read_card(version.path).multi_label
    assert not read_card(export(tmp_path, network(dense(3, "softmax")), name="softmax").path).multi_label


@pytest.mark.parametrize(
    ("end", "found"),
    [
        (lambda: [dense(3, "relu")], "the activation relu"),
        (lambda: [dense(3), lambda x: x / 2], "TrueDivide"),
        (lambda: [dense(3, "softmax"), lambda x: 100 * x], "Multiply"),
        (lambda: [dense(3), layers.Lambda(lambda x: keras.ops.softmax(x))], "Lambda"),  # noqa: PLW0108  not traced
    ],
)
def test_an_output_of_unknown_meaning_is_refused_until_the_caller_says_it(
    tmp_path: Path, end: Callable[[], list[Apply]], found: str
) -> None:
    with pytest.raises(ValueError, match=rf'{found}.*give activation="softmax"'):
        export(tmp_path, network(*end()))
    assert not list(tmp_path.iterdir())


def test_the_caller_says_what_the_graph_does_not_show(tmp_path: Path) -> None:
    cooled = network(dense(3), lambda x: x / 2)
    for activation in ("softmax", "sigmoid"):
        expected = keras.ops.convert_to_numpy(getattr(keras.ops, activation)(answered(cooled)))
        version = export(tmp_path, cooled, activation=activation, name=activation)
        np.testing.assert_allclose(served(version), expected, atol=1e-6)
        assert read_card(version.path).multi_label == (activation == "sigmoid")
    hidden = network(dense(3), layers.Lambda(lambda x: keras.ops.softmax(x)))  # noqa: PLW0108  not traced
    np.testing.assert_allclose(served(export(tmp_path, hidden, activation="linear")), answered(hidden), atol=1e-6)


def test_what_the_caller_says_must_not_contradict_the_graph_or_the_answers(tmp_path: Path) -> None:
    for end in ([dense(3, "softmax")], [dense(3, "sigmoid")]):
        with pytest.raises(ValueError, match="already"):
            export(tmp_path, network(*end), activation="softmax")
    with pytest.raises(ValueError, match="logits, no probabilities"):
        export(tmp_path, network(dense(3)), activation="linear")
    with pytest.raises(ValueError, match="from 0 to 1"):
        export(tmp_path, network(dense(3, "softmax"), lambda x: 100 * x), activation="linear")
    with pytest.raises(ValueError, match="add up to 1"):
        export(tmp_path, network(dense(3, "sigmoid"), lambda x: x * 1.0), activation="linear")
    with pytest.raises(ValueError, match="one of softmax, sigmoid, linear or None"):
        export(tmp_path, network(dense(3)), activation="tanh")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "loss",
    [
        "mse",
        "binary_crossentropy",
        keras.losses.BinaryCrossentropy(from_logits=True),
        "sparse_categorical_crossentropy",
    ],
)
def test_logits_that_were_trained_as_something_else_are_refused(tmp_path: Path, loss: Any) -> None:
    model = network(dense(3))
    model.compile(loss=loss)
    with pytest.raises(ValueError, match=r"compiled with the loss .*cross-?entropy with from_logits=True"):
        export(tmp_path, model)
    export(tmp_path, model, activation="softmax")


def test_logits_that_were_trained_as_logits_of_one_class_are_served(tmp_path: Path) -> None:
    model = network(dense(3))
    model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    assert served(export(tmp_path, model)).sum() == pytest.approx(len(IMAGES))


def test_features_and_maps_come_from_the_path_to_the_output(tmp_path: Path) -> None:
    body = keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(4, 3), layers.GlobalAveragePooling2D()])
    model = keras.Sequential([keras.Input((8, 8, 3)), body, keras.Sequential([layers.Dropout(0.5), dense(3)])])
    version = export(tmp_path, model)
    assert read_card(version.path).explains
    loaded = tf.saved_model.load(str(version.path))
    features = loaded.signatures["features"](images=tf.constant(IMAGES))["features"]
    np.testing.assert_allclose(features, body.predict(PREPROCESSING.normalize(IMAGES), verbose=0), atol=1e-5)
    expected, _ = keras_archs.class_activation_map(model, PREPROCESSING.normalize(IMAGES), [2] * len(IMAGES))
    explained = loaded.signatures["explain"](
        images=tf.constant(IMAGES), classes=tf.fill([len(IMAGES)], tf.constant(2, tf.int64))
    )
    np.testing.assert_allclose(explained["maps"], expected, atol=1e-4)


@pytest.mark.parametrize(
    "labels", [["cat\r", " dog\n", "\ufeffowl"], {"owl": 2, "cat": 0, "dog": 1}, {2: "owl", 0: "cat", 1: "dog"}]
)
def test_labels_are_published_in_the_order_of_the_outputs(tmp_path: Path, labels: Any) -> None:
    version = export(tmp_path, network(dense(3, "softmax")), labels=labels)
    assert [label.name for label in read_card(version.path).labels] == ["cat", "dog", "owl"]
    assert (version.path / "assets" / "labels.txt").read_bytes() == b"cat\ndog\nowl\n"
