"""Several gateways and servers, on separate hosts if the machine allows network namespaces."""

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
from tensorflow_serving.apis import get_model_status_pb2

from tests.support.backend import Backend
from tests.support.engines import serving_flags
from tests.support.gateway import Gateway, running_gateway
from tests.support.network import Host, loopback, namespaces
from tests.support.slow import slow_except
from tests.support.tf_serving_stack import IMAGE, Stack, eventually, statuses


@pytest.mark.parametrize("network", slow_except([loopback], [loopback, namespaces]))
def test_killing_one_of_three_servers_fails_only_its_requests_in_flight(
    network: Callable[[int], AbstractContextManager[list[Host]]],
    tmp_path: Path,
    stack: Stack,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Eight clients over two gateways: requests spread over all servers; only those in flight at the kill fail."""
    monkeypatch.setenv("KERAS_ARCHS_POLL_SECONDS", "0.1")
    with ExitStack() as undo:
        try:
            hosts = undo.enter_context(network(5))
        except PermissionError as error:
            pytest.skip(str(error))
        kill_one_server(hosts, stack.repository, tmp_path)


def kill_one_server(hosts: list[Host], repository: Path, folder: Path) -> None:
    first, second, *rest = hosts
    servers = [Backend(folder / f"{host.address}.log", *serving_flags(repository), host=host) for host in rest]
    clients = 8
    answers: list[tuple[float, int]] = []  # start time and status
    stop = threading.Event()

    def client(gateway: Gateway) -> None:
        with httpx.Client(base_url=gateway.client.base_url, timeout=60) as http:
            while not stop.is_set():
                started = time.monotonic()
                status = http.post("/classify/tiny/versions/1", content=IMAGE).status_code
                answers.append((started, status))

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
                spread = [server.predict_calls() for server in servers]
                servers[0].kill()
                noticed = time.monotonic() + 1  # by then both gateways have seen the closed connections
                eventually(lambda: sum(started > noticed for started, _ in answers), lambda count: count >= 300)
            finally:
                stop.set()
            for future in running:
                future.result()
    finally:
        for server in servers:
            server.kill()
    assert min(spread) > sum(spread) / 6, spread
    failed = [(started, status) for started, status in answers if status != 200]
    assert len(failed) <= clients
    assert {status for _, status in failed} <= {503}
    assert all(started < noticed for started, _ in failed)


def loaded(server: Backend) -> bool:
    with grpc.insecure_channel(server.target) as opened:
        try:
            return set(statuses(opened).values()) == {get_model_status_pb2.ModelVersionStatus.AVAILABLE}
        except grpc.RpcError:
            return False
