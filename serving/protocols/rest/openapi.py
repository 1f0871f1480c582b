"""The OpenAPI document: one classify route per member of each family, whether it is published here yet or not."""

from __future__ import annotations

import copy
import re
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from keras_archs.registry import list_models, model_card
from serving.protocols.problems import Problem

TEMPLATE = "/classify/{model}"


def install(app: FastAPI) -> None:
    """Makes `app` describe itself afresh whenever the set of published models has changed."""
    described: dict[frozenset[str], dict[str, Any]] = {}

    def openapi() -> dict[str, Any]:
        published = frozenset(app.state.service.engine.names())
        if published not in described:
            described.clear()
            described[published] = _describe(app, published)
        return described[published]

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to replace it


def _describe(app: FastAPI, published: frozenset[str]) -> dict[str, Any]:
    document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    document["components"]["schemas"]["Problem"] = Problem.model_json_schema()
    template = document["paths"].pop(TEMPLATE)
    known = list_models()
    others = sorted(published.difference(known))
    members = {name: _registered(template, name) for name in known} | {
        name: _foreign(template, name) for name in others
    }
    for name in set(known) - published:
        operation = members[name]["post"]
        operation["summary"] += " (not published here)"
        operation["description"] += f" Publish it with `keras-archs export {name}`; until then this answers 404."
    document["paths"] = {f"/classify/{name}": path for name, path in members.items()} | document["paths"]
    return document


def _registered(template: dict[str, Any], name: str) -> dict[str, Any]:
    card = model_card(name)
    height, width = card.preprocessing.size
    return _member(
        template,
        name,
        tags=[card.family],
        summary=f"{card.title}, {width}x{height}",
        description=f"Classifies images with {card.title} ({card.paper.title}, {card.paper.year}).",
    )


def _foreign(template: dict[str, Any], name: str) -> dict[str, Any]:
    return _member(template, name, tags=["published here"], summary=f"{name}, published in this repository")


def _member(template: dict[str, Any], name: str, **described: Any) -> dict[str, Any]:
    path = copy.deepcopy(template)
    path["post"] |= described
    path["post"]["operationId"] = "classify_" + re.sub(r"\W", "_", name)
    path["post"]["parameters"] = [one for one in path["post"]["parameters"] if one["name"] != "model"]
    return path
