"""The stand-in as a process that starts at once, forked from a process that has imported TensorFlow."""

from __future__ import annotations

import ctypes
import multiprocessing
import multiprocessing.forkserver
import os
from collections.abc import Sequence
from functools import cache
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from unittest import mock


def start(arguments: Sequence[str], log: Path, namespace: str | None = None) -> tuple[BaseProcess, int]:
    """Start a server; return its process, and the port on which it listens.

    Args:
        arguments: Command-line arguments of `tests.support.tf_serving`.
        log: File to which the server's log is appended.
        namespace: Name of the Linux network namespace in which the server runs; None for this process's.

    Raises:
        RuntimeError: The server ended at once.
    """
    announced, announce = multiprocessing.Pipe(duplex=False)
    process = _fork_server().Process(target=_serve, args=(arguments, log, namespace, announce), daemon=True)
    process.start()
    announce.close()
    try:
        return process, announced.recv()
    except EOFError:
        process.join()
        raise RuntimeError(f"the server ended: {log.read_text()}") from None
    finally:
        announced.close()


@cache
def _fork_server() -> ForkServerContext:
    """Start the process from which servers are forked: importing TensorFlow takes seconds, forking does not.

    Forking is safe, because the process has one thread: importing TensorFlow starts none, and OpenBLAS and Arrow's
    allocator, which pandas brings along, are told not to.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.support.tf_serving.server"])
    with mock.patch.dict(os.environ, OPENBLAS_NUM_THREADS="1", JE_ARROW_MALLOC_CONF="background_thread:false"):
        multiprocessing.forkserver.ensure_running()
    return context


def _serve(arguments: Sequence[str], log: Path, namespace: str | None, announce: Connection) -> None:
    from tests.support.tf_serving.server import main

    assert len(list(Path(f"/proc/{os.getppid()}/task").iterdir())) == 1, "forked from a process with several threads"
    with log.open("a") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    if namespace is not None:
        _enter(namespace)
    main(arguments, announce.send)


def _enter(namespace: str) -> None:
    """Move this process to a network namespace, as `ip netns exec` does."""
    with Path("/run/netns", namespace).open() as file:
        if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), 0) != 0:
            raise OSError(ctypes.get_errno(), f"cannot enter the network namespace {namespace}")
