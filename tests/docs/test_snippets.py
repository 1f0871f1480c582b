"""Every snippet of the README and of the site works: Python runs, commands exist, curl lines give the answer shown."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from typer.main import get_command

from keras_archs.cli.app import app, run
from keras_archs.cli.train_options import check_options
from serving.settings import Settings
from tests.support.gateway import Gateway, running_gateway
from tests.support.snippets import COFFEE, PAGES, ROOT, blocks, commands, curls, name, pages_with, printed, words

GATEWAY = "http://127.0.0.1:8000"


SLOW = {"docs/training.md"}
"""Pages whose Python trains a whole network."""


@pytest.fixture
def photographs_by_class(photographs: dict[str, bytes], tmp_path: Path) -> None:
    """A folder `photographs` with two classes."""
    for subject in ("coffee", "chelsea"):
        (tmp_path / "photographs" / subject).mkdir(parents=True)
        for number in range(2):
            (tmp_path / "photographs" / subject / f"{number}.jpg").write_bytes(photographs[subject])


@pytest.mark.usefixtures("photographs_by_class")
@pytest.mark.parametrize(
    "page",
    [pytest.param(page, marks=[pytest.mark.slow] * (name(page) in SLOW)) for page in pages_with("python")],
    ids=name,
)
def test_python_prints_what_its_comments_say(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(COFFEE, tmp_path)
    namespace: dict[str, Any] = {}
    for block in blocks(page, "python"):
        exec(compile(block, name(page), "exec"), namespace)
    output = capsys.readouterr().out
    shown = printed(page)
    assert len(shown) == len(re.findall(r"^print\(", "\n".join(blocks(page, "python")), re.MULTILINE))
    for line in shown:
        assert line in output


@pytest.fixture
def workspace(lite0_repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with published networks and a photograph; the gateway only checks its settings."""
    for published in ("efficientnet-lite0", "efficientnet-lite1", "mobilenet-1.0-224"):  # only lite0 is loaded
        shutil.copytree(lite0_repository / "efficientnet-lite0", tmp_path / "models" / published)
    (tmp_path / "serving" / "web").mkdir(parents=True)
    shutil.copy(COFFEE, tmp_path / "serving" / "web")
    (tmp_path / "photographs" / "espresso").mkdir(parents=True)
    shutil.copy(COFFEE, tmp_path / "photographs" / "espresso")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("serving.run.serve", Settings)
    return tmp_path


def train(arguments: list[str]) -> None:
    """Check options and values: a training takes a minute and has tests of its own."""
    context = get_command(app).commands["train"].make_context("train", arguments)  # type: ignore[attr-defined]
    sources = {name: context.get_parameter_source(name) for name in context.params}
    check_options([name for name, source in sources.items() if source and source.name == "COMMANDLINE"])


def keras_archs(arguments: list[str]) -> None:
    if arguments[0] == "train":
        train(arguments[1:])
        return
    # Exports take a minute each and have tests of their own: here the versions are published already.
    assert run([*arguments, "--if-missing"] if arguments[0] == "export" else arguments) == 0


def make(arguments: list[str]) -> None:
    (target,) = arguments
    assert re.search(rf"^{target}:.*##", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


def docker(arguments: list[str]) -> None:
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
    profiles = {profile for service in compose["services"].values() for profile in service.get("profiles", ())}
    assert arguments[0] == "compose"
    assert {value for option, value in pairwise(arguments) if option == "--profile"} <= profiles
    if "run" in arguments:
        service, command, *rest = [word for word in arguments[2:] if word != "--rm"]
        assert service in compose["services"]
        assert command == "keras-archs"
        keras_archs(rest)


def kubectl(arguments: list[str]) -> None:
    assert arguments[:2] == ["apply", "--kustomize"]
    assert (ROOT / arguments[2] / "kustomization.yaml").exists()


def tensorflow_model_server(arguments: list[str]) -> None:
    known = (ROOT / "compose.yaml").read_text(encoding="utf-8")  # whose command runs in `make container-test`
    for argument in arguments:
        assert f"- {argument.partition('=')[0]}" in known


def elsewhere(arguments: list[str]) -> None:
    """Accept a command that another test runs, or that fetches this repository."""


CHECKS: dict[str, Callable[[list[str]], None]] = {
    "keras-archs": keras_archs,
    "make": make,
    "docker": docker,
    "kubectl": kubectl,
    "tensorflow_model_server": tensorflow_model_server,
    "curl": elsewhere,
    "git": elsewhere,
}


@pytest.mark.parametrize("page", pages_with("console"), ids=name)
def test_commands_work(page: Path, workspace: Path) -> None:
    for command in commands(page):
        program, *arguments = words(command)
        CHECKS[program](arguments)


def curl(gateway: Gateway, line: str) -> httpx.Response:
    """Send what curl would send."""
    arguments = words(line)
    pairs = list(pairwise(arguments))
    path = arguments[-1].removeprefix(GATEWAY)
    parts = [value.partition("=@") for option, value in pairs if option == "-F"]
    headers = dict(value.split(": ") for option, value in pairs if option == "-H")
    if parts:
        files = [(field, (Path(file).name, (ROOT / file).read_bytes(), "image/jpeg")) for field, _, file in parts]
        return gateway.client.post(path, files=files, headers=headers)
    (file,) = (value.removeprefix("@") for option, value in pairs if option == "--data-binary")
    headers = {"Content-Type": "application/x-www-form-urlencoded"} | headers  # curl's default
    return gateway.client.post(path, content=(ROOT / file).read_bytes(), headers=headers)


def test_curl_lines_give_the_answers_that_are_shown(lite0_repository: Path, tmp_path: Path) -> None:
    lines = [shown for page in PAGES for shown in curls(page)]
    assert len(lines) == sum(command.startswith("curl ") for page in PAGES for command in commands(page))
    with running_gateway(lite0_repository, tmp_path / "log") as gateway:
        for shown in lines:
            response = curl(gateway, shown.line)
            assert response.status_code == httpx.codes.OK, response.text
            if "image/png" in shown.line:
                assert response.content.startswith(b"\x89PNG")
            if shown.answer:
                assert rounded(response.json()) == json.loads(shown.answer)


def rounded(answer: dict[str, Any]) -> dict[str, Any]:
    for scores in answer["images"]:
        for score in scores:
            score["score"] = round(score["score"], 3)
    return answer
