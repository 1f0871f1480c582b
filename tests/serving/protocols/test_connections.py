"""Connections of clients that never end their headers, never read, never close, or have left."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvloop
from starlette.types import Receive, Scope, Send

from serving.protocols import connections
from serving.protocols.connections import (
    MAX_HEAD_BYTES,
    MAX_HEADERS,
    MAX_PIPELINED,
    MAX_URL_BYTES,
    ConnectionLimits,
)
from serving.protocols.refusal_pace import RefusalPace
from serving.protocols.server import GatewayServer, create_server
from tests.support.garbage import cyclic_garbage

HEAD = b"GET / HTTP/1.1\r\nHost: gateway\r\n"
GET = HEAD + b"\r\n"
POST = b"POST / HTTP/1.1\r\nHost: gateway\r\n"
BLOCK = 100_000
ENOUGH = 20_000_000
"""Bytes that no buffer between client and server holds."""


class Application:
    """Answers each request with its path, when `may_answer` is set.

    Attributes:
        may_answer: Whether requests are answered.
        answer: Body of the answers; None for the path.
        begun: Requests that have begun.
        cancelled: Requests that were cancelled.
        headers: Headers of the last request, after its body.
    """

    def __init__(self) -> None:
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.answer: bytes | None = None
        self.begun = 0
        self.cancelled = 0
        self.headers: dict[bytes, bytes] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return
        self.begun += 1
        try:
            while scope["method"] == "POST" and (await receive()).get("more_body"):
                pass
            await self.may_answer.wait()
            self.headers = dict(scope["headers"])
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        content = self.answer or scope["path"].encode()
        headers = [(b"content-length", b"%d" % len(content))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": content})


class Server:
    """A running server; its connections are checked whenever a test waits."""

    def __init__(self, app: Application, server: GatewayServer, port: int) -> None:
        self.app = app
        self.port = port
        self.clients: list[Client] = []
        self._server = server

    @property
    def connections(self) -> int:
        return len(self._server.server_state.connections)

    @property
    def stopping(self) -> bool:
        return self._server.should_exit

    def stop(self, number: signal.Signals) -> None:
        """Do what the server does at a signal."""
        self._server.handle_exit(number, None)
        self._server._captured_signals.clear()  # which it would send to this process

    async def closed(self) -> None:
        """Wait until the server accepts no connections."""
        async with asyncio.timeout(20):
            while self._server.servers[0].is_serving():  # noqa: ASYNC110  uvicorn announces nothing
                await asyncio.sleep(0.005)

    async def connect(self, address: str = "127.0.0.1") -> Client:
        client = Client(self, *await asyncio.open_connection("127.0.0.1", self.port, local_addr=(address, 0)))
        self.clients.append(client)
        return client

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not condition():
                await self._server.on_tick(0)
                await asyncio.sleep(0.005)

    async def checking(self, answer: Awaitable[bytes]) -> bytes:
        task = asyncio.ensure_future(answer)
        await self.until(task.done)
        return await task


class Client:
    """One connection to the server."""

    def __init__(self, server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._server = server
        self.reader = reader
        self.writer = writer

    def send(self, content: bytes) -> None:
        self.writer.write(content)

    async def answer(self) -> bytes:
        """Read one answer of a connection that stays open."""
        head = await self._server.checking(self.reader.readuntil(b"\r\n\r\n"))
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        return head + await self.reader.readexactly(length)

    async def rest(self) -> bytes:
        """Read until the server closes the connection."""
        try:
            return await self._server.checking(self.reader.read())
        except ConnectionResetError:
            return b""

    async def flood(self, block: bytes) -> bytes:
        """Send a block again and again until the server closes the connection, and return what it has sent."""
        received = bytearray()

        async def receive() -> None:
            while content := await self.reader.read(BLOCK):
                received.extend(content)

        receiving = asyncio.create_task(receive())
        sent = 0
        try:
            while sent < ENOUGH and not receiving.done():
                self.writer.write(block)
                sent += len(block)
                await self.writer.drain()
        except ConnectionError:
            pass
        assert sent < ENOUGH, "the server reads on"
        await asyncio.wait([receiving])
        receiving.exception()
        return bytes(received)


Scenario = Callable[[Server], Awaitable[None]]


@asynccontextmanager
async def serving(
    *, drain_seconds: float = 0.0, on_drain: Callable[[], None] = lambda: None, **limits: Any
) -> AsyncIterator[Server]:
    app = Application()
    values = {"connections": 50, "head_seconds": 60, "answer_seconds": 60}
    server = create_server(
        app,
        ConnectionLimits(**(values | limits)),
        shutdown_timeout=5,
        drain_seconds=drain_seconds,
        on_drain=on_drain,
    )
    with socket.create_server(("127.0.0.1", 0)) as listener:
        running = asyncio.create_task(server.serve([listener]))
        tested = Server(app, server, listener.getsockname()[1])
        try:
            yield tested
        finally:
            app.may_answer.set()
            for client in tested.clients:
                client.writer.transport.abort()
            server.should_exit = True
            await running


def run(scenario: Scenario, **limits: Any) -> None:
    async def within() -> None:
        async with serving(**limits) as server:
            await scenario(server)
            other = await server.connect()
            other.send(GET)
            assert (await other.answer()).startswith(b"HTTP/1.1 200")  # other clients are not affected

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:  # as the gateway does
        runner.run(within())


def problem(answer: bytes) -> tuple[int, str]:
    """Return status and kind of a problem document."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"application/problem+json" in head
    document = json.loads(body)
    assert document["request_id"].encode() in head
    return int(head.split()[1]), document["type"].removeprefix("urn:keras-archs:problem:")


