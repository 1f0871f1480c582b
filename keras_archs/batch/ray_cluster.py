"""A run on a Ray cluster: Ray Data lists the source and gives its shards to actors, which hold the loaded version.

An actor that is lost, because its node is gone or its process was killed, is started again, and its shards are given
out again. A shard whose file is there already is not computed twice.
"""

from __future__ import annotations

import logging
import os
import pickle
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final, NamedTuple

from keras_archs.analysis.extras import import_extra
from keras_archs.batch.predictor import Predictor
from keras_archs.batch.run import Run
from keras_archs.batch.shard_files import INCOMING, ShardSummary, write_shards
from keras_archs.batch.work import Work
from keras_archs.runtimes.machine import usable_cores

LOCAL: Final = "local"
"""Address of a cluster that is started on this machine, and ends with the run."""

_THIS_CLUSTER: Final = "auto"
_CLIENT: Final = "ray://"
_ON_HEAD: Final = {"node:__internal_head__": 0.001}
"""Resource that only the head node has; if that node is lost, Ray's cluster is lost, too."""
_STORE_BYTES: Final = 200 * 2**20  # for descriptions of shards; images do not go through Ray
_CONNECTIONS: Final = 3
"""Tries to connect: the head node forks a process for each client while it has threads, and gRPC may crash in it."""
_LOST_PROCESSES: Final = 3
"""Processes that may end while they compute the same shard: an image that ends each reader must not do so for ever."""


class ClusterError(ValueError):
    """Ray cannot go on."""


class Result(NamedTuple):
    """What became of a shard."""

    summary: ShardSummary
    is_new: bool
    """Whether the shard was computed; its file was there otherwise."""


@dataclass(frozen=True)
class _Job:
    """What the processes of the cluster need to know."""

    run: Run
    work: Work
    description: dict[str, Any]
    """What the work is where the command was given."""
    folder: Path
    """Folder where the command was given; relative names mean the same everywhere."""
    threads: int


def check_address(address: str) -> None:
    """Check the address of a cluster before the command starts its work.

    Raises:
        ValueError: It is no address.
    """
    if address not in {LOCAL, _THIS_CLUSTER} and not re.fullmatch(rf"{_CLIENT}\S+:\d+", address):
        raise ValueError(
            f"--ray must be {LOCAL} for this machine, {_THIS_CLUSTER} for the cluster that this machine belongs to, or "
            f"{_CLIENT}HOST:PORT; got {address!r}"
        )


@contextmanager
def connected(address: str) -> Iterator[None]:
    """Connect this process to a cluster while the `with` block runs.

    A local cluster is started without its dashboard, and listens on loopback only.

    Args:
        address: "local", "auto" or "ray://HOST:PORT".

    Raises:
        OSError: There is no such cluster, or its head node cannot serve clients.
        ClusterError: The cluster refuses this process, for example because it has another release of Ray or Python.
    """
    if address == LOCAL:
        _prepare_loopback()
    ray = import_extra("ray", "ray")
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address == LOCAL:
        options |= {"include_dashboard": False, "num_cpus": usable_cores(), "object_store_memory": _STORE_BYTES}
    try:
        _connect(address, options)
        yield
    finally:
        ray.shutdown()


def results(run: Run, work: Work, address: str, *, threads: int) -> Iterator[Result]:
    """Compute the missing shards of a run on the cluster that this process is connected to, and yield all as they come.

    The source, the output and the version must be at the same paths on all nodes. When the iterator has come to its
    end, `run.finish()` can put the shards together.

    Args:
        run: The run.
        work: What to compute.
        address: Address of the cluster, as given to `connected`.
        threads: Threads of an actor, and the CPUs that it takes of its node.

    Raises:
        ValueError: No node has so many CPUs, a node would compute something else, or the source has changed.
        OSError: The source cannot be listed, or a file cannot be written.
        ClusterError: Ray gave up.
    """
    ray = import_extra("ray", "ray")
    job = _Job(run, work, work.describe(), Path.cwd(), threads)
    count = 0
    try:
        for result in _results_on_head(job) if address.startswith(_CLIENT) else _results(job):
            count += 1
            yield result
    except ray.exceptions.RayTaskError as error:
        raise _cause(error) from error
    except ray.exceptions.RayError as error:
        raise ClusterError(f"Ray gave up: {error}") from error
    run.listed = count


def _prepare_loopback() -> None:
    """Set the environment of a local cluster before `ray` is imported, which reads it then.

    Without RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER=0, which is the default on other systems than Linux, the processes of a
    cluster listen on all interfaces, because other machines could join. The token keeps other users of this machine
    out; Ray would write one into the home folder, which a container may not have.
    """
    os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    if "RAY_AUTH_MODE" not in os.environ:
        os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}


def _connect(address: str, options: dict[str, Any]) -> None:
    ray = import_extra("ray", "ray")
    for tries_left in reversed(range(_CONNECTIONS)):
        try:
            ray.init(address, **options)
        except ConnectionAbortedError as error:
            if not tries_left:
                raise ConnectionAbortedError(
                    f"the head node of {address} answers, but could not start a process for this client in "
                    f"{_CONNECTIONS} tries ({str(error).strip().splitlines()[-1]}). Start the head node with "
                    "GRPC_ENABLE_FORK_SUPPORT=0 in its environment, or give the command on a node with --ray auto"
                ) from error
        except ConnectionError as error:
            if address == LOCAL:
                raise
            hint = (
                "is the head node running, does its --ray-client-server-port, 10001 by default, listen where this "
                "machine can reach it, and does this machine have its token (RAY_AUTH_MODE, RAY_AUTH_TOKEN)?"
                if address.startswith(_CLIENT)
                else "this machine is no node of a running cluster, and RAY_ADDRESS=HOST:PORT names none"
            )
            raise ConnectionError(f"no answer from {address}: {hint}") from error
        except (RuntimeError, ray.exceptions.RayError) as error:
            raise ClusterError(f"cannot use the cluster {address}: {error}") from error
        else:
            return


