"""Both clients against a server that plays the gateway: batches, keys, strange answers."""

from __future__ import annotations

import logging
import pickle
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from keras_archs.client import Client, ClientError, NoAnswerError, ProblemError, UnexpectedAnswerError
from tests.client.documents import classification
from tests.support.scripted_server import Received, Scripted, answer, problem, scripted_server

Connect = Callable[..., Any]

KEY = "a-key-that-nobody-may-see"
GOOD = answer(classification("cat"))


# batches


def echo(received: Received) -> Scripted:
    """Label each image with its own content."""
    if received.headers["content-type"] == "application/octet-stream":
        return answer(classification(received.body.decode()))
    parts = received.body.split(b"\r\n\r\n")[1:]
    return answer(classification(*(part.split(b"\r\n")[0].decode() for part in parts)))


def labels(answers: list[Any]) -> list[str]:
    return [classified.best.label for classified in answers]


def test_one_image_has_one_answer_and_an_iterable_a_list(connect: Connect) -> None:
    with scripted_server(script=echo) as server:
        client = connect(server.url)
        assert client.classify(b"one", "tiny").best.label == "one"
        assert labels(client.classify([b"one"], "tiny")) == ["one"]
        assert labels(client.classify((image for image in (b"one", b"two")), "tiny")) == ["one", "two"]
        assert client.classify([], "tiny") == []


def test_a_batch_is_divided_and_answered_in_order(connect: Connect) -> None:
    names = [f"image {number}" for number in range(100)]
    with scripted_server(script=echo) as server:
        answers = connect(server.url, max_images=8).classify([name.encode() for name in names], "tiny")
    assert labels(answers) == names
    assert Counter(received.body.count(b"filename=") for received in server.received) == {8: 12, 4: 1}


def test_a_part_has_at_most_so_many_bytes_unless_it_is_one_image(connect: Connect) -> None:
    with scripted_server(script=echo) as server:
        names = ["a" * 10, "b" * 10, "c" * 10, "d" * 50, "e"]
        assert labels(connect(server.url, max_bytes=20).classify(map(str.encode, names), "tiny")) == names
    assert sorted(max(1, received.body.count(b"filename=")) for received in server.received) == [1, 1, 1, 2]


def test_requests_in_flight_are_bounded(connect: Connect) -> None:
    lock, both, most = threading.Lock(), threading.Barrier(3, timeout=20), [0, 0]

    def count(received: Received) -> Scripted:
        with lock:
            most[0] += 1
            most[1] = max(most)
        both.wait()  # so that requests meet: three at a time
        with lock:
            most[0] -= 1
        return echo(received)

    with scripted_server(script=count) as server:
        connect(server.url, max_images=1, concurrency=3).classify([b"image"] * 9, "tiny")
    assert most == [0, 3]


def test_files_are_read_when_their_request_is_sent(connect: Connect, tmp_path: Path) -> None:
    def paths() -> Iterator[Path]:
        for number in range(40):
            path = tmp_path / "image"
            path.write_text(f"image {number}")
            yield path

    with scripted_server(script=echo) as server:
        answers = connect(server.url).classify(paths(), "tiny")
    assert labels(answers) == [f"image {number}" for number in range(40)]


def test_the_first_failure_ends_a_batch(connect: Connect) -> None:
    def refuse(received: Received) -> Scripted:
        return problem(400, "invalid-image", "image 1 is damaged") if received.body == b"bad" else echo(received)

    with scripted_server(script=refuse) as server, pytest.raises(ProblemError, match="image 1 is damaged"):
        images = [b"good", b"bad", *[b"good"] * 50]
        connect(server.url, max_images=1, concurrency=2).classify(images, "tiny")
    assert len(server.received) < 10


def test_a_failure_does_not_wait_for_other_requests(connect: Connect) -> None:
    both = threading.Barrier(2, timeout=20)

    def refuse_or_hang(received: Received) -> Scripted:
        both.wait()
        return problem(400, "invalid-image") if received.body == b"bad" else Scripted(hangs=True)

    started = time.monotonic()
    with scripted_server(script=refuse_or_hang) as server:
        client = connect(server.url, max_images=1, timeout=5)
        with pytest.raises(ProblemError):
            client.classify([b"bad", b"good"], "tiny")
        assert time.monotonic() - started < 4


