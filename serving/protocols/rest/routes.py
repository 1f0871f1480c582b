"""The gateway's routes: each handler reads its parameters, calls the service, and builds the response."""

from __future__ import annotations

from typing import Annotated, Any, cast
from urllib.parse import quote

from fastapi import APIRouter, Query, Request, Response

from keras_archs.images.formats import MEDIA_TYPES
from keras_archs.repository.artifact_card import ArtifactCard
from serving.core import errors
from serving.core.engine import Engine, VersionStatus
from serving.core.repository import EVERY_MODEL, ModelSpec
from serving.core.service import ClassificationService, Explanation, Timing
from serving.protocols.access import caller_of
from serving.protocols.problems import error_responses
from serving.protocols.rest import body
from serving.protocols.rest.accept import preferred
from serving.protocols.rest.networks import accuracy_out, network_out
from serving.protocols.rest.schemas import (
    ClassificationOut,
    ClassifyQuery,
    ClassOut,
    ExplainQuery,
    ExplanationOut,
    HealthOut,
    ImagesBody,
    InputOut,
    ModelDetailOut,
    ModelOut,
    QuantizationOut,
    VersionDetailOut,
    VersionOut,
)
from serving.protocols.rest.version_paths import Name, Version, mount

PNG = "image/png"
IMAGE_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            **{media_type: {"schema": {"type": "string", "format": "binary"}} for media_type in MEDIA_TYPES},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "minProperties": 1,
                    "additionalProperties": {
                        "type": "array",
                        "items": {"type": "string", "format": "binary"},
                        "minItems": 1,
                    },
                }
            },
            "application/json": {"schema": ImagesBody.model_json_schema()},
        },
    }
}
OVERLAY_RESPONSE: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {PNG: {"schema": {"type": "string", "format": "binary"}}},
        "headers": {
            name: {"description": f"With {PNG}: {text}.", "schema": {"type": "string"}}
            for name, text in {
                "X-Model": "the model",
                "X-Model-Version": "the version that answered",
                "X-Model-Trained": "true; false for randomly initialised weights, whose map is meaningless",
                "X-Class-Index": "index of the explained class",
                "X-Class-Label": "label of the class, percent-encoded UTF-8",
                "X-Class-Score": "probability of the class",
            }.items()
        },
    }
}
ACCESS_ERRORS = (errors.UnauthenticatedError, errors.ModelNotAllowedError, errors.RateLimitedError)
CLASSIFY_ERRORS: tuple[type[errors.ServingError], ...] = (
    *ACCESS_ERRORS,
    errors.InvalidImageError,
    errors.MalformedRequestError,
    errors.ModelNotFoundError,
    errors.VersionNotFoundError,
    errors.LabelNotFoundError,
    errors.UploadTimeoutError,
    errors.BodyTooLargeError,
    errors.ImageTooLargeError,
    errors.UnsupportedMediaTypeError,
    errors.InvalidParameterError,
    errors.OverloadedError,
    errors.ModelUnavailableError,
    errors.BackendUnavailableError,
    errors.DeadlineExceededError,
    errors.ClientDeadlineError,
)
EXPLAIN_ERRORS = (*CLASSIFY_ERRORS, errors.NotAcceptableError, errors.ExplanationUnsupportedError)

health_router = APIRouter(tags=["health"])
models_router = APIRouter(prefix="/models", tags=["models"], responses=error_responses(*ACCESS_ERRORS))
classify_router = APIRouter(prefix="/classify", tags=["classify"], responses=error_responses(*CLASSIFY_ERRORS))
explain_router = APIRouter(
    prefix="/explain", tags=["explain"], responses=OVERLAY_RESPONSE | error_responses(*EXPLAIN_ERRORS)
)
ROUTERS = (classify_router, explain_router, models_router, health_router)


def service_of(request: Request) -> ClassificationService:
    """Return the application's service. Not a dependency, because FastAPI solves dependencies at each request."""
    service: ClassificationService = request.app.state.service
    return service


@health_router.get("/healthz", summary="Is the process alive?")
async def healthz() -> HealthOut:
    """Answer 200 as long as the event loop runs."""
    return HealthOut()


