"""TLS to the servers, and settings that cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest
import trustme

from tests.support.backend import running_backend
from tests.support.engines import serving
from tests.support.gateway import running_gateway
from tests.support.tf_serving_stack import IMAGE, Stack


@pytest.mark.parametrize("mutual", [False, True])
def test_servers_are_known_by_their_certificates_and_know_the_gateway(
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

    with running_backend(tmp_path / "backend.log", *serving(stack.repository), *tls) as backend:
        if mutual:
            assert not answers("localhost", backend.port, ready=False)  # it does not know us
            monkeypatch.setenv("KERAS_ARCHS_BACKEND_CERTIFICATE", str(tmp_path / "gateway.pem"))
            monkeypatch.setenv("KERAS_ARCHS_BACKEND_KEY", str(tmp_path / "gateway.key"))
        assert answers("localhost", backend.port, ready=True)
        assert not answers("127.0.0.1", backend.port, ready=False)  # its certificate is for another name


@pytest.mark.parametrize(
    ("flags", "environment", "message"),
    [
        ((), {}, "engine tf-serving needs a backend"),
        (("--backend", "tf-serving"), {}, "a backend is host:port, or [address]:port for IPv6; got 'tf-serving'"),
        (("--backend", "dns:///tf-serving:8500"), {}, "a backend is host:port"),
        (("--backend", "a:1"), {"BACKEND_KEY": "k"}, "come together"),
        (("--backend", "a:1"), {"BACKEND_CA": "nowhere.pem"}, "nowhere.pem: No such file"),
    ],
)
def test_incomplete_settings_are_said_in_one_line(
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
