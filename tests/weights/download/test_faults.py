"""Servers, connections and disks that fail: the error says what happened, and nothing is kept."""

from __future__ import annotations

import shutil
import socket
import ssl
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import trustme

from keras_archs.weights.download import fetch, transfer
from keras_archs.weights.errors import DownloadError
from tests.support.weights_entries import OTHER_WEIGHTS, PATH, WEIGHTS, an_entry, file_at, put
from tests.support.weights_server import Answer, WeightsServer

NAME = "resnet18.safetensors"
WHOLE = Answer(WEIGHTS)


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pauses between attempts."""
    monkeypatch.setattr("pooch.core.time", SimpleNamespace(sleep=lambda seconds: None))


@pytest.fixture
def put_on_server(isolated: Path, weights_server: WeightsServer) -> Callable[..., str]:
    """Puts the answers for a file on the server, and returns the file's URL."""
    return lambda *answers: weights_server.put(f"/{NAME}", *answers)


def refusal(url: str) -> str:
    """Fetch a file that must not be had, and return the part of the error's message about its URL."""
    with pytest.raises(DownloadError) as raised:
        fetch(an_entry(file_at(url)))
    (line,) = (line for line in str(raised.value).splitlines() if line.startswith(f"- {url}: "))
    return line.removeprefix(f"- {url}: ").removesuffix(";")


def files_in(cache: Path) -> list[Path]:
    return [path for path in cache.rglob("*") if path.is_file()]


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_an_answer_that_is_final_is_not_asked_for_again(
    isolated: Path, weights_server: WeightsServer, put_on_server: Callable[..., str], status: int
) -> None:
    message = refusal(put_on_server(Answer(b"no", status)))
    assert message.startswith(f"127.0.0.1 answered {status} ")
    assert len(weights_server.received) == 1
    assert files_in(isolated) == []


@pytest.mark.parametrize(
    "fault",
    [
        Answer(b"later", 500),
        Answer(b"later", 503),
        Answer(b"too many", 429),
        Answer(WEIGHTS, sent=1000),
        Answer(WEIGHTS, sent=0),
    ],
)
def test_a_fault_that_may_pass_is_tried_again(
    isolated: Path, weights_server: WeightsServer, put_on_server: Callable[..., str], fault: Answer
) -> None:
    fetched = fetch(an_entry(file_at(put_on_server(fault, WHOLE))))
    assert files_in(isolated) == [fetched.path]
    assert fetched.path.read_bytes() == WEIGHTS
    assert len(weights_server.received) == 2


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (Answer(b"later", 500), "127.0.0.1 answered 500 Internal Server Error"),
        (Answer(WEIGHTS, sent=1000), "the connection broke before the file was complete"),
    ],
)
def test_a_fault_that_does_not_pass_ends_after_three_attempts(
    isolated: Path, weights_server: WeightsServer, put_on_server: Callable[..., str], fault: Answer, message: str
) -> None:
    assert refusal(put_on_server(fault)) == message
    assert len(weights_server.received) == 3
    assert files_in(isolated) == []


def test_a_truncated_file_without_a_length_is_not_kept(isolated: Path, put_on_server: Callable[..., str]) -> None:
    message = refusal(put_on_server(Answer(WEIGHTS, sent=1000, length=False)))
    assert message.startswith("1,000 bytes, SHA-256 ")
    assert files_in(isolated) == []


def test_a_file_without_a_length_is_kept_if_its_checksum_is_right(put_on_server: Callable[..., str]) -> None:
    assert fetch(an_entry(file_at(put_on_server(Answer(WEIGHTS, length=False))))).path.read_bytes() == WEIGHTS


def test_a_file_whose_end_nothing_tells_is_refused(isolated: Path, put_on_server: Callable[..., str]) -> None:
    url = put_on_server(Answer(WEIGHTS, length=False))
    with pytest.raises(DownloadError, match="does not say how long the file is, and no checksum of it was published"):
        fetch(an_entry(file_at(url, checksum=None)))
    assert files_in(isolated) == []


def test_other_content_is_not_kept_and_both_checksums_are_said(
    isolated: Path, weights_server: WeightsServer, put_on_server: Callable[..., str]
) -> None:
    message = refusal(put_on_server(Answer(OTHER_WEIGHTS)))
    published = file_at("https://x/y").checksum
    assert published is not None
    assert message.startswith(f"{len(OTHER_WEIGHTS):,} bytes, SHA-256 ")
    assert message.endswith(f" instead of {published.value}")
    assert len(weights_server.received) == 1
    assert files_in(isolated) == []


