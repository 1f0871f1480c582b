"""The REST reference as Markdown, from the gateway's OpenAPI document."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docs.tools.tables import problems, table
from keras_archs.registry import list_models
from serving.app import create_app
from serving.settings import Settings


def reference() -> str:
    """Return the reference: classify routes, the other routes, schemas, problem types."""
    document = openapi()
    networks = {f"/classify/{name}" for name in list_models()}
    parts = ["## Classify routes\n", *_classify(document, networks)]
    parts += ["## Other routes\n"]
    for path, operations in document["paths"].items():
        if path not in networks:
            for verb, operation in operations.items():
                parts += _route(document, verb, path, operation)
    parts += ["## Schemas\n", *_schemas(document)]
    parts += [
        "## Problem types\n",
        "The `type` of a problem is `urn:keras-archs:problem:` and the name below.\n",
        problems(),
    ]
    return "\n".join(parts)


def openapi() -> dict[str, Any]:
    """Return the OpenAPI document of a gateway whose repository is empty."""
    with tempfile.TemporaryDirectory() as empty:
        document: dict[str, Any] = create_app(Settings(repository=Path(empty))).openapi()
    return document


def _classify(document: dict[str, Any], networks: set[str]) -> Iterator[str]:
    """One section for all networks: their routes differ in the name only."""
    paths = [path for path in document["paths"] if path in networks]
    operation = document["paths"][paths[0]]["post"]
    yield (
        f"There is one route for each of the {len(paths)} networks of the registry, and one for every other model that "
        "is published. They differ in the name only. A network that is not published answers 404.\n"
    )
    yield from _described(document, operation)
    yield "### Networks\n"
    rows = []
    for path in paths:
        post = document["paths"][path]["post"]
        rows.append([f"`POST {path}`", post["summary"].removesuffix(" (not published here)"), ", ".join(post["tags"])])
    yield table(("route", "network, input in pixels", "family"), rows)


def _route(document: dict[str, Any], verb: str, path: str, operation: dict[str, Any]) -> Iterator[str]:
    yield f"### `{verb.upper()} {path}`\n"
    yield f"{operation['summary'].rstrip('.')}. {operation.get('description', '')}\n"
    yield from _described(document, operation)


def _described(document: dict[str, Any], operation: dict[str, Any]) -> Iterator[str]:
    """Parameters, body and answers of an operation."""
    if parameters := operation.get("parameters"):
        rows = [
            [
                f"`{parameter['name']}`",
                parameter["in"] + (", required" if parameter.get("required") else ""),
                _type(parameter["schema"]),
                parameter.get("description") or parameter["schema"].get("description", ""),
            ]
            for parameter in parameters
        ]
        yield table(("parameter", "in", "type", "meaning"), rows)
    if body := operation.get("requestBody"):
        yield "Request body: " + ", ".join(f"`{kind}`" for kind in body["content"]) + ".\n"
    rows = []
    for status, answer in sorted(operation["responses"].items()):
        contents = [
            _type(content["schema"]) if kind.endswith("json") else f"`{kind}`"
            for kind, content in answer.get("content", {}).items()
        ]
        rows.append([status, " or ".join(dict.fromkeys(contents)), " ".join(answer.get("description", "").split())])
    yield table(("status", "body", "meaning"), rows)
    headers = operation["responses"].get("200", {}).get("headers", {})
    if headers:
        yield table(("header", "meaning"), [[f"`{name}`", header["description"]] for name, header in headers.items()])


def _schemas(document: dict[str, Any]) -> Iterator[str]:
    for name, schema in sorted(document["components"]["schemas"].items()):
        if not name.startswith(("HTTPValidation", "ValidationError")):
            yield f"(schema-{name.lower()})=\n### {name}\n"
            yield f"{schema.get('description', '')}\n"
            yield from _fields(schema)


def _fields(schema: dict[str, Any]) -> Iterator[str]:
    if "enum" in schema:
        yield "One of " + ", ".join(f"`{value}`" for value in schema["enum"]) + ".\n"
        return
    rows = [
        [f"`{name}`", _type(field), " ".join(field.get("description", "").split()), _example(field)]
        for name, field in schema.get("properties", {}).items()
    ]
    yield table(("field", "type", "meaning", "example"), rows)


def _type(schema: dict[str, Any]) -> str:
    """Return a JSON schema's type in words, with a link to a named schema."""
    match schema:
        case {"$ref": str() as reference}:
            # FastAPI describes validation errors in its own form; the gateway answers them as problems.
            name = reference.rpartition("/")[2].replace("HTTPValidationError", "Problem")
            words = f"[{name}](#schema-{name.lower()})"
        case {"anyOf": options} | {"oneOf": options}:
            words = " or ".join(_type(option) for option in options)
        case {"type": "array", "prefixItems": items}:
            words = f"[{', '.join(_type(item) for item in items)}]"
        case {"type": "array"}:
            words = f"list of {_type(schema.get('items', {}))}"
        case _:
            bounds = " and ".join(_bounds(schema))
            words = f"{schema.get('type', 'any')} {bounds}".strip()
    return words


def _bounds(schema: dict[str, Any]) -> list[str]:
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    return [f"{sign} {schema[key]:,}" for key, sign in signs.items() if key in schema]


def _example(field: dict[str, Any]) -> str:
    return f"`{field['examples'][0]}`" if field.get("examples") else ""
