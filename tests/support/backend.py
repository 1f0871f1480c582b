"""The stand-in for TensorFlow Serving as a process, which keeps its port after a restart."""

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
    """A server that a test can stop, restart and make fail."""

    def __init__(self, log: Path, *flags: str, host: Host = LOOPBACK) -> None:
        self.host = host
        self.port = 0  # until the first start chooses a free port
        self.log = log
        self._flags = flags
        self._process: subprocess.Popen[str] | None = None

    @property
    def target(self) -> str:
        """Address for the gateway's setting `backend`."""
        return f"{self.host.address}:{self.port}"

    def start(self) -> None:
        """Start the server; return when it listens, although models may still be loading."""
        server = [sys.executable, "-m", "tests.support.tf_serving"]
        command = [*self.host.prefix, *server, "--host", self.host.address, "--port", str(self.port)]
        with self.log.open("a") as log:
            self._process = subprocess.Popen(
                [*command, *self._flags], cwd=ROOT, stdout=subprocess.PIPE, stderr=log, text=True
            )
        assert self._process.stdout is not None
        announced = self._process.stdout.readline()
        assert announced, f"the backend process ended: {self.log.read_text()}"
        self.port = int(announced.rpartition(":")[2])

    def kill(self) -> None:
        """Kill the process, as a crash would; calls in flight fail."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(20)
            assert self._process.stdout is not None
            self._process.stdout.close()
            self._process = None

    @property
    def is_running(self) -> bool:
        """Whether the process is running."""
        return self._process is not None and self._process.poll() is None

    def pause(self) -> None:
        """Make the server hang: it keeps its connections but answers nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """End a pause."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def predict_calls(self) -> int:
        """Return the number of Predict calls received."""
        return faults.count(self.target)

    def fail(self, **fields: object) -> None:
        """Inject faults; without arguments, end all faults."""
        faults.inject(self.target, Faults(**fields))  # type: ignore[arg-type]


@contextmanager
def running_backend(log: Path, *flags: str) -> Iterator[Backend]:
    """Run a backend with these flags."""
    backend = Backend(log, *flags)
    backend.start()
    try:
        yield backend
    finally:
        backend.kill()
