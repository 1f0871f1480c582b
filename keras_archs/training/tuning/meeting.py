"""The processes of a training: how they find each other, exchange values, and notice that one of them is gone.

Process 0 listens; the others connect to it. The connections stay open as long as the training lasts, so that a process
that ends, for whatever reason, is noticed at once: the operating system closes its connection.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import queue
import socket
import threading
import time
from collections.abc import Callable, Mapping
from typing import IO, Any, Final, NamedTuple, NoReturn, Self

JOIN_SECONDS: Final = 300.0
"""Longest wait for all processes, whose machines may still be loading the program."""

SILENT_SECONDS: Final = 45
"""Time after which a machine that no longer answers counts as gone."""

_OWN_ERROR_SECONDS: Final = 2.0
"""Time to report an error of this process, which is often the same, after another process has reported one."""

_RETRY_SECONDS: Final = 0.3
_HELLO_SECONDS: Final = 5.0
_LONGEST_HELLO: Final = 64_000


class Address(NamedTuple):
    """Where process 0 listens."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the address that ``"HOST:PORT"`` names.

        Raises:
            ValueError: If the text names no host, or no port from 1 to 65535.
        """
        host, _, port = text.rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
        if not host or not (port.isascii() and port.isdecimal() and 1 <= int(port) <= 65_535):
            raise ValueError(f"the coordinator must be HOST:PORT, with a port from 1 to 65535; got {text!r}")
        return cls(host, int(port))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether only processes of the same machine can connect."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


class _Connection:
    """Lines of JSON to and from another process."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._file: IO[bytes] = connected.makefile("rb")

    def send(self, message: dict[str, Any]) -> None:
        self._socket.sendall(json.dumps(message).encode() + b"\n")

    def receive(self, timeout: float | None = None, longest: int = -1) -> dict[str, Any] | None:
        """Return the next message; None if the other process has closed the connection.

        Raises:
            OSError: If the connection broke, or no message arrived in time.
            ValueError: If what arrived is no message.
        """
        self._socket.settimeout(timeout)
        line = self._file.readline(longest)
        if not line:
            return None
        message = json.loads(line)
        if not isinstance(message, dict):
            raise ValueError("not a message")
        return message

    def notice_silence(self) -> None:
        """Let the operating system close the connection when the other machine no longer answers."""
        self._socket.settimeout(None)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for option, seconds in (("TCP_KEEPIDLE", SILENT_SECONDS // 3), ("TCP_KEEPINTVL", SILENT_SECONDS // 9)):
            if hasattr(socket, option):  # not on every system
                self._socket.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), seconds)
        if hasattr(socket, "TCP_KEEPCNT"):
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 6)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, SILENT_SECONDS * 1000)

    @property
    def is_gone(self) -> bool:
        """Whether the other process, which has nothing to say now, has closed the connection."""
        self._socket.setblocking(False)
        try:
            return self._socket.recv(1, socket.MSG_PEEK) == b""
        except BlockingIOError:
            return False
        except OSError:
            return True

    def close(self) -> None:
        with contextlib.suppress(OSError):  # closed by the other process
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


class Meeting:
    """The connections between the processes of a training.

    Args:
        process: Number of this process.
        connections: The other processes by number; for a process other than 0, process 0 alone.
        processes: Number of processes.
        on_lost: Called on another thread, once, with a sentence that says which process is gone.
    """

    def __init__(
        self, process: int, connections: Mapping[int, _Connection], processes: int, on_lost: Callable[[str], None]
    ) -> None:
        self.process = process
        self.processes = processes
        self._connections = connections
        self._on_lost = on_lost
        self._received: dict[int, queue.SimpleQueue[Any]] = {other: queue.SimpleQueue() for other in connections}
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._readers = [
            threading.Thread(target=self._read, args=(other,), name=f"process-{other}", daemon=True)
            for other in connections
        ]
        for connection in connections.values():
            connection.notice_silence()
        for reader in self._readers:
            reader.start()

    def gather(self, value: Any) -> list[Any]:
        """Return the value of each process, which all processes call this for at the same point of the program.

        Args:
            value: Anything that JSON can hold.
        """
        if self.process:
            self._send(0, {"value": value})
            values: list[Any] = self._received[0].get()
            return values
        values = [value, *(self._received[other].get() for other in sorted(self._connections))]
        for other in self._connections:
            self._send(other, {"value": values})
        return values

    def end(self) -> None:
        """Wait for all processes, and close the connections."""
        self.gather(None)
        self._ended.set()
        for other in self._connections:
            self._send(other, {"end": True})
        for reader in self._readers:
            reader.join(_HELLO_SECONDS)  # until the other process has said so, too
        for connection in self._connections.values():
            connection.close()

    def wait_for_loss(self) -> None:
        """Wait a moment, in which `on_lost` is called if another process is gone."""
        time.sleep(_OWN_ERROR_SECONDS)

    def fail(self, reason: str) -> None:
        """Tell the other processes why this one ends, so that they end as well."""
        self._ended.set()
        for connection in self._connections.values():
            with contextlib.suppress(OSError):  # gone as well
                connection.send({"failed": reason})
            connection.close()

    def _send(self, other: int, message: dict[str, Any]) -> None:
        try:
            self._connections[other].send(message)
        except OSError:
            self._lose(other, "")

    def _read(self, other: int) -> None:
        reason = ""
        try:
            while message := self._connections[other].receive():
                if "end" in message:
                    return
                if "failed" in message:
                    reason = str(message["failed"])
                    self._ended.wait(_OWN_ERROR_SECONDS)
                    break
                self._received[other].put(message["value"])
        except (OSError, ValueError):
            pass  # closed, or broken off in the middle of a message
        self._lose(other, reason)

    def _lose(self, other: int, reason: str) -> None:
        with self._lock:
            if self._ended.is_set():
                return
            self._ended.set()
        what = reason or f"process {other} of the processes 0 to {self.processes - 1} is gone"
        for connection in self._connections.values():
            with contextlib.suppress(OSError):  # the one that is gone
                connection.send({"failed": what})
        self._on_lost(what)