def _results_on_head(job: _Job) -> Iterator[Result]:
    """Run Ray Data in an actor on the head node, because it does not run in the process of a `ray://` client."""
    ray = import_extra("ray", "ray")
    driver = ray.remote(_Driver).options(num_cpus=0, resources=_ON_HEAD).remote(job)
    while (result := ray.get(driver.next.remote())) is not None:
        yield result


class _Driver:
    """An iterator on another machine."""

    def __init__(self, job: _Job) -> None:
        self._results = _results(job)

    def next(self) -> Result | None:
        """Return the next result; None if there is none."""
        return next(self._results, None)


def _results(job: _Job) -> Iterator[Result]:
    data = import_extra("ray.data", "ray")
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # errors are raised, too
    context = data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.raise_original_map_exception = True
    context.target_max_block_size = 1  # a block for each shard, so that shards are given out one by one
    actors = data.ActorPoolStrategy(min_size=1, initial_size=_actors_at_first(job.threads))
    dataset = (
        data.from_items([0])
        .flat_map(_shards, fn_args=[job], num_cpus=0, resources=_ON_HEAD)
        .map(_Actor, fn_constructor_args=[job], compute=actors, num_cpus=job.threads)
    )
    for row in dataset.iter_rows():
        yield Result(ShardSummary(row["images"], row["errors"]), row["is_new"])


def _actors_at_first(threads: int) -> int:
    """Return how many actors the nodes have room for now; Ray Data starts more when nodes are added."""
    ray = import_extra("ray", "ray")
    cpus = [int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]]
    if max(cpus) < threads:
        raise ValueError(f"--threads must be at most {max(cpus)}, the CPUs of the largest node; got {threads}")
    return sum(count // threads for count in cpus)


def _shards(_: dict[str, Any], job: _Job) -> Iterator[dict[str, bytes]]:
    """List the source. Ray may run this again, and takes the same shards for the same then."""
    with _carried_errors():
        _enter(job)
        for path, shard in job.run.shards():
            yield {"shard": pickle.dumps((path, shard))}


class _Actor:
    """A process that computes shards."""

    def __init__(self, job: _Job) -> None:
        self._job = job

    def __call__(self, row: dict[str, bytes]) -> dict[str, Any]:
        """Compute a shard, unless its file is there."""
        with _carried_errors():
            return self._compute(row)

    def _compute(self, row: dict[str, bytes]) -> dict[str, Any]:
        _enter(self._job)
        path, shard = pickle.loads(row["shard"])  # noqa: S301, written by `_shards`
        there = self._job.run.there(path, shard)
        if there is None and self._is_replacement:
            _refuse_to_lose_more(path)
        summary = there or write_shards(self._predictor, [(path, shard)])
        return {"images": summary.images, "errors": summary.errors, "is_new": there is None}

    @cached_property
    def _is_replacement(self) -> bool:
        return bool(import_extra("ray", "ray").get_runtime_context().was_current_actor_reconstructed)

    @cached_property
    def _predictor(self) -> Predictor:
        # not in the constructor, of whose errors Ray only keeps the text of a traceback
        return Predictor(self._job.work, threads=self._job.threads)


def _refuse_to_lose_more(path: Path) -> None:
    """Count the files that processes have left behind when they ended while they computed a shard."""
    lost = len(list(path.parent.glob(f"{INCOMING}{path.stem}-*")))
    if lost >= _LOST_PROCESSES:
        raise ClusterError(
            f"{lost} processes ended while they computed {path}: an image may need more memory than there is"
        )


def _enter(job: _Job) -> None:
    """Make relative names mean the same as where the command was given, and check that this node has the same."""
    node = import_extra("ray", "ray").util.get_node_ip_address()
    try:
        os.chdir(job.folder)
        job.run.folder.stat()
        here = job.work.describe()
    except OSError as error:
        raise ValueError(
            f"node {node} does not have {error.filename}: the source, the output and the version must be on a file "
            "system that all nodes share"
        ) from error
    wanted = job.description
    differences = [
        f"{key} {here.get(key)!r} instead of {wanted[key]!r}" for key in wanted if here.get(key) != wanted[key]
    ]
    if differences:
        raise ValueError(f"node {node} has {'; '.join(differences)}: install the same on all nodes")


class _CarriedError(Exception):
    """Carries an error to the command as it is; Ray Data adds advice about retries to the arguments of others."""


@contextmanager
def _carried_errors() -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:
        raise _CarriedError(error) from error


def _cause(error: Any) -> Exception:
    """Return what went wrong on a node, without Ray's account of the way."""
    cause = error
    while isinstance(cause, import_extra("ray", "ray").exceptions.RayTaskError):
        cause = cause.cause
    if isinstance(cause, _CarriedError):
        cause = cause.args[0]
    return cause if isinstance(cause, (OSError, ValueError)) else ClusterError(f"Ray gave up: {cause}")
