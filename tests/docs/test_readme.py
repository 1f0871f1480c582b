"""What the README shows is so: its table is the registry's, its Python runs, and its answer is the gateway's."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

from keras_archs.analysis.compound_family import members
from keras_archs.cards.scaling import PAPER
from keras_archs.registry import SCALABLE, list_models, model_card, scalable
from keras_archs.repository import artifact
from tests.support.gateway import Gateway, running_gateway

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def row(name: str) -> str:
    card = model_card(name)
    height, width = card.preprocessing.size
    top1 = f"{card.top1.value:.1f} %" if card.top1 else ""
    source = card.top1.source if card.top1 else "not published"
    weights = ", ".join(card.weights) or "untrained"
    size = f"{height}x{width}"
    millions = f"{card.cost.parameters / 1e6:,.1f} M | {card.cost.macs / 1e6:,.1f} M"
    arguments = ", ".join(
        f"{key}={value:.3g}" if isinstance(value, float) else f"{key}={value}" for key, value in card.arguments.items()
    )
    builder = f"{card.builder}({arguments})" if arguments else card.builder
    return f"| `{name}` | `{builder}` | {size} | {millions} | {top1} | {weights} | {source} |"


def test_the_table_of_models_is_the_registrys() -> None:
    table = "\n".join(
        [
            "| name | builder | input | parameters | multiply-adds | top-1 | weights | source of top-1 |",
            "|---|---|---:|---:|---:|---:|---|---|",
            *map(row, list_models()),
        ]
    )
    assert table in README, f"the README's table should be:\n{table}"


def growths(name: str) -> Iterator[float]:
    """What a baseline's multiply-adds are multiplied by, in the order of the table's columns."""
    build, (alpha, beta, gamma) = scalable(name), PAPER
    for coefficients in ((alpha, 1, 1), (1, beta, 1), (1, 1, gamma)):
        (alone,) = members(build, (1,), coefficients)
        yield alone.growth
    yield from (member.growth for member in members(build, (1, 2, 4)))


@pytest.mark.parametrize("name", SCALABLE)
def test_the_growth_of_families_is_what_is_counted(name: str) -> None:
    line = f"| `{name}` | {' | '.join(f'{growth:.2f}' for growth in growths(name))} |"
    assert line in README, f"the README's table should have:\n{line}"


def test_the_python_runs_and_says_what_its_comments_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(ROOT / "serving" / "web" / "coffee.jpg", tmp_path)
    namespace: dict[str, Any] = {}
    for block in blocks("python"):
        exec(compile(block, "README.md", "exec"), namespace)
    printed = capsys.readouterr().out
    for promised in re.findall(r"^print\(.*\)  # (.*)$", README, re.MULTILINE):
        assert promised in printed
    assert artifact.published_versions(tmp_path / "models" / "cats-or-dogs") == [1]


def curl(gateway: Gateway, line: str) -> httpx.Response:
    given = shlex.split(line.removeprefix("$ "))
    pairs = list(pairwise(given))
    (file,) = (value for option, value in pairs if option == "--data-binary")
    headers = {"Content-Type": "application/x-www-form-urlencoded"}  # what curl says if nobody says otherwise
    headers |= dict(value.split(": ") for option, value in pairs if option == "-H")
    path = given[-1].removeprefix("http://127.0.0.1:8000")
    return gateway.client.post(path, content=(ROOT / file.removeprefix("@")).read_bytes(), headers=headers)


def test_the_curl_lines_give_the_answer_and_the_picture_that_are_shown(lite0_repository: Path, tmp_path: Path) -> None:
    with running_gateway(lite0_repository, tmp_path / "log") as gateway:
        classified, explained = (curl(gateway, line) for line in README.splitlines() if line.startswith("$ curl "))
    assert explained.content.startswith(b"\x89PNG")
    answer = classified.json()
    for scores in answer["images"]:
        for score in scores:
            score["score"] = round(score["score"], 3)
    assert answer == json.loads(blocks("json")[0])
