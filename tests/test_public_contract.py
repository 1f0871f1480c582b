"""What users of 0.1.0 rely on is still there: public names, builder signatures, commands and the REST contract.

``python -m tests.test_public_contract`` writes the fixture again: only for a contract that changes on purpose.
"""

from __future__ import annotations

import inspect
import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
import typer

import keras_archs
from keras_archs.cli.app import app as command_line
from keras_archs.registry import list_models
from serving.app import create_app
from serving.settings import Settings

FIXTURE = Path(__file__).parent / "fixtures" / "public_contract.json"
PROSE = {"description", "summary", "title", "examples"}
KEYED_BY_NAME = {"properties", "paths", "schemas", "headers", "responses", "content"}


def without_prose(node: Any, *, keyed_by_name: bool = False) -> Any:
    """An OpenAPI document without the texts for people, which may be rewritten at any time."""
    if isinstance(node, dict):
        return {
            key: without_prose(value, keyed_by_name=key in KEYED_BY_NAME)
            for key, value in node.items()
            if keyed_by_name or key not in PROSE
        }
    return [without_prose(item) for item in node] if isinstance(node, list) else node


def rest_contract() -> dict[str, Any]:
    """Paths and schemas of a gateway without models; the classify routes of the registry's networks as one."""
    with tempfile.TemporaryDirectory() as repository:
        document = without_prose(create_app(Settings(repository=Path(repository))).openapi())
    paths = document["paths"]
    routes = [paths.pop(f"/classify/{name}")["post"] for name in list_models()]
    for route in routes:
        del route["operationId"], route["tags"]
    assert all(route == routes[0] for route in routes)
    return {"member": routes[0], "paths": paths, "schemas": document["components"]["schemas"]}


def commands(group: Any) -> Any:
    """Options and arguments of each command, by name."""
    if hasattr(group, "commands"):
        return {name: commands(command) for name, command in group.commands.items()}
    return sorted("/".join(p.opts) if p.param_type_name == "option" else p.name for p in group.params)


def builder_parameters() -> dict[str, dict[str, str]]:
    """Parameters of each public function with their defaults."""
    functions = {name: getattr(keras_archs, name) for name in keras_archs.__all__}
    return {
        name: {key: repr(parameter.default) for key, parameter in inspect.signature(function).parameters.items()}
        for name, function in functions.items()
        if inspect.isfunction(function)
    }


def contract() -> dict[str, Any]:
    """Everything that the fixture records."""
    return {
        "names": sorted(keras_archs.__all__),
        "parameters": builder_parameters(),
        "models": list_models(),
        "commands": commands(typer.main.get_command(command_line)),
        "rest": rest_contract(),
    }


@pytest.fixture(scope="module")
def published() -> dict[str, Any]:
    """The contract of 0.1.0."""
    recorded: dict[str, Any] = json.loads(FIXTURE.read_text(encoding="utf-8"))
    return recorded


def test_every_public_name_can_be_imported(published: dict[str, Any]) -> None:
    missing = [name for name in published["names"] if not hasattr(keras_archs, name)]
    assert not missing
    assert set(published["names"]) <= set(keras_archs.__all__)


def test_public_functions_keep_their_parameters_and_defaults(published: dict[str, Any]) -> None:
    now = builder_parameters()
    changed = {
        name: (parameters, {key: now[name].get(key) for key in parameters})
        for name, parameters in published["parameters"].items()
        if any(now[name].get(key) != default for key, default in parameters.items())
    }
    assert not changed


def test_every_network_keeps_its_name(published: dict[str, Any]) -> None:
    assert set(published["models"]) <= set(list_models())


def test_every_command_keeps_its_options(published: dict[str, Any]) -> None:
    def check(before: Any, now: Any, path: str) -> None:
        if isinstance(before, dict):
            for name, group in before.items():
                check(group, now[name], f"{path} {name}")
        else:
            assert set(before) <= set(now), f"{path} lost {set(before) - set(now)}"

    check(published["commands"], commands(typer.main.get_command(command_line)), "keras-archs")


def test_rest_routes_keep_parameters_bodies_and_responses(published: dict[str, Any]) -> None:
    now = rest_contract()
    assert now["member"] == published["rest"]["member"]
    for part in ("paths", "schemas"):
        assert {key: now[part].get(key) for key in published["rest"][part]} == published["rest"][part]


if __name__ == "__main__":
    FIXTURE.write_text(json.dumps(contract(), indent=1, sort_keys=True) + "\n", encoding="utf-8")
