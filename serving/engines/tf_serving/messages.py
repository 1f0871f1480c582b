"""Conversion of images to gRPC requests and of responses to arrays: signatures `serving_default` and `explain`."""

from __future__ import annotations

import math
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from keras_archs.repository.artifact_card import ArtifactCard
from keras_archs.runtimes.runtime import ActivationMaps
from serving.engines.tf_serving.protos import (
    DT_FLOAT,
    DT_INT64,
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
EXPLAIN, CLASSES, MAPS, CHOSEN = "explain", "classes", "maps", "chosen"

Scalar = TypeVar("Scalar", np.float32, np.int64)


class UnexpectedAnswerError(ValueError):
    """The server's answer does not match the model card."""


def model_spec(name: str, version: int, signature: str = SIGNATURE) -> ModelSpec:
    """Build the part of a request that selects one version of a model."""
    spec = ModelSpec(name=name, signature_name=signature)
    spec.version.value = version
    return spec


def predict_request(name: str, version: int, images: NDArray[np.uint8]) -> PredictRequest:
    """Build a request for the class probabilities of uint8 images [N, H, W, C]."""
    return PredictRequest(
        model_spec=model_spec(name, version),
        inputs={IMAGES: _tensor(images, DT_UINT8)},
        output_filter=[PROBABILITIES],
    )


def explain_request(name: str, version: int, images: NDArray[np.uint8], classes: NDArray[np.int64]) -> PredictRequest:
    """Build a request for the class activation maps of uint8 images [N, H, W, C], for one class each, int64 [N]."""
    return PredictRequest(
        model_spec=model_spec(name, version, EXPLAIN),
        inputs={IMAGES: _tensor(images, DT_UINT8), CLASSES: _tensor(classes, DT_INT64)},
    )


def probe_request(request: PredictRequest) -> PredictRequest:
    """Build a request with one black image for the version of another request."""
    _, *size = (dim.size for dim in request.inputs[IMAGES].tensor_shape.dim)
    return predict_request(request.model_spec.name, request.model_spec.version.value, np.zeros((1, *size), np.uint8))


def _tensor(values: NDArray[Any], dtype: int) -> TensorProto:
    """Encode an array as `tensor_content`: a repeated field would take twice the bytes."""
    shape = TensorShapeProto(dim=[TensorShapeProto.Dim(size=size) for size in values.shape])
    return TensorProto(dtype=dtype, tensor_shape=shape, tensor_content=values.tobytes())


def probabilities(response: PredictResponse, *, images: int, classes: int) -> NDArray[np.float32]:
    """Return the probabilities of a response, float32 [images, classes].

    Raises:
        UnexpectedAnswerError: The output is missing, or has another type or shape.
    """
    return _output(response, PROBABILITIES, np.float32, (images, classes))


def activation_maps(response: PredictResponse, *, images: int, classes: int) -> ActivationMaps:
    """Return the class activation maps of a response.

    Raises:
        UnexpectedAnswerError: An output is missing, or has another type or shape.
    """
    return ActivationMaps(
        _output(response, MAPS, np.float32, (images, None, None)),
        _output(response, CHOSEN, np.int64, (images,)),
        probabilities(response, images=images, classes=classes),
    )


def _output(
    response: PredictResponse, name: str, dtype: type[Scalar], expected: tuple[int | None, ...]
) -> NDArray[Scalar]:
    """Return one output, from `tensor_content` or from a repeated field; None in `expected` allows any size."""
    tensor = response.outputs.get(name)
    if tensor is None:
        raise UnexpectedAnswerError(f"the answer has no output {name!r}")
    code, repeated = (DT_FLOAT, tensor.float_val) if dtype is np.float32 else (DT_INT64, tensor.int64_val)
    shape = tuple(dim.size for dim in tensor.tensor_shape.dim)
    packed = np.frombuffer(tensor.tensor_content, dtype)
    values = packed if len(packed) else np.array(repeated, dtype)
    fits = len(shape) == len(expected) and all(
        size in (None, received) for size, received in zip(expected, shape, strict=True)
    )
    if tensor.dtype != code or not fits or len(values) != math.prod(shape):
        sizes = ", ".join("?" if size is None else str(size) for size in expected)
        raise UnexpectedAnswerError(f"output {name!r} has shape {shape}; expected {dtype.__name__} [{sizes}]")
    return values.reshape(shape)


def check_signature(response: GetModelMetadataResponse, card: ArtifactCard) -> None:
    """Check that the loaded model has the input and output that the card describes.

    Raises:
        UnexpectedAnswerError: They differ: the server's model was not exported with this card.
    """
    signatures = SignatureDefMap()
    response.metadata["signature_def"].Unpack(signatures)
    signature = signatures.signature_def[SIGNATURE]
    received = _sizes(signature.inputs[IMAGES].tensor_shape), _sizes(signature.outputs[PROBABILITIES].tensor_shape)
    expected = [-1, *card.preprocessing.size, card.preprocessing.channels], [-1, len(card.labels)]
    if signature.inputs[IMAGES].dtype != DT_UINT8 or received != expected:
        raise UnexpectedAnswerError(
            f"signature {SIGNATURE} on the server maps {received[0]} to {received[1]}; "
            f"the card says {expected[0]} to {expected[1]}"
        )


def _sizes(shape: TensorShapeProto) -> list[int]:
    return [dim.size for dim in shape.dim]
