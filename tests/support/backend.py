"""The stand-in for TensorFlow Serving in a process of its own, on a port that it keeps when it comes back."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.network import LOOPBACK, Host
from tests.support.tf_serving import faults
from tests.support.tf_serving.faults import Faults

ROOT = Path(__file__).parents[2]


class Backend:
    """A server that can be ended, started again and made to fail."""

    def __init__(self, log: Path, *flags: str, host: Host = LOOPBACK) -> None:
        self.host = host
        self.port = 0  # until the first start finds a free one
        self.log = log
        self._flags = flags
        self._process: subprocess.Popen[str] | None = None

    @property
    def target(self) -> str:
        """Its address, for a gateway's setting."""
        return f"{self.host.address}:{self.port}"

    def start(self) -> None:
        """Starts it and returns when it listens; its models may still be loading."""
        server = [sys.executable, "-m", "tests.support.tf_serving"]
        command = [*self.host.prefix, *server, "--host", self.host.address, "--port", str(self.port)]
        with self.log.open("a") as log:
            self._process = subprocess.Popen(
                [*command, *self._flags], cwd=ROOT, stdout=subprocess.PIPE, stderr=log, text=True
            )
        assert self._process.stdout is not None
        announced = self._process.stdout.readline()
        assert announced, f"the backend ended: {self.log.read_text()}"
        self.port = int(announced.rpartition(":")[2])

    def kill(self) -> None:
        """Ends it at once, as a crash would; calls in flight are cut."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(20)
            assert self._process.stdout is not None
            self._process.stdout.close()
            self._process = None

    @property
    def is_running(self) -> bool:
        """Whether the process is there."""
        return self._process is not None and self._process.poll() is None

    def pause(self) -> None:
        """Makes it hang: it keeps its connections and answers nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Ends a pause."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def answered(self) -> int:
        """How many predictions it has made."""
        return faults.count(self.target)

    def fail(self, **fields: object) -> None:
        """Orders faults; without arguments, none any more."""
        faults.order(self.target, Faults(**fields))  # type: ignore[arg-type]


@contextmanager
def running_backend(log: Path, *flags: str) -> Iterator[Backend]:
    """Starts a backend with these flags, and ends it."""
    backend = Backend(log, *flags)
    backend.start()
    try:
        yield backend
    finally:
        backend.kill()
