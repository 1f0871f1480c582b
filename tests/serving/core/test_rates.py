"""Token buckets."""

from __future__ import annotations

import pytest

from serving.core import rates
from serving.core.errors import RateLimitedError
from serving.core.rates import TokenBuckets
from tests.support.clock import Clock


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(rates, "time", clock)
    return clock


def retry_after(buckets: TokenBuckets, name: str, per_minute: int, amount: int = 1) -> int | None:
    """Spend, and return the seconds after which to try again; 0 if the request is let through."""
    try:
        buckets.spend(name, per_minute, amount)
    except RateLimitedError as error:
        return error.retry_after
    return 0


def test_a_minutes_requests_may_come_at_once_and_further_ones_come_evenly(clock: Clock) -> None:
    buckets = TokenBuckets("requests")
    assert [retry_after(buckets, "a", 6) for _ in range(8)] == [0] * 6 + [10, 10]
    clock.now = 9.9
    assert retry_after(buckets, "a", 6) == 1
    clock.now = 10.0
    assert [retry_after(buckets, "a", 6) for _ in range(2)] == [0, 10]


def test_over_ten_minutes_nobody_sends_more_than_a_bucket_beyond_the_rate(clock: Clock) -> None:
    buckets = TokenBuckets("requests")
    sent = 0
    for second in range(600):
        clock.now = float(second)
        sent += sum(retry_after(buckets, "a", 60) == 0 for _ in range(5))
    assert sent == 60 + 599


def test_callers_have_buckets_of_their_own(clock: Clock) -> None:
    buckets = TokenBuckets("requests")
    assert [retry_after(buckets, "a", 1), retry_after(buckets, "a", 1), retry_after(buckets, "b", 1)] == [0, 60, 0]


def test_a_body_larger_than_the_rest_is_accepted_and_the_next_waits_for_it(clock: Clock) -> None:
    buckets = TokenBuckets("bytes")
    assert retry_after(buckets, "a", 1000, 3000) == 0
    assert buckets.quota("a", 1000).remaining == 0
    assert retry_after(buckets, "a", 1000) == 121  # 120 s until nothing is owed, and a little for one byte
    clock.now = 121.0
    assert retry_after(buckets, "a", 1000) == 0


def test_what_is_left_can_be_asked_without_spending_it(clock: Clock) -> None:
    buckets = TokenBuckets("requests")
    buckets.spend("a", 60, 15)
    for _ in range(2):
        quota = buckets.quota("a", 60)
        assert (quota.remaining, quota.full_in, quota.per_minute) == (45, 15.0, 60)
    clock.now = 100.0
    assert buckets.quota("a", 60).remaining == 60


def test_a_limit_may_change_at_any_time(clock: Clock) -> None:
    buckets = TokenBuckets("requests")
    buckets.spend("a", 10, 10)
    clock.now = 30.0
    assert buckets.quota("a", 100).remaining == 50


def test_the_number_of_remembered_callers_is_bounded(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "MAX_CALLERS", 3)
    buckets = TokenBuckets("requests")
    for name in "abcabcax":
        buckets.spend(name, 10)
    assert buckets.quota("b", 10).remaining == 10  # forgotten: it was seen least recently
    assert buckets.quota("a", 10).remaining == 7