def test_connections_are_kept(connect: Connect) -> None:
    with scripted_server(GOOD) as server:
        client = connect(server.url)
        for _ in range(5):
            client.classify(b"image", "tiny")
    assert server.connections == 1


# answers


def test_times_come_with_the_answer(connect: Connect) -> None:
    timed = answer(classification("cat"), Server_Timing="decode;dur=2.5, queue;dur=0.50, inference;dur=4, x;desc=y")
    with scripted_server(timed) as server:
        timing = connect(server.url).classify(b"image", "tiny").timing
    assert (timing.decode, timing.queue, timing.inference) == (0.0025, 0.0005, 0.004)
    assert 0 < timing.total < 10


@pytest.mark.parametrize(
    ("header", "arithmetic"),
    [
        ('decode;dur=2.50, queue;dur=0.50, inference;dur=4.00;desc="bf16"', "bf16"),
        ("inference;desc=int8;dur=4, network;dur=1", "int8"),
        ('decode;dur=1;desc="jpeg", inference;dur=4', None),
        ('proxy-inference;desc="hit", inference;dur=4, cache;desc="miss"', None),
    ],
)
def test_the_arithmetic_is_that_of_the_inference(connect: Connect, header: str, arithmetic: str | None) -> None:
    with scripted_server(answer(classification("cat"), Server_Timing=header)) as server:
        assert connect(server.url).classify(b"image", "tiny").arithmetic == arithmetic


def test_an_answer_without_times_says_no_arithmetic(connect: Connect) -> None:
    with scripted_server(GOOD) as server:
        assert connect(server.url).classify(b"image", "tiny").arithmetic is None


def test_a_problem_has_all_that_the_gateway_says(connect: Connect) -> None:
    with scripted_server(problem(503, "overloaded", "64 requests wait", Retry_After="7")) as server:
        with pytest.raises(ProblemError) as raised:
            connect(server.url, timeout=5).classify(b"image", "tiny")
        error = raised.value
    assert (error.status, error.slug, error.title) == (503, "overloaded", "overloaded")
    assert (error.detail, error.request_id, error.retry_after) == ("64 requests wait", "request-1", 7)
    assert str(error) == "64 requests wait (status 503, request request-1)"


@pytest.mark.parametrize(
    ("strange", "message"),
    [
        (answer(b"<html>Welcome</html>", Content_Type="text/html"), "got status 200 and the type 'text/html'"),
        (answer({"hello": "world"}), "JSON that are no such answer: KeyError"),
        (answer(b"{"), "1 bytes of JSON"),
        (answer([1, 2]), "no such answer"),
        (answer(b"", 302, Location="https://elsewhere.example/login"), "redirects to https://elsewhere.example/login"),
        (answer(b"nonsense", Content_Encoding="gzip"), "check the URL"),
        (answer(b"", 204), "got status 204"),
    ],
)
def test_an_answer_of_another_server_is_no_answer(connect: Connect, strange: Scripted, message: str) -> None:
    with scripted_server(strange) as server, pytest.raises(UnexpectedAnswerError, match=message):
        connect(server.url).classify(b"image", "tiny")
    assert len(server.received) == 1


@pytest.mark.parametrize(
    "bad_gateway",
    [
        answer(b"<html>Bad gateway</html>", 502, Content_Type="text/html", X_Request_ID="proxy-7"),
        answer(b"{", 502, Content_Type="application/problem+json", X_Request_ID="proxy-7"),
        answer({"type": "about:blank"}, 502, Content_Type="application/problem+json", X_Request_ID="proxy-7"),
    ],
)
def test_an_error_page_of_a_proxy_is_an_error_by_its_status(connect: Connect, bad_gateway: Scripted) -> None:
    with scripted_server(bad_gateway) as server, pytest.raises(ProblemError, match="Bad Gateway") as raised:
        connect(server.url).models()
    assert (raised.value.status, raised.value.slug, raised.value.request_id) == (502, "", "proxy-7")


def test_ready_is_an_answer_in_every_case_but_a_strange_one(connect: Connect) -> None:
    with scripted_server(problem(503, "model-unavailable"), answer({"status": "ready"}), answer({"up": 1})) as server:
        client = connect(server.url)
        assert client.ready() is False
        assert client.ready() is True
        with pytest.raises(UnexpectedAnswerError):
            client.ready()
    assert connect(server.url, attempts=1).ready() is False


