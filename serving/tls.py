"""TLS for the gateway's own port: a certificate that is replaced on disk is used for new connections at once."""

from __future__ import annotations

import asyncio
import logging
import ssl
from pathlib import Path

from serving.core.reloading import Reloading

log = logging.getLogger(__name__)


class Certificate:
    """A certificate with its key, in PEM files that another program may renew.

    Attributes:
        context: The context of the server's connections, which always has the newest certificate.
    """

    def __init__(self, certificate: Path, key: Path, *, poll_seconds: float) -> None:
        """Read the files.

        Args:
            certificate: The certificate, followed by its chain.
            key: The private key, without a passphrase.
            poll_seconds: Seconds between two looks at the files.

        Raises:
            ValueError: The files are no certificate with its key.
            OSError: A file cannot be read.
        """
        self._paths = certificate, key
        self._reloading = Reloading(self.reload, seconds=poll_seconds, failure="the certificate cannot be read again")
        self._error = ""
        self._content = self._read()
        try:
            self.context = _context(*self._paths)
        except ssl.SSLError as error:
            raise ValueError(
                f"{certificate} and {key} are no certificate with its key in PEM: {error.reason}"
            ) from None

    def start(self) -> None:
        """Begin to look for changes."""
        self._reloading.start()

    async def close(self) -> None:
        """Stop looking for changes."""
        await self._reloading.close()

    async def reload(self) -> None:
        """Take the certificate that the files have now. While they do not fit together, the old one stays in use."""
        try:
            content = await asyncio.to_thread(self._read)
            if content == self._content:
                return
            _context(*self._paths)  # one file may have been replaced, and the other not yet
            _load(self.context, *self._paths)
        except (ssl.SSLError, OSError) as error:
            if str(error) != self._error:
                log.error("the new certificate cannot be used, so the old one stays: %s", error)
            self._error = str(error)
            return
        self._content, self._error = content, ""
        log.info("new connections get the new certificate")

    def _read(self) -> tuple[bytes, ...]:
        return tuple(path.read_bytes() for path in self._paths)


def _context(certificate: Path, key: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    _load(context, certificate, key)
    return context


def _load(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    """Give a context the certificate. A key with a passphrase is an error: OpenSSL would ask for it at the terminal."""
    context.load_cert_chain(certificate, key, password="")
