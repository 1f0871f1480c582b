"""The OpenAPI document, with one classify route for each registered network, published or not."""

from __future__ import annotations

import copy
import re
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from keras_archs.registry import list_models, model_card
from serving.protocols.access import OPEN_PATHS
from serving.protocols.problems import Problem

TEMPLATE = "/classify/{model}"
SECURITY_SCHEMES: dict[str, dict[str, str]] = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "A key or a token of the gateway."},
    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "A key of the gateway."},
}


def install(app: FastAPI) -> None:
    """Make `app` generate its OpenAPI document again whenever the set of published models has changed."""
    cached: dict[frozenset[str], dict[str, Any]] = {}

    def openapi() -> dict[str, Any]:
        published = frozenset(app.state.service.engine.model_names())
        if published not in cached:
            cached.clear()
            cached[published] = _generate(app, published)
        return cached[published]

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to extend the document


def _generate(app: FastAPI, published: frozenset[str]) -> dict[str, Any]:
    document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    document["components"]["schemas"]["Problem"] = Problem.model_json_schema()
    _hoist_definitions(document)
    if app.state.access.needs_credentials:
        document["components"]["securitySchemes"] = SECURITY_SCHEMES
        document["security"] = [{name: []} for name in SECURITY_SCHEMES]
        for open_path in OPEN_PATHS & document["paths"].keys():
            for operation in document["paths"][open_path].values():
                operation["security"] = []
    template = document["paths"].pop(TEMPLATE)
    registered = list_models()
    paths = {name: _registered(template, name) for name in registered}
    paths |= {name: _unregistered(template, name) for name in sorted(published.difference(registered))}
    for name in set(registered) - published:
        operation = paths[name]["post"]
        operation["summary"] += " (not published here)"
        operation["description"] += f" Publish it with `keras-archs export {name}`; until then this route answers 404."
    document["paths"] = {f"/classify/{name}": path for name, path in paths.items()} | document["paths"]
    return document


def _hoist_definitions(document: dict[str, Any]) -> None:
    """Move the definitions in the schemas of request bodies to the components, to which their references point."""
    for path in document["paths"].values():
        for operation in path.values():
            for content in operation.get("requestBody", {}).get("content", {}).values():
                document["components"]["schemas"] |= content.get("schema", {}).pop("$defs", {})


def _registered(template: dict[str, Any], name: str) -> dict[str, Any]:
    card = model_card(name)
    height, width = card.preprocessing.size
    return _path(
        template,
        name,
        tags=[card.family],
        summary=f"{card.title}, {width}x{height}",
        description=f"Classify images with {card.title} ({card.paper.title}, {card.paper.year}).",
    )


def _unregistered(template: dict[str, Any], name: str) -> dict[str, Any]:
    return _path(template, name, tags=["published here"], summary=f"{name}, published in this repository")


def _path(template: dict[str, Any], name: str, **operation: Any) -> dict[str, Any]:
    """Return the template as the path of one model."""
    path = copy.deepcopy(template)
    path["post"] |= operation
    path["post"]["operationId"] = "classify_" + re.sub(r"\W", "_", name)
    path["post"]["parameters"] = [parameter for parameter in path["post"]["parameters"] if parameter["name"] != "model"]
    return path