def chunked(body: bytes) -> bytes:
    return POST + b"Transfer-Encoding: chunked\r\n\r\n" + body


REFUSAL = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nfull"


def refuse(scope: Scope) -> bytes | None:
    """Refuse requests with a query."""
    return REFUSAL if scope["query_string"] else None


def upload(target: bytes, body: bytes, *headers: bytes) -> bytes:
    fields = b"".join(header + b"\r\n" for header in (b"Content-Length: %d" % len(body), *headers))
    return b"POST %b HTTP/1.1\r\nHost: gateway\r\n%b\r\n%b" % (target, fields, body)


def test_a_request_that_is_refused_at_its_headers_costs_neither_the_connection_nor_a_task() -> None:
    async def scenario(server: Server) -> None:
        client = await server.connect()
        for _ in range(3):
            refused = upload(b"/full?x=1", bytes(BLOCK))
            client.send(refused[:BLOCK])
            assert await client.answer() == REFUSAL  # before the body has arrived
            client.send(refused[BLOCK:])
            client.send(upload(b"/a%20path", bytes(BLOCK)))
            assert (await client.answer()).endswith(b"/a path")
        assert server.app.begun == 3

    run(scenario, refuse_early=refuse)


class Restful(RefusalPace):
    """Lets each connection rest."""

    def rest(self) -> float:
        return 1.0


def test_a_connection_rests_after_a_refusal_and_its_next_request_is_read_then() -> None:
    async def scenario(server: Server) -> None:
        client, left, other = [await server.connect() for _ in range(3)]
        for each in (client, left):
            each.send(upload(b"/?1", b"x"))
            assert await each.answer() == REFUSAL
        client.send(upload(b"/next", b"x"))
        left.writer.transport.abort()
        other.send(upload(b"/other", b"x"))
        resting, free = asyncio.create_task(client.answer()), asyncio.create_task(other.answer())
        await asyncio.wait([resting, free], return_when=asyncio.FIRST_COMPLETED)
        assert free.done()
        assert not resting.done()
        assert (await resting).endswith(b"/next")

    run(scenario, refuse_early=refuse, refusal_pace=Restful())


def test_pipelined_requests_are_answered_in_their_order_though_some_could_be_refused_early() -> None:
    async def scenario(server: Server) -> None:
        client = await server.connect()
        client.send(upload(b"/?1", b"x") + upload(b"/first", b"x") + upload(b"/second?2", b"x") + upload(b"/?3", b"x"))
        assert await client.answer() == REFUSAL
        assert [(await client.answer()).rpartition(b"\r\n\r\n")[2] for _ in range(3)] == [b"/first", b"/second", b"/"]

    run(scenario, refuse_early=refuse)


@pytest.mark.parametrize("header", [b"Connection: close", b"Upgrade: h2c\r\nConnection: Upgrade"])
def test_a_request_that_ends_its_connection_is_the_applications(header: bytes) -> None:
    async def scenario(server: Server) -> None:
        client = await server.connect()
        client.send(upload(b"/path?x", b"x", header))
        assert (await client.answer()).startswith(b"HTTP/1.1 200")

    run(scenario, refuse_early=refuse)


