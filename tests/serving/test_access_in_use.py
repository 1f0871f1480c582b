"""A running gateway with keys, TLS and an admin port."""

from __future__ import annotations

import re
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
import trustme

from keras_archs.cli.app import run
from tests.support.command_line import Captured, failure
from tests.support.gateway import Gateway, running_gateway
from tests.support.network import Host


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("access")


def made(capsys: Captured, path: Path, name: str, *options: str) -> dict[str, str]:
    """Make a key with the command, and return the header that carries it."""
    assert run(["keys", "new", name, "--keys", str(path), *options]) == 0
    return {"X-API-Key": capsys.readouterr().out.strip()}


@pytest.fixture(scope="module")
def repository(folder: Path, constant_classifier: Callable[[Path, int], Path]) -> Path:
    """A repository with the model `tiny`."""
    constant_classifier(folder / "models", 1)
    return folder / "models"


@pytest.fixture(scope="module")
def gateway(repository: Path, folder: Path) -> Iterator[Gateway]:
    """A gateway that has no key yet."""
    keys = folder / "keys.json"
    keys.write_text("{}")
    with running_gateway(repository, folder / "log", "--keys", str(keys), "--preload", "tiny") as running:
        yield running


def wait_for(gateway: Gateway, key: dict[str, str], status: int) -> None:
    deadline = time.monotonic() + 20
    while gateway.client.get("/models", headers=key).status_code != status:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_key_works_within_seconds_for_its_models_until_it_is_revoked(
    gateway: Gateway, folder: Path, capsys: Captured, photographs: dict[str, bytes]
) -> None:
    path, image = folder / "keys.json", photographs["coffee"]
    key, other = made(capsys, path, "team-a", "--model", "tiny"), made(capsys, path, "team-b", "--model", "other")
    assert gateway.client.post("/classify/tiny", content=image).status_code == 401
    wait_for(gateway, other, 200)
    for path_of in ("/classify/tiny", "/explain/tiny"):
        assert gateway.client.post(path_of, content=image, headers=other).status_code == 403
    answer = gateway.client.post("/classify/tiny", content=image, headers=key)
    assert answer.json()["model"] == "tiny"
    assert [model["name"] for model in gateway.client.get("/models", headers=key).json()] == ["tiny"]
    assert gateway.client.get("/models", headers=other).json() == []
    assert run(["keys", "revoke", "team-a", "--keys", str(path)]) == 0
    wait_for(gateway, key, 401)
    assert gateway.client.get("/models", headers=other).is_success
    log = gateway.logged()
    assert re.search("added (team-a, )?team-b", log)
    assert "removed team-a" in log
    assert not any(header["X-API-Key"] in log for header in (key, other))


def test_headers_and_addresses_that_a_client_makes_up_are_not_believed(gateway: Gateway) -> None:
    for headers in ({"X-Forwarded-For": "203.0.113.9"}, {"Forwarded": "for=203.0.113.9"}):
        gateway.client.get("/nowhere", headers=headers)
    assert "203.0.113.9" not in gateway.logged()


def test_on_other_addresses_the_gateway_starts_with_keys_or_by_decision_only(tmp_path: Path, capsys: Captured) -> None:
    serve = ["serve", "--repository", str(tmp_path), "--port", "0", "--host", "0.0.0.0"]
    assert "without a key" in failure(capsys, serve)
    assert "missing: No such file" in failure(capsys, [*serve, "--keys", str(tmp_path / "missing")])
    with running_gateway(tmp_path, tmp_path / "log", "--no-auth", host=Host("0.0.0.0"), ready=False) as gateway:
        assert gateway.client.get("/models").is_success


def leave_while_being_answered(gateway: Gateway, trusted: ssl.SSLContext, key: dict[str, str], image: bytes) -> None:
    head = f"POST /explain/tiny HTTP/1.1\r\nHost: gateway\r\nX-API-Key: {key['X-API-Key']}\r\n"
    for _ in range(5):
        with (
            socket.create_connection(("127.0.0.1", gateway.port), timeout=20) as connection,
            trusted.wrap_socket(connection, server_hostname="127.0.0.1") as encrypted,
        ):
            encrypted.sendall(f"{head}Content-Length: {len(image)}\r\n\r\n".encode() + image)
            encrypted.shutdown(socket.SHUT_WR)


def test_tls_and_an_admin_port(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured, photographs: dict[str, bytes]
) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "tls.crt")
    issued.private_key_pem.write_to_path(tmp_path / "tls.key")
    trusted = ssl.create_default_context()
    authority.configure_trust(trusted)
    key = made(capsys, tmp_path / "keys.json", "team-a")
    for name, value in {
        "TLS_CERTIFICATE": "tls.crt",
        "TLS_KEY": "tls.key",
        "KEYS": "keys.json",
    }.items():
        monkeypatch.setenv(f"KERAS_ARCHS_{name}", str(tmp_path / value))
    monkeypatch.setenv("KERAS_ARCHS_ADMIN_PORT", "0")
    with running_gateway(repository, tmp_path / "log", verify=trusted) as gateway:
        assert gateway.client.base_url.scheme == "https"
        assert gateway.client.get("/models").status_code == 401
        assert gateway.client.post("/classify/tiny", content=photographs["coffee"], headers=key).is_success
        assert gateway.client.get("/metrics", headers=key).status_code == 404
        leave_while_being_answered(gateway, trusted, key, photographs["coffee"])
        with pytest.raises(httpx.RemoteProtocolError):
            httpx.get(f"http://127.0.0.1:{gateway.port}/healthz")
        listening = (it.laddr.port for it in gateway.process.net_connections() if it.status == "LISTEN")
        (admin_port,) = set(listening) - {gateway.port}
        admin = httpx.get(f"https://127.0.0.1:{admin_port}/metrics", verify=trusted)
        assert re.search("^# HELP keras_archs_", admin.text, re.MULTILINE)
        assert "WARNING" not in gateway.logged()
        assert "Traceback" not in gateway.logged()
