"""Where a test's processes run: at addresses of loopback, or on hosts of their own (Linux network namespaces)."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

_NETWORK = "10.213.77"  # of these tests only; nothing is routed anywhere else


@dataclass(frozen=True)
class Host:
    """An address, and what a command begins with to run there."""

    address: str
    prefix: tuple[str, ...] = ()


LOOPBACK = Host("127.0.0.1")


@contextmanager
def loopback(count: int) -> Iterator[list[Host]]:
    """Addresses of this machine."""
    yield [Host(f"127.0.0.{number}") for number in range(2, count + 2)]


@contextmanager
def namespaces(count: int) -> Iterator[list[Host]]:
    """Hosts that see nothing but each other and, at a bridge, this machine.

    Raises:
        PermissionError: Only root makes networks, and not everywhere.
    """
    if os.geteuid() != 0 or shutil.which("ip") is None:
        raise PermissionError("network namespaces need root and the command ip")
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
            hosts.append(Host(address, ("ip", "netns", "exec", name)))
        yield hosts


def _ip(arguments: str) -> None:
    done = subprocess.run(["ip", *arguments.split()], capture_output=True, text=True, check=False)
    if done.returncode:
        raise PermissionError(f"ip {arguments}: {done.stderr.strip()}")
