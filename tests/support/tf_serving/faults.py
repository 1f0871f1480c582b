"""Fault injection over gRPC: `tests.Faults/Set` takes the fields of `Faults` as JSON."""

from __future__ import annotations

import json
import os
import threading
import time
from dataclasses import asdict, dataclass

import grpc

SET, COUNT = "/tests.Faults/Set", "/tests.Faults/Count"


@dataclass(frozen=True)
class Faults:
    """Faults of the following predictions. To refuse connections, end the process.

    Attributes:
        delay: Seconds before each answer.
        code: Name of the gRPC status to answer with, such as "UNAVAILABLE"; None to answer normally.
        message: Message of that status.
        times: Number of calls that get that status; None for all.
        die: Whether the process ends during the next call.
        wrong_shape: Whether the last column of each output is missing.
        hold_loads: Whether versions stay in state LOADING until the fault ends.
    """

    delay: float = 0
    code: str | None = None
    message: str = "injected by a test"
    times: int | None = None
    die: bool = False
    wrong_shape: bool = False
    hold_loads: bool = False


def inject(target: str, faults: Faults = Faults()) -> None:
    """Replace the faults of the server at `target`; the default ends all faults."""
    with grpc.insecure_channel(target) as channel:
        channel.unary_unary(SET)(json.dumps(asdict(faults)).encode(), timeout=10, wait_for_ready=True)


def count(target: str) -> int:
    """Return the number of Predict calls that the server at `target` has received."""
    with grpc.insecure_channel(target) as channel:
        return int(channel.unary_unary(COUNT)(b"", timeout=10, wait_for_ready=True))


class FaultInjector:
    """Holds the current faults, and counts the Predict calls."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults = Faults()
        self._failed = 0  # calls answered with the current fault's status
        self._received = 0

    @property
    def faults(self) -> Faults:
        """Current faults."""
        return self._faults

    def before_answer(self, context: grpc.ServicerContext) -> None:
        """Apply the current faults to a call."""
        faults = self._faults
        with self._lock:
            self._received += 1
        if faults.die:
            os._exit(1)
        if faults.delay:
            time.sleep(faults.delay)
        if faults.code is None:
            return
        with self._lock:
            self._failed += 1
            if faults.times is not None and self._failed > faults.times:
                return
        context.abort(grpc.StatusCode[faults.code], faults.message)

    def handler(self) -> grpc.GenericRpcHandler:
        """Return the handler for the calls of `inject` and `count`."""
        handlers = {
            SET: grpc.unary_unary_rpc_method_handler(self._set),
            COUNT: grpc.unary_unary_rpc_method_handler(lambda request, context: str(self._received).encode()),
        }
        service = SET.split("/")[1]
        return grpc.method_handlers_generic_handler(
            service, {name.split("/")[2]: handler for name, handler in handlers.items()}
        )

    def _set(self, request: bytes, _: grpc.ServicerContext) -> bytes:
        with self._lock:
            self._faults, self._failed = Faults(**json.loads(request)), 0
        return b""
