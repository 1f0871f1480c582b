"""`keras-archs predict --ray`: the same table from a cluster, whatever is lost, and nothing that others can reach."""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from ipaddress import ip_address
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest

from keras_archs.batch.predictor import Predictor
from keras_archs.batch.ray_cluster import ClusterError, _Actor, _enter, _Job, check_address, connected, results
from keras_archs.batch.run import Run
from keras_archs.batch.shard_files import INCOMING, write_shard
from keras_archs.batch.sources import open_source
from keras_archs.batch.work import Work
from tests.support.gateway import COMMAND
from tests.support.ray_nodes import running_ray_nodes


@pytest.fixture(scope="module")
def many_photos(tmp_path_factory: pytest.TempPathFactory, photographs: dict[str, bytes]) -> Path:
    """A folder with 60 photographs, of which every tenth is damaged."""
    folder = tmp_path_factory.mktemp("photos")
    names = sorted(photographs)
    for number in range(60):
        content = photographs[names[number % len(names)]]
        (folder / f"{number:02}.jpg").write_bytes(content[:2000] if number % 10 == 0 else content)
    return folder


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory, many_photos: Path, predictor: Predictor) -> bytes:
    """The table of the photographs, computed in this process."""
    out = tmp_path_factory.mktemp("expected") / "table.parquet"
    with Run.open(out, predictor.work, open_source([str(many_photos)], shard_images=4)) as run:
        for path, shard in run.pending():
            write_shard(predictor, shard, path)
        run.finish()
    return out.read_bytes()


@dataclass(frozen=True)
class Seen:
    """What was seen while a command ran."""

    table: bytes
    errors: str
    listening: set[tuple[str, int]]
    names: set[str]
    left: list[psutil.Process]
    """Processes that still run a moment after the command."""


@pytest.fixture(scope="module")
def local_run(tmp_path_factory: pytest.TempPathFactory, many_photos: Path, work: Work) -> Seen:
    """The command with `--ray local`."""
    out = tmp_path_factory.mktemp("ray") / "table.parquet"
    options = [
        "--model",
        "tiny",
        "--repository",
        str(work.version_dir.parents[1]),
        "--top-k",
        "2",
        "--shard-images",
        "4",
    ]
    command = [str(COMMAND), "predict", str(many_photos), *options, "--out", str(out), "--ray", "local"]
    folder = tempfile.mkdtemp(prefix="ray", dir="/tmp")  # short, because sockets have their paths inside
    listening: set[tuple[str, int]] = set()
    processes: dict[int, psutil.Process] = {}
    names: set[str] = set()
    try:
        environment = os.environ | {"RAY_TMPDIR": folder}
        with subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        ) as child:
            while child.poll() is None:
                for process in list(processes_of(child.pid)):
                    processes[process.pid] = process
                    listening |= listens(process)
                    names.add(name_of(process))
                time.sleep(0.3)  # looking costs the run time
            assert child.stderr is not None
            errors = child.stderr.read()
            assert child.returncode == 0, errors
        _, left = psutil.wait_procs(processes.values(), timeout=20)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return Seen(out.read_bytes(), errors, listening, names, left)


def processes_of(pid: int) -> Iterator[psutil.Process]:
    try:
        process = psutil.Process(pid)
        yield process
        yield from process.children(recursive=True)
    except psutil.NoSuchProcess:
        return


def listens(process: psutil.Process) -> set[tuple[str, int]]:
    try:
        connections = process.net_connections()
    except psutil.Error:
        return set()
    return {tuple(each.laddr) for each in connections if each.status == psutil.CONN_LISTEN}


def name_of(process: psutil.Process) -> str:
    try:
        return str(process.name())
    except psutil.Error:
        return ""


def test_a_cluster_of_this_machine_gives_the_same_table(local_run: Seen, expected: bytes) -> None:
    assert local_run.table == expected


def test_a_cluster_of_this_machine_listens_on_loopback_only(local_run: Seen) -> None:
    assert {"raylet", "gcs_server"} <= local_run.names
    assert len(local_run.listening) > 4
    for address, _ in local_run.listening:
        parsed = ip_address(address)
        assert (getattr(parsed, "ipv4_mapped", None) or parsed).is_loopback, address


def test_a_cluster_of_this_machine_has_no_dashboard(local_run: Seen) -> None:
    assert 8265 not in {port for _, port in local_run.listening}


