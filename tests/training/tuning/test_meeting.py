"""The processes of a training find each other, exchange values, and notice that one of them is gone."""

from __future__ import annotations

import queue
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

import pytest

from keras_archs.training.tuning.meeting import Address, Meeting, meet

FACTS = {"version of keras": "3.15.1"}


@pytest.fixture
def address() -> Address:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return Address("127.0.0.1", listener.getsockname()[1])


@pytest.fixture
def lost() -> queue.SimpleQueue[str]:
    return queue.SimpleQueue()


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """Threads that stand for processes."""
    with ThreadPoolExecutor(8) as executor:
        yield executor


Join = Callable[..., "Future[Meeting]"]


@pytest.fixture
def join(address: Address, lost: queue.SimpleQueue[str], pool: ThreadPoolExecutor) -> Join:
    def join(process: int, processes: int, facts: dict[str, str] = FACTS, seconds: float = 20.0) -> Future[Meeting]:
        return pool.submit(meet, address, process, processes, facts, on_lost=lost.put, wait=seconds)

    return join


def results(futures: Sequence[Future[Meeting]]) -> list[Meeting]:
    return [future.result(timeout=20) for future in futures]


def end(meetings: Sequence[Meeting], pool: ThreadPoolExecutor) -> None:
    for future in [pool.submit(meeting.end) for meeting in meetings]:
        future.result(timeout=20)


def test_all_get_the_values_of_all_in_the_order_of_their_numbers(
    join: Join, pool: ThreadPoolExecutor, lost: queue.SimpleQueue[str]
) -> None:
    meetings = results([join(number, 3) for number in (2, 0, 1)])
    for values in ([1, None, "three"], [{"large": "x" * 1_000_000}] * 3):
        gathered = [pool.submit(meeting.gather, values[meeting.process]) for meeting in meetings]
        assert [future.result(timeout=20) for future in gathered] == [values] * 3
    end(meetings, pool)
    assert lost.empty()


def test_processes_may_come_before_process_0(join: Join, pool: ThreadPoolExecutor) -> None:
    early = join(1, 2)
    with pytest.raises(TimeoutError):
        early.result(timeout=0.5)
    end(results([join(0, 2), early]), pool)


def test_what_is_no_process_of_a_training_is_ignored(join: Join, address: Address, pool: ThreadPoolExecutor) -> None:
    first = join(0, 2)
    for junk in (b"GET / HTTP/1.1\r\n\r\n", b"[]\n", b'{"process": 7, "processes": 2, "facts": {}}\n', b""):
        stranger = connected(address)
        stranger.sendall(junk)
        stranger.close()
    end(results([first, join(1, 2)]), pool)


def connected(address: Address) -> socket.socket:
    while True:
        try:
            return socket.create_connection(address)
        except ConnectionRefusedError:
            continue  # process 0 begins to listen


def test_missing_processes_are_named(join: Join) -> None:
    with pytest.raises(
        TimeoutError, match=r"processes 1, 2 of 3 processes \(0 to 2\) did not connect to port \d+ within"
    ):
        join(0, 3, seconds=0.3).result()


def test_a_coordinator_that_is_away_is_named(join: Join, address: Address) -> None:
    with pytest.raises(TimeoutError, match=f"process 0 was not reached at {address} within 0.5 s: Connection refused"):
        join(1, 2, seconds=0.5).result()


def test_a_host_name_that_does_not_exist_is_named() -> None:
    with pytest.raises(TimeoutError, match=r"process 0 was not reached at nowhere\.invalid:7000 within 0.4 s"):
        meet(Address("nowhere.invalid", 7000), 1, 2, FACTS, on_lost=print, wait=0.4)


def test_a_port_that_is_taken_is_named(address: Address, join: Join) -> None:
    with (
        socket.create_server(address),
        pytest.raises(OSError, match=f"process 0 cannot listen on port {address.port}:"),
    ):
        join(0, 2).result()


@pytest.mark.parametrize(
    ("processes", "facts", "message"),
    [
        (3, FACTS, "process 1 was started for 3 processes, process 0 for 2"),
        (
            2,
            {"version of keras": "3.16.0"},
            "version of keras of process 0 is 3.15.1, and of process 1 3.16.0: both must be the same",
        ),
        (2, {}, "version of keras of process 0 is 3.15.1, and of process 1 none: both must be the same"),
    ],
)
def test_processes_of_different_trainings_are_told_what_differs(
    join: Join, processes: int, facts: dict[str, str], message: str
) -> None:
    for future in (join(0, 2), join(1, processes, facts)):
        with pytest.raises(ValueError, match=message):
            future.result(timeout=20)


def test_a_number_that_is_taken_is_refused_and_the_others_go_on(join: Join, pool: ThreadPoolExecutor) -> None:
    first, second = join(0, 3), join(1, 3)
    connected_twice = join(1, 3)
    (refused, *_), (admitted, *_) = wait([second, connected_twice], return_when=FIRST_COMPLETED)
    with pytest.raises(ValueError, match="there is a process 1 already: give each process a number of its own"):
        refused.result()
    end(results([first, admitted, join(2, 3)]), pool)


def test_a_process_that_is_killed_is_noticed_by_all(
    join: Join, address: Address, pool: ThreadPoolExecutor, lost: queue.SimpleQueue[str]
) -> None:
    joined = [join(0, 3), join(1, 3)]
    program = (
        "import os, sys\n"
        "from keras_archs.training.tuning.meeting import Address, meet\n"
        f"meet(Address.parse('{address}'), 2, 3, {FACTS}, on_lost=print).gather(None)\n"
        "os.kill(os.getpid(), 9)"
    )
    with subprocess.Popen([sys.executable, "-c", program]):
        meetings = results(joined)
        gathered = [pool.submit(meeting.gather, None) for meeting in meetings]
        assert [future.result(timeout=20) for future in gathered] == [[None] * 3] * 2
    assert lost.get(timeout=20) == "process 2 of the processes 0 to 2 is gone"
    assert lost.get(timeout=20) == "process 2 of the processes 0 to 2 is gone"  # process 1 heard of it
    for meeting in meetings:
        meeting.fail("")


def test_the_reason_of_a_failure_is_told(join: Join, lost: queue.SimpleQueue[str]) -> None:
    first, second = results([join(0, 2), join(1, 2)])
    second.fail("process 1 has ended: no space left on device")
    assert lost.get(timeout=20) == "process 1 has ended: no space left on device"
    first.fail("")


def test_processes_that_fail_alike_report_their_own_errors(join: Join, lost: queue.SimpleQueue[str]) -> None:
    first, second = results([join(0, 2), join(1, 2)])
    first.fail("the loss is nan")
    second.fail("the loss is nan")
    first.wait_for_loss()
    assert lost.empty()


def test_an_address_has_a_host_and_a_port() -> None:
    assert Address.parse("trainer-0.trainer:7000") == ("trainer-0.trainer", 7000)
    assert str(Address.parse("[::1]:7000")) == "[::1]:7000"
    assert [Address.parse(f"{host}:1").is_loopback for host in ("127.0.0.1", "localhost", "[::1]", "10.0.0.1")] == [
        True,
        True,
        True,
        False,
    ]


@pytest.mark.parametrize(
    "text", ["trainer-0", "trainer-0:", ":7000", "trainer-0:0", "trainer-0:70000", "host:seven", ""]
)
def test_an_address_without_host_or_port_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="the coordinator must be HOST:PORT, with a port from 1 to 65535; got"):
        Address.parse(text)
