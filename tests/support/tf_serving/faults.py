"""Faults that a test orders over gRPC itself: `tests.Faults/Set` takes the fields of `Faults` as JSON."""

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
    """What goes wrong with the predictions to come. To refuse connections, end the process.

    Attributes:
        delay: Seconds before each answer.
        code: Name of the gRPC status that answers instead, such as "UNAVAILABLE".
        message: That status' message.
        times: How often it does; None for always.
        die: Whether the process ends in the middle of the next call.
        wrong_shape: Whether answers lack their last column.
        load_delay: Seconds that loading a version takes more.
    """

    delay: float = 0
    code: str | None = None
    message: str = "ordered by a test"
    times: int | None = None
    die: bool = False
    wrong_shape: bool = False
    load_delay: float = 0


def order(target: str, faults: Faults = Faults()) -> None:
    """Makes the server at `target` fail as `faults` says from now on; by default no more."""
    with grpc.insecure_channel(target) as channel:
        channel.unary_unary(SET)(json.dumps(asdict(faults)).encode(), timeout=10, wait_for_ready=True)


def count(target: str) -> int:
    """How many Predict calls have arrived at the server at `target`."""
    with grpc.insecure_channel(target) as channel:
        return int(channel.unary_unary(COUNT)(b"", timeout=10, wait_for_ready=True))


class FaultInjector:
    """Holds the faults in force, and counts the Predict calls that have arrived."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults = Faults()
        self._answered = 0  # with the fault in force
        self._arrived = 0

    @property
    def faults(self) -> Faults:
        """Those in force."""
        return self._faults

    def before_answer(self, context: grpc.ServicerContext) -> None:
        """Does to a call what has been ordered."""
        faults = self._faults
        with self._lock:
            self._arrived += 1
        if faults.die:
            os._exit(1)
        if faults.delay:
            time.sleep(faults.delay)
        if faults.code is None:
            return
        with self._lock:
            self._answered += 1
            if faults.times is not None and self._answered > faults.times:
                return
        context.abort(grpc.StatusCode[faults.code], faults.message)

    def handler(self) -> grpc.GenericRpcHandler:
        """The handler by which tests give their orders."""
        handlers = {
            SET: grpc.unary_unary_rpc_method_handler(self._set),
            COUNT: grpc.unary_unary_rpc_method_handler(lambda request, context: str(self._arrived).encode()),
        }
        service = SET.split("/")[1]
        return grpc.method_handlers_generic_handler(
            service, {name.split("/")[2]: handler for name, handler in handlers.items()}
        )

    def _set(self, order: bytes, _: grpc.ServicerContext) -> bytes:
        with self._lock:
            self._faults, self._answered = Faults(**json.loads(order)), 0
        return b""
