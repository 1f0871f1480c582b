"""`keras-archs predict --ray`: the same table from a cluster, whatever is lost, and nothing that others can reach."""

from __future__ import annotations

import json
import os
import pickle
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from ipaddress import ip_address
from pathlib import Path
from types import SimpleNamespace

import psutil
import pyarrow.parquet as pq
import pytest

import keras_archs
from keras_archs.batch.predictor import Predictor
from keras_archs.batch.ray_cluster import ClusterError, _Actor, _enter, _Job, check_address, connected, results
from keras_archs.batch.run import Run
from keras_archs.batch.shard_files import INCOMING, write_shards
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
    return table_without_ray(tmp_path_factory.mktemp("expected"), many_photos, predictor)


def table_without_ray(folder: Path, photos: Path, predictor: Predictor) -> bytes:
    out = folder / "expected.parquet"
    with Run.open(out, predictor.work, open_source([str(photos)], shard_images=4)) as run:
        write_shards(predictor, run.pending())
        run.finish()
    return out.read_bytes()


def command(photos: Path, work: Work, out: Path, address: str) -> list[str]:
    """Return the command that computes photographs on a cluster."""
    repository = str(work.version_dir.parents[1])
    options = ["--model", "tiny", "--repository", repository, "--top-k", "2", "--shard-images", "4"]
    return [str(COMMAND), "predict", str(photos), *options, "--out", str(out), "--ray", address]


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
    folder = tempfile.mkdtemp(prefix="ray", dir="/tmp")  # short, because sockets have their paths inside
    listening: set[tuple[str, int]] = set()
    processes: dict[int, psutil.Process] = {}
    names: set[str] = set()
    try:
        environment = os.environ | {"RAY_TMPDIR": folder}
        with subprocess.Popen(
            command(many_photos, work, out, "local"),
            env=environment,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
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
        _, left = psutil.wait_procs(processes.values(), timeout=60)
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


@pytest.fixture
def stuck_photos(tmp_path: Path, many_photos: Path) -> Path:
    """A copy of the photographs whose last one gives no byte until it is replaced, as on a disk that hangs."""
    folder = tmp_path / "photos"
    shutil.copytree(many_photos, folder)
    (folder / "59.jpg").rename(tmp_path / "59.jpg")
    os.mkfifo(folder / "59.jpg")
    return folder


@pytest.fixture(params=["local", pytest.param("ray://", marks=pytest.mark.slow)])
def address(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a cluster for a command."""
    if request.param == "local":
        with tempfile.TemporaryDirectory(prefix="ray", dir="/tmp") as folder:  # short, as above
            monkeypatch.setenv("RAY_TMPDIR", folder)
            yield "local"
    else:
        with running_ray_nodes([None, None]) as nodes:
            yield nodes.client_address


@pytest.mark.parametrize(
    ("how", "status"),
    [(signal.SIGINT, 130), pytest.param(signal.SIGKILL, -signal.SIGKILL, marks=pytest.mark.slow)],
)
def test_the_same_command_goes_on_where_an_interrupted_one_was(
    tmp_path: Path, stuck_photos: Path, work: Work, predictor: Predictor, address: str, how: signal.Signals, status: int
) -> None:
    out = tmp_path / "table.parquet"
    shards = tmp_path / "table.parquet.shards"
    same = command(stuck_photos, work, out, address)
    with subprocess.Popen(same, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as child:
        try:
            wait_until(lambda: child.poll() is not None or len(list(shards.glob("part-*"))) == 14)
            processes = list(processes_of(child.pid))
            child.send_signal(how)
            _, errors = child.communicate(timeout=300)
        finally:
            child.kill()
    assert child.returncode == status, errors
    _, left = psutil.wait_procs(processes, timeout=30 if how == signal.SIGINT else 0)
    if how == signal.SIGINT:
        assert re.search(r"^interrupted after \d+ images; the same command goes on from there$", errors, re.MULTILINE)
        assert left == []
    for process in left:  # two of Ray's processes notice only after a minute that they are alone
        with suppress(psutil.NoSuchProcess):
            process.kill()
    assert not out.exists()

    (tmp_path / "59.jpg").replace(stuck_photos / "59.jpg")
    again = [*same, "--json"]
    done = subprocess.run(again, check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    # none if the cluster, which waits half a minute for a client that comes back, was faster with the last shard
    assert json.loads(done.stdout)["computed"] in ({4} if address == "local" else {0, 4})
    assert out.read_bytes() == table_without_ray(tmp_path, stuck_photos, predictor)
    assert not shards.exists()


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.slow  # a cluster for one line
def test_the_error_of_a_node_has_nothing_of_ray_in_it(tmp_path: Path, work: Work, address: str) -> None:
    nothing = tmp_path / "nothing"
    nothing.mkdir()
    failing = command(nothing, work, tmp_path / "table.parquet", address)
    done = subprocess.run(failing, check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr) == (2, f"error: no images in {nothing}\n")


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


ABORTED = ConnectionAbortedError(
    "Initialization failure from server:\nTraceback (most recent call last):\n  File ...\n"
    "RuntimeError: Starting Ray client server failed. See ray_client_server_23000.err for detailed logs.\n"
)


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> list[Exception | None]:
    """What the next tries to connect raise; None for a connection."""
    answers: list[Exception | None] = []

    def init(*_: object, **__: object) -> None:
        answer = answers.pop(0)
        if answer is not None:
            raise answer

    # instead of Ray, which reads the environment of its cluster when it is imported
    exceptions = SimpleNamespace(RayError=type("RayError", (Exception,), {}))
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(init=init, shutdown=lambda: None, exceptions=exceptions))
    return answers


def test_a_head_node_that_could_not_start_a_process_for_a_client_is_asked_again(
    answers: list[Exception | None],
) -> None:
    answers += [ABORTED, ABORTED, None]
    with connected("ray://head:10001"):
        assert answers == []


def test_a_head_node_that_starts_no_process_for_a_client_is_given_up(answers: list[Exception | None]) -> None:
    answers += [ABORTED] * 3
    with (
        pytest.raises(
            ConnectionAbortedError, match=r"ray://head:10001 .* in 3 tries .*GRPC_ENABLE_FORK_SUPPORT=0"
        ) as given_up,
        connected("ray://head:10001"),
    ):
        pass
    assert "(RuntimeError: Starting Ray client server failed. See ray_client_server_23000.err" in str(given_up.value)


@pytest.mark.parametrize(
    ("address", "hint"), [("ray://head:10001", "--ray-client-server-port"), ("auto", "RAY_ADDRESS=HOST:PORT")]
)
def test_a_cluster_that_does_not_answer_is_named(answers: list[Exception | None], address: str, hint: str) -> None:
    answers.append(ConnectionError("ray client connection timeout"))
    with pytest.raises(ConnectionError, match=rf"no answer from {address}: .* {hint}"), connected(address):
        pass


def test_a_cluster_with_another_release_of_ray_is_refused(answers: list[Exception | None]) -> None:
    answers.append(RuntimeError("Version mismatch: The cluster was started with Ray: 1.0.0"))
    with pytest.raises(ClusterError, match=r"cannot use the cluster auto: Version mismatch"), connected("auto"):
        pass


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


@pytest.mark.parametrize(
    ("what", "release", "here"),
    [("runtime", "openvino 1999.1", "openvino 20.*"), ("keras-archs", "0.0.1", keras_archs.__version__)],
)
def test_a_node_with_another_release_is_refused(job: _Job, what: str, release: str, here: str) -> None:
    job.description[what] = release
    message = rf"node \S+ has {what} '{here}' instead of '{release}': install the same on all nodes"
    with pytest.raises(ValueError, match=message):
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
        actor._compute({"shard": pickle.dumps((path, shard))})
