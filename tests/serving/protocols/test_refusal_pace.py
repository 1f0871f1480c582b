"""How long connections rest after refusals: not at all at a modest pace, never longer than a client is told to wait."""

from __future__ import annotations

import pytest

from serving.protocols import refusal_pace
from serving.protocols.refusal_pace import LONGEST_REST, RefusalPace


class Clock:
    """A clock that tests set."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(refusal_pace, "time", clock)
    return clock


def test_refusals_at_the_pace_need_no_rest(clock: Clock) -> None:
    pace = RefusalPace(per_second=500)
    for _ in range(5000):
        clock.now += 1 / 500
        assert pace.rest() == 0


def test_a_burst_needs_no_rest_and_what_exceeds_it_rests_until_its_turn(clock: Clock) -> None:
    pace = RefusalPace(per_second=500)
    rests = [pace.rest() for _ in range(300)]
    assert rests[:100] == [0] * 100
    assert rests[100:] == pytest.approx([number / 500 for number in range(1, 201)])


def test_clients_that_ask_again_after_their_rest_are_refused_at_the_pace(clock: Clock) -> None:
    pace, refusals = RefusalPace(per_second=500), 0
    next_requests = [clock.now] * 192
    while clock.now < 1010:
        clock.now = min(next_requests)
        next_requests.remove(clock.now)
        next_requests.append(clock.now + 0.005 + pace.rest())
        refusals += 1
    assert refusals == pytest.approx(5000, rel=0.1)


def test_no_rest_is_longer_than_a_client_is_told_to_wait(clock: Clock) -> None:
    pace = RefusalPace(per_second=10)
    assert max(pace.rest() for _ in range(10_000)) == LONGEST_REST
    clock.now += LONGEST_REST + 0.3
    assert pace.rest() == 0


def test_there_is_no_rest_without_a_pace() -> None:
    pace = RefusalPace()
    assert {pace.rest() for _ in range(1000)} == {0.0}
