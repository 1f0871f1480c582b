"""The services of compose.yaml under podman, with a stand-in for TensorFlow Serving's image."""

from __future__ import annotations

import os
import re
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
    """Run podman and return its output."""
    done = subprocess.run(["podman", *arguments], check=False, capture_output=True, text=True, timeout=600)
    assert not check or done.returncode == 0, f"podman {' '.join(arguments)}: {done.stderr}"
    return done.stdout.strip()


@dataclass
class Stack:
    """A running project of compose.yaml.

    Attributes:
        client: Client with a key of its own, once `make_key` has made it.
    """

    project: str
    profile: str
    port: int
    admin_port: int
    client: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=60)

    def compose(self, *arguments: str) -> str:
        """Run podman-compose and return its output."""
        environment = {
            "BUILDAH_FORMAT": "docker",  # podman's default image format has no health checks
            "ADDRESS": "127.0.0.1",
            "GATEWAY_PORT": str(self.port),
            "ADMIN_PORT": str(self.admin_port),
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

    def make_key(self, name: str, *options: str) -> str:
        """Make a key and return it."""
        printed = self.compose("run", "--rm", "exporter", "keras-archs", "keys", "new", name, *options)
        found = re.search(r"keras_archs_\w+", printed)
        assert found, printed
        return found[0]

    def container(self, service: str) -> str:
        """Return the name of a service's container."""
        return f"{self.project}_{service}_1"

    def run(self, service: str, *command: str, check: bool = True) -> str:
        """Run a command in a service's container and return its output."""
        return podman("exec", self.container(service), *command, check=check)

    def inspect(self, service: str, template: str) -> str:
        """Inspect a service's container with a Go template."""
        return podman("inspect", "--format", template, self.container(service))

    def post(self, image: bytes, path: str = "") -> httpx.Response:
        """Classify an image."""
        return self.client.post(f"/classify/{MODEL}{path}", content=image, headers=JPEG)

    def explain(self, image: bytes) -> httpx.Response:
        """Explain the classification of an image."""
        return self.client.post(f"/explain/{MODEL}", content=image, headers=JPEG)

    def answering_version(self, image: bytes, path: str = "") -> int | None:
        """Return the version that answers; None for an error."""
        response = self.post(image, path)
        return int(response.json()["version"]) if response.is_success else None

    @contextmanager
    def under_load(self, image: bytes, clients: int = 4) -> Iterator[list[httpx.Response]]:
        """Post an image from several clients continuously; yield the growing list of responses."""
        responses: list[httpx.Response] = []
        stop = threading.Event()

        def post() -> None:
            while not stop.is_set():
                responses.append(self.post(image))

        with ThreadPoolExecutor(clients) as pool:
            posting = [pool.submit(post) for _ in range(clients)]
            try:
                self.until(lambda: len(responses) >= clients)
                yield responses
            finally:
                stop.set()
        for future in posting:
            future.result()  # raises a client's connection error

    def until(self, condition: Callable[[], Any]) -> None:
        """Wait until the condition holds, for at most 180 s."""
        deadline = time.monotonic() + 180
        while not condition():
            assert time.monotonic() < deadline, self.logs()
            time.sleep(0.2)

    def is_ready(self) -> bool:
        """Return whether the gateway is ready."""
        try:
            return self.client.get("/readyz").is_success
        except httpx.TransportError:
            return False

    def logs(self) -> str:
        """Return the last lines of each service's log, for the message of a failed test."""
        names = podman("ps", "--all", "--filter", f"name={self.project}_", "--format", "{{.Names}}").split()
        return "\n".join(f"--- {name}\n{podman('logs', '--tail', '20', name, check=False)}" for name in names)


@contextmanager
def running(project: str, profile: str) -> Iterator[Stack]:
    """Build the images and run the stack; yield when it is ready."""
    assert shutil.which("podman"), "podman is not installed"
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_server(("127.0.0.1", 0)) as other:
        stack = Stack(project, profile, listener.getsockname()[1], other.getsockname()[1])
    for service in ("exporter", "gateway" if profile == "tf-serving" else profile):
        stack.compose("build", service)  # in sequence, because the images share stages
    podman("build", "--tag", STAND_IN, "--file", str(ROOT / "tests/container/Dockerfile"), str(ROOT / "tests/support"))
    try:
        stack.compose("run", "--rm", "exporter")
        stack.compose("up", "--detach")
        stack.until(stack.is_ready)
        stack.client.headers["X-API-Key"] = stack.make_key("tests")
        stack.until(lambda: stack.client.get("/models").is_success)
        yield stack
    finally:
        stack.client.close()
        stack.compose("down", "--volumes")
