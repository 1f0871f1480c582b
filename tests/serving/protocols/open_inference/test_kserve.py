"""The same requests get the same answers from the gateway and from a real `kserve.ModelServer`, by its own clients.

Both have the same network. kserve is installed in an environment of its own, which `make peers` makes.
"""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support import colours
from tests.support.gateway import running_gateway

PYTHON = Path(__file__).parents[4] / ".venv-peers/bin/python"
PROGRAMS = Path(__file__).parent / "peers"
TOLERANCE = 1e-5
INVALID = {400, 422}
"""Both say that the client can mend the request. The gateway says 422 where the request can be read, and is wrong."""

AGREE = (
    "live",
    "ready",
    "model ready",
    "unknown model ready",
    "infer, binary",
    "infer, JSON",
    "infer, binary output",
    "infer, chosen output",
    "infer, unknown output",
    "infer, unknown model",
    "infer, wrong size",
    "unknown model",
    "no JSON",
    "wrong binary size",
    "gRPC, live",
    "gRPC, ready",
    "gRPC, model ready",
    "gRPC, unknown model ready",
    "gRPC, infer, raw",
    "gRPC, infer, contents",
    "gRPC, infer, unknown model",
    "gRPC, infer, wrong size",
)
KSERVE_DEVIATES = {
    # the specification: an error's body has the field `error`
    "unknown path": {"status": 404, "fields": ["detail"]},
    "no inputs": {"status": 422, "fields": ["detail"]},
    "no data": {"status": 422, "fields": ["detail"]},
    # and what the client can mend is no failure of the server
    "too few data": {"status": 500, "fields": ["error"]},
    "no number": {"status": 500, "fields": ["error"]},
}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PYTHON.exists(), reason="kserve is not installed; `make peers` installs it"),
]


def free_port() -> int:
    """A port that is free now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def running_kserve(log: Path) -> Iterator[tuple[str, str]]:
    """Run a `kserve.ModelServer`; yield its addresses of HTTP and gRPC when it is ready."""
    ports = free_port(), free_port()
    command = [str(PYTHON), str(PROGRAMS / "kserve_server.py"), *map(str, ports)]
    with log.open("w") as output, subprocess.Popen(command, stdout=output, stderr=output) as server:
        try:
            _wait(f"http://127.0.0.1:{ports[0]}/v2/health/ready", server, log)
            yield f"127.0.0.1:{ports[0]}", f"127.0.0.1:{ports[1]}"
        finally:
            server.terminate()
            server.wait(30)


def _wait(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        assert server.poll() is None, log.read_text()
        try:
            if httpx.get(url).is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise AssertionError(log.read_text())


def outcomes(http: str, grpc: str) -> dict[str, Any]:
    """What kserve's clients get from a server, by the name of the request."""
    command = [str(PYTHON), str(PROGRAMS / "kserve_client.py"), http, grpc]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    answered: dict[str, Any] = json.loads(done.stdout)
    return answered


@pytest.fixture(scope="module")
def kserve(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What kserve's server answers."""
    with running_kserve(tmp_path_factory.mktemp("kserve") / "log") as addresses:
        return outcomes(*addresses)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the gateway answers."""
    folder = tmp_path_factory.mktemp("gateway")
    colours.publish(folder / "models")
    (folder / "models" / colours.MODEL / "2").rename(folder / "not published")  # kserve has one version
    with running_gateway(folder / "models", folder / "log", "--preload", colours.MODEL, "--grpc-port", "0") as running:
        return outcomes(f"127.0.0.1:{running.port}", running.grpc_address())


def alike(ours: Any, theirs: Any) -> bool:
    """Return whether two outcomes are the same, up to rounding."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return ours.keys() == theirs.keys() and all(alike(ours[key], theirs[key]) for key in ours)
    if isinstance(ours, list) and isinstance(theirs, list):
        return len(ours) == len(theirs) and all(map(alike, ours, theirs))
    if isinstance(ours, float):
        return bool(ours == pytest.approx(theirs, abs=TOLERANCE))
    return bool(ours == theirs) or {ours, theirs} == INVALID


@pytest.mark.parametrize("name", AGREE)
def test_the_gateway_answers_as_kserve_does(gateway: dict[str, Any], kserve: dict[str, Any], name: str) -> None:
    assert alike(gateway[name], kserve[name]), (gateway[name], kserve[name])


def test_a_model_has_the_input_and_the_output_of_the_same_model_in_kserve(
    gateway: dict[str, Any], kserve: dict[str, Any]
) -> None:
    ours, theirs = gateway["model"]["body"], kserve["model"]["body"]
    assert ours.keys() == theirs.keys()
    assert ours["inputs"][0] == theirs["inputs"][0]
    assert ours["outputs"] == theirs["outputs"]


@pytest.mark.parametrize("name", KSERVE_DEVIATES)
def test_the_gateway_keeps_to_the_specification_where_kserve_does_not(
    gateway: dict[str, Any], kserve: dict[str, Any], name: str
) -> None:
    assert kserve[name] == KSERVE_DEVIATES[name]
    assert gateway[name]["fields"] == ["error"]
    assert gateway[name]["status"] in {404} | INVALID


def test_every_request_is_compared(gateway: dict[str, Any], kserve: dict[str, Any]) -> None:
    assert gateway.keys() == kserve.keys() == {*AGREE, *KSERVE_DEVIATES, "model"}