@health_router.get(
    "/readyz", summary="Can the gateway answer requests?", responses=error_responses(errors.ModelUnavailableError)
)
async def readyz(request: Request) -> HealthOut:
    """Answer 503 while no model can be served, until each model to preload has been loaded, and when shutting down."""
    reason = request.app.state.not_ready_reason()
    if reason is not None:
        raise errors.ModelUnavailableError(reason)
    return HealthOut(status="ready")


@models_router.get("", summary="The published models")
async def list_models(request: Request) -> list[ModelOut]:
    """List the models that the caller may use with the state of their versions, and what of a model is not served."""
    engine, caller = service_of(request).engine, caller_of(request.scope)
    names = {*engine.model_statuses(), *engine.problems()} - {EVERY_MODEL}
    return [_model_out(engine, name) for name in sorted(names) if caller.may_use(name)]


@models_router.get(
    "/{model}",
    summary="One model",
    responses=error_responses(errors.ModelNotFoundError, errors.InvalidParameterError, errors.ModelUnavailableError),
)
async def show_model(model: Name, request: Request) -> ModelDetailOut:
    """Show a model with its versions, and the card of the version that answers."""
    caller_of(request.scope).check_may_use(model)
    engine = service_of(request).engine
    version, card = await engine.resolve(ModelSpec(model))
    return ModelDetailOut(
        **_model_out(engine, model).model_dump(),
        version=version,
        classes=len(card.labels),
        trained=card.weights.trained,
        weights=card.weights.source,
        multi_label=card.multi_label,
        created=card.created,
        input=_input_out(card),
        labels=[label.name for label in card.labels],
        explain=f"/explain/{model}" if card.explains else None,
        quantization=_quantization_out(card),
    )


@models_router.get(
    "/{model}/versions",
    summary="A model's versions",
    responses=error_responses(errors.ModelNotFoundError, errors.ModelUnavailableError, errors.InvalidParameterError),
)
async def list_versions(model: Name, request: Request) -> list[VersionOut]:
    """List the served versions of a model, ascending, with their state and labels."""
    caller_of(request.scope).check_may_use(model)
    engine = service_of(request).engine
    engine.check_published(ModelSpec(model))
    return [_version_out(status) for status in engine.model_statuses()[model]]


@models_router.get(
    "/{model}/versions/{version}",
    summary="One version",
    responses=error_responses(
        errors.ModelNotFoundError,
        errors.VersionNotFoundError,
        errors.InvalidParameterError,
        errors.ModelUnavailableError,
    ),
)
async def show_version(model: Name, version: Version, request: Request) -> VersionDetailOut:
    """Show a version with its card, and what was published about its network and its weights."""
    caller_of(request.scope).check_may_use(model)
    engine, spec = service_of(request).engine, ModelSpec(model, version=version)
    engine.check_published(spec)
    status = next(status for status in engine.model_statuses()[model] if status.version == version)
    _, card = await engine.resolve(spec)
    return VersionDetailOut(
        **_version_out(status).model_dump(),
        model=model,
        classes=len(card.labels),
        trained=card.weights.trained,
        weights=card.weights.source,
        licence=card.weights.licence,
        multi_label=card.multi_label,
        created=card.created,
        input=_input_out(card),
        class_names=[label.name for label in card.labels],
        explain=f"/explain/{model}/versions/{version}" if card.explains else None,
        network=network_out(card),
        accuracy=accuracy_out(card),
        quantization=_quantization_out(card),
    )


async def classify(spec: ModelSpec, request: Request, query: Annotated[ClassifyQuery, Query()]) -> Response:
    """Classify one or more images."""
    service, caller = service_of(request), caller_of(request.scope)
    # checked before the body is read, so that an unknown model is refused without an upload
    service.check(spec, caller)
    images = await body.read_images(request, request.app.state.settings.max_images)
    answer = await service.classify(images, spec, top_k=query.top_k, timeout_seconds=query.timeout, caller=caller)
    content = ClassificationOut.model_construct(
        model=spec.name,
        version=answer.version,
        trained=answer.card.weights.trained,
        weights=answer.card.weights.source,
        multi_label=answer.card.multi_label,
        images=cast(Any, answer.images),  # with ClassOut's fields, and not copied: there may be tens of thousands
    )
    return Response(
        content.model_dump_json(warnings=False),
        media_type="application/json",
        headers={"Server-Timing": server_timing(answer.timing)},
    )


