"""The gateway as a process: libraries, memory, start, shutdown and limits."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import numpy as np
import psutil
import pytest
from fastapi import FastAPI

from keras_archs.weights.download import fetching, places
from serving import run
from serving.protocols.connections import ConnectionLimits
from serving.settings import OF_THE_LIBRARY
from tests.support.gateway import COMMAND, Gateway, running_gateway
from tests.support.images import encode

MODEL = "efficientnet-lite0"
JPEG = {"Content-Type": "image/jpeg"}
IMAGE = encode(np.zeros((20, 20, 3), np.uint8), "PNG")


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def mapped_libraries(gateway: Gateway) -> str:
    return Path(f"/proc/{gateway.process.pid}/maps").read_text()


def test_the_gateway_never_imports_tensorflow_and_needs_little_memory(
    gateway: Gateway, photographs: dict[str, bytes]
) -> None:
    for _ in range(5):
        for image in photographs.values():
            assert gateway.client.post(f"/classify/{MODEL}", content=image, headers=JPEG).is_success
    gateway.client.get("/openapi.json")
    libraries = mapped_libraries(gateway)
    assert "openvino" in libraries
    assert "libtensorflow" not in libraries
    assert gateway.resident_mb() < 300


def test_converted_models_are_cached_in_the_repository(
    lite0_repository: Path, gateway: Gateway, tmp_path: Path
) -> None:
    cache = lite0_repository / ".cache"
    cached = {path.name: path.stat().st_ino for path in cache.iterdir()}
    assert {Path(name).suffix for name in cached} == {".xml", ".bin", ".json"}
    with running_gateway(lite0_repository, tmp_path / "log", "--preload", MODEL):
        pass
    assert {path.name: path.stat().st_ino for path in cache.iterdir()} == cached


def test_a_damaged_cache_entry_is_converted_again(
    lite0_repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, photographs: dict[str, bytes]
) -> None:
    cache = tmp_path / "cache"
    monkeypatch.setenv("KERAS_ARCHS_CACHE_DIR", str(cache))
    for _ in range(2):
        with running_gateway(lite0_repository, tmp_path / "log", "--preload", MODEL) as gateway:
            answer = gateway.client.post(f"/classify/{MODEL}", content=photographs["coffee"], headers=JPEG)
            assert answer.json()["images"][0][0]["label"] == "espresso"
        (converted,) = cache.glob("*.xml")
        converted.write_text(converted.read_text()[:1000])


def test_an_unwritable_cache_does_not_prevent_serving(
    lite0_repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("KERAS_ARCHS_CACHE_DIR", str(tmp_path / "file" / "cache"))
    with running_gateway(lite0_repository, tmp_path / "log", "--preload", MODEL) as gateway:
        assert "cannot be cached" in gateway.logged()


def test_with_an_empty_repository_the_gateway_is_alive_but_not_ready(
    tmp_path: Path, constant_classifier: Callable[[Path, int], Path]
) -> None:
    with running_gateway(tmp_path, tmp_path / "log", ready=False) as gateway:
        response = gateway.client.get("/readyz")
        assert response.status_code == 503
        assert response.headers["Retry-After"].isdecimal()
        assert "keras-archs export" in response.json()["detail"]
        constant_classifier(tmp_path, 1)
        deadline = time.monotonic() + 20
        while gateway.client.get("/readyz").status_code != 200:
            assert time.monotonic() < deadline
            time.sleep(0.05)


@pytest.mark.parametrize(("stop", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_shutdown_finishes_requests_in_flight_without_a_traceback(
    lite0_repository: Path, tmp_path: Path, photographs: dict[str, bytes], stop: signal.Signals, code: int
) -> None:
    with running_gateway(lite0_repository, tmp_path / "log", "--preload", MODEL) as gateway:
        body = photographs["coffee"]
        head = f"POST /classify/{MODEL} HTTP/1.1\r\nHost: gateway\r\nContent-Length: {len(body)}\r\n\r\n"
        with socket.create_connection(("127.0.0.1", gateway.port), timeout=20) as connection:
            connection.sendall(head.encode() + body[:100])
            gateway.client.get("/healthz")  # answered after the other request has begun
            gateway.process.send_signal(stop)
            connection.sendall(body[100:])
            assert connection.recv(1000).startswith(b"HTTP/1.1 200")
        assert gateway.process.wait(20) == code
        assert "Traceback" not in gateway.logged()


def test_sighup_ends_nothing(tmp_path: Path) -> None:
    with running_gateway(tmp_path, tmp_path / "log", ready=False) as gateway:
        for _ in range(2):
            gateway.process.send_signal(signal.SIGHUP)
            assert gateway.client.get("/healthz").is_success
        until(lambda: "changed settings: none" in gateway.logged())
        gateway.process.terminate()
        assert gateway.process.wait(20) == 0


def test_after_sigterm_the_gateway_says_that_it_stops_while_it_still_answers(
    tmp_path: Path, constant_classifier: Callable[[Path, int], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    constant_classifier(tmp_path / "models", 1)
    monkeypatch.setenv("KERAS_ARCHS_DRAIN_SECONDS", "600")
    with running_gateway(tmp_path / "models", tmp_path / "log") as gateway:
        gateway.process.terminate()
        until(lambda: gateway.client.get("/readyz").status_code == 503)
        assert "shutting down" in gateway.client.get("/readyz").json()["detail"]
        answer = gateway.client.post("/classify/tiny", content=IMAGE)
        assert answer.is_success
        assert answer.headers["Connection"] == "close"
        gateway.process.terminate()  # does not wait any longer
        assert gateway.process.wait(20) == 0


def test_a_sighup_takes_the_settings_that_may_change_and_names_the_others(
    tmp_path: Path, constant_classifier: Callable[[Path, int], Path]
) -> None:
    constant_classifier(tmp_path / "models", 1)
    config = tmp_path / "gateway.toml"
    config.write_text('log_level = "info"\npreload = ["tiny"]\n')
    with running_gateway(tmp_path / "models", tmp_path / "log", "--config", str(config)) as gateway:
        assert gateway.client.post("/classify/tiny", content=IMAGE).is_success
        config.write_text('log_level = "info"\nrequest_timeout = 0.000001\nthreads = 77\n')
        gateway.process.send_signal(signal.SIGHUP)
        until(lambda: "changed settings: request_timeout" in gateway.logged())
        assert "need a restart: preload, streams, threads, workers" in gateway.logged()
        assert gateway.client.post("/classify/tiny", content=IMAGE).status_code == 504
        config.write_text("request_timeout = -1\n")
        gateway.process.send_signal(signal.SIGHUP)
        until(lambda: "all settings stay as they were: setting request_timeout" in gateway.logged())
        assert gateway.client.post("/classify/tiny", content=IMAGE).status_code == 504
        config.write_text('preload = ["tiny"]\n')
        gateway.process.send_signal(signal.SIGHUP)
        until(lambda: gateway.client.post("/classify/tiny", content=IMAGE).is_success)


def test_a_sighup_while_the_file_cannot_be_read_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    reload = run.Reload(FastAPI(), ConnectionLimits(connections=1, head_seconds=1, answer_seconds=1), {})

    def read_settings(_: object) -> None:
        raise PermissionError("Permission denied: gateway.toml")

    monkeypatch.setattr(run, "read_settings", read_settings)
    asyncio.run(reload.take())
    assert "all settings stay as they were: Permission denied" in caplog.text


def test_a_file_of_settings_that_is_none_is_reported_in_one_line(tmp_path: Path) -> None:
    config = tmp_path / "gateway.toml"
    assert serve_error("--config", str(config)) == f"error: config {config} is no file"
    config.write_text("port = ")
    assert serve_error("--config", str(config)).startswith(f"error: config {config} is not TOML: ")
    config.write_text("prot = 1")
    assert serve_error("--config", str(config)).startswith("error: setting prot ")


def test_processes_share_the_port_add_up_their_metrics_and_are_replaced(
    tmp_path: Path, constant_classifier: Callable[[Path, int], Path]
) -> None:
    def post() -> bool:
        with httpx.Client(base_url=gateway.client.base_url) as client:  # a new connection, for any of the processes
            return client.post("/classify/tiny", content=IMAGE).is_success

    def counted() -> float:
        metrics = gateway.client.get("/metrics").text
        counts = re.findall(r'^keras_archs_requests_total{.*status="200".*} ([0-9.]+)$', metrics, re.MULTILINE)
        return sum(map(float, counts))

    def children() -> set[int]:
        return {child.pid for child in gateway.process.children()}

    constant_classifier(tmp_path / "models", 1)
    flags = ("--processes", "2", "--threads", "1", "--preload", "tiny")
    with running_gateway(tmp_path / "models", tmp_path / "log", *flags) as gateway:
        first = children()
        assert len(first) == 2
        for _ in range(10):
            assert post()
        until(lambda: counted() == 10)  # requests are counted when their answers have been sent
        killed = min(first)
        psutil.Process(killed).kill()
        until(lambda: len(children()) == 2 and killed not in children())
        for _ in range(10):
            assert post()
        until(lambda: counted() == 20)
        assert f"process {killed} ended with code -9" in gateway.logged()


@pytest.mark.parametrize(("stop", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_a_signal_ends_all_processes_without_a_traceback(tmp_path: Path, stop: signal.Signals, code: int) -> None:
    with running_gateway(tmp_path, tmp_path / "log", "--processes", "2", ready=False) as gateway:
        children = gateway.process.children()
        gateway.process.send_signal(stop)
        assert gateway.process.wait(20) == code
        assert not any(child.is_running() for child in children)
        assert "Traceback" not in gateway.logged()


def test_processes_end_when_the_process_that_started_them_is_killed(tmp_path: Path) -> None:
    with running_gateway(tmp_path, tmp_path / "log", "--processes", "2", ready=False) as gateway:
        children = gateway.process.children()
        gateway.process.kill()
        _, alive = psutil.wait_procs(children, timeout=60)
        assert not alive


def test_a_failed_request_leaves_a_line_with_its_id_in_the_log(tmp_path: Path) -> None:
    with running_gateway(tmp_path, tmp_path / "log", ready=False) as gateway:
        responses = [
            gateway.client.get("/readyz"),
            gateway.client.get("/nowhere"),
            gateway.client.post(f"/classify/{MODEL}", content=b"x", headers={"X-Request-ID": "my-own.id"}),
            gateway.client.get("/healthz", headers={"Cookie": "c" * 40_000}),
        ]
        logged = gateway.logged().splitlines()
    assert [response.status_code for response in responses] == [503, 404, 404, 431]
    for response in responses:
        problem = response.json()
        (line,) = (line for line in logged if problem["request_id"] in line)
        assert f"{problem['status']} to 127.0.0.1 for" in line
        assert problem["detail"] in line


def serve_error(*arguments: str, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        [COMMAND, "serve", *arguments], check=False, capture_output=True, text=True, timeout=60, env=env
    )
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.strip().splitlines()
    return line


def test_a_port_in_use_is_reported_in_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        line = serve_error("--repository", str(tmp_path), "--port", str(port))
    assert line == f"error: cannot listen on 127.0.0.1:{port}: Address already in use"


def test_a_setting_out_of_range_is_reported_in_one_line(tmp_path: Path) -> None:
    line = serve_error("--repository", str(tmp_path), env={"KERAS_ARCHS_MAX_PENDING": "0"})
    assert line.startswith("error: setting max_pending (KERAS_ARCHS_MAX_PENDING):")
    assert "'0'" in line


def test_a_misspelt_variable_is_reported_in_one_line(tmp_path: Path) -> None:
    line = serve_error("--repository", str(tmp_path), env={"KERAS_ARCHS_MAX_PENDIN": "5"})
    assert line == "error: no setting is called KERAS_ARCHS_MAX_PENDIN; did you mean KERAS_ARCHS_MAX_PENDING?"


def test_variables_of_the_library_may_be_set_beside_those_of_the_gateway(tmp_path: Path) -> None:
    client_key = "KERAS_ARCHS_KEY"
    assert {fetching.OFFLINE, fetching.MIRROR, places.FOLDERS, client_key} == OF_THE_LIBRARY
    line = serve_error(
        "--repository", str(tmp_path), env={**dict.fromkeys(OF_THE_LIBRARY, "1"), "KERAS_ARCHS_PORT": "x"}
    )
    assert line.startswith("error: setting port (KERAS_ARCHS_PORT):")


def test_overload_is_503_and_ends(
    lite0_repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, photographs: dict[str, bytes]
) -> None:
    monkeypatch.setenv("KERAS_ARCHS_MAX_PENDING", "1")
    responses: list[httpx.Response] = []
    policies: set[str] = set()

    def post() -> None:
        for _ in range(20):
            responses.append(httpx.post(url, content=photographs["coffee"], headers=JPEG, timeout=60))
            policies.add(policy_of_loop())

    def policy_of_loop() -> str:
        if sys.platform != "linux":
            return "unknown"
        return {os.SCHED_BATCH: "waits", os.SCHED_OTHER: "urgent"}[os.sched_getscheduler(gateway.process.pid)]

    with running_gateway(lite0_repository, tmp_path / "log", "--preload", MODEL) as gateway:
        url = f"http://127.0.0.1:{gateway.port}/classify/{MODEL}"
        clients = [threading.Thread(target=post) for _ in range(4)]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
        assert httpx.post(url, content=photographs["coffee"], headers=JPEG).status_code == 200
        if sys.platform == "linux":
            assert "urgent" in policies
            until(lambda: policy_of_loop() == "waits")
    refusals = [response for response in responses if response.status_code != 200]
    assert 0 < len(refusals) < len(responses)
    for response in refusals:
        assert response.status_code == 503
        assert response.json()["type"] == "urn:keras-archs:problem:overloaded"
        assert int(response.headers["Retry-After"]) >= 1  # learned from how long answers take, here beside other tests


def test_a_missed_deadline_is_504(
    lite0_repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, photographs: dict[str, bytes]
) -> None:
    monkeypatch.setenv("KERAS_ARCHS_REQUEST_TIMEOUT", "0.001")
    with running_gateway(lite0_repository, tmp_path / "log", "--preload", MODEL) as gateway:
        response = gateway.client.post(f"/classify/{MODEL}", content=photographs["coffee"], headers=JPEG)
        assert response.status_code == 504
        assert response.json()["detail"] == "there was no answer within 0.001 s"


def test_a_body_that_does_not_arrive_is_408(
    lite0_repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_ARCHS_UPLOAD_TIMEOUT", "0.2")
    with (
        running_gateway(lite0_repository, tmp_path / "log", "--preload", MODEL) as gateway,
        socket.create_connection(("127.0.0.1", gateway.port), timeout=20) as connection,
    ):
        head = f"POST /classify/{MODEL} HTTP/1.1\r\nHost: gateway\r\nContent-Length: 1000\r\n\r\nonly this"
        connection.sendall(head.encode())
        assert connection.recv(1000).startswith(b"HTTP/1.1 408")