def meet(
    address: Address,
    process: int,
    processes: int,
    facts: Mapping[str, str],
    *,
    on_lost: Callable[[str], None],
    wait: float = JOIN_SECONDS,
) -> Meeting:
    """Connect the processes of a training.

    Args:
        address: Where process 0 listens: on this address if it is of the same machine only, otherwise on the port of
            all of the machine's addresses.
        process: Number of this process, from 0.
        processes: Number of processes, at least 2.
        facts: What has to be the same for all processes, e.g. versions of packages, by name.
        on_lost: Called on another thread if a process is gone later.
        wait: Seconds to wait for all processes.

    Raises:
        ValueError: If another process was started for another number of processes or with other facts, or another
            process has the number of this one.
        OSError: If the port is taken, or the processes did not find each other in time.
    """
    hello = {"process": process, "processes": processes, "facts": dict(facts)}
    deadline = time.monotonic() + wait
    connections = _host(address, hello, deadline, wait) if process == 0 else {0: _join(address, hello, deadline, wait)}
    return Meeting(process, connections, processes, on_lost)


def _host(address: Address, hello: dict[str, Any], deadline: float, wait: float) -> dict[int, _Connection]:
    """Wait for the other processes, and tell them when all have come."""
    missing = set(range(1, hello["processes"]))
    joined: dict[int, _Connection] = {}
    try:
        listener = _listen(address)
    except OSError as error:
        raise OSError(f"process 0 cannot listen on port {address.port}: {error.strerror or error}") from error
    with listener:
        try:
            while missing := set(range(1, hello["processes"])) - joined.keys():
                listener.settimeout(max(0.01, deadline - time.monotonic()))
                try:
                    connection = _Connection(listener.accept()[0])
                except TimeoutError:
                    raise TimeoutError(
                        f"{_numbered(missing)} of {hello['processes']} processes (0 to {hello['processes'] - 1}) did "
                        f"not connect to port {address.port} within {wait:g} s"
                    ) from None
                _admit(connection, hello, joined)
            for connection in joined.values():
                connection.send({"start": True})
        except (OSError, ValueError):
            for connection in joined.values():
                connection.close()
            raise
    return joined


def _listen(address: Address) -> socket.socket:
    if address.is_loopback:
        family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
        return socket.create_server((address.host, address.port), family=family)
    if socket.has_dualstack_ipv6():
        return socket.create_server(("", address.port), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server(("", address.port))


def _admit(connection: _Connection, hello: dict[str, Any], joined: dict[int, _Connection]) -> None:
    """Add a process that has connected, or refuse it.

    Raises:
        ValueError: If the process belongs to a training with other settings, so that this one cannot begin.
    """
    try:
        said = connection.receive(_HELLO_SECONDS, _LONGEST_HELLO) or {}
        process, processes, facts = int(said["process"]), int(said["processes"]), dict(said["facts"])
        if not 0 < process < processes:
            raise ValueError("no number of a process")
    except (OSError, ValueError, KeyError, TypeError):
        connection.close()  # some other program
        return
    if processes != hello["processes"]:
        _refuse(
            connection, f"process {process} was started for {processes} processes, process 0 for {hello['processes']}"
        )
    for name in sorted(hello["facts"].keys() | facts.keys()):
        ours, other = (found.get(name, "none") for found in (hello["facts"], facts))
        if ours != other:
            _refuse(
                connection, f"{name} of process 0 is {ours}, and of process {process} {other}: both must be the same"
            )
    if process in joined and not joined[process].is_gone:
        connection.send({"refused": f"there is a process {process} already: give each process a number of its own"})
        connection.close()
        return
    if process in joined:  # started anew
        joined[process].close()
    joined[process] = connection


def _refuse(connection: _Connection, reason: str) -> NoReturn:
    connection.send({"refused": reason})
    connection.close()
    raise ValueError(reason)


def _join(address: Address, hello: dict[str, Any], deadline: float, wait: float) -> _Connection:
    """Connect to process 0, and wait until all processes have come."""
    problem = "it does not answer"
    while (left := deadline - time.monotonic()) > 0:
        try:
            connection = _Connection(socket.create_connection(address, timeout=min(left, _HELLO_SECONDS)))
        except OSError as error:
            problem = error.strerror or str(error)
            time.sleep(min(_RETRY_SECONDS, left))
            continue
        try:
            connection.send(hello)
            answer = connection.receive(max(0.01, deadline - time.monotonic()))
        except (OSError, ValueError):
            answer = None
        if answer and "refused" in answer:
            connection.close()
            raise ValueError(str(answer["refused"]))
        if answer:
            return connection
        connection.close()
        problem = "it does not begin, because processes are missing"
        time.sleep(min(_RETRY_SECONDS, max(0.0, deadline - time.monotonic())))
    raise TimeoutError(f"process 0 was not reached at {address} within {wait:g} s: {problem}")


def _numbered(processes: set[int]) -> str:
    return ("process " if len(processes) == 1 else "processes ") + ", ".join(map(str, sorted(processes)))
