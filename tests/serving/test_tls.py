"""The gateway's certificate, and how it is replaced."""

from __future__ import annotations

import asyncio
import logging
import shutil
import ssl
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from serving.tls import Certificate


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


def issue(authority: trustme.CA, folder: Path, name: str) -> tuple[Path, Path]:
    """Write a certificate for a host with its key, in place of those before."""
    issued = authority.issue_cert(name)
    certificate, key = folder / "tls.crt", folder / "tls.key"
    certificate.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    key.write_bytes(issued.private_key_pem.bytes())
    return certificate, key


async def shown(context: ssl.SSLContext, authority: trustme.CA) -> str:
    """Return the host of the certificate that a new connection is shown."""
    client = ssl.create_default_context()
    authority.configure_trust(client)
    client.check_hostname = False

    async def close(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(close, "127.0.0.1", 0, ssl=context)
    async with server:
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname(), ssl=client)
        certificate = writer.get_extra_info("peercert")
        writer.close()
    host: str = certificate["subjectAltName"][0][1]
    return host


def test_new_connections_get_a_certificate_that_was_replaced_on_disk(tmp_path: Path, authority: trustme.CA) -> None:
    async def replace() -> None:
        certificate = Certificate(*issue(authority, tmp_path, "old.example"), poll_seconds=0.01)
        certificate.start()
        assert await shown(certificate.context, authority) == "old.example"
        issue(authority, tmp_path, "new.example")
        while await shown(certificate.context, authority) != "new.example":
            pass
        await certificate.close()

    asyncio.run(asyncio.wait_for(replace(), 20))


def test_a_certificate_whose_key_has_not_been_replaced_yet_is_not_used(
    tmp_path: Path, authority: trustme.CA, caplog: pytest.LogCaptureFixture
) -> None:
    async def replace_one_file() -> None:
        paths = issue(authority, tmp_path, "old.example")
        certificate = Certificate(*paths, poll_seconds=1)
        (tmp_path / "new").mkdir()
        new_certificate, new_key = issue(authority, tmp_path / "new", "new.example")
        shutil.copy(new_certificate, paths[0])
        await certificate.reload()
        await certificate.reload()
        assert await shown(certificate.context, authority) == "old.example"
        assert len([record for record in caplog.records if record.levelno == logging.ERROR]) == 1
        shutil.copy(new_key, paths[1])
        await certificate.reload()
        assert await shown(certificate.context, authority) == "new.example"

    asyncio.run(replace_one_file())


def test_old_versions_of_tls_are_refused(tmp_path: Path, authority: trustme.CA) -> None:
    certificate = Certificate(*issue(authority, tmp_path, "gateway.example"), poll_seconds=1)
    assert certificate.context.minimum_version == ssl.TLSVersion.TLSv1_2


def test_files_that_are_no_certificate_with_its_key_prevent_the_start(tmp_path: Path, authority: trustme.CA) -> None:
    certificate, key = issue(authority, tmp_path, "gateway.example")
    with pytest.raises(ValueError, match="are no certificate with its key"):
        Certificate(key, certificate, poll_seconds=1)
    with pytest.raises(FileNotFoundError):
        Certificate(tmp_path / "missing", key, poll_seconds=1)


def test_a_key_with_a_passphrase_is_refused_and_nobody_is_asked_for_it(tmp_path: Path, authority: trustme.CA) -> None:
    certificate, key = issue(authority, tmp_path, "gateway.example")
    plain = serialization.load_pem_private_key(key.read_bytes(), None)
    key.write_bytes(
        plain.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"passphrase"),
        )
    )
    with pytest.raises(ValueError, match="are no certificate with its key"):
        Certificate(certificate, key, poll_seconds=1)
