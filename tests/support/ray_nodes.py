"""A Ray cluster on this machine: a head without CPUs, and nodes that can be killed, all on loopback."""

from __future__ import annotations

import os
import random
import secrets
import shutil
import socket
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import psutil

_TOKEN = secrets.token_hex(32)  # one for all clusters of a process, because Ray reads it once


class RayNodes:
    """A running cluster.

    Attributes:
        client_address: Address for clients, `ray://HOST:PORT`; inside the `with` block, `auto` is the cluster, too.
    """

    def __init__(self, cluster: Any, nodes: Sequence[Any], port: int) -> None:
        """Refer to the processes of a cluster."""
        self.client_address = f"ray://127.0.0.1:{port}"
        self._cluster = cluster
        self._nodes = list(nodes)

    def kill_a_node(self) -> None:
        """Kill all processes of a node, without a farewell."""
        self._cluster.remove_node(self._nodes.pop(), allow_graceful=False)


@contextmanager
def running_ray_nodes(cores: Sequence[int | None]) -> Iterator[RayNodes]:
    """Run a cluster; yield when all nodes are there.

    Args:
        cores: For each node with one CPU, the core of this machine that its processes may use, or None for any.
    """
    folder = tempfile.mkdtemp(prefix="ray", dir="/tmp")  # short, because sockets have their paths inside
    before = {name: os.environ.get(name) for name in _environment(folder)}
    os.environ |= _environment(folder)
    try:
        from ray.cluster_utils import Cluster

        port = _free_port()
        common = {"node_ip_address": "127.0.0.1", "include_dashboard": False}
        head = {**common, "num_cpus": 0, "ray_client_server_port": port}
        cluster = Cluster(initialize_head=True, head_node_args=head)
        try:
            os.environ["RAY_ADDRESS"] = cluster.address
            nodes = []
            for core in cores:
                with _on_core(core):
                    nodes.append(cluster.add_node(**common, num_cpus=1))
            yield RayNodes(cluster, nodes, port)
        finally:
            for node in cluster.list_all_nodes()[::-1]:  # `shutdown` waits for the farewell of each process
                cluster.remove_node(node, allow_graceful=False)
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
        shutil.rmtree(folder, ignore_errors=True)


def _free_port() -> int:
    """Return a free port below the range from which the system chooses ports for others until Ray listens there."""
    while True:
        port = random.randrange(20_000, 30_000)
        with socket.socket() as listener, suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port


def _environment(folder: str) -> dict[str, str]:
    return {
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # with the address 127.0.0.1, all processes listen on loopback only
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": _TOKEN,
        "RAY_TMPDIR": folder,
        "RAY_BACKEND_LOG_LEVEL": "fatal",
        "RAY_ADDRESS": "",  # known when the head runs
        "GRPC_ENABLE_FORK_SUPPORT": "0",  # Ray's server of clients forks while it has threads, and crashes at times
    }


@contextmanager
def _on_core(core: int | None) -> Iterator[None]:
    """Start processes on one core, which they inherit, while the `with` block runs."""
    process = psutil.Process()
    before = process.cpu_affinity()
    if core is not None:
        process.cpu_affinity([core])
    try:
        yield
    finally:
        process.cpu_affinity(before)
