"""A version is published only if its graph answers reference images like the model, and it carries the answers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

import keras_archs
from keras_archs.export.frozen_weights import FrozenWeights
from keras_archs.export.publish import ExportedModel
from keras_archs.export.written_graph import probabilities_by_signature
from keras_archs.repository import artifact, reference_answers
from keras_archs.repository.checksums import verify

PREPROCESSING = keras_archs.Preprocessing(size=(8, 12), mean=(0.0,) * 3, std=(255.0,) * 3)


@pytest.fixture(scope="module")
def model() -> keras.Model:
    """Ends in global average pooling and a dense layer, so that its graph has all signatures."""
    keras.utils.set_random_seed(4)
    inputs = keras.Input((8, 12, 3))
    x = keras.layers.Conv2D(6, 3, activation="swish")(inputs)
    x = keras.layers.BatchNormalization(moving_mean_initializer="random_normal")(x)
    wide = keras.initializers.RandomNormal(0, 3)
    head = keras.layers.Dense(4, activation="softmax", kernel_initializer=wide)
    return keras.Model(inputs, head(keras.layers.GlobalAveragePooling2D()(x)))


def export(repository: Path, model: keras.Model, **arguments: Any) -> ExportedModel:
    given: dict[str, Any] = {"name": "small", "preprocessing": PREPROCESSING, "allow_untrained": True}
    return keras_archs.export_model(model, repository, **given | arguments)


def constants(path: Path) -> tuple[saved_model_pb2.SavedModel, list[Any]]:
    saved = saved_model_pb2.SavedModel.FromString((path / artifact.SAVED_MODEL).read_bytes())
    functions = saved.meta_graphs[0].graph_def.library.function
    return saved, [
        node for function in functions for node in function.node_def if node.name.startswith("frozen_weight")
    ]


def test_a_version_carries_images_and_the_answers_of_the_model(tmp_path: Path, model: keras.Model) -> None:
    path = export(tmp_path, model).path
    card = artifact.read_card(path)
    answers = reference_answers.read(path, card)
    assert answers is not None
    assert answers.images.shape == (3, 8, 12, 3)
    expected = model.predict(PREPROCESSING.normalize(answers.images), verbose=0)
    np.testing.assert_allclose(answers.probabilities, expected, atol=1e-6)
    assert np.ptp(expected, axis=0).max() > 0.05
    verify(path, card)
    other = export(tmp_path, model, name="other").path  # a sound file, but of another version
    with np.load(other / artifact.REFERENCE_ANSWERS) as file:
        images = file["images"]
    reference_answers.write(path, reference_answers.ReferenceAnswers(images, answers.probabilities[::-1]))
    with pytest.raises(artifact.ArtifactError, match=r"reference_answers\.npz"):
        verify(path, card)


def test_the_written_graph_answers_like_tensorflow_serving_would(tmp_path: Path, model: keras.Model) -> None:
    path = export(tmp_path, model).path
    images = reference_answers.reference_images(PREPROCESSING)
    signature = tf.saved_model.load(str(path)).signatures["serving_default"]
    expected = signature(images=tf.constant(images))["probabilities"].numpy()
    received = probabilities_by_signature(path, images)
    assert set(received) == {"serving_default", "explain"}
    for probabilities in received.values():
        np.testing.assert_allclose(probabilities, expected, atol=1e-6)


def lose_a_kernel(path: Path) -> None:
    saved, nodes = constants(path)
    kernel = next(node.attr["value"].tensor for node in nodes if len(node.attr["value"].tensor.tensor_shape.dim) == 2)
    kernel.CopyFrom(tf.make_tensor_proto(np.zeros_like(tf.make_ndarray(kernel))))
    (path / artifact.SAVED_MODEL).write_bytes(saved.SerializeToString())


def change_a_bias(path: Path) -> None:
    saved, nodes = constants(path)
    bias = next(node.attr["value"].tensor for node in nodes if len(node.attr["value"].tensor.tensor_shape.dim) == 1)
    bias.CopyFrom(tf.make_tensor_proto(tf.make_ndarray(bias) + 3))
    (path / artifact.SAVED_MODEL).write_bytes(saved.SerializeToString())


def write_not_a_number(path: Path) -> None:
    saved, nodes = constants(path)
    values = nodes[0].attr["value"].tensor
    values.CopyFrom(tf.make_tensor_proto(np.full_like(tf.make_ndarray(values), np.nan)))
    (path / artifact.SAVED_MODEL).write_bytes(saved.SerializeToString())


@pytest.mark.parametrize("damage", [lose_a_kernel, change_a_bias, write_not_a_number])
def test_a_graph_that_answers_otherwise_is_not_published(
    tmp_path: Path, model: keras.Model, monkeypatch: pytest.MonkeyPatch, damage: Callable[[Path], None]
) -> None:
    write = FrozenWeights.write_into

    def write_and_damage(self: FrozenWeights, version_dir: Path) -> None:
        write(self, version_dir)
        damage(version_dir)

    monkeypatch.setattr(FrozenWeights, "write_into", write_and_damage)
    with pytest.raises(ValueError, match=r"probability is \S+ instead of \S+; the difference may be at most"):
        export(tmp_path, model)
    assert artifact.published_versions(tmp_path / "small") == []
    assert not list((tmp_path / "small").iterdir())


def test_a_weight_is_written_into_each_function_that_has_it(tmp_path: Path) -> None:
    weights = FrozenWeights()
    kernel, bias = (keras.Variable(np.array(value, np.float32)) for value in ([[2, 3]], [0.5, 0.5]))

    def compute(x: tf.Tensor) -> tf.Tensor:
        frozen = weights.zeros([kernel, bias])
        return tf.matmul(x, frozen[0]) + frozen[1]

    spec = [tf.TensorSpec([None, 1], tf.float32)]
    signatures = {
        name: tf.function(lambda x: {"y": compute(x)}, input_signature=spec)  # traced once for each signature
        for name in ("serving_default", "other", "third")
    }
    tf.saved_model.save(tf.Module(), str(tmp_path), signatures=signatures)
    weights.write_into(tmp_path)
    _, nodes = constants(tmp_path)
    assert [node.name for node in nodes].count("frozen_weight_0") == 3
    loaded = tf.saved_model.load(str(tmp_path))
    for name in signatures:
        np.testing.assert_array_equal(loaded.signatures[name](tf.constant([[1.0]]))["y"], [[2.5, 3.5]])


class BatchMean(keras.layers.Layer):
    """Subtracts the mean of the batch: an image's answer depends on the other images."""

    def call(self, inputs: Any) -> Any:
        return inputs - keras.ops.mean(inputs, axis=0, keepdims=True)


