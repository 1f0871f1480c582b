"""The OpenAPI document: one classify route per member of each family, whether it is published here yet or not."""

from __future__ import annotations

import copy
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from keras_archs.registry import list_models, model_card
from serving.http.schemas import Problem

TEMPLATE = "/classify/{model}"


def install(app: FastAPI) -> None:
    """Makes `app` describe itself afresh whenever the set of published models has changed."""
    described: dict[frozenset[str], dict[str, Any]] = {}

    def openapi() -> dict[str, Any]:
        published = frozenset(app.state.service.engine.models())
        if published not in described:
            described.clear()
            described[published] = _describe(app, published)
        return described[published]

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to replace it


def _describe(app: FastAPI, published: frozenset[str]) -> dict[str, Any]:
    document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    document["components"]["schemas"]["Problem"] = Problem.model_json_schema()
    template = document["paths"].pop(TEMPLATE)
    members = {name: _member(template, name, name in published) for name in sorted({*list_models(), *published})}
    document["paths"] = {f"/classify/{name}": path for name, path in members.items()} | document["paths"]
    return document


def _member(template: dict[str, Any], name: str, published: bool) -> dict[str, Any]:
    path = copy.deepcopy(template)
    operation = path["post"]
    operation["operationId"] = f"classify_{name}".replace("-", "_").replace(".", "_")
    operation["parameters"] = [one for one in operation["parameters"] if one["name"] != "model"]
    if name in list_models():
        card = model_card(name)
        height, width = card.preprocessing.size
        operation["tags"] = [card.family]
        operation["summary"] = f"{card.title}, {width}x{height}"
        operation["description"] = f"Classifies images with {card.title} ({card.paper.title}, {card.paper.year})."
    else:
        operation["tags"] = ["published here"]
        operation["summary"] = f"{name}, published in this repository"
    if not published:
        operation["summary"] += " (not published here)"
        operation["description"] += f" Publish it with `keras-archs export {name}`; until then this answers 404."
    return path
