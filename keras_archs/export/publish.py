"""Publish a Keras model as a version in a model repository, for TensorFlow Serving and the gateway."""

from __future__ import annotations

import datetime
import os
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow_serving.apis import model_pb2, predict_pb2, prediction_log_pb2

from keras_archs.cards.origin import origin_of
from keras_archs.export.answer import Answer, answer_of
from keras_archs.export.frozen_weights import FrozenWeights
from keras_archs.export.provenance import provenance, registered_labels, registered_preprocessing
from keras_archs.export.reference import answers_of, check_graph
from keras_archs.export.signatures import signatures
from keras_archs.images.labels import Label, LabelNames, ordered_labels
from keras_archs.images.preprocessing import Preprocessing
from keras_archs.layers.output_path import Activation
from keras_archs.repository import artifact, models_config, reference_answers
from keras_archs.repository.artifact_card import ArtifactCard
from keras_archs.repository.checksums import checksums
from keras_archs.repository.publishing import publish_version
from keras_archs.repository.reference_answers import ReferenceAnswers

_WARMUP_BATCHES = (1, 8)


@dataclass(frozen=True)
class ExportedModel:
    """A published version."""

    path: Path
    """Folder of the version."""
    name: str
    """Name of the model in the repository."""
    version: int
    """Number of the version."""
    not_served: str | None = None
    """Why `models.config` does not serve the version; None if it does, or if there is no such file."""


def export_model(
    model: keras.Model,
    repository: str | os.PathLike[str],
    *,
    name: str,
    version: int | None = None,
    preprocessing: Preprocessing | None = None,
    labels: LabelNames | None = None,
    activation: Activation | None = None,
    trained_on: str | None = None,
    allow_untrained: bool = False,
) -> ExportedModel:
    """Publish a model atomically as `<repository>/<name>/<version>`.

    If the repository has a `models.config` without an entry for the model, an entry is added, so that the model is
    served.

    What the model's output means is read from its graph. After a softmax over the classes, it is probabilities; after a
    sigmoid, each class has a probability of its own (several classes may apply to an image, and the card says so), or a
    single output is the probability of the second of two labels; the output of a dense or convolutional layer without
    activation is logits, to which a softmax is added. If the graph ends otherwise, `activation` has to say it.

    Before the version is published, the written graph answers a few reference images and is compared with the model.
    The images and the model's answers are part of the version, so that other runtimes can be compared as well.

    Signatures of the SavedModel, for N images:
        serving_default: `images` uint8 [N, H, W, C] -> `probabilities` float32 [N, classes]. H, W and C are those of
            the preprocessing, whose normalisation is part of the graph.
        serving_bytes: `image_bytes` string [N], encoded images -> `probabilities`. The graph decodes, crops and
            resizes. (TensorFlow decodes JPEG, PNG, GIF and BMP; it ignores EXIF orientation and drops alpha.)
        classify: `inputs` string [N], serialized tf.Example with `image/encoded` -> `classes` string and `scores`
            float32, both [N, 5], best first: TensorFlow Serving's Classify API.
        features: `images` -> `features` float32 [N, D], the input of the last Dense layer. Only if the model has a
            Dense layer.
        explain: `images` and `classes` int64 [N], -1 for the most likely class -> `maps` float32 [N, rows, columns],
            the class activation maps of the classes `chosen` int64 [N], and `probabilities`; the same numbers as
            `keras_archs.class_activation_map`. Only if the model ends in global average pooling and Dense.

    Args:
        model: A model with one image input [N, H, W, C], normalised as `preprocessing` says, and one output
            [N, classes].
        repository: Folder of the repository, created if needed.
        name: Name to publish under: 1 to 128 letters, digits, '.', '_' or '-'.
        version: Positive integer; None for the newest version plus 1. An existing version is never overwritten.
        preprocessing: Steps from an image file to the input. None for the preprocessing of the published weights that
            were loaded, or else of the registry, with the model's input size and for one channel if it takes grey
            images; only models that a builder of this package made in this process have such a preprocessing.
        labels: A name or a `Label` for each class, in the order of the outputs, or a mapping between names and indices
            such as Keras' `class_indices`; None for the labels of the published weights that were loaded with their
            classifier, else "class 0", "class 1", ...
        activation: The function that turns the model's output into probabilities, if the graph does not show it or
            shows logits: "softmax" if an image shows one of the classes, "sigmoid" if an image may show several, or
            "linear" if the output is probabilities that add up to 1. None to read it from the graph.
        trained_on: Data that the weights were trained on, in words; None for the source of the weights that the
            builder loaded. If the weights were changed since, the card says that they are derived from that source.
        allow_untrained: Whether to publish a model with initial weights, in all layers or in those for which the loaded
            weights have no values. Its card and every answer will say so.

    Returns:
        Folder, name and number of the published version.

    Raises:
        ValueError: The model, its labels, its preprocessing or `activation` do not fit together, the meaning of the
            output would be a guess, the written graph does not answer like the model, or the weights are untrained and
            `allow_untrained` is False.
        FileExistsError: `version` exists already.
    """
    if keras.backend.backend() != "tensorflow":
        raise ValueError(
            f"a SavedModel is exported from Keras' TensorFlow backend; the backend is {keras.backend.backend()!r}. "
            "Save the weights, and load them in a process started with KERAS_BACKEND=tensorflow"
        )
    artifact.check_name(name)
    # read before the export, so that an invalid models.config is reported before a version is published
    config = models_config.read(Path(repository))
    named = None if labels is None else ordered_labels(labels)
    answer = answer_of(model, _units(model), activation, None if named is None else len(named))
    card = _card(model, answer, name, preprocessing, named, trained_on, allow_untrained=allow_untrained)
    model_dir = Path(repository) / name
    expected = answers_of(model, answer, card.preprocessing)
    published = publish_version(model_dir, version, lambda path: _write(path, model, answer, card, expected))
    if config is not None:
        with models_config.edited(Path(repository)) as config:
            models_config.include(config, Path(repository), name)
    return ExportedModel(
        path=model_dir / str(published),
        name=name,
        version=published,
        not_served=models_config.why_not_served(Path(repository), name, published),
    )