def test_a_web_page_is_not_taken_for_the_file(isolated: Path, put_on_server: Callable[..., str]) -> None:
    page = Answer(b"<html>Welcome to the hotel</html>", headers={"Content-Type": "text/html; charset=utf-8"})
    assert refusal(put_on_server(page)) == "the server sent a web page instead of the file"
    assert files_in(isolated) == []


@pytest.mark.parametrize("sent", [0, 1000])
def test_a_server_that_falls_silent_is_left(
    isolated: Path, put_on_server: Callable[..., str], monkeypatch: pytest.MonkeyPatch, sent: int
) -> None:
    monkeypatch.setattr(transfer, "SILENCE_SECONDS", 0.1)
    assert refusal(put_on_server(Answer(WEIGHTS, sent=sent, then="silence"))) == "the server fell silent for 0.1 s"
    assert files_in(isolated) == []


def test_a_server_that_does_not_answer_is_left(isolated: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "SILENCE_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        assert refusal(f"http://127.0.0.1:{listening.getsockname()[1]}/{NAME}") == "no answer within 0.1 s"


def test_a_machine_that_cannot_be_reached_is_named_with_the_reason(isolated: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    assert "Connection refused" in refusal(f"http://127.0.0.1:{port}/{NAME}")


@pytest.mark.parametrize("headers", [{"Content-Length": "many"}, {"Location": "http://[/"}])
def test_an_answer_that_is_no_valid_http_is_refused(
    isolated: Path, put_on_server: Callable[..., str], headers: dict[str, str]
) -> None:
    status = 302 if "Location" in headers else 200
    assert refusal(put_on_server(Answer(WEIGHTS, status, headers=headers, length=False)))
    assert files_in(isolated) == []


def test_further_sources_are_tried(weights_server: WeightsServer, put_on_server: Callable[..., str]) -> None:
    entry = an_entry(file_at(f"{weights_server.url}/gone.safetensors"), file_at(put_on_server(WHOLE)))
    assert fetch(entry).file == entry.files[1]
    assert weights_server.paths == ["/gone.safetensors", f"/{NAME}"]


def test_a_proxy_is_used(isolated: Path, weights_server: WeightsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"http://weights.example.org/{NAME}"
    weights_server.put(url, WHOLE)
    monkeypatch.setenv("HTTP_PROXY", weights_server.url)
    assert fetch(an_entry(file_at(url))).path.read_bytes() == WEIGHTS
    assert weights_server.paths == [url]


def test_a_redirect_is_followed(weights_server: WeightsServer, put_on_server: Callable[..., str]) -> None:
    moved = weights_server.put("/old.safetensors", Answer(status=302, headers={"Location": put_on_server(WHOLE)}))
    assert fetch(an_entry(file_at(moved))).path.read_bytes() == WEIGHTS


def test_a_redirect_from_https_to_http_is_not_followed(
    tmp_path: Path, weights_server: WeightsServer, put_on_server: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "authority.pem"))
    encrypted = WeightsServer(context)
    try:
        url = encrypted.put(f"/{NAME}", Answer(status=302, headers={"Location": put_on_server(WHOLE)}))
        assert refusal(url) == "the server redirects to an address without encryption"
        assert weights_server.received == []
        assert fetch(an_entry(file_at(encrypted.put(f"/{NAME}", WHOLE)))).path.read_bytes() == WEIGHTS
    finally:
        encrypted.close()


def test_a_certificate_that_nobody_vouches_for_is_refused(isolated: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    encrypted = WeightsServer(context)
    try:
        assert "certificate verify failed" in refusal(encrypted.put(f"/{NAME}", WHOLE))
    finally:
        encrypted.close()


def test_too_little_space_is_said_before_the_file_is_downloaded(
    isolated: Path, put_on_server: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10_000, 9_000, 1_000))
    message = refusal(put_on_server(WHOLE))
    assert f"has 1,000 bytes of free space, the file needs {len(WEIGHTS):,}" in message
    assert files_in(isolated) == []


def test_a_cache_that_cannot_be_made_is_named_with_the_way_out(
    isolated: Path, put_on_server: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(isolated, b"a file where the folder should be")
    url = put_on_server(WHOLE)
    message = refusal(url)
    assert f"{isolated / PATH} cannot be written: " in message
    assert "KERAS_HOME names the folder in which the cache lies" in message
    monkeypatch.setenv("KERAS_ARCHS_WEIGHTS", str(tmp_path / "mine"))
    there = put(tmp_path / "mine" / NAME)
    assert fetch(an_entry(file_at(url))).path == there
    assert fetch(an_entry(file_at(url, checksum=None))).path == there