def test_a_name_is_one_part_of_the_path(connect: Connect) -> None:
    with scripted_server(GOOD) as server:
        client = connect(f"{server.url}/below/")
        client.classify(b"image", "../models?x=/", version=3)
        client.classify(b"image", "tiny", label="a/b", top_k=2)
    assert [received.path for received in server.received] == [
        "/below/classify/..%2Fmodels%3Fx%3D%2F/versions/3",
        "/below/classify/tiny/labels/a%2Fb",
    ]
    assert server.received[1].query["top_k"] == "2"


@pytest.mark.parametrize(
    "error",
    [
        ProblemError(status=503, slug="overloaded", detail="busy", request_id="7", retry_after=1),
        NoAnswerError("gone", is_temporary=False),
        UnexpectedAnswerError("a page"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_pass_between_processes(error: ClientError) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), vars(copy)) == (type(error), str(error), vars(error))


# keys


def test_the_key_is_sent_and_never_shown(connect: Connect, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with scripted_server(problem(503, "overloaded", Retry_After="0"), problem(401, "unauthenticated")) as server:
        client = connect(server.url, key=KEY)
        with pytest.raises(ProblemError) as refused:
            client.classify(b"image", "tiny")
    assert {received.headers["authorization"] for received in server.received} == {f"Bearer {KEY}"}
    with pytest.raises(NoAnswerError) as unreachable:
        connect(server.url, key=KEY, attempts=1).models()
    shown = [repr(client), *map(repr, (refused.value, unreachable.value, unreachable.value.__cause__)), caplog.text]
    assert all(text and KEY not in text for text in shown)


def test_no_key_means_no_header(connect: Connect) -> None:
    with scripted_server(GOOD) as server:
        connect(server.url).classify(b"image", "tiny")
    assert "authorization" not in server.received[0].headers


@pytest.mark.parametrize("key", ["", f"{KEY}\n", f"{KEY}\r\nX-Other: 1", f"{KEY} ", "schlüssel"])
def test_a_key_that_no_header_can_carry_is_refused_unseen(connect: Connect, key: str) -> None:
    with pytest.raises(ValueError, match="the key is printable ASCII") as refused:
        connect("http://127.0.0.1:8000", key=key)
    assert not key or key.strip() not in str(refused.value)


# arguments


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"url": "127.0.0.1:8000"}, r"the URL is http\(s\)://HOST"),
        ({"url": "ftp://host"}, "got 'ftp://host'"),
        ({"url": "http://host/?a=1"}, r"the URL is http\(s\)://HOST"),
        ({"url": "http://name:password@host"}, "which a gateway does not take: it takes a key"),
        ({"timeout": 0}, "seconds above 0; got 0"),
        ({"url": "http://host:80000"}, "Port out of range"),
        ({"url": "http://host/ "}, r"the URL is http\(s\)://HOST"),
        ({"timeout": float("nan")}, "seconds above 0"),
        ({"timeout": float("inf")}, "seconds above 0"),
        ({"attempts": 0}, "attempts is at least 1; got 0"),
        ({"concurrency": 0}, "concurrency is at least 1"),
    ],
)
def test_arguments_are_checked_when_the_client_is_made(connect: Connect, options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        connect(**{"url": "http://127.0.0.1:8000"} | options)


def test_a_version_and_a_label_are_not_both_given(connect: Connect) -> None:
    with pytest.raises(ValueError, match="a version or a label, not both; got 1 and 'stable'"):
        connect("http://127.0.0.1:8000").classify(b"image", "tiny", version=1, label="stable")


def test_a_client_of_httpx_brings_its_own_options() -> None:
    with scripted_server(GOOD) as server, httpx.Client(headers={"X-Team": "birds"}) as http:
        with Client(server.url, http=http) as client:
            client.classify(b"image", "tiny")
        assert not http.is_closed
    assert server.received[0].headers["x-team"] == "birds"


def test_the_client_needs_neither_keras_nor_tensorflow() -> None:
    script = "import sys, keras_archs.client; print({'keras', 'tensorflow', 'serving'} & set(sys.modules))"
    process = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert process.stdout == "set()\n"
