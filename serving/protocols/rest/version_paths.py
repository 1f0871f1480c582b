"""The three paths that select a version of a model: the newest, by number, by label."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel

from keras_archs.repository.artifact import MAX_VERSION
from serving.core.errors import InvalidParameterError
from serving.core.repository import ModelSpec

Name = Annotated[str, Path(description="Name of a model in the repository.", examples=["efficientnet-b2"])]
Version = Annotated[int, Path(ge=0, le=MAX_VERSION, description="A published version.")]
Label = Annotated[str, Path(min_length=1, max_length=128, description="A version label, e.g. stable, canary.")]

Handler = Callable[..., Awaitable[Any]]


@dataclass(frozen=True)
class VersionPath:
    """One of the paths that select a version of a model.

    Attributes:
        name: Last part of the operation's name.
        path: Path below the verb.
        summary: The selected version, for the operation's summary.
        description: The selected version, for the operation's description.
        parameters: Annotations of the path parameters besides `model`, by their field of `ModelSpec`.
    """

    name: str
    path: str
    summary: str
    description: str
    parameters: Mapping[str, Any] = field(default_factory=dict)


VERSION_PATHS = (
    VersionPath("newest", "/{model}", "the newest version", "the newest version that is ready"),
    VersionPath("version", "/{model}/versions/{version}", "one version", "the given version", {"version": Version}),
    VersionPath(
        "label",
        "/{model}/labels/{label}",
        "a labelled version",
        "the version that carries the label",
        {"label": Label},
    ),
)


def mount(
    router: APIRouter, handler: Handler, *, description: str, response_model: type[BaseModel], openapi: dict[str, Any]
) -> None:
    """Mount the handler of a verb on each path that selects a version.

    Args:
        router: Router of the verb.
        handler: Function of the arguments `spec`, `request` and `query`, named like the verb.
        description: Description of the operation without the selected version, e.g. "Classify images".
        response_model: Body of a successful response.
        openapi: Further parts of the operation in the OpenAPI document.
    """
    verb = handler.__name__
    for version_path in VERSION_PATHS:
        router.add_api_route(
            version_path.path,
            endpoint(handler, version_path.parameters),
            methods=["POST"],
            response_model=response_model,
            name=f"{verb}_{version_path.name}",
            summary=f"{verb.capitalize()} with {version_path.summary}",
            description=f"{description} with {version_path.description}.",
            openapi_extra=openapi,
        )


def endpoint(handler: Handler, parameters: Mapping[str, Any]) -> Handler:
    """Return a function that builds `spec` from path parameters, which FastAPI reads from the function's signature.

    A dependency could build `spec` as well, but FastAPI solves dependencies at each request.

    Args:
        handler: Function of the arguments `spec`, `request` and, if there are query parameters, `query`.
        parameters: Annotations of the path parameters besides `model`, by their field of `ModelSpec`.
    """

    async def answer(model: str, request: Request, **given: Any) -> Any:
        spec = ModelSpec(model, **{name: given.pop(name) for name in parameters})
        if "query" in given:
            _check_query(request, type(given["query"]))
        return await handler(spec, request, **given)

    keyword = inspect.Parameter.KEYWORD_ONLY
    path = [
        inspect.Parameter(name, keyword, annotation=annotation)
        for name, annotation in {"model": Name, **parameters}.items()
    ]
    _spec, *others = inspect.signature(handler, eval_str=True).parameters.values()
    answer.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [*path, *(other.replace(kind=keyword) for other in others)]
    )
    return answer


def _check_query(request: Request, allowed: type[BaseModel]) -> None:
    """Refuse a query parameter that does not exist, or that is given twice."""
    if not request.scope["query_string"]:
        return
    names = [field.alias or name for name, field in allowed.model_fields.items()]
    seen = set()
    for name, _ in request.query_params.multi_items():
        if name not in names:
            close = difflib.get_close_matches(name[:100].lower(), names, n=1)
            hint = f"did you mean {close[0]}?" if close else f"there are {' and '.join(names)}"
            raise InvalidParameterError(f"no query parameter is called {name[:100]!r}; {hint}")
        if name in seen:
            raise InvalidParameterError(f"the query parameter {name} is given more than once")
        seen.add(name)
