"""TLS to the servers, their addresses, and invalid backend settings."""

from __future__ import annotations

from pathlib import Path

import pytest
import trustme

from serving.engines.tf_serving.names import Target
from tests.support.backend import running_backend
from tests.support.engines import serving_flags
from tests.support.gateway import running_gateway
from tests.support.tf_serving_stack import IMAGE, Stack


@pytest.mark.parametrize("mutual", [False, True])
def test_servers_and_gateway_authenticate_with_certificates(
    stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mutual: bool
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    for name in ("localhost", "gateway"):
        issued = authority.issue_cert(name)
        issued.private_key_pem.write_to_path(str(tmp_path / f"{name}.key"))
        for pem in issued.cert_chain_pems:
            pem.write_to_path(str(tmp_path / f"{name}.pem"), append=True)
    tls = ["--tls_certificate", str(tmp_path / "localhost.pem"), "--tls_key", str(tmp_path / "localhost.key")]
    if mutual:
        tls += ["--tls_client_authority", str(tmp_path / "ca.pem")]
    monkeypatch.setenv("KERAS_ARCHS_BACKEND_CA", str(tmp_path / "ca.pem"))

    def answers(host: str, port: int, *, ready: bool) -> bool:
        flags = ("--engine", "tf-serving", "--backend", f"{host}:{port}")
        with running_gateway(stack.repository, tmp_path / "log", *flags, ready=ready) as gateway:
            return gateway.client.post("/classify/tiny", content=IMAGE).is_success

    with running_backend(tmp_path / "backend.log", *serving_flags(stack.repository), *tls) as backend:
        if mutual:
            assert not answers("localhost", backend.port, ready=False)  # the gateway has no client certificate
            monkeypatch.setenv("KERAS_ARCHS_BACKEND_CERTIFICATE", str(tmp_path / "gateway.pem"))
            monkeypatch.setenv("KERAS_ARCHS_BACKEND_KEY", str(tmp_path / "gateway.key"))
        assert answers("localhost", backend.port, ready=True)
        assert not answers("127.0.0.1", backend.port, ready=False)  # the certificate is for another name


@pytest.mark.parametrize(
    ("flags", "environment", "message"),
    [
        ((), {}, "engine tf-serving needs a backend"),
        (("--backend", "tf-serving"), {}, "a backend is host:port, or [address]:port for IPv6; got 'tf-serving'"),
        (("--backend", "dns:///tf-serving:8500"), {}, "a backend is host:port"),
        (("--backend", "a:1"), {"BACKEND_KEY": "k"}, "set both backend_certificate and backend_key, or neither"),
        (("--backend", "a:1"), {"BACKEND_CA": "nowhere.pem"}, "nowhere.pem: No such file"),
    ],
)
def test_invalid_backend_settings_are_reported_in_one_line(
    flags: tuple[str, ...],
    environment: dict[str, str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from keras_archs.cli.app import run

    for name, value in environment.items():
        monkeypatch.setenv(f"KERAS_ARCHS_{name}", value)
    assert run(["serve", "--engine", "tf-serving", *flags]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert message in line


@pytest.mark.parametrize(
    ("text", "target"), [("tf-serving:8500", Target("tf-serving", 8500)), ("[::1]:1", Target("::1", 1))]
)
def test_a_target_is_a_host_and_a_port(text: str, target: Target) -> None:
    assert Target.parse(text) == target


@pytest.mark.parametrize("text", ["", "host", "host:", ":1", "host:x", "host:99999", "host:1/path", "me@host:1"])
def test_other_texts_are_not_a_target(text: str) -> None:
    with pytest.raises(ValueError, match="host:port"):
        Target.parse(text)
