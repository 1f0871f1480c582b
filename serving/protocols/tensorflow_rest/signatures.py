"""The signatures that clients may ask for: those of exported models that compute scores.

`keras_archs.export.signatures` builds them. The gateway decodes images itself, so it answers every signature with the
same preprocessing, whichever engine runs the model.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from keras_archs.repository.artifact_card import ArtifactCard

PIXELS: Final = "serving_default"
ENCODED: Final = "serving_bytes"
CLASSIFY: Final = "classify"
INPUTS: Final = {PIXELS: "images", ENCODED: "image_bytes"}
"""The input of each signature of `:predict`."""
ENCODED_FEATURE: Final = "image/encoded"
"""The feature of an example that `:classify` reads."""
CLASSIFY_TOP_K: Final = 5

_METHOD = "tensorflow/serving/predict"  # which TensorFlow 2 writes into every signature


def signature_defs(card: ArtifactCard) -> dict[str, Any]:
    """Describe the signatures of a version as TensorFlow Serving prints `SignatureDef` messages.

    Engines do not tell the names of tensors inside their graphs, which no request contains: outputs have the names of
    the signature instead.
    """
    pixels = (-1, *card.preprocessing.size, card.preprocessing.channels)
    classes = len(card.labels)
    top_k = min(CLASSIFY_TOP_K, classes)
    probabilities = {"probabilities": ("DT_FLOAT", (-1, classes))}
    return {
        PIXELS: _signature_def(PIXELS, {INPUTS[PIXELS]: ("DT_UINT8", pixels)}, probabilities),
        ENCODED: _signature_def(ENCODED, {INPUTS[ENCODED]: ("DT_STRING", (-1,))}, probabilities),
        CLASSIFY: _signature_def(
            CLASSIFY,
            {"inputs": ("DT_STRING", (-1,))},
            {"classes": ("DT_STRING", (-1, top_k)), "scores": ("DT_FLOAT", (-1, top_k))},
        ),
    }


_Tensors = Mapping[str, tuple[str, tuple[int, ...]]]
"""Data type and shape of tensors by name."""


def _signature_def(signature: str, inputs: _Tensors, outputs: _Tensors) -> dict[str, Any]:
    return {
        "inputs": {name: _tensor_info(f"{signature}_{name}:0", *tensor) for name, tensor in inputs.items()},
        "outputs": {name: _tensor_info(f"{name}:0", *tensor) for name, tensor in outputs.items()},
        "method_name": _METHOD,
        "defaults": {},
    }


def _tensor_info(name: str, dtype: str, shape: tuple[int, ...]) -> dict[str, Any]:
    dimensions = [{"size": str(size), "name": ""} for size in shape]  # 64-bit numbers are strings in protobuf's JSON
    return {"name": name, "dtype": dtype, "tensor_shape": {"dim": dimensions, "unknown_rank": False}}
