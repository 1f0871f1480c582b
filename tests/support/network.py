"""Hosts for a test's processes: loopback addresses, or separate hosts (Linux network namespaces)."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

_NETWORK = "10.213.77"  # for these tests only, without routes to other networks


@dataclass(frozen=True)
class Host:
    """An address, and the Linux network namespace that has it; None for this machine's own."""

    address: str
    namespace: str | None = None

    @property
    def prefix(self) -> tuple[str, ...]:
        """Prefix of commands that run there."""
        return ("ip", "netns", "exec", self.namespace) if self.namespace else ()


LOOPBACK = Host("127.0.0.1")


@contextmanager
def loopback(count: int) -> Iterator[list[Host]]:
    """Yield loopback addresses of this machine."""
    yield [Host(f"127.0.0.{number}") for number in range(2, count + 2)]


@contextmanager
def namespaces(count: int) -> Iterator[list[Host]]:
    """Yield hosts that reach only each other and, over a bridge, this machine.

    Raises:
        PermissionError: The process is not root, or the machine does not allow network namespaces.
    """
    if os.geteuid() != 0 or shutil.which("ip") is None:
        raise PermissionError("network namespaces need root and the `ip` command")
    bridge = f"ka{os.getpid() % 100_000}"
    with ExitStack() as undo:
        _ip(f"link add {bridge} type bridge")
        undo.callback(_ip, f"link del {bridge}")
        _ip(f"address add {_NETWORK}.1/24 dev {bridge}")
        _ip(f"link set {bridge} up")
        hosts = []
        for number in range(2, count + 2):
            name = f"{bridge}-{number}"
            _ip(f"netns add {name}")
            undo.callback(_ip, f"netns del {name}")
            _ip(f"link add {bridge}v{number} type veth peer name eth0 netns {name}")
            _ip(f"link set {bridge}v{number} master {bridge} up")
            address = f"{_NETWORK}.{number}"
            _ip(f"-n {name} address add {address}/24 dev eth0")
            _ip(f"-n {name} link set eth0 up")
            _ip(f"-n {name} link set lo up")
            hosts.append(Host(address, name))
        yield hosts


def _ip(arguments: str) -> None:
    done = subprocess.run(["ip", *arguments.split()], capture_output=True, text=True, check=False)
    if done.returncode:
        raise PermissionError(f"ip {arguments}: {done.stderr.strip()}")