class Noise(keras.layers.Layer):
    """Adds noise also outside training, with a state that is no weight of the model."""

    def call(self, inputs: Any) -> Any:
        return inputs + 5 * keras.random.normal(keras.ops.shape(inputs))


class SeededNoise(keras.layers.Layer):
    """Adds noise also outside training, with a state of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.seed = keras.random.SeedGenerator(1)

    def call(self, inputs: Any) -> Any:
        return inputs + 5 * keras.random.normal(keras.ops.shape(inputs), seed=self.seed)


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (BatchMean, "does not answer like the exported model"),
        (SeededNoise, "does not answer like the exported model"),
        (Noise, "no weight of the model"),
    ],
)
def test_a_model_whose_answers_are_not_functions_of_one_image_is_refused(
    tmp_path: Path, layer: type[keras.layers.Layer], message: str
) -> None:
    keras.utils.set_random_seed(4)
    inputs = keras.Input((8, 12, 3))
    x = layer()(keras.layers.GlobalAveragePooling2D()(inputs))
    wide = keras.initializers.RandomNormal(0, 8)
    outputs = keras.layers.Dense(4, activation="softmax", kernel_initializer=wide)(x)
    with pytest.raises(ValueError, match=message):
        export(tmp_path, keras.Model(inputs, outputs))
    assert artifact.published_versions(tmp_path / "small") == []


class Reversed(keras.Model):
    """A functional model with a `call` of its own, of which its graph knows nothing."""

    def call(self, inputs: Any, **arguments: Any) -> Any:
        return super().call(inputs, **arguments)[:, ::-1]


def test_a_model_that_does_not_answer_like_its_own_graph_is_refused(tmp_path: Path, model: keras.Model) -> None:
    with pytest.raises(ValueError, match="does not answer like the exported model"):
        export(tmp_path, Reversed(model.inputs, model.outputs))


def test_damaged_weights_are_refused(tmp_path: Path, model: keras.Model) -> None:
    broken = keras.models.clone_model(model)
    broken.set_weights([np.full_like(weight, np.nan) for weight in model.get_weights()])
    with pytest.raises(ValueError, match="not finite"):
        export(tmp_path, broken)
    assert not list(tmp_path.iterdir())


def test_a_quantized_network_carries_its_own_answers(tmp_path: Path, model: keras.Model) -> None:
    quantized = keras.models.clone_model(model)
    quantized.set_weights(model.get_weights())
    quantized.quantize("int8")
    path = export(tmp_path, quantized).path
    card = artifact.read_card(path)
    answers = reference_answers.read(path, card)
    assert answers is not None
    expected = quantized.predict(PREPROCESSING.normalize(answers.images), verbose=0)
    np.testing.assert_allclose(answers.probabilities, expected, atol=0.02)
    assert np.abs(answers.probabilities - model.predict(PREPROCESSING.normalize(answers.images), verbose=0)).max() > 0
    assert not card.explains  # the kernel of the maps is not that of the logits
