"""Every snippet of the README and of the site works: Python runs, commands exist, curl lines give the answer shown."""

from __future__ import annotations

import base64
import json
import re
import shutil
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pyarrow.parquet
import pytest
import yaml
from typer.main import get_command

from keras_archs.cli.app import app, run
from keras_archs.cli.train_options import check_options
from serving.settings import Settings
from tests.support.gateway import Gateway, running_gateway
from tests.support.snippets import COFFEE, PAGES, ROOT, blocks, commands, curls, name, pages_with, printed, words

HOST, GRPC = "127.0.0.1:8000", "127.0.0.1:8001"
GATEWAY = f"http://{HOST}"


SLOW = {"docs/training.md"}
"""Pages whose Python trains a whole network."""


@pytest.fixture
def photographs_by_class(photographs: dict[str, bytes], tmp_path: Path) -> None:
    """A folder `photographs` with two classes."""
    for subject in ("coffee", "chelsea"):
        (tmp_path / "photographs" / subject).mkdir(parents=True)
        for number in range(2):
            (tmp_path / "photographs" / subject / f"{number}.jpg").write_bytes(photographs[subject])


@pytest.fixture
def table_of_answers(tmp_path: Path) -> None:
    """A table `results.parquet`, as far as the pages read it."""
    pyarrow.parquet.write_table(pyarrow.table({"label": [["espresso", "cup"]]}), tmp_path / "results.parquet")


@pytest.fixture
def gateway(lite0_repository: Path, tmp_path: Path) -> Iterator[Gateway]:
    """A gateway with efficientnet-lite0."""
    flags = ("--preload", "efficientnet-lite0", "--grpc-port", "0")
    with running_gateway(lite0_repository, tmp_path / "log", *flags) as gateway:
        yield gateway


@pytest.mark.usefixtures("photographs_by_class", "table_of_answers")
@pytest.mark.parametrize(
    "page",
    [pytest.param(page, marks=[pytest.mark.slow] * (name(page) in SLOW)) for page in pages_with("python")],
    ids=name,
)
def test_python_prints_what_its_comments_say(
    page: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    request: pytest.FixtureRequest,
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(COFFEE, tmp_path)
    namespace: dict[str, Any] = {}
    code = blocks(page, "python")
    if any(HOST in block for block in code):
        gateway: Gateway = request.getfixturevalue("gateway")
        code = [block.replace(HOST, f"127.0.0.1:{gateway.port}") for block in code]
        code = [block.replace(GRPC, gateway.grpc_address()) for block in code]
    for block in code:
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
    # what takes minutes, or asks a gateway or a cluster, has tests of its own
    if arguments[0] in {"choose", "quantize"} or {"--url", "--ray"} & {*arguments}:
        get_command(app).commands[arguments[0]].make_context(arguments[0], arguments[1:])  # type: ignore[attr-defined]
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
    if arguments[:3] == ["create", "secret", "generic"]:
        manifest = (ROOT / "docker" / "kubernetes" / "base" / "gateway.yaml").read_text(encoding="utf-8")
        assert f"secretName: {arguments[3]}" in manifest
        return
    assert arguments[:2] == ["apply", "--kustomize"]
    assert (ROOT / arguments[2] / "kustomization.yaml").exists()


def tensorflow_model_server(arguments: list[str]) -> None:
    known = (ROOT / "compose.yaml").read_text(encoding="utf-8")  # whose command runs in `make container-test`
    for argument in arguments:
        assert f"- {argument.partition('=')[0]}" in known


def mkdir(arguments: list[str]) -> None:
    (folder,) = arguments
    Path(folder).mkdir()


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
    "cd": elsewhere,
    "pip": elsewhere,
    "mkdir": mkdir,
}


@pytest.mark.parametrize("page", pages_with("console"), ids=name)
def test_commands_work(page: Path, workspace: Path) -> None:
    for line in commands(page):
        for command in line.split(" && "):
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
    bodies = [body(value) for option, value in pairs if option in ("-d", "--data-binary")]
    if not bodies:
        return gateway.client.get(path, headers=headers)
    headers = {"Content-Type": "application/x-www-form-urlencoded"} | headers  # curl's default
    return gateway.client.post(path, content=bodies[0], headers=headers)


def body(data: str) -> bytes:
    """Return a file, or a text in which the shell replaces files by their base64."""
    if data.startswith("@"):
        return (ROOT / data[1:]).read_bytes()
    encode = r"\$\(base64 -w0 (.*?)\)"
    return re.sub(encode, lambda file: base64.b64encode((ROOT / file[1]).read_bytes()).decode(), data).encode()


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
                assert json.loads(response.text, parse_float=rounded) == json.loads(shown.answer)


def rounded(number: str) -> float:
    return round(float(number), 3)
