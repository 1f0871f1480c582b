"""The protocol over HTTP."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Path, Request, Response

from serving.core import errors
from serving.core.repository import ModelSpec
from serving.core.service import Scores
from serving.protocols.access import caller_of
from serving.protocols.open_inference import metadata
from serving.protocols.open_inference.http_body import (
    HEADER,
    InferAnswer,
    InferRequest,
    build_answer,
    json_length,
    parse_request,
)
from serving.protocols.open_inference.inputs import images_of
from serving.protocols.open_inference.metadata import selected
from serving.protocols.open_inference.outputs import output_of
from serving.protocols.open_inference.schemas import (
    IndexEntry,
    InferIn,
    InferOut,
    LiveOut,
    ModelMetadata,
    ModelReadyOut,
    ReadyOut,
    ServerMetadata,
)
from serving.protocols.problems import OPEN_INFERENCE, PLAIN_REFUSAL, plain_error_responses
from serving.protocols.rest.body import check_encodings, read
from serving.protocols.rest.routes import CLASSIFY_ERRORS, server_timing, service_of
from serving.protocols.threads import SMALL_ANSWER, SMALL_TEXT, run

Name = Annotated[str, Path(description="Name of a model in the repository.", examples=["efficientnet-lite0"])]
Version = Annotated[str, Path(description="A published version, or a version label.", examples=["1"])]


_ONE_MODEL = plain_error_responses(
    OPEN_INFERENCE,
    errors.ModelNotFoundError,
    errors.VersionNotFoundError,
    errors.LabelNotFoundError,
    errors.ModelUnavailableError,
)
_INFER: dict[str, Any] = {
    "response_model": InferOut,
    "response_model_exclude_none": True,
    "responses": plain_error_responses(OPEN_INFERENCE, *CLASSIFY_ERRORS),
    "openapi_extra": {
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": InferIn.model_json_schema(ref_template="#/components/schemas/{model}")}
            },
        },
        "parameters": [
            {
                "name": HEADER,
                "in": "header",
                "required": False,
                "description": "Bytes of the body that are JSON, if data of tensors follow it.",
                "schema": {"type": "integer", "minimum": 0},
            }
        ],
    },
}


router = APIRouter(prefix="/v2", tags=["Open Inference Protocol"], responses=PLAIN_REFUSAL)


@router.get("", summary="The server and its extensions")
async def show_server() -> ServerMetadata:
    """Describe the gateway and the extensions of the protocol that it has."""
    return metadata.server_metadata()


@router.get("/health/live", summary="Is the process alive?")
async def live() -> LiveOut:
    """Answer 200 as long as the event loop runs."""
    return LiveOut()


@router.get(
    "/health/ready",
    summary="Can the gateway answer requests?",
    responses=plain_error_responses(OPEN_INFERENCE, errors.ModelUnavailableError),
)
async def ready(request: Request) -> ReadyOut:
    """Answer 503 while no model can be served, and at the start until each model to preload has been loaded."""
    reason = request.app.state.not_ready_reason()
    if reason is not None:
        raise errors.ModelUnavailableError(reason)
    return ReadyOut()


@router.post("/repository/index", summary="The versions of all models")
async def show_index(request: Request) -> list[IndexEntry]:
    """List the versions of the models that the caller may use, with their states. Body: `{"ready": true}`, or none."""
    content = await read(request)
    try:
        wanted = msgspec.json.decode(content or b"{}", type=_IndexRequest)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise errors.MalformedRequestError(f'the body is {{"ready": true}}, or empty: {error}') from error
    return metadata.index(service_of(request).engine, caller_of(request.scope), ready_only=wanted.ready)


class _IndexRequest(msgspec.Struct):
    ready: bool = False


@router.get("/models/{model}", summary="What a model takes and gives", responses=_ONE_MODEL)
async def show_model(model: Name, request: Request) -> ModelMetadata:
    """Describe the inputs and outputs of the newest version; a request has one of the inputs."""
    return await _show(selected(model), request)


@router.get("/models/{model}/versions/{version}", summary="What a version takes and gives", responses=_ONE_MODEL)
async def show_version(model: Name, version: Version, request: Request) -> ModelMetadata:
    """Describe the inputs and outputs of a version; a request has one of the inputs."""
    return await _show(selected(model, version), request)


@router.get("/models/{model}/ready", summary="Can a model answer requests?", responses=_ONE_MODEL)
async def model_ready(model: Name, request: Request) -> ModelReadyOut:
    """Answer 200 if the newest version answers, also if it has to be loaded first, and 503 if it cannot."""
    return await _ready(selected(model), request)


@router.get("/models/{model}/versions/{version}/ready", summary="Can a version answer requests?", responses=_ONE_MODEL)
async def version_ready(model: Name, version: Version, request: Request) -> ModelReadyOut:
    """Answer 200 if the version answers, also if it has to be loaded first, and 503 if it cannot."""
    return await _ready(selected(model, version), request)


@router.post("/models/{model}/infer", summary="Infer with the newest version", **_INFER)
async def infer(model: Name, request: Request) -> Response:
    """Compute the scores of images with the newest version that is ready."""
    return await _infer(selected(model), request)


@router.post("/models/{model}/versions/{version}/infer", summary="Infer with one version", **_INFER)
async def infer_version(model: Name, version: Version, request: Request) -> Response:
    """Compute the scores of images with the given version."""
    return await _infer(selected(model, version), request)


async def _show(spec: ModelSpec, request: Request) -> ModelMetadata:
    return await metadata.model_metadata(service_of(request), spec, caller_of(request.scope))


async def _ready(spec: ModelSpec, request: Request) -> ModelReadyOut:
    reason = await metadata.model_not_ready_reason(service_of(request), spec, caller_of(request.scope))
    if reason is not None:
        raise errors.ModelUnavailableError(reason)
    return ModelReadyOut(name=spec.name)


async def _infer(spec: ModelSpec, request: Request) -> Response:
    service, caller = service_of(request), caller_of(request.scope)
    # checked before the body is read, so that an unknown model is refused without an upload
    service.check(spec, caller)
    check_encodings(request.headers)
    content = await read(request)
    length = json_length(request.headers.getlist(HEADER), content)

    def parse() -> tuple[InferRequest, Any]:
        asked = parse_request(content, length)
        return asked, images_of(asked.tensor, request.app.state.settings.max_images)

    asked, images = await run(parse, is_small=length <= SMALL_TEXT)
    scores = await service.score(images, spec, caller=caller, timeout_seconds=asked.timeout)
    answer = await run(lambda: _answer(spec, scores, asked), is_small=scores.probabilities.size <= SMALL_ANSWER)
    return Response(answer.body, headers=answer.headers | {"Server-Timing": server_timing(scores.timing)})


def _answer(spec: ModelSpec, scores: Scores, asked: InferRequest) -> InferAnswer:
    head = {
        "model_name": spec.name,
        "model_version": str(scores.version),
        **({"id": asked.id} if asked.id else {}),
        "parameters": {"trained": scores.card.weights.trained},
    }
    return build_answer(head, output_of(scores, asked.output), is_binary=asked.output.is_binary)
