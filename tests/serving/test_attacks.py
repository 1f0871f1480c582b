"""What a stranger sends to a running gateway: its memory stays bounded, and other clients are answered."""

from __future__ import annotations

import contextlib
import re
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.support.gateway import Gateway, running_gateway
from tests.support.pictures import empty_png

PATH = "/classify/tiny"
MAX_BODY = 4_000_000
MAX_BODIES = 16_000_000
HEADER_SECONDS = 0.5
SLACK_MB = 20
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def tiny_repository(tmp_path_factory: pytest.TempPathFactory, constant_classifier: Callable[[Path, int], Path]) -> Path:
    repository = tmp_path_factory.mktemp("attacks") / "models"
    constant_classifier(repository, 1)
    return repository


@pytest.fixture(scope="module")
def gateway(tiny_repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway with small limits, so that small attacks exceed them."""
    log = tmp_path_factory.mktemp("gateway") / "log"
    flags = ("--preload", "tiny", "--max-body-mb", str(MAX_BODY / 1e6))
    with contextlib.ExitStack() as stack:
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv("KERAS_ARCHS_MAX_BODIES_MB", str(MAX_BODIES / 1e6))
            environment.setenv("KERAS_ARCHS_HEADER_TIMEOUT", str(HEADER_SECONDS))
            running = stack.enter_context(running_gateway(tiny_repository, log, *flags))
        yield running


@contextlib.contextmanager
def peak_below(gateway: Gateway, megabytes: float) -> Iterator[None]:
    """Check that the gateway's memory, at its peak within the block, has grown by less."""
    process = Path(f"/proc/{gateway.process.pid}")
    before = gateway.resident_mb()
    (process / "clear_refs").write_text("5")  # starts a new peak
    yield
    peak = re.search(r"VmHWM:\s+(\d+) kB", (process / "status").read_text())
    assert peak is not None
    assert int(peak[1]) * 1024 / 1e6 < before + megabytes


def classify(gateway: Gateway, image: bytes, source: str = "127.0.0.1") -> httpx.Response:
    transport = httpx.HTTPTransport(local_address=source)
    with httpx.Client(base_url=f"http://127.0.0.1:{gateway.port}", transport=transport, timeout=20) as client:
        return client.post(PATH, content=image)


def test_json_of_any_shape_takes_no_more_memory_than_its_bytes_and_is_answered_shortly(gateway: Gateway) -> None:
    size = MAX_BODY - 100
    for body in (
        b'{"images": [' + b"1," * (size // 2) + b"1]}",
        b"{" + b",".join(b'"key%d":1' % number for number in range(size // 14)) + b"}",
        b'{"images": ' + b"[" * (size // 2) + b"]" * (size // 2) + b"}",
        b'{"images": [' + b'"",' * (size // 3) + b'""]}',
        b'{"images": [' + b"{}," * (size // 3) + b"{}]}",
    ):
        with peak_below(gateway, 3 * MAX_BODY / 1e6 + SLACK_MB):
            response = gateway.client.post(PATH, content=body, headers=JSON)
        assert response.status_code == 422
        assert len(response.content) < 1000


def upload(gateway: Gateway, size: int, source: str = "127.0.0.1", *, chunked: bool = False) -> socket.socket:
    """Send a body but for its last byte, as far as the gateway reads."""
    connection = socket.create_connection(("127.0.0.1", gateway.port), timeout=20, source_address=(source, 0))
    length = f"Content-Length: {size}" if not chunked else "Transfer-Encoding: chunked"
    start = f"{size:x}\r\n".encode() if chunked else b""
    head = f"POST {PATH} HTTP/1.1\r\nHost: gateway\r\n{length}\r\n\r\n".encode()
    with contextlib.suppress(ConnectionError):
        connection.sendall(head + start + bytes(size - 1))
    return connection


def status(connection: socket.socket) -> int:
    """Return the status of an answer that has been sent; 0 if the connection was reset, or there is no answer."""
    connection.settimeout(1)
    try:
        return int(connection.recv(1000).split()[1])
    except (TimeoutError, ConnectionError, IndexError):
        return 0


@pytest.mark.parametrize("chunked", [False, True])
def test_bodies_that_never_end_share_a_bounded_memory_and_leave_room_for_others(
    gateway: Gateway, photographs: dict[str, bytes], chunked: bool
) -> None:
    with contextlib.ExitStack() as stack, peak_below(gateway, 2 * MAX_BODIES / 1e6 + SLACK_MB):
        for _ in range(20):
            stack.enter_context(upload(gateway, MAX_BODY, chunked=chunked))
        # another address, which holds less, is answered
        assert classify(gateway, photographs["coffee"], "127.0.0.2").status_code == 200


def test_a_body_for_which_there_is_no_memory_is_refused_before_it_is_read(
    gateway: Gateway, photographs: dict[str, bytes]
) -> None:
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(upload(gateway, MAX_BODY)) for _ in range(MAX_BODIES // MAX_BODY)]
        head = f"POST {PATH} HTTP/1.1\r\nHost: gateway\r\nContent-Length: 1000\r\n\r\n"
        with socket.create_connection(("127.0.0.1", gateway.port), timeout=20) as connection:
            connection.sendall(head.encode())
            answer = b"".join(iter(lambda: connection.recv(10_000), b""))
        assert answer.startswith(b"HTTP/1.1 503")
        assert re.search(rb"\r\nretry-after: [1-9]\d*\r\n", answer.lower())
        assert b"connection: close\r\n" in answer.lower()
        assert f"{MAX_BODIES} bytes together".encode() in answer
        # one of the held bodies gives its memory to a client that holds less
        with upload(gateway, MAX_BODY, "127.0.0.2"):
            assert [status(connection) for connection in held].count(0) == len(held) - 1
    deadline = time.monotonic() + 20
    while classify(gateway, photographs["coffee"]).status_code != 200:  # until the gateway has seen the clients leave
        assert time.monotonic() < deadline


@pytest.mark.parametrize(
    ("start", "block"),
    [
        (b"GET / HTTP/1.1\r\nX: ", b"a" * 100_000),
        (b"GET / HTTP/1.1\r\n", b"name: value\r\n" * 8000),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"name: value\r\n" * 8000),
    ],
)
def test_headers_without_end_take_no_memory(gateway: Gateway, start: bytes, block: bytes) -> None:
    with (
        peak_below(gateway, SLACK_MB),
        socket.create_connection(("127.0.0.1", gateway.port), timeout=20) as connection,
        pytest.raises(ConnectionError),
    ):
        connection.sendall(start)
        for _ in range(500):
            connection.sendall(block)


def test_connections_that_send_nothing_or_too_slowly_are_closed(gateway: Gateway) -> None:
    with (
        socket.create_connection(("127.0.0.1", gateway.port), timeout=20) as silent,
        socket.create_connection(("127.0.0.1", gateway.port), timeout=20) as slow,
    ):
        slow.sendall(b"GET /healthz HTTP/1.1\r\nX: ")
        assert silent.recv(1) == b""
        assert slow.recv(1000).startswith(b"HTTP/1.1 408")


def test_idle_connections_do_not_use_up_the_file_descriptors(
    tiny_repository: Path, tmp_path: Path, photographs: dict[str, bytes]
) -> None:
    limits = ("--nofile=256",)
    with (
        running_gateway(tiny_repository, tmp_path / "log", "--preload", "tiny", limits=limits) as gateway,
        contextlib.ExitStack() as stack,
    ):
        for _ in range(300):
            stack.enter_context(socket.create_connection(("127.0.0.1", gateway.port), timeout=20))
        assert classify(gateway, photographs["coffee"]).status_code == 200
        assert gateway.process.num_fds() < 256


@pytest.mark.parametrize("as_form", [True, False])
def test_a_full_disk_fails_no_request(
    tiny_repository: Path, tmp_path: Path, photographs: dict[str, bytes], as_form: bool
) -> None:
    """Files of the process may have 100 kB, which is less than the uploaded image."""
    limits = ("--fsize=100000",)
    image = photographs["coffee"] + bytes(2_000_000)  # what follows the end of a JPEG belongs to no image
    with running_gateway(tiny_repository, tmp_path / "log", "--preload", "tiny", limits=limits) as gateway:
        response = gateway.client.post(PATH, **({"files": {"image": image}} if as_form else {"content": image}))
        assert response.status_code == 200


def answers(gateway: Gateway, request: bytes) -> bytes:
    """Send bytes as they are, and return all that the gateway answers until it closes the connection."""
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=20) as connection:
        connection.sendall(request)
        return b"".join(iter(lambda: connection.recv(10_000), b""))


@pytest.mark.parametrize(
    "lengths",
    [
        b"Content-Length: 4\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: chunked\r\nContent-Length: 4",
        b"Content-Length: 4\r\nContent-Length: 40",
        b"Content-Length: +4",
        b"Transfer-Encoding: chunked, identity",
    ],
)
def test_a_body_with_two_lengths_hides_no_second_request(gateway: Gateway, lengths: bytes) -> None:
    hidden = b"GET /models HTTP/1.1\r\nHost: gateway\r\n\r\n"
    answer = answers(
        gateway, b"POST /classify/tiny HTTP/1.1\r\nHost: gateway\r\n" + lengths + b"\r\n\r\n0\r\n\r\n" + hidden
    )
    assert answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 415 "))
    assert len(re.findall(rb"HTTP/1.1 \d{3} ", answer)) == 1


@pytest.mark.parametrize("prefix", ["/classify/", "/explain/", "/models/", "/v1/models/", "/v2/models/", "/static/"])
@pytest.mark.parametrize(
    "name",
    [
        "..",
        "../../../../etc/passwd",
        "..%2f..%2f..%2fetc%2fpasswd",
        "tiny%00",
        "%2e%2e/%2e%2e",
        "%c0%ae%c0%ae",
        "//etc",
    ],
)
def test_a_name_in_a_path_reaches_no_file(gateway: Gateway, prefix: str, name: str) -> None:
    for method in (b"GET", b"POST"):
        fields = b"Host: gateway\r\nConnection: close\r\nContent-Length: 0"
        answer = answers(gateway, method + b" " + (prefix + name).encode() + b" HTTP/1.1\r\n" + fields + b"\r\n\r\n")
        assert re.match(rb"HTTP/1.1 4\d\d ", answer)
        assert b"root:" not in answer
        assert str(gateway.log.parent.parent).encode() not in answer  # nor is the place of the repository told


def test_line_breaks_in_a_request_add_no_line_to_the_log_and_no_header(gateway: Gateway) -> None:
    forged = "%0d%0aX-Forged: yes%0d%0a2026-01-01 00:00:00 INFO FORGED"
    for path in (f"/classify/{forged}", f"/v1/models/{forged}", f"/v2/models/{forged}", f"/{forged}"):
        response = gateway.client.get(path.replace(" ", "%20"))
        assert response.is_client_error
        assert "x-forged" not in response.headers
    answer = answers(
        gateway,
        b"GET /nowhere HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\nX-Request-ID: a\x0bFORGED\tb\r\n\r\n",
    )
    assert b"FORGED" not in answer.partition(b"\r\n\r\n")[0]
    assert not [line for line in gateway.logged().splitlines() if re.match(r"\s*(X-Forged|2026-01-01)", line)]


@pytest.mark.slow
def test_compressed_bombs_within_the_limits_share_a_bounded_memory(gateway: Gateway) -> None:
    """Each file of 190 KB takes 240 MB to decode, of the 500 MB that there are for all."""
    bomb = empty_png(7900, 7900, 8, 6)
    assert len(bomb) < MAX_BODY
    with peak_below(gateway, 500 + 3 * MAX_BODY / 1e6 + SLACK_MB), ThreadPoolExecutor(8) as clients:
        statuses = [
            answer.status_code for answer in clients.map(lambda _: gateway.client.post(PATH, content=bomb), range(8))
        ]
    assert set(statuses) <= {200, 503, 504}
    assert 200 in statuses
