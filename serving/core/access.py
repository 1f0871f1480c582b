"""Who sends a request, and what the caller may do. Every protocol finds out who asks before it reads a body."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv6Address, IPv6Network
from typing import Protocol

from serving.core.errors import ModelNotAllowedError, UnauthenticatedError
from serving.core.rates import Quota, TokenBuckets

FAILURES_PER_MINUTE = 20
"""Invalid credentials from one address that are checked; further ones are refused unchecked."""
NOT_VALID = "one valid key or token is needed, as Authorization: Bearer KEY or as X-API-Key: KEY"


@dataclass(frozen=True)
class Caller:
    """Who sends a request.

    Attributes:
        name: Name of the caller's key; or, without a key, its address, or its network of IPv6. Callers share memory
            and threads fairly.
        models: Names of the models that the caller may use; None for all.
        requests_per_minute: Requests that the caller may send; None for any number.
        bytes_per_minute: Bytes of bodies that the caller may send; None for any number.
        weight: Share of the machine relative to that of others who have work at the same time, above 0.
    """

    name: str
    models: Collection[str] | None = None
    requests_per_minute: int | None = None
    bytes_per_minute: int | None = None
    weight: float = 1.0

    def may_use(self, model: str) -> bool:
        """Return whether the caller may use a model."""
        return self.models is None or model in self.models

    def check_may_use(self, model: str) -> None:
        """Refuse a model that the caller may not use.

        Raises:
            ModelNotAllowedError: The caller may use other models only.
        """
        if not self.may_use(model):
            raise ModelNotAllowedError(f"{self.name} may not use {model}")


class Credentials(Protocol):
    """Credentials of one kind that the gateway accepts, such as keys."""

    def known(self, credential: str) -> Caller | None:
        """Return whose credential it is, if that is known without work; None if it is unknown or not valid."""

    async def verify(self, credential: str) -> Caller | None:
        """Return whose credential it is, after the work that the check needs; None if it is not valid."""

    def start(self) -> None:
        """Begin to follow changes of what is accepted."""

    async def reload(self) -> None:
        """Take what has changed at once."""

    async def close(self) -> None:
        """Stop following changes."""


class Access:
    """Identifies callers, and counts what they send.

    A known credential is accepted whatever else came from the same address, so that a neighbour who guesses locks
    nobody out who has a key, or a token that was accepted before. Guessing is hopeless, because keys are random numbers
    of 160 bits and tokens are signed; the limit on failures saves the work of checking signatures.

    Attributes:
        needs_credentials: Whether requests need a credential.
    """

    def __init__(
        self,
        accepted: Sequence[Credentials] = (),
        *,
        requests_per_minute: int | None = None,
        bytes_per_minute: int | None = None,
    ) -> None:
        """Set who is let in.

        Args:
            accepted: Credentials of each kind; without any, everybody may use everything.
            requests_per_minute: Limit of callers that have no limit of their own; None for any number.
            bytes_per_minute: The same, for the bytes of their bodies.
        """
        self._accepted = tuple(accepted)
        self.needs_credentials = bool(accepted)
        self._requests_per_minute = requests_per_minute
        self._bytes_per_minute = bytes_per_minute
        self._requests = TokenBuckets("requests")
        self._bytes = TokenBuckets("bytes")
        self._failures = TokenBuckets("invalid credentials")

    def set_rates(self, *, requests_per_minute: int | None, bytes_per_minute: int | None) -> None:
        """Change the limits of callers that have no limit of their own; see the constructor."""
        self._requests_per_minute = requests_per_minute
        self._bytes_per_minute = bytes_per_minute

    def start(self) -> None:
        """Begin to follow changes of keys."""
        for kind in self._accepted:
            kind.start()

    async def reload(self) -> None:
        """Take changes of keys at once."""
        for kind in self._accepted:
            await kind.reload()

    async def close(self) -> None:
        """Stop following changes."""
        for kind in self._accepted:
            await kind.close()

    def recognise(self, credentials: Sequence[str], address: str) -> Caller | None:
        """Return who sends a request if that is known at once; None if there is a credential to verify, or none.

        Args:
            credentials: As for `identify`.
            address: Network address of the client.
        """
        if not self.needs_credentials:
            return Caller(_network(address))
        if len(credentials) == 1:
            for kind in self._accepted:
                if caller := kind.known(credentials[0]):
                    return caller
        return None

    async def identify(self, credentials: Sequence[str], address: str) -> Caller:
        """Return who sends a request.

        Args:
            credentials: All credentials of the request, as `credentials_in` returns them.
            address: Network address of the client.

        Raises:
            UnauthenticatedError: Credentials are needed, and the request has none, an invalid one or several.
            RateLimitedError: The address has sent too many invalid credentials.
        """
        if caller := self.recognise(credentials, address):
            return caller
        if not credentials:
            raise UnauthenticatedError(NOT_VALID)
        if len(credentials) == 1:
            self._failures.check(_network(address), FAILURES_PER_MINUTE)
            for kind in self._accepted:
                if verified := await kind.verify(credentials[0]):
                    return verified
        self._failures.spend(_network(address), FAILURES_PER_MINUTE)
        raise UnauthenticatedError(NOT_VALID)

    def spend_request(self, caller: Caller) -> None:
        """Count a request.

        Raises:
            RateLimitedError: The caller has sent as many as are allowed.
        """
        if limit := caller.requests_per_minute or self._requests_per_minute:
            self._requests.spend(caller.name, limit)

    def spend_bytes(self, caller: Caller, size: int) -> None:
        """Count bytes of a body: all of them when its length is known, else each part as it arrives.

        Raises:
            RateLimitedError: The caller has sent as many as are allowed.
        """
        if size and (limit := caller.bytes_per_minute or self._bytes_per_minute):
            self._bytes.spend(caller.name, limit, size)

    def is_limited(self, caller: Caller) -> bool:
        """Return whether there is any limit on what a caller may send."""
        (_, requests), (_, size) = self._limits(caller)
        return bool(requests or size)

    def quotas(self, caller: Caller) -> list[Quota]:
        """Return what a caller has left of each of its limits."""
        return [buckets.quota(caller.name, limit) for buckets, limit in self._limits(caller) if limit]

    def _limits(self, caller: Caller) -> tuple[tuple[TokenBuckets, int | None], ...]:
        return (
            (self._requests, caller.requests_per_minute or self._requests_per_minute),
            (self._bytes, caller.bytes_per_minute or self._bytes_per_minute),
        )


def credentials_in(headers: Iterable[tuple[bytes, bytes]]) -> list[str]:
    """Return all credentials in the headers of a request, or in the metadata of a gRPC call.

    Args:
        headers: Names in lower case, and values.
    """
    found = []
    for name, value in headers:
        if name == b"x-api-key":
            found.append(value.decode("latin-1").strip())
        elif name == b"authorization":
            scheme, _, credential = value.decode("latin-1").strip().partition(" ")
            if scheme.lower() == "bearer":  # others, such as Basic, are those of a proxy in front of the gateway
                found.append(credential.strip())
    return found


@lru_cache(maxsize=4096)
def _network(address: str) -> str:
    """Return the network of an IPv6 address, because a client may have 2^64 of them; other addresses as they are."""
    if ":" not in address:
        return address
    try:
        parsed = IPv6Address(address)
    except ValueError:
        return address
    if parsed.is_loopback:
        return address
    return str(parsed.ipv4_mapped or IPv6Network((int(parsed), 64), strict=False))
