"""The graph of a published model: one function with frozen weights, and the signatures that call it.

The weights become constants of the graph, which then runs 1.2 to 1.9 times as fast in TensorFlow on CPU as
`model.export` and is converted faster by OpenVINO. All signatures call one function, so the weights are stored once,
and what a signature does not return is not computed for it. Until the graph is saved, zeros stand for the weights.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from keras_archs.export.frozen_weights import FrozenWeights
from keras_archs.images.preprocessing import Preprocessing
from keras_archs.layers.heads import pooled_classifier
from keras_archs.repository.artifact import LIKELIEST, ArtifactCard

CLASSIFY_TOP_K = 5


def signatures(model: keras.Model, card: ArtifactCard, weights: FrozenWeights) -> dict[str, Any]:
    """The signatures of `model`, as `export_model` describes them, by name.

    Args:
        model: A classifier with one image input.
        card: Its preprocessing and its labels.
        weights: What writes the network's weights into the saved graph.
    """
    preprocessing = card.preprocessing
    shape = (*preprocessing.size, preprocessing.channels)
    # one concrete function that no attribute refers to: it is then saved once, as what the signatures call
    infer = tf.function(_inference(model, preprocessing, weights)).get_concrete_function(
        tf.TensorSpec([None, *shape], tf.uint8)
    )
    names = tf.constant([label.name for label in card.labels])

    def decode(encoded: tf.Tensor) -> tf.Tensor:
        return tf.map_fn(
            lambda one: decode_image(one, preprocessing),
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

    made = {"serving_default": serving_default, "serving_bytes": serving_bytes, "classify": classify}
    if "features" in infer.structured_outputs:

        @tf.function(input_signature=[tf.TensorSpec([None, *shape], tf.uint8, name="images")])
        def features(images: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"features": infer(images)["features"]}

        made["features"] = features
    if "class_weights" in infer.structured_outputs:

        @tf.function(
            input_signature=[
                tf.TensorSpec([None, *shape], tf.uint8, name="images"),
                tf.TensorSpec([None], tf.int64, name="classes"),
            ]
        )
        def explain(images: tf.Tensor, classes: tf.Tensor) -> dict[str, tf.Tensor]:
            found = infer(images)
            chosen = tf.where(classes == LIKELIEST, tf.argmax(found["probabilities"], axis=1), classes)
            weights = tf.gather(found["class_weights"], chosen, axis=1)
            maps = tf.einsum("nhwc,cn->nhw", found["feature_maps"], weights)
            # not "classes" again: OpenVINO would rename an output that is called as an input is
            return {"maps": maps, "chosen": chosen, "probabilities": found["probabilities"]}

        made["explain"] = explain
    return made


def _inference(
    model: keras.Model, preprocessing: Preprocessing, weights: FrozenWeights
) -> Callable[[tf.Tensor], dict[str, tf.Tensor]]:
    """The function that every signature calls: uint8 images -> probabilities, and what else the network has.

    That is `features`, what its last dense layer reads, and where these are the means of feature maps: the
    `feature_maps` and `class_weights` [channels, classes], of which class activation maps are made.
    """
    head = next((layer for layer in reversed(model.layers) if isinstance(layer, keras.layers.Dense)), None)
    outputs = {"probabilities": model.outputs[0]} | ({"features": head.input} if head else {})
    classifier = pooled_classifier(model)
    if classifier is not None:
        outputs["feature_maps"] = classifier.pooling.input
    network = keras.Model(model.inputs, outputs)
    gives_logits = getattr(model.layers[-1], "activation", None) is keras.activations.linear
    variables = [*network.trainable_variables, *network.non_trainable_variables]
    trainable = len(network.trainable_variables)
    # a kernel that is put together of several weights, as LoRA's is, is none of the variables
    kernel = next((place for place, one in enumerate(variables) if classifier and one is classifier.head.kernel), None)

    def infer(images: tf.Tensor) -> dict[str, tf.Tensor]:
        constants = weights.stand_ins(variables)
        values, _ = network.stateless_call(
            constants[:trainable],
            constants[trainable:],
            (tf.cast(images, tf.float32) - preprocessing.mean) / preprocessing.std,
            training=False,
        )
        if kernel is not None:
            values["class_weights"] = constants[kernel]
        values = {key: tf.cast(value, tf.float32) for key, value in values.items()}
        if gives_logits:
            values["probabilities"] = tf.nn.softmax(values["probabilities"])
        return values

    return infer


def decode_image(encoded: tf.Tensor, preprocessing: Preprocessing) -> tf.Tensor:
    """`preprocessing.load_image` in TensorFlow: string [] -> uint8 [H, W, C], the same crop and filter."""
    image = tf.io.decode_image(encoded, channels=preprocessing.channels, expand_animations=False)
    size = tf.constant(preprocessing.size, tf.float32)
    available = tf.cast(tf.shape(image)[:2], tf.float32)
    # the largest centred box with the target's aspect ratio, then crop_fraction of it
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
