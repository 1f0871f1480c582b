"""The gateway as a process, started by the command that users run, on a free port."""

from __future__ import annotations

import re
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

import httpx
import psutil

from tests.support.network import LOOPBACK, Host

COMMAND = Path(sys.executable).with_name("keras-archs")
# shells start background jobs with SIGINT ignored, nohup with SIGHUP ignored, and children inherit that
WITH_SIGNALS = ("env", "--default-signal=INT,HUP")


@dataclass(frozen=True)
class Gateway:
    """A running gateway."""

    port: int
    process: psutil.Process
    client: httpx.Client
    log: Path
    seconds_to_ready: float

    def resident_mb(self) -> float:
        """Return the resident memory of the process, in MB."""
        return float(self.process.memory_info().rss / 1e6)

    def grpc_address(self) -> str:
        """Return host and port of gRPC; only for a gateway that was started with `--grpc-port`."""
        found = re.search(r"gRPC on (\S+)", self.logged())
        assert found
        return found[1]

    def logged(self) -> str:
        """Return the log so far."""
        return self.log.read_text()


@contextmanager
def running_gateway(
    repository: Path,
    log: Path,
    *flags: str,
    ready: bool = True,
    host: Host = LOOPBACK,
    limits: tuple[str, ...] = (),
    verify: ssl.SSLContext | bool = True,
) -> Iterator[Gateway]:
    """Run a gateway; yield when it is ready or, with `ready=False`, when it answers.

    Args:
        repository: Folder of the model repository.
        log: File for what the gateway logs.
        *flags: Flags of the command.
        ready: What to wait for.
        host: Where to run it.
        limits: Limits of the process, as options of `prlimit`.
        verify: What certificates to trust, if the gateway has one.
    """
    started = time.monotonic()
    address = ["--host", host.address, "--port", "0"]
    limited = ("prlimit", *limits) if limits else ()
    start = [*host.prefix, *WITH_SIGNALS, *limited, str(COMMAND), "serve"]
    open_to_others = () if ip_address(host.address).is_loopback or "--keys" in flags else ("--no-auth",)
    command = [*start, "--repository", str(repository), *address, *open_to_others, *flags]
    with (
        log.open("w") as stderr,
        subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr, text=True) as child,
    ):
        try:
            assert child.stdout is not None
            matches = (re.search(rf"https?://{re.escape(host.address)}:(\d+)(?=/)", line) for line in child.stdout)
            match = next((match for match in matches if match), None)
            assert match is not None, f"the gateway process ended at once: {log.read_text()}"
            with httpx.Client(base_url=match[0], timeout=60, verify=verify) as client:
                _wait(client, child, "/readyz" if ready else "/healthz", log)
                yield Gateway(int(match[1]), psutil.Process(child.pid), client, log, time.monotonic() - started)
        finally:
            child.terminate()
            try:
                child.wait(30)
            except subprocess.TimeoutExpired:
                child.kill()
                raise


def _wait(client: httpx.Client, child: subprocess.Popen[str], path: str, log: Path) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        assert child.poll() is None, f"the gateway process ended: {log.read_text()}"
        try:
            if client.get(path).status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.02)
    raise AssertionError(f"the gateway was not ready in time: {log.read_text()}")
