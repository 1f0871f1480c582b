"""The gateway's routes: each reads its parameters, asks the service, and shapes the answer."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from keras_archs.artifact import MAX_VERSION
from keras_archs.preprocessing import MEDIA_TYPES
from serving import errors
from serving.engines import VersionStatus
from serving.http import body
from serving.http.problems import documented
from serving.http.schemas import (
    ClassificationOut,
    ClassOut,
    HealthOut,
    ImagesIn,
    InputOut,
    ModelDetailOut,
    ModelOut,
    VersionOut,
    WantedIn,
)
from serving.repository import ModelSpec
from serving.service import ClassificationService, Timing

Name = Annotated[str, Path(description="A model's name in the repository.", examples=["efficientnet-b2"])]
Version = Annotated[int, Path(ge=1, le=MAX_VERSION, description="A published version.")]
Label = Annotated[str, Path(min_length=1, max_length=128, description="A version label, e.g. stable, canary.")]
Wanted = Annotated[WantedIn, Query()]

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
CLASSIFY_ERRORS = documented(*errors.CATALOGUE)

health = APIRouter(tags=["health"])
models = APIRouter(prefix="/models", tags=["models"])
classify = APIRouter(prefix="/classify", tags=["classify"], responses=CLASSIFY_ERRORS)


async def service(request: Request) -> ClassificationService:
    """The application's service. A coroutine, because FastAPI would send a function to a thread."""
    found: ClassificationService = request.app.state.service
    return found


Service = Annotated[ClassificationService, Depends(service)]


@health.get("/healthz", summary="Is the process alive?")
async def healthz() -> HealthOut:
    """Answers as long as the event loop turns."""
    return HealthOut()


@health.get("/readyz", summary="Can the gateway answer requests?", responses=documented(errors.ModelUnavailableError))
async def readyz(service: Service) -> HealthOut:
    """503 while the model repository cannot be served, or holds no model."""
    problem = service.engine.problem()
    if problem is None and not service.engine.names():
        problem = "the repository holds no model; publish one with `keras-archs export`"
    if problem is not None:
        raise errors.ModelUnavailableError(problem)
    return HealthOut(status="ready")


@models.get("", summary="The published models")
async def list_models(service: Service) -> list[ModelOut]:
    """Every model of the repository with the state of its versions."""
    return [_model(name, versions) for name, versions in service.engine.models().items()]


@models.get(
    "/{model}",
    summary="One model",
    responses=documented(errors.ModelNotFoundError, errors.ModelUnavailableError),
)
async def show_model(model: Name, service: Service) -> ModelDetailOut:
    """A model with its versions, and the card of the version that answers."""
    version, card = await service.engine.card(ModelSpec(model))
    return ModelDetailOut(
        **_model(model, service.engine.models()[model]).model_dump(),
        version=version,
        classes=len(card.labels),
        trained=card.weights.trained,
        weights=card.weights.source,
        created=card.created,
        input=InputOut(
            size=card.preprocessing.size,
            channels=card.preprocessing.channels,
            crop_fraction=card.preprocessing.crop_fraction,
            interpolation=card.preprocessing.interpolation,
        ),
        labels=[label.name for label in card.labels],
    )


@models.get("/{model}/versions", summary="A model's versions", responses=documented(errors.ModelNotFoundError))
async def list_versions(model: Name, service: Service) -> list[VersionOut]:
    """The versions that can be asked for, ascending, with their state and labels."""
    service.engine.check(ModelSpec(model))
    return [_version(status) for status in service.engine.models()[model]]


@classify.post("/{model}", summary="Classify with the newest version", openapi_extra=IMAGE_BODY)
async def classify_newest(
    model: Name, request: Request, response: Response, service: Service, wanted: Wanted
) -> ClassificationOut:
    """Classifies one or more images with the newest version that is ready."""
    return await _classify(ModelSpec(model), request, response, service, wanted)


@classify.post("/{model}/versions/{version}", summary="Classify with one version", openapi_extra=IMAGE_BODY)
async def classify_version(
    model: Name, version: Version, request: Request, response: Response, service: Service, wanted: Wanted
) -> ClassificationOut:
    """Classifies one or more images with the version given."""
    return await _classify(ModelSpec(model, version=version), request, response, service, wanted)


@classify.post("/{model}/labels/{label}", summary="Classify with a labelled version", openapi_extra=IMAGE_BODY)
async def classify_label(
    model: Name, label: Label, request: Request, response: Response, service: Service, wanted: Wanted
) -> ClassificationOut:
    """Classifies one or more images with the version that carries the label."""
    return await _classify(ModelSpec(model, label=label), request, response, service, wanted)


async def _classify(
    spec: ModelSpec, request: Request, response: Response, service: ClassificationService, wanted: WantedIn
) -> ClassificationOut:
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


def _server_timing(timing: Timing) -> str:
    return ", ".join(f"{name};dur={1000 * seconds:.2f}" for name, seconds in vars(timing).items())


def _model(name: str, versions: tuple[VersionStatus, ...]) -> ModelOut:
    return ModelOut(name=name, versions=[_version(status) for status in versions], classify=f"/classify/{name}")


def _version(status: VersionStatus) -> VersionOut:
    return VersionOut(version=status.version, state=status.state, labels=list(status.labels), error=status.error)
