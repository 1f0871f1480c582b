"""The servers that are compared: how each is started, and the settings that are tried for it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from benchmarks.closed_loop import http_request
from benchmarks.peers.classifier import OPTIONS

ROOT = Path(__file__).parents[2]
READY_SECONDS = 90
STOP_SECONDS = 10


@dataclass(frozen=True)
class Contender:
    """A server with one choice of its settings.

    Attributes:
        name: Name in the tables.
        command: Command line; `{python}`, `{bin}` and `{port}` are filled in.
        path: Path to which photographs are posted.
        ready: Path that answers 200 when the server is ready.
        options: Options of a peer's server, as `benchmarks.peers.classifier.options` returns them.
        settings: What was chosen, for the tables.
        form_field: Field of a form that has the photograph; empty if the photograph is the whole body.
    """

    name: str
    command: tuple[str, ...]
    path: str
    ready: str
    options: Mapping[str, Any] = field(default_factory=dict)
    settings: str = ""
    form_field: str = ""

    def request(self, image: bytes) -> bytes:
        """Return the bytes of the HTTP request that posts a JPEG."""
        if not self.form_field:
            return http_request(self.path, image)
        boundary = "end-of-part"
        disposition = f'Content-Disposition: form-data; name="{self.form_field}"; filename="photograph.jpg"'
        part = f"--{boundary}\r\n{disposition}\r\nContent-Type: image/jpeg\r\n\r\n".encode()
        body = part + image + f"\r\n--{boundary}--\r\n".encode()
        return http_request(self.path, body, f"multipart/form-data; boundary={boundary}")


def gateway(repository: Path, model: str, precision: str, deadline: float) -> Contender:
    """Return the gateway with its defaults, but in the arithmetic of the others; its clients say how long they wait."""
    serve = ("serve", "--repository", str(repository), "--preload", model, "--log-level", "warning")
    command = (
        str(Path(sys.executable).with_name("keras-archs")), *serve, "--precision", precision, "--port", "{port}",
    )  # fmt: skip
    return Contender(
        "gateway", command, f"/classify/{model}?timeout={deadline:g}", "/readyz", settings=f"defaults, {precision}"
    )


def litserve(model: Path, precision: str, cores: int) -> list[Contender]:
    """Return the settings to try for LitServe; a worker works on one request, or batch, at a time.

    Requests that waited for half a second are dropped: with the default of 30 s the server would work through a queue
    whose clients have left.
    """
    common = {"model": str(model), "precision": precision, "queue_seconds": 0.5, "batch_timeout": 0.0, "api_servers": 1}
    choices = [
        {"workers": 1, "threads": cores, "batch": 1, "fast_queue": False},
        {"workers": cores, "threads": 1, "batch": 1, "fast_queue": False},
        {"workers": cores, "threads": 1, "batch": 1, "fast_queue": True},
        {"workers": 2 * cores, "threads": 1, "batch": 1, "fast_queue": True},
        {"workers": 1, "threads": cores, "batch": 8, "fast_queue": True},
        {"workers": cores, "threads": 1, "batch": 1, "fast_queue": True, "api_servers": cores},
    ]
    command = ("{python}", "-m", "benchmarks.peers.litserve_server", "{port}")
    return [_peer("LitServe", command, "/health", common, choice) for choice in choices]


def bentoml(model: Path, precision: str, cores: int) -> list[Contender]:
    """Return the settings to try for BentoML; a worker works on as many requests as it has threads.

    The server takes 64 requests at a time and refuses more: without a limit, the queue would grow beyond any deadline.
    A service that batches takes lists, which only a form can carry.
    """
    common = {"model": str(model), "precision": precision, "max_concurrency": 64}
    choices = [
        {"workers": 1, "threads": cores, "streams": cores, "batch": 1},
        {"workers": 1, "threads": 2 * cores, "streams": cores, "batch": 1},
        {"workers": cores, "threads": 1, "streams": 1, "batch": 1},
        {"workers": cores, "threads": 2, "streams": 1, "batch": 1},
        {"workers": 1, "threads": 1, "streams": cores, "batch": 8},
    ]
    command = (
        "{bin}/bentoml", "serve", "benchmarks.peers.bentoml_server:Service", "--host", "127.0.0.1", "--port", "{port}",
    )  # fmt: skip
    return [_peer("BentoML", command, "/readyz", common, choice) for choice in choices]


def _peer(
    name: str, command: tuple[str, ...], ready: str, common: Mapping[str, Any], choice: Mapping[str, Any]
) -> Contender:
    settings = " ".join(f"{key}={value}" for key, value in choice.items())
    form_field = "images" if name == "BentoML" and choice["batch"] > 1 else ""
    return Contender(name, command, "/classify", ready, {**common, **choice}, settings, form_field)


@contextmanager
def running(contender: Contender, python: Path, log: Path) -> Iterator[tuple[int, psutil.Process]]:
    """Start a server, and yield its port and process when it is ready; its processes have ended afterwards.

    Args:
        contender: The server.
        python: Interpreter of the peers' environment.
        log: File for what the server writes.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    command = [part.format(python=python, bin=python.parent, port=port) for part in contender.command]
    environment = os.environ | {OPTIONS: json.dumps(contender.options), "PYTHONPATH": str(ROOT)}
    environment |= {"BENTOML_DO_NOT_TRACK": "True", "LITSERVE_DISABLE_ANALYTICS": "1"}
    with (
        log.open("w") as output,
        subprocess.Popen(
            command, env=environment, cwd=log.parent, stdout=output, stderr=output, start_new_session=True
        ) as child,
    ):
        process = psutil.Process(child.pid)
        try:
            _wait_until_ready(f"http://127.0.0.1:{port}{contender.ready}", child, log)
            yield port, process
        finally:
            with suppress(psutil.NoSuchProcess):  # it may have ended by itself
                _stop(process)


def _wait_until_ready(url: str, child: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while True:
        with suppress(urllib.error.URLError, ConnectionError), urllib.request.urlopen(url, timeout=READY_SECONDS):
            return
        if child.poll() is not None or time.monotonic() > deadline:
            raise SystemExit(f"a server is not ready: {log.read_text()[-2000:]}")
        time.sleep(0.1)


def _stop(process: psutil.Process) -> None:
    """Ask the main process to end, and kill what is left of its children."""
    children = process.children(recursive=True)
    process.send_signal(signal.SIGTERM)
    psutil.wait_procs([process], STOP_SECONDS)
    for left in [process, *children]:
        with suppress(psutil.NoSuchProcess):
            left.kill()


def memory_mb(process: psutil.Process) -> float:
    """Return the resident memory of a process and its children in MB; pages that they share count once."""
    return float(sum(each.memory_full_info().pss for each in [process, *process.children(recursive=True)]) / 1e6)
