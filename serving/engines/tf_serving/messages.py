"""From images to a request, and from a response to probabilities: the `serving_default` signature on the wire."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from keras_archs.artifact import ArtifactCard
from serving.engines.tf_serving.protos import (
    DT_FLOAT,
    DT_UINT8,
    GetModelMetadataResponse,
    ModelSpec,
    PredictRequest,
    PredictResponse,
    SignatureDefMap,
    TensorProto,
    TensorShapeProto,
)

SIGNATURE, IMAGES, PROBABILITIES = "serving_default", "images", "probabilities"


class UnexpectedAnswerError(ValueError):
    """The server's answer is not what the model's card promises."""


def model_spec(name: str, version: int) -> ModelSpec:
    """One version of a model."""
    spec = ModelSpec(name=name, signature_name=SIGNATURE)
    spec.version.value = version
    return spec


def predict_request(name: str, version: int, images: NDArray[np.uint8]) -> PredictRequest:
    """Asks for the probabilities of uint8 images [N, H, W, C], packed: a repeated field would take twice the bytes."""
    shape = TensorShapeProto(dim=[TensorShapeProto.Dim(size=size) for size in images.shape])
    tensor = TensorProto(dtype=DT_UINT8, tensor_shape=shape, tensor_content=images.tobytes())
    return PredictRequest(model_spec=model_spec(name, version), inputs={IMAGES: tensor}, output_filter=[PROBABILITIES])


def probabilities(response: PredictResponse, *, images: int, classes: int) -> NDArray[np.float32]:
    """The probabilities [images, classes] of a response, whether it is packed or not.

    Raises:
        UnexpectedAnswerError: They are missing, or of another type or shape.
    """
    tensor = response.outputs.get(PROBABILITIES)
    if tensor is None:
        raise UnexpectedAnswerError(f"the answer has no output {PROBABILITIES!r}")
    shape = tuple(dim.size for dim in tensor.tensor_shape.dim)
    packed = np.frombuffer(tensor.tensor_content, np.float32)
    values = packed if len(packed) else np.array(tensor.float_val, np.float32)
    if tensor.dtype != DT_FLOAT or shape != (images, classes) or len(values) != images * classes:
        raise UnexpectedAnswerError(f"the answer's shape is {shape}, of float32 [{images}, {classes}] expected")
    return values.reshape(shape)


def check_signature(response: GetModelMetadataResponse, card: ArtifactCard) -> None:
    """Checks that the server's model takes and gives what the card says.

    Raises:
        UnexpectedAnswerError: It does not: it was not made from this version.
    """
    signatures = SignatureDefMap()
    response.metadata["signature_def"].Unpack(signatures)
    signature = signatures.signature_def[SIGNATURE]
    taken = _sizes(signature.inputs[IMAGES].tensor_shape)
    given = _sizes(signature.outputs[PROBABILITIES].tensor_shape)
    expected = [-1, *card.preprocessing.size, card.preprocessing.channels], [-1, len(card.labels)]
    if signature.inputs[IMAGES].dtype != DT_UINT8 or (taken, given) != expected:
        raise UnexpectedAnswerError(f"its {SIGNATURE} is {taken} -> {given}, but its card says {expected}")


def _sizes(shape: TensorShapeProto) -> list[int]:
    return [dim.size for dim in shape.dim]
