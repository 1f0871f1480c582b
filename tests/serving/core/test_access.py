"""Who is let in, and how often."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence

import pytest

from serving.core.access import Access, Caller, credentials_in
from serving.core.errors import ModelNotAllowedError, RateLimitedError, ServingError, UnauthenticatedError


class OneKey:
    """Accepts one credential at once, and one after some work."""

    verified = 0

    def known(self, credential: str) -> Caller | None:
        return Caller("known") if credential == "known" else None

    async def verify(self, credential: str) -> Caller | None:
        self.verified += 1
        return Caller("verified") if credential == "verified" else None

    def start(self) -> None: ...

    async def reload(self) -> None: ...

    async def close(self) -> None: ...


def outcome(access: Access, credentials: Sequence[str], address: str = "192.0.2.1") -> str | int:
    """Return the name of the caller, or the status of the error."""
    return asyncio.run(_outcome(access, credentials, address))


async def _outcome(access: Access, credentials: Sequence[str], address: str = "192.0.2.1") -> str | int:
    try:
        return (await access.identify(credentials, address)).name
    except ServingError as error:
        return error.status


def test_without_keys_everybody_is_a_caller_by_address() -> None:
    assert outcome(Access(), [], "192.0.2.7") == "192.0.2.7"
    assert outcome(Access(), ["anything"], "192.0.2.7") == "192.0.2.7"


@pytest.mark.parametrize(
    ("credentials", "expected"),
    [
        (["known"], "known"),
        (["verified"], "verified"),
        ([], 401),
        ([""], 401),
        (["other"], 401),
        (["known", "known"], 401),
        (["known", "other"], 401),
    ],
)
def test_exactly_one_valid_credential_is_needed(credentials: list[str], expected: str | int) -> None:
    assert outcome(Access([OneKey()]), credentials) == expected


def test_all_refusals_have_the_same_text() -> None:
    access = Access([OneKey()])
    texts = set()
    for credentials in ([], ["other"], ["known", "known"]):
        with pytest.raises(UnauthenticatedError) as caught:
            asyncio.run(access.identify(credentials, ""))
        texts.add(str(caught.value))
    assert len(texts) == 1


def test_of_ten_thousand_wrong_keys_twenty_a_minute_are_checked() -> None:
    keys = OneKey()
    access = Access([keys])

    async def guess() -> Counter[str | int]:
        return Counter([await _outcome(access, [f"guess {number}"]) for number in range(10_000)])

    statuses = asyncio.run(guess())
    assert statuses.keys() == {401, 429}
    assert statuses[401] == keys.verified
    assert 20 <= statuses[401] < 40  # more than 20 only while time passes


def test_a_neighbour_who_guesses_locks_nobody_out() -> None:
    access = Access([OneKey()])
    for number in range(30):
        outcome(access, [f"guess {number}"])
    assert outcome(access, ["known"]) == "known"
    assert outcome(access, ["verified"]) == 429  # not checked, which takes work
    assert outcome(access, ["verified"], "192.0.2.2") == "verified"


def test_requests_without_any_key_are_no_guesses() -> None:
    access = Access([OneKey()])
    assert {outcome(access, []) for _ in range(100)} == {401}


def test_all_addresses_of_an_ipv6_network_count_as_one() -> None:
    access = Access([OneKey()])
    statuses = [outcome(access, ["guess"], f"2001:db8::{number:x}") for number in range(1, 30)]
    assert statuses[-1] == 429
    assert outcome(access, ["guess"], "2001:db8:0:1::1") == 401
    assert outcome(access, ["guess"], "::ffff:192.0.2.1") == outcome(access, ["guess"], "::ffff:192.0.2.2") == 401
    assert outcome(Access(), [], "2001:db8::1") == outcome(Access(), [], "2001:db8::2") == "2001:db8::/64"
    assert outcome(Access(), [], "::1") == "::1"


def test_a_callers_own_limits_go_before_those_of_the_gateway() -> None:
    access = Access(requests_per_minute=1, bytes_per_minute=100)
    generous = Caller("a", requests_per_minute=3, bytes_per_minute=1000)
    for _ in range(3):
        access.spend_request(generous)
        access.spend_bytes(generous, 300)
    assert [(quota.unit, quota.per_minute, quota.remaining) for quota in access.quotas(generous)] == [
        ("requests", 3, 0),
        ("bytes", 1000, 100),
    ]
    assert [quota.per_minute for quota in access.quotas(Caller("b"))] == [1, 100]
    with pytest.raises(RateLimitedError) as caught:
        access.spend_request(generous)
    assert caught.value.retry_after == 20


def test_without_limits_nothing_is_counted() -> None:
    access = Access()
    for _ in range(1000):
        access.spend_request(Caller("a"))
        access.spend_bytes(Caller("a"), 10**9)
    assert access.quotas(Caller("a")) == []
    assert not access.is_limited(Caller("a"))


def test_a_caller_may_use_its_own_models_only() -> None:
    caller = Caller("a", frozenset({"tiny"}))
    caller.check_may_use("tiny")
    with pytest.raises(ModelNotAllowedError, match="a may not use other"):
        caller.check_may_use("other")
    Caller("b").check_may_use("other")


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([(b"authorization", b"Bearer a b")], ["a b"]),
        ([(b"authorization", b"bearer  a ")], ["a"]),
        ([(b"authorization", b"Basic YTpi")], []),
        ([(b"authorization", b"Bearer")], [""]),
        ([(b"authorization", b"a")], []),
        ([(b"x-api-key", b"a"), (b"authorization", b"Basic YTpi")], ["a"]),
        ([(b"x-api-key", b"a"), (b"authorization", b"Bearer b")], ["a", "b"]),
        ([(b"x-api-key", b"a"), (b"x-api-key", b"b")], ["a", "b"]),
        ([(b"x-api-key", b"\xff\x00\xe9")], ["\xff\x00\xe9"]),
    ],
)
def test_all_credentials_of_a_request_are_seen(headers: list[tuple[bytes, bytes]], expected: list[str]) -> None:
    assert credentials_in(headers) == expected
