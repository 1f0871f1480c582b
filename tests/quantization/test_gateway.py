"""The gateway answers in int8, says so with each answer, and shows what int8 costs."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest

from keras_archs.repository import artifact
from serving.app import create_app
from serving.settings import Settings

CLASSIFIED = {version: f"/classify/colours/versions/{version}" for version in (1, 2)}
EXPLAINED = "/explain/colours"
SHOWN = ("/models/colours", "/models/colours/versions/2")


@pytest.fixture(scope="module")
def answers(repository: Path, pictures: Path) -> dict[str, httpx.Response]:
    """The gateway's answers by path: those for a green picture, and then what it says of the model."""
    picture = (pictures / "green" / "1.png").read_bytes()

    async def ask() -> dict[str, httpx.Response]:
        app = create_app(Settings(repository=repository, precision="f32"))
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway") as client,
        ):
            asked = {path: await client.post(path, content=picture) for path in (*CLASSIFIED.values(), EXPLAINED)}
            shown = (*SHOWN, "/models/colours/versions", "/models/colours/versions/1")
            return asked | {path: await client.get(path) for path in shown}

    return asyncio.run(ask())


@pytest.mark.parametrize(("version", "arithmetic"), [(1, "f32"), (2, "int8")])
def test_an_answer_says_which_arithmetic_computed_it(
    answers: dict[str, httpx.Response], version: int, arithmetic: str
) -> None:
    answer = answers[CLASSIFIED[version]]
    assert answer.json()["images"][0][0]["label"] == "green"
    assert answer.headers["Server-Timing"].endswith(f';desc="{arithmetic}"')
    versions = {found["version"]: found["arithmetic"] for found in answers["/models/colours/versions"].json()}
    assert versions[version] == arithmetic


def test_an_explanation_says_that_float32_computed_it(answers: dict[str, httpx.Response]) -> None:
    answer = answers[EXPLAINED]
    assert answer.json()["version"] == 2
    assert ';desc="f32"' in answer.headers["Server-Timing"]


@pytest.mark.parametrize("path", SHOWN)
def test_a_model_shows_the_numbers_of_its_card(answers: dict[str, httpx.Response], repository: Path, path: str) -> None:
    card = artifact.read_card(repository / "colours" / "2")
    assert card.quantization
    assert answers[path].json()["quantization"] == card.quantization.to_json()


def test_a_version_without_an_int8_graph_shows_none(answers: dict[str, httpx.Response]) -> None:
    assert answers["/models/colours/versions/1"].json()["quantization"] is None
