"""The protocols, each as a function that asks a gateway for the scores of images; the contract suite runs over all."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import grpc
import httpx
import numpy as np
from tritonclient.grpc.service_pb2 import ModelInferRequest
from tritonclient.grpc.service_pb2_grpc import GRPCInferenceServiceStub

from serving.core.errors import ServingError
from tests.support.colours import MODEL, NAMES
from tests.support.gateway import Gateway


@dataclass(frozen=True)
class Request:
    """What is asked; all images are JPEG, PNG, or no images at all."""

    images: Sequence[bytes]
    model: str = MODEL
    version: int | None = None
    label: str | None = None
    timeout: float | None = None
    key: str | None = None


@dataclass(frozen=True)
class Answer:
    """What was answered.

    Attributes:
        status: HTTP status; of a protocol without, the status that HTTP has for the same.
        scores: Score of each class by its label, for each image; empty for an error.
        error: Text of the error; empty for a success.
        retry_after: Value of `Retry-After`; None without it.
    """

    status: int
    scores: list[Mapping[str, float]]
    error: str = ""
    retry_after: str | None = None


Protocol: TypeAlias = Callable[[Gateway, Request], Answer]


def rest(gateway: Gateway, request: Request) -> Answer:
    """Ask with the gateway's own API."""
    files = [("image", image) for image in request.images]
    query = {"top_k": len(NAMES), "timeout": request.timeout}
    response = gateway.client.post(_path("/classify", request), files=files, **_options(request, query))
    return _answer(
        response,
        scores=lambda body: [{best["label"]: best["score"] for best in image} for image in body["images"]],
        error="detail",
    )


def tensorflow_predict_rows(gateway: Gateway, request: Request) -> Answer:
    """Ask TensorFlow Serving's `:predict` by row."""
    return _tensorflow(gateway, request, "predict", {"instances": _encoded(request)}, _scores_under("predictions"))


def tensorflow_predict_columns(gateway: Gateway, request: Request) -> Answer:
    """Ask TensorFlow Serving's `:predict` by column."""
    body = {"signature_name": "serving_bytes", "inputs": {"image_bytes": _encoded(request)}}
    return _tensorflow(gateway, request, "predict", body, _scores_under("outputs"))


def tensorflow_classify(gateway: Gateway, request: Request) -> Answer:
    """Ask TensorFlow Serving's `:classify`."""
    body = {"examples": [{"image/encoded": image} for image in _encoded(request)]}
    return _tensorflow(gateway, request, "classify", body, lambda answer: [dict(best) for best in answer["results"]])


def open_inference_json(gateway: Gateway, request: Request) -> Answer:
    """Ask the Open Inference Protocol with images in the JSON."""
    data = [base64.b64encode(image).decode() for image in request.images]
    response = gateway.client.post(
        _open_inference_path(request), json=_open_inference(request, data=data), **_options(request, {})
    )
    return _answer(response, scores=lambda body: _by_name(body["outputs"][0]["data"]), error="error")


def open_inference_binary(gateway: Gateway, request: Request) -> Answer:
    """Ask the Open Inference Protocol with images behind the JSON, for scores behind the JSON."""
    data = b"".join(_with_length(image) for image in request.images)
    content = _open_inference(request, parameters={"binary_data_size": len(data)})
    content["parameters"]["binary_data_output"] = True
    head = json.dumps(content).encode()
    headers = {**_options(request, {})["headers"], LENGTH: str(len(head))}
    response = gateway.client.post(_open_inference_path(request), content=head + data, headers=headers)
    if response.status_code != httpx.codes.OK:
        return _answer(response, scores=lambda _: [], error="error")
    scores = np.frombuffer(response.content[int(response.headers[LENGTH]) :], "<f4")
    return Answer(response.status_code, _by_name(scores.tolist()))


