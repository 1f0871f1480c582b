"""A fake TensorFlow Serving in the test's own process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio
import numpy as np
from numpy.typing import NDArray

from serving.engines.tf_serving.protos import (
    DT_FLOAT,
    DT_INT64,
    DT_UINT8,
    GetModelMetadataRequest,
    GetModelMetadataResponse,
    GetModelStatusRequest,
    GetModelStatusResponse,
    ModelVersionStatus,
    PredictRequest,
    PredictResponse,
    SignatureDefMap,
    TensorProto,
    TensorShapeProto,
)

CLASSES = 20  # of the models that `publish` publishes
AVAILABLE = ModelVersionStatus.AVAILABLE


def tensor(values: NDArray[Any], *, packed: bool) -> TensorProto:
    shape = TensorShapeProto(dim=[TensorShapeProto.Dim(size=size) for size in values.shape])
    dtype, repeated = (DT_INT64, "int64_val") if values.dtype == np.int64 else (DT_FLOAT, "float_val")
    values = values if dtype == DT_INT64 else values.astype(np.float32)
    content: dict[str, Any] = {"tensor_content": values.tobytes()} if packed else {repeated: values.ravel().tolist()}
    return TensorProto(dtype=dtype, tensor_shape=shape, **content)


@dataclass
class FakeServer:
    """Serves versions of `net`, which predict their own version number, one-hot, unless told otherwise.

    Attributes:
        states: State of each version.
        input_shape: Shape that the signature declares.
        packed: Whether answers use `tensor_content` instead of repeated fields.
        answer: Called before each answer to Predict; may abort the call.
        probabilities: Answer for each image instead, [images, classes].
        status_delay: Seconds before each answer to GetModelStatus.
        requests: Predict requests received so far.
        port: Port of 127.0.0.1, which stays the same after a restart.
    """

    states: dict[int, int] = field(default_factory=lambda: {1: AVAILABLE})
    input_shape: tuple[int, ...] = (-1, 8, 8, 3)
    packed: bool = True
    answer: Callable[[PredictRequest, grpc.aio.ServicerContext], Any] | None = None
    probabilities: NDArray[np.float32] | None = None
    status_delay: float = 0
    requests: list[PredictRequest] = field(default_factory=list)
    port: int = 0
    _server: grpc.aio.Server | None = None

    async def start(self) -> None:
        """Listen, after a restart on the same port as before."""
        self._server = grpc.aio.server(options=[("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", -1)])
        for service, methods in {
            "tensorflow.serving.PredictionService": {
                "Predict": (self._predict, PredictRequest, PredictResponse),
                "GetModelMetadata": (self._metadata, GetModelMetadataRequest, GetModelMetadataResponse),
            },
            "tensorflow.serving.ModelService": {
                "GetModelStatus": (self._status, GetModelStatusRequest, GetModelStatusResponse)
            },
        }.items():
            handlers = {
                name: grpc.unary_unary_rpc_method_handler(method, request.FromString, response.SerializeToString)
                for name, (method, request, response) in methods.items()
            }
            self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
        self.port = self._server.add_insecure_port(f"127.0.0.1:{self.port}")
        await self._server.start()

    async def stop(self) -> None:
        """Close all connections and refuse new ones."""
        assert self._server is not None
        await self._server.stop(None)

    async def _predict(self, request: PredictRequest, context: grpc.aio.ServicerContext) -> PredictResponse:
        self.requests.append(request)
        if self.answer:
            await self.answer(request, context)
        version = request.model_spec.version.value
        if self.states.get(version) != AVAILABLE:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"Servable not found for request: Specific(net, {version})")
        images = request.inputs["images"].tensor_shape.dim[0].size
        values = np.eye(CLASSES, dtype=np.float32)[[version] * images]
        if self.probabilities is not None:
            values = self.probabilities[:images]
        outputs: dict[str, NDArray[Any]] = {"probabilities": values}
        if request.model_spec.signature_name == "explain":
            chosen = np.frombuffer(request.inputs["classes"].tensor_content, np.int64)
            outputs |= {"chosen": chosen, "maps": np.ones((images, 2, 3), np.float32) * chosen[:, None, None]}
        return PredictResponse(outputs={name: tensor(value, packed=self.packed) for name, value in outputs.items()})

    async def _status(
        self, request: GetModelStatusRequest, context: grpc.aio.ServicerContext
    ) -> GetModelStatusResponse:
        await asyncio.sleep(self.status_delay)
        response = GetModelStatusResponse()
        for version, state in self.states.items():
            response.model_version_status.add(version=version, state=state)
        if not self.states:
            await context.abort(grpc.StatusCode.NOT_FOUND, "Could not find any versions of model net")
        return response

    async def _metadata(
        self, request: GetModelMetadataRequest, context: grpc.aio.ServicerContext
    ) -> GetModelMetadataResponse:
        signatures = SignatureDefMap()
        signature = signatures.signature_def["serving_default"]
        signature.inputs["images"].dtype = DT_UINT8
        for size in self.input_shape:
            signature.inputs["images"].tensor_shape.dim.add(size=size)
        for size in (-1, CLASSES):
            signature.outputs["probabilities"].tensor_shape.dim.add(size=size)
        response = GetModelMetadataResponse()
        response.metadata["signature_def"].Pack(signatures)
        return response