def test_a_cluster_of_this_machine_ends_with_the_command(local_run: Seen) -> None:
    assert local_run.left == []


def test_a_cluster_of_this_machine_says_nothing_but_what_the_command_says(local_run: Seen) -> None:
    lines = [line for line in local_run.errors.splitlines() if not line.startswith("note: ")]
    assert lines == []


@pytest.mark.slow  # two clusters' worth of processes, and half a minute until Ray takes a silent node for dead
@pytest.mark.parametrize("from_outside", [False, True], ids=["auto", "ray://"])
def test_no_row_is_lost_or_doubled_when_a_node_is_killed(
    tmp_path: Path, many_photos: Path, work: Work, expected: bytes, from_outside: bool
) -> None:
    out = tmp_path / "table.parquet"
    with (
        running_ray_nodes([None, None]) as nodes,
        Run.open(out, work, open_source([str(many_photos)], shard_images=4)) as run,
        connected(address := nodes.client_address if from_outside else "auto"),
    ):
        for number, _ in enumerate(results(run, work, address, threads=1)):
            if number == 3:
                nodes.kill_a_node()
        run.finish()
    assert out.read_bytes() == expected
    paths = pq.read_table(out)["path"].to_pylist()
    assert paths == sorted(set(paths))
    assert len(paths) == 60


@pytest.mark.parametrize("address", ["local", "auto", "ray://head:10001", "ray://10.0.0.1:10001"])
def test_a_cluster_has_an_address(address: str) -> None:
    check_address(address)


@pytest.mark.parametrize("address", ["", "--out", "here", "http://head:8265", "ray://head", "head:6379"])
def test_another_address_is_refused_with_the_ones_that_are_allowed(address: str) -> None:
    with pytest.raises(ValueError, match=r"--ray must be local .* auto .* ray://HOST:PORT; got") as refused:
        check_address(address)
    assert repr(address) in str(refused.value)


@pytest.fixture
def job(tmp_path: Path, many_photos: Path, work: Work, monkeypatch: pytest.MonkeyPatch) -> Iterator[_Job]:
    """What the processes of a cluster get."""
    monkeypatch.chdir(tmp_path)  # and back, because a process of a cluster changes its folder
    with Run.open(tmp_path / "table.parquet", work, open_source([str(many_photos)], shard_images=4)) as run:
        yield _Job(run, work, work.describe(), tmp_path, threads=1)


def actor_without_ray(job: _Job, *, is_replacement: bool) -> _Actor:
    """Return an actor that does not ask Ray whether it takes the place of a lost one."""
    actor = _Actor(job)
    actor.__dict__["_is_replacement"] = is_replacement
    return actor


def test_a_node_that_does_not_share_the_files_is_named(job: _Job, tmp_path: Path) -> None:
    shutil.rmtree(job.run.folder)
    with pytest.raises(ValueError, match=rf"node \S+ does not have {job.run.folder}: .* that all nodes share"):
        _enter(job)
    with pytest.raises(ValueError, match=r"node \S+ does not have .*elsewhere"):
        _enter(replace(job, folder=tmp_path / "elsewhere"))


def test_a_node_with_another_runtime_is_refused(job: _Job) -> None:
    job.description["runtime"] = "openvino 1999.1"
    with pytest.raises(ValueError, match=r"node \S+ has runtime 'openvino 20.*' instead of 'openvino 1999.1'"):
        _enter(job)


def test_a_shard_whose_file_is_there_is_not_computed_again(job: _Job) -> None:
    path, shard = next(job.run.shards())
    row = {"shard": pickle.dumps((path, shard))}
    actor = actor_without_ray(job, is_replacement=False)
    first = actor(row)
    written = path.stat().st_mtime_ns
    assert first == {"images": 4, "errors": 1, "is_new": True}
    assert actor(row) == {**first, "is_new": False}
    assert path.stat().st_mtime_ns == written


def test_a_shard_that_ends_each_process_fails_the_run(job: _Job) -> None:
    path, shard = next(job.run.shards())
    for number in range(3):
        (path.parent / f"{INCOMING}{path.stem}-{number}").touch()
    actor = actor_without_ray(job, is_replacement=True)
    with pytest.raises(ClusterError, match=r"3 processes ended while they computed .*part-00000000.parquet"):
        actor({"shard": pickle.dumps((path, shard))})
