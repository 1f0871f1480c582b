"""Admission: requests and the bytes of their bodies, over all clients."""

from __future__ import annotations

import pytest

from serving.core.admission import Admission, Place
from serving.core.errors import OverloadedError


class Client:
    """A client that remembers which of its uploads had to give up."""

    def __init__(self, admission: Admission, name: str) -> None:
        self.admission = admission
        self.name = name
        self.given_up: list[int] = []

    def upload(self, size: int) -> Place:
        return self.admission.enter(self.name, size, lambda: self.given_up.append(size))


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
