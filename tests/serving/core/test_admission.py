"""Admission: requests and the bytes of their bodies, over all clients."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from serving.core.access import Caller
from serving.core.admission import Admission, Place
from serving.core.backlog import Backlog
from serving.core.errors import OverloadedError
from tests.support.clock import Clock


class Client:
    """A client that remembers which of its requests had to give up."""

    def __init__(self, admission: Admission, name: str, weight: float = 1.0) -> None:
        self.admission = admission
        self.caller = Caller(name, weight=weight)
        self.given_up: list[int] = []

    def upload(self, size: int) -> Place:
        return self.admission.enter(self.caller, size, lambda: self.given_up.append(size))

    def run(self, size: int = 1) -> Place:
        place = self.upload(size)
        place.run()
        return place


def test_requests_above_the_limit_are_refused_before_their_body_until_others_end() -> None:
    admission = Admission(max_requests=2, max_bytes=1000)
    client = Client(admission, "a")
    running = [client.upload(10) for _ in range(2)]
    waiting = client.upload(10)  # an upload alone takes no place of a running request
    for place in running:
        place.run()
    with pytest.raises(OverloadedError, match="2 requests are waiting or running"):
        client.upload(10)
    with pytest.raises(OverloadedError, match="2 requests"):
        waiting.run()
    running[0].leave()
    running[0].leave()  # counts once
    waiting.run()
    with pytest.raises(OverloadedError):
        client.upload(10)


@pytest.mark.parametrize("sizes", [[101], [60, 41], [50, 50, 1]])
def test_bodies_above_the_limit_together_are_refused_until_others_are_answered(sizes: list[int]) -> None:
    client = Client(Admission(max_requests=9, max_bytes=100), "a")
    *fitting, last = sizes
    places = [client.upload(size) for size in fitting]
    with pytest.raises(OverloadedError, match="100 bytes together"):
        client.upload(last)
    for place in places:
        place.leave()
    client.upload(100)
    assert client.given_up == []


def test_a_body_of_unknown_length_takes_memory_as_it_arrives() -> None:
    client = Client(Admission(max_requests=9, max_bytes=100), "a")
    chunked = client.upload(0)
    client.upload(50)
    chunked.grow_to(30)
    chunked.grow_to(50)
    with pytest.raises(OverloadedError):
        chunked.grow_to(51)
    assert chunked.size == 50


def test_a_client_that_holds_the_most_gives_way_to_one_that_holds_less() -> None:
    admission = Admission(max_requests=9, max_bytes=100)
    greedy, modest = Client(admission, "greedy"), Client(admission, "modest")
    uploads = [greedy.upload(25) for _ in range(4)]
    modest.upload(10)
    assert greedy.given_up == [25]
    modest.upload(30)
    assert greedy.given_up == [25, 25]
    with pytest.raises(OverloadedError):
        modest.upload(20)  # would hold more than the other client
    assert sum(upload.size for upload in uploads) == 50


def test_an_upload_that_holds_no_memory_is_not_given_up_for_memory() -> None:
    admission = Admission(max_requests=9, max_bytes=100)
    greedy, other, modest = Client(admission, "greedy"), Client(admission, "other"), Client(admission, "modest")
    greedy.upload(60).run()
    greedy.upload(0)
    other.upload(40)
    modest.upload(10)
    assert (greedy.given_up, other.given_up) == ([], [40])


def test_a_body_that_has_arrived_is_not_given_up() -> None:
    admission = Admission(max_requests=9, max_bytes=100)
    first, second = Client(admission, "first"), Client(admission, "second")
    first.upload(100).run()
    with pytest.raises(OverloadedError):
        second.upload(1)
    assert first.given_up == []


def test_nothing_is_given_up_for_a_request_that_would_not_fit_even_so() -> None:
    admission = Admission(max_requests=9, max_bytes=100)
    first, second = Client(admission, "first"), Client(admission, "second")
    first.upload(20)
    first.upload(80).run()
    with pytest.raises(OverloadedError):
        second.upload(90)
    assert first.given_up == []


def test_a_caller_with_few_requests_takes_the_place_of_the_newest_of_the_caller_with_the_most() -> None:
    admission = Admission(max_requests=4, max_bytes=1000)
    greedy, modest = Client(admission, "greedy"), Client(admission, "modest")
    for size in (1, 2, 3, 4):
        greedy.run(size)
    with pytest.raises(OverloadedError):
        greedy.upload(5)
    modest.run()
    assert greedy.given_up == [4]
    modest.run()
    assert greedy.given_up == [4, 3]
    with pytest.raises(OverloadedError) as refused:
        modest.run()  # would have more than the other
    assert refused.value.reason == "pending"
    assert (greedy.given_up, modest.given_up) == ([4, 3], [])
    assert admission.running == 4


def test_places_are_shared_by_weight() -> None:
    admission = Admission(max_requests=4, max_bytes=1000)
    heavy, light = Client(admission, "heavy", weight=3), Client(admission, "light")
    for _ in range(4):
        light.run()
    for _ in range(3):
        heavy.run()
    assert light.given_up == [1, 1, 1]
    with pytest.raises(OverloadedError):
        light.run()


def busy(requests: int, caller: Caller) -> tuple[Backlog, ExitStack]:
    """Return a backlog that has learned that an image takes 0.1 s, one after the other, and requests that wait."""
    clock = Clock()
    backlog = Backlog(clock.perf_counter)
    for _ in range(200):
        with backlog.entry(caller, "net", 1) as entry:
            clock.now += 0.1
            entry.worked = 0.1
    waiting = ExitStack()
    for _ in range(requests):
        waiting.enter_context(backlog.entry(caller, "net", 1))
    return backlog, waiting


def test_a_deadline_that_the_queue_is_likely_to_miss_is_refused_at_once_until_the_queue_is_shorter() -> None:
    caller = Caller("a")
    backlog, waiting = busy(9, caller)  # with the new request, 1 s
    admission = Admission(max_requests=99, max_bytes=1000, timeout_seconds=30, backlog=backlog)
    admission.check(caller)
    admission.check(caller, timeout_seconds=1.1 * backlog.caution)
    with pytest.raises(OverloadedError, match=r"about 1 s now, too long for a deadline of 0\.5 s") as refused:
        admission.check(caller, timeout_seconds=0.5)
    assert (refused.value.reason, refused.value.retry_after) == ("deadline", 1)
    admission.check(Caller("b"), timeout_seconds=0.5)  # whose turn comes sooner
    waiting.close()
    admission.check(caller, timeout_seconds=0.5)


def test_the_deadline_of_all_requests_holds_for_longer_ones_too() -> None:
    caller = Caller("a")
    backlog, _ = busy(99, caller)
    admission = Admission(max_requests=999, max_bytes=1000, timeout_seconds=5.5, backlog=backlog)
    with pytest.raises(OverloadedError, match="too long for a deadline of 5") as refused:
        admission.check(caller, timeout_seconds=60)
    assert refused.value.retry_after == 10  # 15 s, with caution, less 5.5


def test_what_would_start_at_once_is_admitted_whatever_its_deadline() -> None:
    backlog, _ = busy(0, Caller("a"))
    Admission(max_requests=9, max_bytes=1000, backlog=backlog).check(Caller("a"), timeout_seconds=0.001)


def test_every_refusal_is_told() -> None:
    told: list[None] = []
    backlog = Backlog()
    admission = Admission(max_requests=1, max_bytes=100, backlog=backlog)
    admission.on_refusal = lambda: told.append(None)
    client = Client(admission, "a")
    late = client.upload(50)
    with pytest.raises(OverloadedError, match="100 bytes together"):
        client.upload(51)
    running = client.run()
    assert len(told) == 1
    with pytest.raises(OverloadedError, match="1 requests"):
        late.run()
    with pytest.raises(OverloadedError, match="1 requests"):
        admission.check(client.caller)
    running.leave()
    with backlog.entry(client.caller, "net", 50), pytest.raises(OverloadedError, match="too long for a deadline"):
        admission.check(client.caller, timeout_seconds=0.01)
    assert len(told) == 4
