"""The gateway's routes: each reads its parameters, asks the service, and shapes the answer."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Path, Query, Request, Response

from keras_archs.images.preprocessing import MEDIA_TYPES
from keras_archs.repository.artifact import MAX_VERSION, ArtifactCard
from serving.core import errors
from serving.core.engine import VersionStatus
from serving.core.repository import ModelSpec
from serving.core.service import ClassificationService, Explanation, Timing
from serving.protocols.problems import documented
from serving.protocols.rest import body
from serving.protocols.rest.accept import preferred
from serving.protocols.rest.schemas import (
    ClassificationOut,
    ClassOut,
    ExplainIn,
    ExplanationOut,
    HealthOut,
    ImagesIn,
    InputOut,
    ModelDetailOut,
    ModelOut,
    VersionOut,
    WantedIn,
)

Name = Annotated[str, Path(description="A model's name in the repository.", examples=["efficientnet-b2"])]
Version = Annotated[int, Path(ge=1, le=MAX_VERSION, description="A published version.")]
Label = Annotated[str, Path(min_length=1, max_length=128, description="A version label, e.g. stable, canary.")]
Wanted = Annotated[WantedIn, Query()]
Asked = Annotated[ExplainIn, Query()]

IMAGE_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            **{media_type: {"schema": {"type": "string", "format": "binary"}} for media_type in MEDIA_TYPES},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "additionalProperties": {
                        "type": "array",
                        "items": {"type": "string", "format": "binary"},
                    },
                }
            },
            "application/json": {"schema": ImagesIn.model_json_schema()},
        },
    }
}
PNG = "image/png"
EXPLANATION: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {PNG: {"schema": {"type": "string", "format": "binary"}}},
        "headers": {
            name: {"description": f"Of a picture: {text}.", "schema": {"type": "string"}}
            for name, text in {
                "X-Model": "the model",
                "X-Model-Version": "the version that answered",
                "X-Model-Trained": "true; false for weights as initialised, of which the map means nothing",
                "X-Class-Index": "the class that the map is of",
                "X-Class-Label": "its label, percent-encoded UTF-8",
                "X-Class-Score": "its probability",
            }.items()
        },
    }
}

health = APIRouter(tags=["health"])
models = APIRouter(prefix="/models", tags=["models"])
classify = APIRouter(prefix="/classify", tags=["classify"], responses=documented(*errors.OF_CLASSIFYING))
explain = APIRouter(prefix="/explain", tags=["explain"], responses=EXPLANATION | documented(*errors.OF_EXPLAINING))


def service_of(request: Request) -> ClassificationService:
    """The application's service. Not a dependency: FastAPI would solve it anew for every request."""
    service: ClassificationService = request.app.state.service
    return service


@health.get("/healthz", summary="Is the process alive?")
async def healthz() -> HealthOut:
    """Answers as long as the event loop turns."""
    return HealthOut()


@health.get("/readyz", summary="Can the gateway answer requests?", responses=documented(errors.ModelUnavailableError))
async def readyz(request: Request) -> HealthOut:
    """503 while the model repository cannot be served, or holds no model."""
    engine = service_of(request).engine
    problem = engine.problem()
    if problem is None and not engine.names():
        problem = "the repository holds no model; publish one with `keras-archs export`"
    if problem is not None:
        raise errors.ModelUnavailableError(problem)
    return HealthOut(status="ready")


@models.get("", summary="The published models")
async def list_models(request: Request) -> list[ModelOut]:
    """Every model of the repository with the state of its versions."""
    return [_model(name, versions) for name, versions in service_of(request).engine.models().items()]


@models.get(
    "/{model}",
    summary="One model",
    responses=documented(errors.ModelNotFoundError, errors.ModelUnavailableError),
)
async def show_model(model: Name, request: Request) -> ModelDetailOut:
    """A model with its versions, and the card of the version that answers."""
    engine = service_of(request).engine
    version, card = await engine.card(ModelSpec(model))
    return ModelDetailOut(
        **_model(model, engine.models()[model]).model_dump(),
        version=version,
        classes=len(card.labels),
        trained=card.weights.trained,
        weights=card.weights.source,
        created=card.created,
        input=_input(card),
        labels=[label.name for label in card.labels],
        explain=f"/explain/{model}" if card.explains else None,
    )


@models.get("/{model}/versions", summary="A model's versions", responses=documented(errors.ModelNotFoundError))
async def list_versions(model: Name, request: Request) -> list[VersionOut]:
    """The versions that can be asked for, ascending, with their state and labels."""
    engine = service_of(request).engine
    engine.check(ModelSpec(model))
    return [_version(status) for status in engine.models()[model]]


@classify.post("/{model}", summary="Classify with the newest version", openapi_extra=IMAGE_BODY)
async def classify_newest(model: Name, request: Request, response: Response, wanted: Wanted) -> ClassificationOut:
    """Classifies one or more images with the newest version that is ready."""
    return await _classify(ModelSpec(model), request, response, wanted)


