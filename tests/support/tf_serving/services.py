"""PredictionService and ModelService over `models.Models`, with TensorFlow Serving's error codes and messages."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable
from typing import Any, TypeVar

import grpc
import tensorflow as tf
from google.protobuf import text_format
from grpc import StatusCode
from tensorflow.core.framework import tensor_pb2
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)
from tensorflow_serving.config import model_server_config_pb2

from tests.support.tf_serving.faults import FaultInjector
from tests.support.tf_serving.models import Models, RequestError, Version

Request = TypeVar("Request")
Response = TypeVar("Response")
DEFAULT_SIGNATURE = "serving_default"
LONGEST_MESSAGE = 1024


def answering_errors(
    method: Callable[[Any, Request], Response],
) -> Callable[[Any, Request, grpc.ServicerContext], Response]:
    """Convert a servicer method's RequestError to a gRPC status."""

    @functools.wraps(method)
    def answering(self: Any, request: Request, context: grpc.ServicerContext) -> Response:
        try:
            return method(self, request)
        except RequestError as error:
            message = str(error)
            cut = message if len(message) <= LONGEST_MESSAGE else f"{message[:LONGEST_MESSAGE]}...TRUNCATED"
            context.abort(error.code, cut)
            raise  # never reached: abort raises

    return answering


class PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Predict, Classify and GetModelMetadata."""

    def __init__(self, models: Models, faults: FaultInjector, *, as_tensor_content: bool) -> None:
        """Serve `models`.

        Args:
            models: The served models.
            faults: Faults of predictions.
            as_tensor_content: Whether answers use `tensor_content` instead of repeated fields.
        """
        self.requests: Counter[tuple[str, str]] = Counter()  # by model and status
        self._models = models
        self._faults = faults
        self._as_tensor_content = as_tensor_content

    def Predict(
        self, request: predict_pb2.PredictRequest, context: grpc.ServicerContext
    ) -> predict_pb2.PredictResponse:
        """Run a signature."""
        name = request.model_spec.name
        try:
            self._faults.before_answer(context)
            response = self._predict(request, context)
        except Exception:
            self.requests[name, "ERROR"] += 1
            raise
        self.requests[name, "OK"] += 1
        return response

    @answering_errors
    def _predict(self, request: predict_pb2.PredictRequest) -> predict_pb2.PredictResponse:
        version = self._models.find(request.model_spec)
        key = request.model_spec.signature_name or DEFAULT_SIGNATURE
        if key not in version.loaded.signatures:
            raise RequestError(StatusCode.FAILED_PRECONDITION, f'Serving signature key "{key}" not found.')
        signature = version.loaded.signatures[key]
        expected = signature.structured_input_signature[1].keys()
        if extra_or_missing := request.inputs.keys() ^ expected:
            extra, missing = (
                ",".join(sorted(extra_or_missing & set(side))) for side in (request.inputs.keys(), expected)
            )
            raise RequestError(
                StatusCode.INVALID_ARGUMENT,
                f"input size does not match signature: {len(request.inputs)}!={len(expected)} "
                f"Sent extra: {{{extra}}}. Missing but required: {{{missing}}}.",
            )
        outputs = _run(signature, {name: tf.make_ndarray(value) for name, value in request.inputs.items()})
        for name in request.output_filter:
            if name not in outputs:
                raise RequestError(StatusCode.INVALID_ARGUMENT, f"output tensor alias not found in signature: {name} ")
        response = predict_pb2.PredictResponse(model_spec=_resolved(request.model_spec, version, key))
        for name in request.output_filter or outputs:
            values = outputs[name][..., :-1] if self._faults.faults.wrong_shape else outputs[name]
            response.outputs[name].CopyFrom(self._encoded(values))
        return response

    def _encoded(self, values: Any) -> tensor_pb2.TensorProto:
        packed: tensor_pb2.TensorProto = tf.make_tensor_proto(values)
        repeated = {"float32": "float_val", "int64": "int64_val"}.get(str(values.dtype))
        if self._as_tensor_content or repeated is None:
            return packed
        return tensor_pb2.TensorProto(
            dtype=packed.dtype, tensor_shape=packed.tensor_shape, **{repeated: values.ravel().tolist()}
        )

    @answering_errors
    def Classify(self, request: classification_pb2.ClassificationRequest) -> classification_pb2.ClassificationResponse:
        """Run a signature that maps tf.Examples to classes and scores."""
        version = self._models.find(request.model_spec)
        key = request.model_spec.signature_name or DEFAULT_SIGNATURE
        signature = version.loaded.signatures.get(key) if key in version.loaded.signatures else None
        if signature is None or set(signature.structured_outputs) != {"classes", "scores"}:
            raise RequestError(StatusCode.INVALID_ARGUMENT, f"No signature was found with the name: {key}")
        examples = [example.SerializeToString() for example in request.input.example_list.examples]
        if not examples:
            raise RequestError(StatusCode.INVALID_ARGUMENT, "Input is empty.")
        outputs = _run(signature, {"inputs": examples})
        response = classification_pb2.ClassificationResponse(model_spec=_resolved(request.model_spec, version, key))
        for classes, scores in zip(outputs["classes"], outputs["scores"], strict=True):
            answer = response.result.classifications.add()
            for label, score in zip(classes, scores, strict=True):
                answer.classes.add(label=label.decode(), score=score)
        return response

    @answering_errors
    def GetModelMetadata(
        self, request: get_model_metadata_pb2.GetModelMetadataRequest
    ) -> get_model_metadata_pb2.GetModelMetadataResponse:
        """Describe the signatures of a version."""
        if list(request.metadata_field) != ["signature_def"]:
            raise RequestError(StatusCode.INVALID_ARGUMENT, "Metadata field signature_def is supported only")
        version = self._models.find(request.model_spec)
        response = get_model_metadata_pb2.GetModelMetadataResponse(
            model_spec=_resolved(request.model_spec, version, request.model_spec.signature_name)
        )
        described = get_model_metadata_pb2.SignatureDefMap()
        for key, signature in version.loaded.signatures.items():
            for name, spec in signature.structured_input_signature[1].items():
                described.signature_def[key].inputs[name].CopyFrom(_described(spec))
            for name, spec in signature.structured_outputs.items():
                described.signature_def[key].outputs[name].CopyFrom(_described(spec))
        response.metadata["signature_def"].Pack(described)
        return response


class ModelService(model_service_pb2_grpc.ModelServiceServicer):
    """GetModelStatus and HandleReloadConfigRequest."""

    def __init__(self, models: Models) -> None:
        self._models = models

    @answering_errors
    def GetModelStatus(
        self, request: get_model_status_pb2.GetModelStatusRequest
    ) -> get_model_status_pb2.GetModelStatusResponse:
        """Return the state of each version."""
        response = get_model_status_pb2.GetModelStatusResponse()
        for version in self._models.statuses(request.model_spec):
            status = response.model_version_status.add(version=version.number, state=version.state)
            if version.error:
                status.status.error_code = StatusCode.UNKNOWN.value[0]
                status.status.error_message = version.error
        return response

    @answering_errors
    def HandleReloadConfigRequest(
        self, request: model_management_pb2.ReloadConfigRequest
    ) -> model_management_pb2.ReloadConfigResponse:
        """Replace the configuration."""
        self._models.configure(request.config)
        return model_management_pb2.ReloadConfigResponse()


def read_config(text: str) -> model_server_config_pb2.ModelServerConfig:
    """Parse a configuration in text format; text_format.ParseError if it is invalid."""
    return text_format.Parse(text, model_server_config_pb2.ModelServerConfig())


def _run(signature: Any, inputs: dict[str, Any]) -> dict[str, Any]:
    try:
        outputs = signature(**{name: tf.constant(value) for name, value in inputs.items()})
    except (tf.errors.InvalidArgumentError, TypeError, ValueError) as error:
        raise RequestError(StatusCode.INVALID_ARGUMENT, str(error)) from error
    return {name: value.numpy() for name, value in outputs.items()}


def _resolved(spec: Any, version: Version, signature: str) -> Any:
    resolved = type(spec)(name=spec.name, signature_name=signature)
    resolved.version.value = version.number
    return resolved


def _described(spec: tf.TensorSpec) -> meta_graph_pb2.TensorInfo:
    return meta_graph_pb2.TensorInfo(
        name=spec.name, dtype=spec.dtype.as_datatype_enum, tensor_shape=spec.shape.as_proto()
    )
