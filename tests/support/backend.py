"""The stand-in for TensorFlow Serving as a process, which keeps its port after a restart."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path

from tests.support.network import LOOPBACK, Host
from tests.support.tf_serving import faults, process
from tests.support.tf_serving.faults import Faults


class Backend:
    """A server that a test can stop, restart and make fail."""

    def __init__(self, log: Path, *flags: str, host: Host = LOOPBACK) -> None:
        self.host = host
        self.port = 0  # until the first start chooses a free port
        self.log = log
        self._flags = flags
        self._process: BaseProcess | None = None

    @property
    def target(self) -> str:
        """Address for the gateway's setting `backend`."""
        return f"{self.host.address}:{self.port}"

    def start(self) -> None:
        """Start the server; return when it listens, although models may still be loading.

        Raises:
            RuntimeError: The server ended at once.
        """
        arguments = ["--host", self.host.address, "--port", str(self.port), *self._flags]
        self._process, self.port = process.start(arguments, self.log, self.host.namespace)

    def kill(self) -> None:
        """Kill the process, as a crash would; calls in flight fail."""
        if self._process is not None:
            self._process.kill()
            self._process.join(20)
            self._process = None

    @property
    def is_running(self) -> bool:
        """Whether the process is running."""
        return self._process is not None and self._process.is_alive()

    def pause(self) -> None:
        """Make the server hang: it keeps its connections but answers nothing."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """End a pause."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None and self._process.pid is not None
        os.kill(self._process.pid, number)

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