async def explain(spec: ModelSpec, request: Request, query: Annotated[ExplainQuery, Query()]) -> Response:
    """Show which places of one image are evidence for a class, as numbers or as a picture."""
    service, caller = service_of(request), caller_of(request.scope)
    service.check(spec, caller)
    accept = ",".join(request.headers.getlist("Accept"))
    media_type = preferred(accept, ("application/json", PNG))
    if media_type is None:
        raise errors.NotAcceptableError(f"got {accept!r}; an explanation is application/json or {PNG}")
    images = await body.read_images(request, request.app.state.settings.max_images)
    if len(images) != 1:
        raise errors.InvalidParameterError(f"a request may have one image to explain; got {len(images)}")
    answer = await service.explain(
        images[0],
        spec,
        index=query.index,
        draw=media_type == PNG,
        timeout_seconds=query.timeout,
        caller=caller,
    )
    headers = {"Server-Timing": server_timing(answer.timing), "Vary": "Accept"}
    if answer.overlay is not None:
        return Response(answer.overlay, media_type=PNG, headers=headers | _overlay_headers(spec, answer))
    content = ExplanationOut(
        model=spec.name,
        version=answer.version,
        trained=answer.card.weights.trained,
        weights=answer.card.weights.source,
        explained=ClassOut(**vars(answer.explained)),
        grid=answer.grid.tolist(),
        input=_input_out(answer.card),
    )
    return Response(content.model_dump_json(by_alias=True), media_type="application/json", headers=headers)


mount(
    classify_router,
    classify,
    description="Classify one or more images",
    response_model=ClassificationOut,
    openapi=IMAGE_BODY,
)
mount(
    explain_router,
    explain,
    description="Show which places of one image are evidence for a class, as numbers or as a picture "
    "(`Accept: image/png`)",
    response_model=ExplanationOut,
    openapi=IMAGE_BODY,
)


def _overlay_headers(spec: ModelSpec, answer: Explanation) -> dict[str, str]:
    return {
        "X-Model": spec.name,
        "X-Model-Version": str(answer.version),
        "X-Model-Trained": str(answer.card.weights.trained).lower(),
        "X-Class-Index": str(answer.explained.index),
        "X-Class-Label": quote(answer.explained.label),
        "X-Class-Score": f"{answer.explained.score:.6g}",
    }


def server_timing(timing: Timing) -> str:
    """Return the header `Server-Timing`: milliseconds per step, and the arithmetic of the inference."""
    seconds = dict(vars(timing))
    arithmetic = seconds.pop("arithmetic")
    steps = {name: f"{name};dur={1000 * duration:.2f}" for name, duration in seconds.items()}
    steps["inference"] += f';desc="{arithmetic}"'
    return ", ".join(steps.values())


def _input_out(card: ArtifactCard) -> InputOut:
    return InputOut(
        size=card.preprocessing.size,
        channels=card.preprocessing.channels,
        crop_fraction=card.preprocessing.crop_fraction,
        interpolation=card.preprocessing.interpolation,
    )


def _quantization_out(card: ArtifactCard) -> QuantizationOut | None:
    return None if card.quantization is None else QuantizationOut.model_validate(card.quantization.to_json())


def _model_out(engine: Engine, name: str) -> ModelOut:
    return ModelOut(
        name=name,
        versions=[_version_out(status) for status in engine.model_statuses().get(name, ())],
        classify=f"/classify/{name}",
        problems=list(engine.problems().get(name, ())),
    )


def _version_out(status: VersionStatus) -> VersionOut:
    return VersionOut(
        version=status.version,
        state=status.state,
        labels=list(status.labels),
        error=status.error,
        arithmetic=status.arithmetic,
    )
