"""Mixed precision: a network that computes in bfloat16 and keeps its weights in float32."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import keras

from keras_archs.layers.nested import all_layers

_AMPERE = 8
"""Compute capability of the first NVIDIA GPUs with bfloat16 arithmetic."""


def has_bfloat16() -> bool:
    """Return whether the backend's device is a GPU or TPU with bfloat16 arithmetic.

    A CPU has not, in this sense: TensorFlow's training steps take twice as long there in bfloat16 as in float32.
    """
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        gpus = tf.config.list_physical_devices("GPU")
        capabilities = [tf.config.experimental.get_device_details(gpu).get("compute_capability", (0,)) for gpu in gpus]
        return bool(tf.config.list_physical_devices("TPU")) or any(major >= _AMPERE for major, *_ in capabilities)
    if backend == "jax":
        import jax

        device = jax.devices()[0]
        capability = getattr(device, "compute_capability", "0")
        return device.platform == "tpu" or (device.platform == "gpu" and int(str(capability).split(".")[0]) >= _AMPERE)
    import torch

    return bool(torch.cuda.is_available() and torch.cuda.get_device_capability()[0] >= _AMPERE)


@contextmanager
def in_bfloat16(model: keras.Model) -> Iterator[None]:
    """Let the layers of a network but the last compute in bfloat16 within the context.

    Weights and the probabilities of the last layer stay float32. After the context the network is as it was, ready for
    export. Functions that Keras traced before contain the arithmetic of before.
    """
    changed = [layer for layer in all_layers(model) if layer is not model.layers[-1]]
    policies = [layer.dtype_policy for layer in changed]
    try:
        for layer in changed:
            if layer.dtype_policy.name == "float32" and not isinstance(layer, keras.layers.InputLayer):
                layer.dtype_policy = keras.DTypePolicy("mixed_bfloat16")
        yield
    finally:
        for layer, policy in zip(changed, policies, strict=True):
            layer.dtype_policy = policy