def test_a_refused_body_that_never_ends_is_given_as_long_as_headers() -> None:
    async def scenario(server: Server) -> None:
        client = await server.connect()
        client.send(upload(b"/?x", bytes(BLOCK))[: BLOCK // 2])
        assert await client.answer() == REFUSAL
        assert await client.rest() == b""

    run(scenario, refuse_early=refuse, head_seconds=0.05)


def test_headers_without_end_are_not_read_on() -> None:
    async def scenario(server: Server) -> None:
        for start, block, status in (
            (HEAD + b"X: ", b"a" * BLOCK, 431),
            (HEAD, b"a" * BLOCK, 431),
            (HEAD, b"name: value\r\n" * 5_000, 431),
            (b"GET /", b"a" * BLOCK, 414),
            (b"GET /?", b"a=1&" * 20_000, 414),
            (b"", b"\r\n" * BLOCK, 431),
            (chunked(b"1\r\na\r\n0\r\n"), b"trailer: value\r\n" * 5_000, 431),
            (chunked(b"1;"), b"extension" * 9_000, 431),
        ):
            client = await server.connect()
            client.send(start)
            answer = await client.flood(block)
            assert not answer or problem(answer)[0] == status  # a client that sends on may lose the answer

    run(scenario)


def test_a_client_that_sends_on_after_the_answer_does_not_lose_it() -> None:
    async def scenario(server: Server) -> None:
        client = await server.connect()
        client.send(HEAD + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % ENOUGH)
        for _ in range(20):
            client.send(bytes(BLOCK))
            await client.writer.drain()
        assert (await client.reader.read()).startswith(b"HTTP/1.1 200")  # and no reset
        client.send(bytes(BLOCK))
        await client.writer.drain()
        client.writer.close()
        await client.writer.wait_closed()

    run(scenario)


def test_a_client_that_sends_on_fast_is_disconnected() -> None:
    async def scenario(server: Server) -> None:
        client = await server.connect()
        client.send(HEAD + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n")
        with pytest.raises(ConnectionError):
            for _ in range(5 * ENOUGH // BLOCK):
                client.send(bytes(BLOCK))
                await client.writer.drain()

    run(scenario)


def test_a_client_that_sends_on_without_end_is_disconnected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "_DROPPED_SECONDS", 0.1)

    async def scenario(server: Server) -> None:
        client = await server.connect()
        client.send(HEAD + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n")
        with pytest.raises(ConnectionError):
            while True:
                client.send(b"1\r\na\r\n")
                await client.writer.drain()
                await asyncio.sleep(0.005)

    run(scenario)


def test_trailers_do_not_become_headers() -> None:
    async def scenario(server: Server) -> None:
        client = await server.connect()
        client.send(chunked(b"1\r\na\r\n0\r\nHost: evil\r\nX-Request-ID: evil\r\n\r\n"))
        assert (await client.answer()).startswith(b"HTTP/1.1 200")
        assert server.app.headers == {b"host": b"gateway", b"transfer-encoding": b"chunked"}

    run(scenario)


def test_a_request_that_cannot_be_read_gets_a_problem_document() -> None:
    async def scenario(server: Server) -> None:
        for request, status, kind in (
            (HEAD + b"a: b\r\n" * MAX_HEADERS + b"\r\n", 431, "headers-too-large"),
            (HEAD + b"Cookie: " + b"c" * MAX_HEAD_BYTES + b"\r\n\r\n", 431, "headers-too-large"),
            (HEAD + (b"Cookie: " + b"c" * 9000 + b"\r\n") * 4 + b"\r\n", 431, "headers-too-large"),
            (b"GET /" + b"p" * MAX_URL_BYTES + b" HTTP/1.1\r\n\r\n", 414, "url-too-long"),
            (b"GET /?" + b"q=1&" * (MAX_URL_BYTES // 4) + b" HTTP/1.1\r\n\r\n", 414, "url-too-long"),
            (b"\x16\x03\x01\x02\x00\x01\x00\xfc", 400, "malformed-request"),
            (b"GET / HTTP/9.9\r\n\r\n", 400, "malformed-request"),
            (POST + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n", 400, "malformed-request"),
            (POST + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "malformed-request"),
            (chunked(b"no number\r\n"), 400, "malformed-request"),
        ):
            client = await server.connect()
            client.send(request)
            assert problem(await client.rest()) == (status, kind), request[:50]

    run(scenario)


def test_headers_of_browsers_and_proxies_are_accepted() -> None:
    async def scenario(server: Server) -> None:
        client = await server.connect()
        for fields in (b"a: b\r\n" * (MAX_HEADERS - 1), b"Cookie: " + b"c" * 16_000 + b"\r\n", b"Upgrade: h2c\r\n"):
            client.send(b"GET /" + b"p" * 4000 + b" HTTP/1.1\r\nHost: gateway\r\n" + fields + b"\r\n")
            assert (await client.answer()).startswith(b"HTTP/1.1 200")

    run(scenario)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        pytest.param(b"", 0, id="nothing"),
        pytest.param(HEAD + b"X: ", 408, id="half a head"),
        pytest.param(b"\r\n", 408, id="a line break"),
    ],
)
def test_a_connection_whose_headers_do_not_arrive_is_closed(sent: bytes, status: int) -> None:
    async def scenario(server: Server) -> None:
        client = await server.connect()
        client.send(sent)
        answer = await client.rest()
        assert problem(answer) == (408, "headers-timeout") if status else answer == b""

    run(scenario, head_seconds=0.1)


@pytest.mark.parametrize(
    "drip",
    [
        pytest.param(b"GET / HT", id="half of the next head"),
        pytest.param(b"\r\n", id="line breaks"),
    ],
)
def test_dripping_bytes_do_not_keep_a_connection_open_after_an_answer(drip: bytes) -> None:
    async def scenario(server: Server) -> None:
        client = await server.connect()
        client.send(GET)
        await client.answer()
        client.send(drip)
        assert problem(await client.rest()) == (408, "headers-timeout")

    run(scenario, head_seconds=0.1)


def test_a_body_that_nobody_reads_does_not_keep_a_connection_open() -> None:
    async def scenario(server: Server) -> None:
        client = await server.connect()
        client.send(HEAD + b"Content-Length: 1000000000\r\n\r\n")
        await client.answer()
        for _ in range(3):
            client.send(b"drip")
        assert await client.rest() == b""

    run(scenario, head_seconds=0.1)


def test_a_client_that_does_not_read_its_answers_is_disconnected() -> None:
    async def scenario(server: Server) -> None:
        server.app.answer = bytes(ENOUGH)
        client = await server.connect()
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        client.send(GET)
        await server.until(lambda: server.app.begun == 1)
        await server.until(lambda: server.connections == 0)
        server.app.answer = None

    run(scenario, answer_seconds=0.1)


def test_a_further_connection_replaces_the_longest_idle_one() -> None:
    async def scenario(server: Server) -> None:
        used = await server.connect()
        silent, half, kept = [await server.connect() for _ in range(3)]
        await server.until(lambda: server.connections == 4)
        half.send(HEAD)
        used.send(GET)
        await used.answer()
        newest = await server.connect()
        assert await silent.rest() == b""
        for client in (newest, kept, used):
            client.send(GET)
            await client.answer()
        half.send(b"\r\n")
        await half.answer()
        for client in (used, half, kept, newest):
            client.writer.close()
        await server.until(lambda: server.connections == 0)

    run(scenario, connections=4)


def test_a_connection_is_refused_if_all_others_are_busy() -> None:
    async def scenario(server: Server) -> None:
        server.app.may_answer.clear()
        busy = [await server.connect() for _ in range(2)]
        for client in busy:
            client.send(GET)
        await server.until(lambda: server.app.begun == 2)  # and so both are connected
        refused = await server.connect()
        answer = await refused.rest()
        assert problem(answer) == (503, "overloaded")
        assert b"Retry-After: 1" in answer
        server.app.may_answer.set()
        for client in busy:
            await client.answer()
            client.writer.close()
        await server.until(lambda: server.connections == 0)

    run(scenario, connections=2)


def test_the_address_with_the_most_connections_gives_way() -> None:
    async def scenario(server: Server) -> None:
        modest = await server.connect("127.0.0.2")
        await server.until(lambda: server.connections == 1)
        greedy = [await server.connect() for _ in range(3)]
        await server.until(lambda: server.connections == 4)
        newest = await server.connect()
        assert await greedy[0].rest() == b""
        for client in (modest, newest, *greedy[1:]):
            client.send(GET)
            await client.answer()
            client.writer.close()
        await server.until(lambda: server.connections == 0)

    run(scenario, connections=4)


def test_an_upload_gives_way_if_no_connection_is_idle() -> None:
    async def scenario(server: Server) -> None:
        uploads = []
        for number in range(2):
            uploads.append(await server.connect())
            uploads[-1].send(POST + b"Content-Length: 10\r\n\r\n")
            await server.until(lambda: server.app.begun == number + 1)  # noqa: B023
        newest = await server.connect()
        assert problem(await uploads[0].rest()) == (503, "overloaded")
        newest.send(GET)
        await newest.answer()
        uploads[1].send(bytes(10))
        await uploads[1].answer()
        for client in (uploads[1], newest):
            client.writer.close()
        await server.until(lambda: server.connections == 0)

    run(scenario, connections=2)


def test_after_sigterm_answers_close_their_connections_until_the_server_stops() -> None:
    async def scenario() -> None:
        drained: list[bool] = []
        async with serving(drain_seconds=3600, on_drain=lambda: drained.append(True)) as server:
            kept = await server.connect()
            await server.until(lambda: server.connections == 1)
            server.stop(signal.SIGTERM)
            for client in (kept, await server.connect()):
                client.send(GET)
                assert b"connection: close" in await client.rest()
            assert drained == [True]
            assert not server.stopping
            server.stop(signal.SIGTERM)
            assert server.stopping

    asyncio.run(scenario())


def test_a_request_whose_headers_arrive_while_the_server_stops_is_answered() -> None:
    async def scenario() -> None:
        async with serving() as server:
            client = await server.connect()
            client.send(HEAD)
            await server.until(lambda: server.connections == 1)
            await asyncio.sleep(0.05)  # until the server has read what was sent
            server.stop(signal.SIGTERM)
            await server.closed()
            client.send(b"\r\n")
            assert (await client.reader.read()).startswith(b"HTTP/1.1 200")

    asyncio.run(scenario())


def test_a_client_that_closes_its_direction_gets_its_answer() -> None:
    async def scenario(server: Server) -> None:
        for number, request in enumerate((GET, POST + b"Content-Length: 3\r\n\r\nabc", GET + GET)):
            server.app.may_answer.clear()
            client = await server.connect()
            client.send(request)
            client.writer.write_eof()
            await server.until(lambda: server.app.begun == number + 1)  # noqa: B023
            if request.count(HEAD) < 2:
                beginning = await server.checking(client.reader.readexactly(9))  # the server has seen the end
            else:
                beginning = b""
            server.app.may_answer.set()
            answer = beginning + await client.rest()
            assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
            assert answer.count(b"HTTP/1.1 ") == request.count(b"HTTP/1.1")
            assert answer.endswith(b"/")

    run(scenario)


@pytest.mark.parametrize("leaves_by", ["closing", "a reset"])
@pytest.mark.parametrize("size", [0, 300_000])
def test_a_client_that_has_left_is_not_worked_for(leaves_by: str, size: int) -> None:
    async def scenario(server: Server) -> None:
        server.app.may_answer.clear()
        client = await server.connect()
        client.send(POST + b"Content-Length: %d\r\n\r\n" % size + bytes(size))
        await client.writer.drain()
        await server.until(lambda: server.app.begun == 1)
        if leaves_by == "a reset":
            linger = struct.pack("ii", 1, 0)
            client.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        client.writer.close()
        await server.until(lambda: server.app.cancelled == 1)
        await server.until(lambda: server.connections == 0)
        server.app.may_answer.set()

    run(scenario)


def test_pipelined_requests_are_answered_in_order_up_to_a_limit() -> None:
    async def scenario(server: Server) -> None:
        client = await server.connect()
        for number in range(MAX_PIPELINED):
            client.send(b"GET /%d HTTP/1.1\r\n\r\n" % number)
        for number in range(MAX_PIPELINED):
            assert (await client.answer()).endswith(b"/%d" % number)
        server.app.may_answer.clear()
        client.send(GET * 5000)
        assert await client.rest() == b""
        await server.until(lambda: server.app.cancelled == 1)
        server.app.may_answer.set()

    run(scenario)


def test_rubbish_behind_a_request_gets_no_answer_that_could_be_taken_for_the_requests() -> None:
    async def scenario(server: Server) -> None:
        server.app.may_answer.clear()
        client = await server.connect()
        client.send(GET + b"rubbish\r\n\r\n")
        assert await client.rest() == b""
        server.app.may_answer.set()

    run(scenario)


@pytest.mark.parametrize(
    ("sent", "limits"),
    [
        pytest.param(GET * 3, {}, id="pipelined requests"),
        pytest.param(upload(b"/a", bytes(BLOCK)), {}, id="an upload"),
        pytest.param(upload(b"/a", bytes(BLOCK))[:-1], {}, id="an upload whose client leaves"),
        pytest.param(HEAD, {"head_seconds": 0.3}, id="headers that never end"),
    ],
)
def test_a_connection_leaves_nothing_to_the_garbage_collector(sent: bytes, limits: dict[str, Any]) -> None:
    async def scenario(server: Server) -> None:
        with cyclic_garbage("serving", "uvicorn") as garbage:
            client = await server.connect()
            client.send(sent)
            answering = asyncio.ensure_future(client.reader.read())
            await server.until(lambda: server.app.begun > 0 or answering.done())
            answering.cancel()
            client.writer.transport.abort()
            await server.until(lambda: server.connections == 0)
            await asyncio.sleep(0)  # the event loop forgets the connection
        assert not garbage

    run(scenario, **limits)