def _card(
    model: keras.Model,
    answer: Answer,
    name: str,
    preprocessing: Preprocessing | None,
    labels: tuple[Label, ...] | None,
    trained_on: str | None,
    *,
    allow_untrained: bool,
) -> ArtifactCard:
    """Return the card of the version; `_write` adds `checksums` and `explains`."""
    origin = origin_of(model)
    preprocessing = preprocessing or registered_preprocessing(model, origin)
    _check_input(model, preprocessing)
    if labels is not None and len(labels) != answer.classes:
        raise ValueError(f"the model has {answer.classes} classes, but {len(labels)} labels were given")
    return ArtifactCard(
        name=name,
        preprocessing=preprocessing,
        labels=labels or registered_labels(answer.classes, origin),
        weights=provenance(model, origin, trained_on=trained_on, allow_untrained=allow_untrained),
        architecture={"builder": origin.builder, "arguments": dict(origin.arguments)} if origin else None,
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        producer={package: metadata.version(package) for package in ("keras-archs", "keras", "tensorflow")},
        checksums={},
        multi_label=answer.multi_label,
    )


def _units(model: keras.Model) -> int:
    if len(getattr(model, "inputs", None) or ()) != 1:
        raise ValueError(f"only a functional or built Sequential model with one input can be exported; got {model!r}")
    shape = model.output_shape
    if not isinstance(shape, tuple) or len(shape) != 2 or shape[1] is None:
        raise ValueError(f"the model's output shape must be [N, classes]; got {shape}")
    return int(shape[1])


def _check_input(model: keras.Model, preprocessing: Preprocessing) -> None:
    shape = model.input_shape
    expected = (*preprocessing.size, preprocessing.channels)
    fits = (
        isinstance(shape, tuple)
        and len(shape) == 4
        and all(size in (None, expected_size) for size, expected_size in zip(shape[1:], expected, strict=True))
    )
    if not fits:
        raise ValueError(f"the model's input shape is {shape}, but the preprocessing makes images of shape {expected}")


def _write(path: Path, model: keras.Model, answer: Answer, card: ArtifactCard, expected: ReferenceAnswers) -> None:
    weights = FrozenWeights()
    by_name = signatures(model, answer, card, weights)
    try:
        tf.saved_model.save(
            tf.Module(),
            str(path),
            signatures=by_name,
            # a server needs no gradients, and saving swish's would fail on a tensor that freezing has pruned
            options=tf.saved_model.SaveOptions(experimental_custom_gradients=False),
        )
    except AssertionError as error:  # TensorFlow's, for a variable that the graph reads but the SavedModel lacks
        raise ValueError(
            f"the graph of {model.name!r} reads a variable that is no weight of the model, such as the state of random "
            "numbers that are drawn outside training, so that it cannot be saved"
        ) from error
    weights.write_into(path)
    check_graph(path, expected)
    for file in (artifact.LABELS, artifact.WARMUP):
        (path / file).parent.mkdir(exist_ok=True)
    (path / artifact.LABELS).write_text("".join(f"{label.name}\n" for label in card.labels), encoding="utf-8")
    _write_warmup(path / artifact.WARMUP, card)
    reference_answers.write(path, expected)
    artifact.write_card(path, replace(card, explains="explain" in by_name, checksums=checksums(path)))


def _write_warmup(path: Path, card: ArtifactCard) -> None:
    """Write the warm-up requests, which TensorFlow Serving runs before a version is available."""
    with tf.io.TFRecordWriter(str(path)) as writer:
        for batch in _WARMUP_BATCHES:
            writer.write(_warmup_record(card, batch).SerializeToString())


def _warmup_record(card: ArtifactCard, batch: int) -> prediction_log_pb2.PredictionLog:
    images: NDArray[np.uint8] = np.zeros((batch, *card.preprocessing.size, card.preprocessing.channels), np.uint8)
    request = predict_pb2.PredictRequest(
        model_spec=model_pb2.ModelSpec(name=card.name, signature_name="serving_default"),
        inputs={"images": tf.make_tensor_proto(images)},
    )
    return prediction_log_pb2.PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=request))