@classify.post("/{model}/versions/{version}", summary="Classify with one version", openapi_extra=IMAGE_BODY)
async def classify_version(
    model: Name, version: Version, request: Request, response: Response, wanted: Wanted
) -> ClassificationOut:
    """Classifies one or more images with the version given."""
    return await _classify(ModelSpec(model, version=version), request, response, wanted)


@classify.post("/{model}/labels/{label}", summary="Classify with a labelled version", openapi_extra=IMAGE_BODY)
async def classify_label(
    model: Name, label: Label, request: Request, response: Response, wanted: Wanted
) -> ClassificationOut:
    """Classifies one or more images with the version that carries the label."""
    return await _classify(ModelSpec(model, label=label), request, response, wanted)


async def _classify(spec: ModelSpec, request: Request, response: Response, wanted: WantedIn) -> ClassificationOut:
    service = service_of(request)
    service.engine.check(spec)  # before the body is read: a typo should not cost an upload
    images = await body.read_images(request, request.app.state.settings.max_images)
    answer = await service.classify(images, spec, top_k=wanted.top_k, within=wanted.timeout)
    response.headers["Server-Timing"] = _server_timing(answer.timing)
    return ClassificationOut(
        model=spec.name,
        version=answer.version,
        trained=answer.card.weights.trained,
        weights=answer.card.weights.source,
        images=[[ClassOut(**vars(score)) for score in scores] for scores in answer.images],
    )


@explain.post(
    "/{model}", response_model=ExplanationOut, summary="Explain with the newest version", openapi_extra=IMAGE_BODY
)
async def explain_newest(model: Name, request: Request, response: Response, asked: Asked) -> ExplanationOut | Response:
    """Shows which places of one image speak for a class: as numbers or, with `Accept: image/png`, as a picture."""
    return await _explain(ModelSpec(model), request, response, asked)


@explain.post(
    "/{model}/versions/{version}",
    response_model=ExplanationOut,
    summary="Explain with one version",
    openapi_extra=IMAGE_BODY,
)
async def explain_version(
    model: Name, version: Version, request: Request, response: Response, asked: Asked
) -> ExplanationOut | Response:
    """Shows which places of one image speak for a class, with the version given."""
    return await _explain(ModelSpec(model, version=version), request, response, asked)


@explain.post(
    "/{model}/labels/{label}",
    response_model=ExplanationOut,
    summary="Explain with a labelled version",
    openapi_extra=IMAGE_BODY,
)
async def explain_label(
    model: Name, label: Label, request: Request, response: Response, asked: Asked
) -> ExplanationOut | Response:
    """Shows which places of one image speak for a class, with the version that carries the label."""
    return await _explain(ModelSpec(model, label=label), request, response, asked)


async def _explain(
    spec: ModelSpec, request: Request, response: Response, asked: ExplainIn
) -> ExplanationOut | Response:
    service = service_of(request)
    service.engine.check(spec)
    accept = ",".join(request.headers.getlist("Accept"))
    form = preferred(accept, ("application/json", PNG))
    if form is None:
        raise errors.NotAcceptableError(f"got {accept!r}; an explanation is application/json or {PNG}")
    images = await body.read_images(request, request.app.state.settings.max_images)
    if len(images) != 1:
        raise errors.InvalidParameterError(f"a request may have one image to explain; got {len(images)}")
    answer = await service.explain(images[0], spec, index=asked.index, draw=form == PNG, within=asked.timeout)
    headers = {"Server-Timing": _server_timing(answer.timing), "Vary": "Accept"}
    if answer.picture is not None:
        return Response(answer.picture, media_type=PNG, headers=headers | _described(spec, answer))
    response.headers.update(headers)
    return ExplanationOut(
        model=spec.name,
        version=answer.version,
        trained=answer.card.weights.trained,
        weights=answer.card.weights.source,
        explained=ClassOut(**vars(answer.explained)),
        grid=answer.grid.tolist(),
        input=_input(answer.card),
    )


def _described(spec: ModelSpec, answer: Explanation) -> dict[str, str]:
    return {
        "X-Model": spec.name,
        "X-Model-Version": str(answer.version),
        "X-Model-Trained": str(answer.card.weights.trained).lower(),
        "X-Class-Index": str(answer.explained.index),
        "X-Class-Label": quote(answer.explained.label),
        "X-Class-Score": f"{answer.explained.score:.6g}",
    }


def _server_timing(timing: Timing) -> str:
    return ", ".join(f"{name};dur={1000 * seconds:.2f}" for name, seconds in vars(timing).items())


def _input(card: ArtifactCard) -> InputOut:
    return InputOut(
        size=card.preprocessing.size,
        channels=card.preprocessing.channels,
        crop_fraction=card.preprocessing.crop_fraction,
        interpolation=card.preprocessing.interpolation,
    )


def _model(name: str, versions: tuple[VersionStatus, ...]) -> ModelOut:
    return ModelOut(name=name, versions=[_version(status) for status in versions], classify=f"/classify/{name}")


def _version(status: VersionStatus) -> VersionOut:
    return VersionOut(version=status.version, state=status.state, labels=list(status.labels), error=status.error)