def open_inference_grpc(gateway: Gateway, request: Request) -> Answer:
    """Ask the Open Inference Protocol over gRPC."""
    tensor = ModelInferRequest.InferInputTensor(name="image_bytes", datatype="BYTES", shape=[len(request.images)])
    message = ModelInferRequest(
        model_name=request.model,
        model_version=_open_inference_version(request),
        inputs=[tensor],
        raw_input_contents=[b"".join(_with_length(image) for image in request.images)],
    )
    if request.timeout is not None:
        message.parameters["timeout"].int64_param = round(1e6 * request.timeout)
    key = () if request.key is None else (("authorization", f"Bearer {request.key}"),)
    with grpc.insecure_channel(gateway.grpc_address()) as channel:
        try:
            response = GRPCInferenceServiceStub(channel).ModelInfer(message, metadata=key)
        except grpc.RpcError as error:
            metadata = {name: str(value) for name, value in error.trailing_metadata()}
            status = _STATUSES[metadata.get("problem-type", "")]
            return Answer(status, [], error.details(), metadata.get("retry-after"))
    return Answer(200, _by_name(np.frombuffer(response.raw_output_contents[0], "<f4").tolist()))


PROTOCOLS: Mapping[str, Protocol] = {
    "rest": rest,
    "tensorflow predict, rows": tensorflow_predict_rows,
    "tensorflow predict, columns": tensorflow_predict_columns,
    "tensorflow classify": tensorflow_classify,
    "open inference, JSON": open_inference_json,
    "open inference, binary": open_inference_binary,
    "open inference, gRPC": open_inference_grpc,
}

LENGTH = "Inference-Header-Content-Length"
_STATUSES = {f"urn:keras-archs:problem:{kind.slug}": kind.status for kind in ServingError.__subclasses__()} | {
    "urn:keras-archs:problem:client-deadline-exceeded": 504,
    "": 413,  # gRPC itself refuses a message that is too large, before the gateway knows of it
}
_Scores = Callable[[Any], list[Mapping[str, float]]]


def _tensorflow(gateway: Gateway, request: Request, verb: str, body: dict[str, Any], scores: _Scores) -> Answer:
    path = f"{_path('/v1/models', request)}:{verb}"
    response = gateway.client.post(path, json=body, **_options(request, {"timeout": request.timeout}))
    return _answer(response, scores=scores, error="error")


def _open_inference(request: Request, **fields: Any) -> dict[str, Any]:
    tensor = {"name": "image_bytes", "datatype": "BYTES", "shape": [len(request.images)], **fields}
    return {
        "inputs": [tensor],
        "parameters": {} if request.timeout is None else {"timeout": round(1e6 * request.timeout)},
    }


def _open_inference_version(request: Request) -> str:
    return request.label or ("" if request.version is None else str(request.version))


def _open_inference_path(request: Request) -> str:
    version = _open_inference_version(request)
    return f"/v2/models/{request.model}{'/versions/' + version if version else ''}/infer"


def _with_length(image: bytes) -> bytes:
    return len(image).to_bytes(4, "little") + image


def _by_name(scores: Sequence[float]) -> list[Mapping[str, float]]:
    rows = np.reshape(scores, (-1, len(NAMES))).tolist()
    return [dict(zip(NAMES, row, strict=True)) for row in rows]


def _encoded(request: Request) -> list[dict[str, str]]:
    return [{"b64": base64.b64encode(image).decode()} for image in request.images]


def _scores_under(key: str) -> _Scores:
    return lambda body: [dict(zip(NAMES, scores, strict=True)) for scores in body[key]]


def _path(root: str, request: Request) -> str:
    path = f"{root}/{request.model}"
    if request.version is not None:
        return f"{path}/versions/{request.version}"
    return path if request.label is None else f"{path}/labels/{request.label}"


def _options(request: Request, query: Mapping[str, float | None]) -> dict[str, Any]:
    return {
        "params": {name: value for name, value in query.items() if value is not None},
        "headers": {} if request.key is None else {"Authorization": f"Bearer {request.key}"},
    }


def _answer(response: httpx.Response, *, scores: _Scores, error: str) -> Answer:
    body = response.json()
    if response.status_code == httpx.codes.OK:
        return Answer(response.status_code, scores(body))
    return Answer(response.status_code, [], body[error], response.headers.get("Retry-After"))
