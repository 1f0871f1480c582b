"""An HTTP server in the test's own process that answers as a script says: late, half, or never."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True)
class Received:
    """A request that the server has read."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Scripted:
    """What the server does with a request.

    Attributes:
        content: Bytes to send, headers included.
        hangs: Whether the connection then stays open without a further byte; else it is closed if `closes`.
        closes: Whether the connection is closed afterwards.
    """

    content: bytes = b""
    hangs: bool = False
    closes: bool = False


def answer(document: Any = None, status: int = 200, *, length: int | None = None, **headers: str) -> Scripted:
    """Return an answer: a document as JSON, or bytes or text as they are.

    Args:
        document: The body.
        status: HTTP status code.
        length: What `Content-Length` says instead of the truth; a longer length breaks the answer off.
        **headers: Further headers; underscores stand for hyphens.
    """
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    given = {"Content-Type": "application/json", "Content-Length": str(len(body) if length is None else length)}
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    head = "".join(f"{name}: {value}\r\n" for name, value in given.items())
    phrase = HTTPStatus(status).phrase if status in list(HTTPStatus) else "Odd"
    return Scripted(f"HTTP/1.1 {status} {phrase}\r\n{head}\r\n".encode() + body, closes=length is not None)


def problem(status: int, slug: str, detail: str = "told by the script", **headers: str) -> Scripted:
    """Return an error as the gateway writes it."""
    document = {
        "type": f"urn:keras-archs:problem:{slug}",
        "title": slug.replace("-", " "),
        "status": status,
        "detail": detail,
        "instance": "/",
        "request_id": "request-1",
    }
    return answer(document, status, length=None, **{"Content_Type": "application/problem+json"} | headers)


Script = Callable[[Received], Scripted]


@dataclass
class ScriptedServer:
    """A running server.

    Attributes:
        url: Its address.
        received: The requests so far.
        connections: Number of connections so far.
    """

    url: str
    received: list[Received] = field(default_factory=list)
    connections: int = 0


@contextmanager
def scripted_server(*steps: Scripted, script: Script | None = None) -> Iterator[ScriptedServer]:
    """Run a server that answers with each step in turn, and with the last step from then on.

    Args:
        *steps: Answers in order of the requests.
        script: Function from the request to the answer instead; called in a thread per connection.
    """
    end = threading.Event()
    lock = threading.Lock()
    left = list(steps)

    def next_step(received: Received) -> Scripted:
        with lock:
            server.received.append(received)
            if script is None:
                return left.pop(0) if len(left) > 1 else left[0]
        return script(received)

    class Connection(socketserver.StreamRequestHandler):
        disable_nagle_algorithm = True

        def handle(self) -> None:
            with lock:
                server.connections += 1
            while received := _receive(self.rfile):
                step = next_step(received)
                self.wfile.write(step.content)
                if step.hangs:
                    end.wait()
                if step.hangs or step.closes:
                    return

    class Listener(socketserver.ThreadingTCPServer):
        request_queue_size = 128
        daemon_threads = True
        block_on_close = False

        def handle_error(self, request: Any, client_address: Any) -> None:
            """Say nothing of clients that leave."""

    with Listener(("127.0.0.1", 0), Connection) as listener:
        server = ScriptedServer(f"http://127.0.0.1:{listener.server_address[1]}")
        thread = threading.Thread(target=listener.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            end.set()
            listener.shutdown()


def _receive(stream: Any) -> Received | None:
    """Read one request; None if the client has left."""
    try:
        start = stream.readline().decode("ascii").split()
        if len(start) != 3:
            return None
        headers = {}
        while line := stream.readline().strip():
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        body = stream.read(int(headers.get("content-length", 0)))
    except OSError:
        return None
    target = urlsplit(start[1])
    query = {name: values[0] for name, values in parse_qs(target.query).items()}
    return Received(start[0], target.path, query, headers, body)
