"""The routes of TensorFlow Serving's REST API."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, TypeVar

import msgspec
from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel
from starlette.convertors import StringConvertor, register_url_convertor

from serving.core import errors
from serving.core.engine import State
from serving.core.repository import ModelSpec
from serving.core.service import Timing
from serving.protocols.access import caller_of
from serving.protocols.problems import PLAIN_REFUSAL, TENSORFLOW_REST, plain_error_responses
from serving.protocols.rest.body import check_encodings, read
from serving.protocols.rest.routes import CLASSIFY_ERRORS, server_timing, service_of
from serving.protocols.rest.schemas import TimeoutQuery
from serving.protocols.rest.version_paths import VERSION_PATHS, Handler, endpoint
from serving.protocols.tensorflow_rest.classify_body import read_classify
from serving.protocols.tensorflow_rest.predict_body import read_predict
from serving.protocols.tensorflow_rest.schemas import (
    ClassifyIn,
    ClassifyOut,
    MetadataOut,
    ModelStatusOut,
    PredictIn,
    PredictOut,
    StatusOut,
    VersionStatusOut,
)
from serving.protocols.tensorflow_rest.signatures import CLASSIFY_TOP_K, signature_defs
from serving.protocols.threads import SMALL_ANSWER, SMALL_TEXT, run

Result = TypeVar("Result")

_STATES = {
    State.IDLE: "AVAILABLE",  # it answers requests; a client that waited for another state would wait forever
    State.LOADING: "LOADING",
    State.READY: "AVAILABLE",
    State.FAILED: "END",
}


class _Segment(StringConvertor):
    regex = "[^/:]+"  # a verb follows the name, the version or the label after a colon


register_url_convertor("segment", _Segment())


_ABOUT_MODEL = plain_error_responses(
    TENSORFLOW_REST,
    errors.InvalidParameterError,
    errors.ModelNotFoundError,
    errors.VersionNotFoundError,
    errors.LabelNotFoundError,
)
router = APIRouter(prefix="/v1/models", tags=["TensorFlow Serving"], responses=PLAIN_REFUSAL)


async def status(spec: ModelSpec, request: Request) -> ModelStatusOut:
    """Show the states of the selected versions, newest first."""
    service = service_of(request)
    service.check(spec, caller_of(request.scope))
    return ModelStatusOut(
        model_version_status=[
            VersionStatusOut(
                version=str(found.version),
                state=_STATES[found.state],
                status=StatusOut(error_code="UNKNOWN" if found.error else "OK", error_message=found.error or ""),
            )
            for found in reversed(service.engine.model_statuses()[spec.name])
            if spec.version in (None, found.version) and (spec.label is None or spec.label in found.labels)
        ]
    )


async def metadata(spec: ModelSpec, request: Request) -> MetadataOut:
    """Show the signatures that clients may ask for."""
    service = service_of(request)
    service.check(spec, caller_of(request.scope))
    version, card = await service.engine.resolve(spec)
    return MetadataOut(
        model_spec={"name": spec.name, "signature_name": "", "version": str(version)},
        metadata={"signature_def": {"signature_def": signature_defs(card)}},
    )


async def predict(spec: ModelSpec, request: Request, query: Annotated[TimeoutQuery, Query()]) -> Response:
    """Compute the scores of all classes."""
    asked = await _read(spec, request, read_predict)
    scores = await service_of(request).score(
        asked.images, spec, caller=caller_of(request.scope), timeout_seconds=query.timeout
    )
    key = "predictions" if asked.is_by_row else "outputs"
    content = await run(
        lambda: msgspec.json.encode({key: scores.probabilities.tolist()}),
        is_small=scores.probabilities.size <= SMALL_ANSWER,
    )
    return _answer(content, scores.version, trained=scores.card.weights.trained, timing=scores.timing)


async def classify(spec: ModelSpec, request: Request, query: Annotated[TimeoutQuery, Query()]) -> Response:
    """Find the best classes."""
    images = await _read(spec, request, read_classify)
    found = await service_of(request).classify(
        images, spec, caller=caller_of(request.scope), timeout_seconds=query.timeout
    )
    best = [[(score.label, score.score) for score in scores[:CLASSIFY_TOP_K]] for scores in found.images]
    content = msgspec.json.encode({"results": best})
    return _answer(content, found.version, trained=found.card.weights.trained, timing=found.timing)


async def regress(spec: ModelSpec, request: Request) -> Response:
    """Refuse: the signatures of a classifier have no regression outputs."""
    service_of(request).check(spec, caller_of(request.scope))
    raise errors.InvalidParameterError(f"no signature of {spec.name} answers :regress; use :predict or :classify")


async def _read(spec: ModelSpec, request: Request, parse: Callable[[bytes, int], Result]) -> Result:
    # checked before the body is read, so that an unknown model is refused without an upload
    service_of(request).check(spec, caller_of(request.scope))
    check_encodings(request.headers)
    content = await read(request)  # of any declared type, as TensorFlow Serving does
    max_images: int = request.app.state.settings.max_images
    return await run(lambda: parse(content, max_images), is_small=len(content) <= SMALL_TEXT)


def _answer(content: bytes, version: int, *, trained: bool, timing: Timing) -> Response:
    headers = {
        "X-Model-Version": str(version),
        "X-Model-Trained": str(trained).lower(),
        "Server-Timing": server_timing(timing),
    }
    return Response(content, media_type="application/json", headers=headers)


def _mount(method: str, suffix: str, handler: Handler, summary: str, **options: Any) -> None:
    """Mount a handler on each path that selects a version."""
    for version_path in VERSION_PATHS:
        router.add_api_route(
            version_path.path.replace("}", ":segment}") + suffix,
            endpoint(handler, version_path.parameters),
            methods=[method],
            name=f"tensorflow_{handler.__name__}_{version_path.name}",
            summary=f"{summary}: {version_path.summary}",
            description=handler.__doc__,
            **options,
        )


def _mount_verb(
    handler: Handler, summary: str, body: type[BaseModel], response_model: type[BaseModel], **options: Any
) -> None:
    _mount(
        "POST",
        f":{handler.__name__}",
        handler,
        summary,
        response_model=response_model,
        response_model_exclude_none=True,
        responses=plain_error_responses(TENSORFLOW_REST, *CLASSIFY_ERRORS),
        openapi_extra={
            "requestBody": {"required": True, "content": {"application/json": {"schema": body.model_json_schema()}}}
        },
        **options,
    )


_mount("GET", "", status, "State of a model", response_model=ModelStatusOut, responses=_ABOUT_MODEL)
_mount(
    "GET",
    "/metadata",
    metadata,
    "Signatures of a model",
    response_model=MetadataOut,
    responses=_ABOUT_MODEL | plain_error_responses(TENSORFLOW_REST, errors.ModelUnavailableError),
)
_mount_verb(predict, "Scores of all classes", PredictIn, PredictOut)
_mount_verb(classify, "Best classes", ClassifyIn, ClassifyOut)
_mount("POST", ":regress", regress, "Refused", include_in_schema=False)
