"""The graph of a published model: one inference function with frozen weights, and the signatures that call it.

Frozen weights are constants of the graph: on a CPU, TensorFlow runs it 1.2 to 1.9 times as fast as the SavedModel of
`model.export`, and OpenVINO converts it faster. All signatures call the same function, so the weights are stored once;
TensorFlow prunes the outputs that a signature does not return. The constants are zeros until the graph has been saved
(see `frozen_weights`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from keras_archs.export.answer import Answer
from keras_archs.export.frozen_weights import FrozenWeights
from keras_archs.images.preprocessing import Preprocessing
from keras_archs.layers.output_path import in_graph_of_model, pooled_classifier, steps
from keras_archs.repository.artifact import LIKELIEST
from keras_archs.repository.artifact_card import ArtifactCard

CLASSIFY_TOP_K = 5


def signatures(model: keras.Model, answer: Answer, card: ArtifactCard, weights: FrozenWeights) -> dict[str, Any]:
    """Build the signatures of a model, which the docstring of `export_model` describes.

    Args:
        model: A classifier with one image input [N, H, W, C].
        answer: What the model's output means.
        card: Card with the preprocessing and the labels.
        weights: Collects the variables of the model; its `write_into` replaces the zeros in the saved graph.

    Returns:
        The signatures by name.
    """
    preprocessing = card.preprocessing
    shape = (*preprocessing.size, preprocessing.channels)
    # a concrete function that is not an attribute of the saved module: TensorFlow saves it once, for all signatures
    infer = tf.function(_inference(model, answer, preprocessing, weights)).get_concrete_function(
        tf.TensorSpec([None, *shape], tf.uint8)
    )
    names = tf.constant([label.name for label in card.labels])

    def decode(encoded: tf.Tensor) -> tf.Tensor:
        return tf.map_fn(
            lambda image: decode_image(image, preprocessing),
            encoded,
            fn_output_signature=tf.TensorSpec(shape, tf.uint8),
        )

    @tf.function(input_signature=[tf.TensorSpec([None, *shape], tf.uint8, name="images")])
    def serving_default(images: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"probabilities": infer(images)["probabilities"]}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")])
    def serving_bytes(image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"probabilities": infer(decode(image_bytes))["probabilities"]}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="inputs")])
    def classify(inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        examples = tf.io.parse_example(inputs, {"image/encoded": tf.io.FixedLenFeature([], tf.string)})
        probabilities = infer(decode(examples["image/encoded"]))["probabilities"]
        scores, indices = tf.math.top_k(probabilities, k=min(CLASSIFY_TOP_K, len(card.labels)))
        return {"classes": tf.gather(names, indices), "scores": scores}

    by_name = {"serving_default": serving_default, "serving_bytes": serving_bytes, "classify": classify}
    if "features" in infer.structured_outputs:

        @tf.function(input_signature=[tf.TensorSpec([None, *shape], tf.uint8, name="images")])
        def features(images: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"features": infer(images)["features"]}

        by_name["features"] = features
    if "class_weights" in infer.structured_outputs:

        @tf.function(
            input_signature=[
                tf.TensorSpec([None, *shape], tf.uint8, name="images"),
                tf.TensorSpec([None], tf.int64, name="classes"),
            ]
        )
        def explain(images: tf.Tensor, classes: tf.Tensor) -> dict[str, tf.Tensor]:
            outputs = infer(images)
            chosen = tf.where(classes == LIKELIEST, tf.argmax(outputs["probabilities"], axis=1), classes)
            class_weights = tf.gather(outputs["class_weights"], chosen, axis=1)
            maps = tf.einsum("nhwc,cn->nhw", outputs["feature_maps"], class_weights)
            # "chosen", not "classes": OpenVINO would rename an output that has the name of an input
            return {"maps": maps, "chosen": chosen, "probabilities": outputs["probabilities"]}

        by_name["explain"] = explain
    return by_name


def _inference(
    model: keras.Model, answer: Answer, preprocessing: Preprocessing, weights: FrozenWeights
) -> Callable[[tf.Tensor], dict[str, tf.Tensor]]:
    """Return the function that every signature calls: uint8 images [N, H, W, C] -> a dict of float32 tensors.

    The dict contains `probabilities` [N, classes]; `features` [N, D], the input of the last dense layer on the path to
    the output, if there is one; and, if these features are the means of feature maps, `feature_maps` [N, rows, columns,
    D] and `class_weights` [D, classes], from which class activation maps are computed.
    """
    outputs = {"output": model.outputs[0]}
    head = next((step for step in steps(model) if isinstance(step.operation, keras.layers.Dense)), None)
    if head is not None and head.source is not None and len(head.source.shape) == 2:
        (outputs["features"],) = in_graph_of_model([head.source], head.enclosing)
    # the maps of a pair would be those of its only output, of which neither class is the index
    classifier = None if answer.pair else pooled_classifier(model)
    if classifier is not None:
        outputs["feature_maps"] = classifier.feature_maps
    network = keras.Model(model.inputs, outputs)
    variables = [*network.trainable_variables, *network.non_trainable_variables]
    trainable_count = len(network.trainable_variables)
    # None as well if the kernel is computed from several variables, as with LoRA
    kernel_index = next(
        (index for index, variable in enumerate(variables) if classifier and variable is classifier.head.kernel), None
    )

    def infer(images: tf.Tensor) -> dict[str, tf.Tensor]:
        constants = weights.zeros(variables)
        values, _ = network.stateless_call(
            constants[:trainable_count],
            constants[trainable_count:],
            (tf.cast(images, tf.float32) - preprocessing.mean) / preprocessing.std,
            training=False,
        )
        if kernel_index is not None:
            values["class_weights"] = constants[kernel_index]
        probabilities = answer.probabilities(values.pop("output"))
        return {"probabilities": probabilities} | {key: tf.cast(value, tf.float32) for key, value in values.items()}

    return infer


def decode_image(encoded: tf.Tensor, preprocessing: Preprocessing) -> tf.Tensor:
    """Decode, crop and resize an image in TensorFlow, with the same crop and filter as `load_image`.

    Args:
        encoded: Bytes of a JPEG, PNG, GIF or BMP file, string [].
        preprocessing: Size, channels, crop fraction and interpolation.

    Returns:
        The pixels, uint8 [H, W, C].
    """
    image = tf.io.decode_image(encoded, channels=preprocessing.channels, expand_animations=False)
    size = tf.constant(preprocessing.size, tf.float32)
    available = tf.cast(tf.shape(image)[:2], tf.float32)
    # crop_fraction of the largest centred box with the target's aspect ratio
    box = size * tf.reduce_min(available / size) * preprocessing.crop_fraction
    scale = size / box
    resized = tf.raw_ops.ScaleAndTranslate(
        images=tf.cast(image, tf.float32)[tf.newaxis],
        size=preprocessing.size,
        scale=scale,
        translation=-scale * (available - box) / 2,
        kernel_type={"bicubic": "keyscubic", "bilinear": "triangle"}[preprocessing.interpolation],
        antialias=True,
    )[0]
    return tf.cast(tf.clip_by_value(tf.round(resized), 0, 255), tf.uint8)
