"""Signed tokens (JWT) of an identity provider as credentials."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import time
from pathlib import Path
from typing import Any, Final

import requests
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry

from keras_archs.keys import EVERY_MODEL
from serving.core.access import Caller
from serving.core.reloading import Reloading

ALGORITHMS: Final = (
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
    "Ed25519",
    "EdDSA",
)
"""Signatures that only the holder of a private key can make."""
LEEWAY_SECONDS: Final = 30
"""How far the clocks of issuer and gateway may differ."""
NAME_PREFIX: Final = "token:"
"""Begin of the names of callers with a token, which the names of keys cannot have."""

_MAX_TOKEN: Final = 16 * 1024
_MAX_SUBJECT: Final = 255  # of OpenID Connect
_MAX_REMEMBERED: Final = 10_000
_FETCH_SECONDS: Final = 5.0
_FETCH_INTERVAL: Final = 300.0
_LEAST_PAUSE: Final = 10.0  # between two searches for a key that is not known yet

log = logging.getLogger(__name__)


class Tokens:
    """Tokens of one issuer for one audience.

    A verified token is remembered until it expires or the keys change, because to verify a signature takes ten times as
    long as all other checks of a request. The keys are read again at intervals, and when a token names another key.
    """

    def __init__(self, *, issuer: str, audience: str, keys: str, models_claim: str | None, poll_seconds: float) -> None:
        """Accept tokens.

        Args:
            issuer: Value of the claim `iss`.
            audience: Value of the claim `aud`, or one of its values.
            keys: The issuer's public keys as JSON Web Key Set: a file, which is read at once, or an address, which is
                read after `start`, so that the gateway starts while the issuer is away.
            models_claim: Claim with the models that a token may use: a list of names, or names with spaces between
                them; `*` for all. None if every token may use all models.
            poll_seconds: Seconds between two looks at the file.

        Raises:
            ValueError: The file is no key set.
            OSError: The file cannot be read.
        """
        self._source = keys
        self._is_address = keys.startswith(("http://", "https://"))
        self._models_claim = models_claim
        self._registry = JWSRegistry(algorithms=ALGORITHMS, strict_check_header=False)
        self._claims = jwt.JWTClaimsRegistry(
            leeway=LEEWAY_SECONDS,
            iss={"essential": True, "value": issuer},
            aud={"essential": True, "value": audience},
            sub={"essential": True},
            exp={"essential": True},
        )
        self._remembered: dict[bytes, tuple[Caller, float]] = {}
        self._error = ""
        self._searched = float("-inf")
        self._search: asyncio.Task[None] | None = None
        self._reloading = Reloading(
            self.reload,
            seconds=_FETCH_INTERVAL if self._is_address else poll_seconds,
            failure="the issuer's keys cannot be read again",
        )
        self._content = b"" if self._is_address else Path(keys).read_bytes()
        self._keys = KeySet([]) if self._is_address else _key_set(self._content)

    def known(self, credential: str) -> Caller | None:
        """Return the caller of a token that was verified before; None for any other credential."""
        caller, expires = self._remembered.get(_digest(credential), (None, 0.0))
        return caller if time.time() < expires else None

    async def verify(self, credential: str) -> Caller | None:
        """Return the caller of a valid token; None if it is not valid."""
        if len(credential) > _MAX_TOKEN or credential.count(".") != 2:
            return None
        try:
            claims = self._verified(credential)
        except InvalidKeyIdError:
            await self._look_for_new_keys()
            try:
                claims = self._verified(credential)
            except InvalidKeyIdError:
                return None
        if claims is None:
            return None
        caller = Caller(NAME_PREFIX + claims["sub"], self._models(claims))
        self._remembered[_digest(credential)] = caller, claims["exp"] + LEEWAY_SECONDS
        if len(self._remembered) > _MAX_REMEMBERED:
            del self._remembered[next(iter(self._remembered))]
        return caller

    def start(self) -> None:
        """Begin to read the keys at intervals."""
        if self._is_address:
            self._search = asyncio.create_task(self.reload(), name="read the issuer's keys")
        self._reloading.start()

    async def close(self) -> None:
        """Stop reading the keys."""
        await self._reloading.close()
        if self._search:
            self._search.cancel()
            await asyncio.gather(self._search, return_exceptions=True)

    async def reload(self) -> None:
        """Read the keys again. If they cannot be read, those that were read before stay valid."""
        try:
            async with asyncio.timeout(_FETCH_SECONDS):
                content = await asyncio.to_thread(self._read)
            keys = self._keys if content == self._content else _key_set(content)
        except (OSError, ValueError) as error:
            text = str(error) or f"there was no answer within {_FETCH_SECONDS:g} s"
            if text != self._error:
                log.error("the issuer's keys cannot be read from %s: %s", self._source, text)
            self._error = text
            return
        self._error = ""
        if content != self._content:
            log.info("the issuer's keys were read from %s: %d", self._source, len(keys.keys))
            self._content, self._keys = content, keys
            self._remembered.clear()  # a key may have been withdrawn

    async def _look_for_new_keys(self) -> None:
        """Read the keys again, unless that has just been done; requests at the same time wait for one reading."""
        if (self._search is None or self._search.done()) and time.monotonic() - self._searched > _LEAST_PAUSE:
            self._searched = time.monotonic()
            self._search = asyncio.create_task(self.reload(), name="read the issuer's keys")
        if self._search:
            await asyncio.shield(self._search)

    def _read(self) -> bytes:
        if not self._is_address:
            return Path(self._source).read_bytes()
        response = requests.get(self._source, timeout=_FETCH_SECONDS, allow_redirects=False)
        if response.status_code != requests.codes.ok:
            raise ValueError(f"the answer has the status {response.status_code}")
        return response.content

    def _verified(self, token: str) -> dict[str, Any] | None:
        """Return the claims of a token; None if it is not valid.

        Raises:
            InvalidKeyIdError: The token names a key that is not known.
        """
        try:
            claims = jwt.decode(token, self._keys, registry=self._registry).claims
            self._claims.validate(claims)
        except InvalidKeyIdError:
            raise
        except (JoseError, ValueError, TypeError, KeyError, AttributeError, RecursionError):  # of any bytes at all
            return None
        subject: str = claims["sub"]
        return claims if len(subject) <= _MAX_SUBJECT and subject.isascii() and subject.isprintable() else None

    def _models(self, claims: dict[str, Any]) -> frozenset[str] | None:
        if self._models_claim is None:
            return None
        value = claims.get(self._models_claim)
        names = value.split() if isinstance(value, str) else value if isinstance(value, list) else []
        return None if EVERY_MODEL in names else frozenset(name for name in names if isinstance(name, str))


def _digest(credential: str) -> bytes:
    return hashlib.sha256(credential.encode()).digest()


def _key_set(content: bytes) -> KeySet:
    try:
        return KeySet.import_key_set(json.loads(content))
    except (JoseError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"this is no JSON Web Key Set: {error}") from None
