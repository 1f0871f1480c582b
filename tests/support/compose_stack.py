"""The services of compose.yaml under podman, with a stand-in where TensorFlow Serving's image cannot be had."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).parents[2]
STAND_IN = "keras-archs-test/tf-serving"
MODEL = "efficientnet-lite0"
JPEG = {"Content-Type": "image/jpeg"}


def podman(*arguments: str, check: bool = True) -> str:
    """Runs podman and returns what it prints."""
    done = subprocess.run(["podman", *arguments], check=False, capture_output=True, text=True, timeout=600)
    assert not check or done.returncode == 0, f"podman {' '.join(arguments)}: {done.stderr}"
    return done.stdout.strip()


@dataclass
class Stack:
    """A project of compose.yaml."""

    project: str
    profile: str
    port: int
    client: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=60)

    def compose(self, *arguments: str) -> str:
        """Runs podman-compose and returns what it prints."""
        environment = {
            "BUILDAH_FORMAT": "docker",  # podman's own format has no health checks
            "ADDRESS": "127.0.0.1",
            "GATEWAY_PORT": str(self.port),
            "COMPOSE_PROFILES": self.profile,
            "MODELS": MODEL,
            "TF_SERVING_IMAGE": STAND_IN,
        }
        files = ("--file", "compose.yaml", "--file", "tests/container/podman.yaml")
        command = [str(Path(sys.executable).with_name("podman-compose")), "-p", self.project, *files, *arguments]
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, timeout=1800, cwd=ROOT, env=os.environ | environment
        )
        assert done.returncode == 0, f"{' '.join(arguments)}: {done.stdout}{done.stderr}"
        return done.stdout

    def container(self, service: str) -> str:
        """The name of a service's container."""
        return f"{self.project}_{service}_1"

    def run(self, service: str, *command: str, check: bool = True) -> str:
        """Runs a command in a service's container."""
        return podman("exec", self.container(service), *command, check=check)

    def inspect(self, service: str, what: str) -> str:
        """What podman says of a service's container."""
        return podman("inspect", "--format", what, self.container(service))

    def post(self, image: bytes, path: str = "") -> httpx.Response:
        """Has the model classify an image."""
        return self.client.post(f"/classify/{MODEL}{path}", content=image, headers=JPEG)

    def explain(self, image: bytes) -> httpx.Response:
        """Has the model say where it sees what is in an image."""
        return self.client.post(f"/explain/{MODEL}", content=image, headers=JPEG)

    def answering(self, image: bytes, path: str = "") -> int | None:
        """The version that answers; None for an error."""
        response = self.post(image, path)
        return int(response.json()["version"]) if response.is_success else None

    @contextmanager
    def under_load(self, image: bytes, clients: int = 4) -> Iterator[list[httpx.Response]]:
        """Keeps posting an image from several clients; gives the list that the responses are added to."""
        responses: list[httpx.Response] = []
        over = threading.Event()

        def post() -> None:
            while not over.is_set():
                responses.append(self.post(image))

        with ThreadPoolExecutor(clients) as pool:
            posting = [pool.submit(post) for _ in range(clients)]
            try:
                self.until(lambda: len(responses) >= clients)
                yield responses
            finally:
                over.set()
        for one in posting:
            one.result()  # raises what a client met instead of a response

    def until(self, condition: Callable[[], Any]) -> None:
        """Waits until something is so."""
        deadline = time.monotonic() + 180
        while not condition():
            assert time.monotonic() < deadline, self.logs()
            time.sleep(0.2)

    def is_ready(self) -> bool:
        """Whether the gateway says that it is."""
        try:
            return self.client.get("/readyz").is_success
        except httpx.TransportError:
            return False

    def logs(self) -> str:
        """What the services have written, for a test that fails."""
        names = podman("ps", "--all", "--filter", f"name={self.project}_", "--format", "{{.Names}}").split()
        return "\n".join(f"--- {name}\n{podman('logs', '--tail', '20', name, check=False)}" for name in names)


@contextmanager
def running(project: str, profile: str) -> Iterator[Stack]:
    """Builds the images, brings the stack up, waits until it is ready, and takes it all down."""
    assert shutil.which("podman"), "podman is not installed"
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    stack = Stack(project, profile, port)
    for service in ("exporter", "gateway" if profile == "tf-serving" else profile):
        stack.compose("build", service)  # one after the other: they share stages
    podman("build", "--tag", STAND_IN, "--file", str(ROOT / "tests/container/Dockerfile"), str(ROOT / "tests/support"))
    try:
        stack.compose("run", "--rm", "exporter")
        stack.compose("up", "--detach")
        stack.until(stack.is_ready)
        yield stack
    finally:
        stack.client.close()
        stack.compose("down", "--volumes")
