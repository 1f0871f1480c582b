"""Several gateways and servers, on hosts of their own where the machine lets tests make networks."""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import grpc
import httpx
import pytest
from tensorflow_serving.apis import (
    get_model_status_pb2,
)

from tests.support.backend import Backend
from tests.support.engines import serving
from tests.support.gateway import Gateway, running_gateway
from tests.support.network import Host, loopback, namespaces
from tests.support.tf_serving_stack import IMAGE, Stack, eventually, statuses


@pytest.mark.parametrize("network", [loopback, namespaces])
def test_eight_clients_and_three_servers_of_which_one_is_killed(
    network: Callable[[int], AbstractContextManager[list[Host]]],
    tmp_path: Path,
    stack: Stack,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two gateways; requests spread. Of those in flight on the server that is killed some fail, and no others."""
    monkeypatch.setenv("KERAS_ARCHS_POLL_SECONDS", "0.1")
    with ExitStack() as undo:
        try:
            hosts = undo.enter_context(network(5))
        except PermissionError as error:
            pytest.skip(str(error))
        one_is_killed(hosts, stack.repository, tmp_path)


def one_is_killed(hosts: list[Host], repository: Path, folder: Path) -> None:
    first, second, *rest = hosts
    servers = [Backend(folder / f"{host.address}.log", *serving(repository), host=host) for host in rest]
    clients = 8
    answers: list[tuple[float, int]] = []  # when begun, and the status
    stop = threading.Event()

    def client(gateway: Gateway) -> None:
        with httpx.Client(base_url=gateway.client.base_url, timeout=60) as http:
            while not stop.is_set():
                begun = time.monotonic()
                status = http.post("/classify/tiny/versions/1", content=IMAGE).status_code
                answers.append((begun, status))

    try:
        with ThreadPoolExecutor(len(servers)) as pool:
            list(pool.map(Backend.start, servers))
        flags = [flag for server in servers for flag in ("--backend", server.target)]
        with (
            running_gateway(repository, folder / "one", "--engine", "tf-serving", *flags, host=first) as one,
            running_gateway(repository, folder / "two", "--engine", "tf-serving", *flags, host=second) as two,
            ThreadPoolExecutor(clients) as pool,
        ):
            for server in servers:
                eventually(functools.partial(loaded, server), bool)
            running = [pool.submit(client, (one, two)[number % 2]) for number in range(clients)]
            try:
                eventually(lambda: len(answers), lambda count: count >= 300)
                spread = [server.answered() for server in servers]
                servers[0].kill()
                noticed = time.monotonic() + 1  # the gateways' kernel and event loop take a moment to tell them
                eventually(lambda: sum(begun > noticed for begun, _ in answers), lambda count: count >= 300)
            finally:
                stop.set()
            for one_client in running:
                one_client.result()
    finally:
        for server in servers:
            server.kill()
    assert min(spread) > sum(spread) / 6, spread
    failed = [(begun, status) for begun, status in answers if status != 200]
    assert len(failed) <= clients
    assert {status for _, status in failed} <= {503}
    assert all(begun < noticed for begun, _ in failed)


def loaded(server: Backend) -> bool:
    with grpc.insecure_channel(server.target) as opened:
        try:
            return set(statuses(opened).values()) == {get_model_status_pb2.ModelVersionStatus.AVAILABLE}
        except grpc.RpcError:
            return False
