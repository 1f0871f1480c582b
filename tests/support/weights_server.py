"""A loopback HTTP server of files of weights, with faults, and published entries that point to it.

The conftest of the tests imports the fixtures ``isolated``, ``weights_server`` and ``serve`` and names them in its
``__all__``, as tests/weights/conftest.py does. Then::

    from tests.support.weights_server import Serve

    def test_a_network_loads_its_published_weights(serve: Serve) -> None:
        entry = published_weights.entry("mobilenet-0.25-224", "imagenet")
        serve(entry, WEIGHTS / "mobilenet_2_5_224_tf.h5")
        model = keras_archs.create_model("mobilenet-0.25-224", weights="imagenet")
        assert serve.server.paths == ["/mobilenet-0.25-224/keras/mobilenet_2_5_224_tf.h5"]

``serve(entry, file)`` puts the file on the server and replaces the files of that published entry by this single file
with its SHA-256, until the test ends; it returns the entry as it now is. ``serve(entry, file, format="torch")`` says
that the file has another format than the first published file, ``checksum=None`` or ``checksum=Checksum(...)`` what is
known of its content, and further arguments are the answers of the server, one for each request (the last answer stays),
in place of the whole file::

    serve(entry, file, Answer(status=500), Answer(file.read_bytes()))      # fails once
    serve(entry, file, Answer(file.read_bytes(), sent=1000))               # breaks off
    serve(entry, file, Answer(b"<html>", headers={"Content-Type": "text/html"}))

`isolated` gives a test folders of its own in place of the caches of Keras, Torch and the Hugging Face hub, and removes
the environment variables that change where weights are looked for. `serve` uses it.
"""

from __future__ import annotations

import hashlib
import os
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal

import pytest

from keras_archs.cards import published_weights
from keras_archs.cards.weights_entry import Checksum, Format, WeightsEntry, WeightsFile
from tests.support.network import LOOPBACK


@dataclass(frozen=True)
class Answer:
    """The answer to one request.

    Attributes:
        content: Body.
        status: HTTP status.
        headers: Headers besides Content-Length.
        sent: Number of bytes of the body after which the server stops; None for the whole body.
        then: What follows the sent bytes: the server closes the connection, or keeps it open and stays silent.
        length: Whether the answer says its Content-Length.
        together_with: Number of requests that the server waits for before it answers.
    """

    content: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    sent: int | None = None
    then: Literal["close", "silence"] = "close"
    length: bool = True
    together_with: int = 1


@dataclass(frozen=True)
class Received:
    """A request that the server received."""

    path: str
    headers: Message


class WeightsServer:
    """Serves files from memory on a port of loopback, and remembers the requests.

    Attributes:
        url: Base URL, without a slash at the end.
        received: Requests so far.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        """Listen at once; over TLS with a context of the server's certificate."""
        self.received: list[Received] = []
        self._changed = threading.Condition()
        self._answers: dict[str, list[Answer]] = {}
        self._closing = threading.Event()
        self._server = ThreadingHTTPServer((LOOPBACK.address, 0), self._handler())
        self._server.daemon_threads = True
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.url = f"{'https' if tls else 'http'}://{LOOPBACK.address}:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    @property
    def paths(self) -> list[str]:
        """Paths of the requests so far."""
        return [request.path for request in self.received]

    def put(self, path: str, *answers: Answer) -> str:
        """Answer requests of `path` with these answers, one for each request; the last one stays. Return the URL."""
        self._answers[path] = list(answers)
        return self.url + path

    def wait_for(self, requests: int) -> None:
        """Wait until this number of requests has been received, at most a minute."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.received) >= requests, timeout=60)

    def close(self) -> None:
        """End the server and every connection."""
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                with server._changed:
                    server.received.append(Received(self.path, self.headers))
                    server._changed.notify_all()
                    answers = server._answers.get(self.path, [Answer(status=404)])
                    answer = answers.pop(0) if len(answers) > 1 else answers[0]
                server.wait_for(answer.together_with)
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                if answer.length:
                    self.send_header("Content-Length", str(len(answer.content)))
                self.send_header("Connection", "close")
                self.end_headers()
                self.close_connection = True
                with suppress(ConnectionError):  # the client may have seen enough
                    self.wfile.write(answer.content[: answer.sent])
                if answer.then == "silence":
                    server._closing.wait()

            def log_message(self, format: str, *arguments: Any) -> None:
                """Print nothing: the requests are remembered."""

        return Handler


@dataclass
class Serve:
    """Puts files on a server and makes published entries point to them."""

    server: WeightsServer
    _replace: Callable[[WeightsEntry], None]

    def __call__(
        self,
        entry: WeightsEntry,
        path: Path,
        *answers: Answer,
        format: Format | None = None,
        checksum: Checksum | Literal["sha256"] | None = "sha256",
    ) -> WeightsEntry:
        """Serve the file as the only file of a published entry.

        Args:
            entry: A published entry.
            path: The file.
            *answers: Answers of the server, the file by default.
            format: Format of the file, that of the entry's first file by default.
            checksum: What is known of the content, by default its SHA-256.

        Returns:
            The entry with the file on the server in place of its published files.
        """
        content = path.read_bytes()
        folder = f"/{entry.network}/{entry.tag}"
        self.server.put(f"{folder}/{path.name}", *(answers or [Answer(content)]))
        if checksum == "sha256":
            checksum = Checksum("sha256", hashlib.sha256(content).hexdigest())
        file = WeightsFile("url", self.server.url + folder, path.name, format or entry.files[0].format, checksum)
        served = replace(entry, files=(file,))
        self._replace(served)
        return served


@pytest.fixture
def isolated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Folders of the test's own in place of all caches; the folder of our cache, which does not exist yet."""
    for name in os.environ:
        if name.startswith(("KERAS_ARCHS_", "HF_", "HUGGING")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    for name, folder in (("KERAS_HOME", "keras"), ("TORCH_HOME", "torch"), ("HF_HOME", "hub")):
        monkeypatch.setenv(name, str(tmp_path / "caches" / folder))
    return tmp_path / "caches" / "keras" / "keras_archs" / "weights"


@pytest.fixture
def weights_server() -> Iterator[WeightsServer]:
    """A server without files."""
    server = WeightsServer()
    yield server
    server.close()


@pytest.fixture
def serve(weights_server: WeightsServer, isolated: Path, monkeypatch: pytest.MonkeyPatch) -> Serve:
    """Puts files on a server and makes published entries point to them, with caches of the test's own."""
    published = published_weights._of_file
    replaced: dict[str, dict[str, WeightsEntry]] = {}

    def of_file(family: str) -> dict[str, tuple[WeightsEntry, ...]]:
        found = published(family)
        for network, mine in replaced.items():
            if network in found:
                found = {**found, network: tuple(mine.get(entry.tag, entry) for entry in found[network])}
        return found

    # below the public functions, because other modules may have imported these by name
    monkeypatch.setattr(published_weights, "_of_file", of_file)

    def replace_entry(entry: WeightsEntry) -> None:
        replaced.setdefault(entry.network, {})[entry.tag] = entry

    return Serve(weights_server, replace_entry)
