"""The gateway before TensorFlow Serving: what that does differently from what a client expects, and how it may fail.

The server is a stand-in (`tests.support.tf_serving`); what it answers is tested first, as all else rests on it.
"""

from __future__ import annotations

import functools
import operator
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import httpx
import numpy as np
import pytest
import tensorflow as tf
import trustme
from grpc import StatusCode
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from keras_archs import models_config
from tests.conftest import encode
from tests.support.backend import ROOT, Backend, running_backend
from tests.support.engines import serving
from tests.support.gateway import Gateway, running_gateway
from tests.support.network import Host, loopback, namespaces

Publish = Callable[[Path, int], Path]
QUEUE_FULL = (
    "The batch scheduling queue to which this task was submitted is full; currently 4 batches enqueued and "
    "max_enqueued_batches is 4"
)


@dataclass
class Stack:
    """A gateway, the server behind it, and the repository of both, with versions 1 and 2 of `tiny`."""

    repository: Path
    backend: Backend
    gateway: Gateway

    def classify(self, path: str = "/classify/tiny", **query: Any) -> httpx.Response:
        """The answer to one image."""
        return self.gateway.client.post(path, content=IMAGE, params=query)

    def label(self, **labels: int) -> None:
        """Replaces the labels of `tiny`."""
        with models_config.edited(self.repository) as config:
            entry = models_config.include(config, self.repository, "tiny")
            entry.version_labels.clear()
            entry.version_labels.update(labels)

    def becomes(self, status: int, path: str = "/classify/tiny") -> httpx.Response:
        """Asks until that is the answer's status."""
        found: httpx.Response = eventually(lambda: self.classify(path), lambda one: one.status_code == status)
        return found


def eventually(ask: Callable[[], Any], holds: Callable[[Any], bool]) -> Any:
    deadline = time.monotonic() + 60
    while not holds(answer := ask()):
        assert time.monotonic() < deadline, getattr(answer, "text", answer)
        time.sleep(0.02)
    return answer


IMAGE = encode(np.zeros((40, 40, 3), np.uint8))


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, constant_classifier: Publish) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("stack")
    repository = folder / "models"
    for version in (1, 2):
        constant_classifier(repository, version)
    with models_config.edited(repository) as config:
        models_config.include(config, repository, "tiny").version_labels.update({"stable": 1, "canary": 2})
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("KERAS_ARCHS_POLL_SECONDS", "0.1")
        with running_backend(folder / "backend.log", *serving(repository)) as backend:
            flags = ("--engine", "tf-serving", "--backend", backend.target)
            with running_gateway(repository, folder / "gateway.log", *flags) as gateway:
                yield Stack(repository, backend, gateway)


@pytest.fixture
def stack(running: Stack) -> Iterator[Stack]:
    """The running stack, in which both versions are ready before a test, and nothing is broken after it."""
    for version in (1, 2):
        running.becomes(200, f"/classify/tiny/versions/{version}")
    yield running
    if running.backend.is_running:
        running.backend.fail()
    assert "Traceback" not in running.gateway.logged()


@pytest.fixture
def channel(stack: Stack) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(stack.backend.target) as opened:
        yield opened


def problem(response: httpx.Response, status: int, kind: str) -> dict[str, Any]:
    assert response.status_code == status, response.text
    found: dict[str, Any] = response.json()
    assert found["type"] == f"urn:keras-archs:problem:{kind}"
    assert ("Retry-After" in response.headers) == (status >= 503)
    return found


# What the stand-in answers


def predict(channel: grpc.Channel, *, signature: str = "", inputs: str = "images", **spec: Any) -> Any:
    request = predict_pb2.PredictRequest()
    request.model_spec.name = spec.get("name", "tiny")
    request.model_spec.signature_name = signature
    if "version" in spec:
        request.model_spec.version.value = spec["version"]
    if "label" in spec:
        request.model_spec.version_label = spec["label"]
    request.inputs[inputs].CopyFrom(tf.make_tensor_proto(np.zeros((2, 32, 32, 3), np.uint8)))
    request.output_filter.extend(spec.get("output_filter", []))
    return prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict(request)


def statuses(channel: grpc.Channel, name: str = "tiny", **spec: Any) -> dict[int, int]:
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = name
    if "version" in spec:
        request.model_spec.version.value = spec["version"]
    if "label" in spec:
        request.model_spec.version_label = spec["label"]
    response = model_service_pb2_grpc.ModelServiceStub(channel).GetModelStatus(request)
    return {one.version: one.state for one in response.model_version_status}


def test_the_stand_in_predicts_and_says_which_version_did(channel: grpc.Channel) -> None:
    for spec, version in (({}, 2), ({"version": 1}, 1), ({"label": "stable"}, 1), ({"label": "canary"}, 2)):
        response = predict(channel, **spec)
        assert (response.model_spec.version.value, response.model_spec.signature_name) == (version, "serving_default")
        probabilities = tf.make_ndarray(response.outputs["probabilities"])
        assert probabilities.argmax(axis=1).tolist() == [version % 3] * 2
        assert not response.outputs["probabilities"].tensor_content  # repeated fields, as by default


@pytest.mark.parametrize(
    ("asked", "code", "text"),
    [
        ({"name": "none"}, "NOT_FOUND", "Servable not found for request: Latest(none)"),
        ({"version": 7}, "NOT_FOUND", "Servable not found for request: Specific(tiny, 7)"),
        ({"label": "gold"}, "INVALID_ARGUMENT", "Unrecognized servable version label: gold"),
        ({"name": ""}, "INVALID_ARGUMENT", "ModelSpec has no name specified."),
        ({"signature": "x"}, "FAILED_PRECONDITION", 'Serving signature key "x" not found.'),
        ({"inputs": "pixels"}, "INVALID_ARGUMENT", "Sent extra: {pixels}. Missing but required: {images}."),
        ({"output_filter": ["y"]}, "INVALID_ARGUMENT", "output tensor alias not found in signature: y"),
    ],
)
def test_the_stand_in_has_the_servers_own_words(
    channel: grpc.Channel, asked: dict[str, Any], code: str, text: str
) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        predict(channel, **asked)
    assert raised.value.code() == StatusCode[code]
    assert text in raised.value.details()


def test_the_stand_in_tells_states_and_ignores_labels_there(channel: grpc.Channel) -> None:
    available = get_model_status_pb2.ModelVersionStatus.AVAILABLE
    assert statuses(channel) == statuses(channel, label="stable") == {1: available, 2: available}
    assert statuses(channel, version=2) == {2: available}
    for spec, text in (
        ({"name": "none"}, "Could not find any versions of model none"),
        ({"version": 7}, "Could not find version 7 of model tiny"),
    ):
        with pytest.raises(grpc.RpcError) as raised:
            statuses(channel, **spec)
        assert (raised.value.code(), raised.value.details()) == (StatusCode.NOT_FOUND, text)


def test_the_stand_in_explains(channel: grpc.Channel) -> None:
    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = "tiny", "explain"
    request.inputs["images"].CopyFrom(tf.make_tensor_proto(np.zeros((2, 32, 32, 3), np.uint8)))
    request.inputs["classes"].CopyFrom(tf.make_tensor_proto(np.array([-1, 0])))
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    outputs = stub.Predict(request).outputs
    assert {name: tuple(dim.size for dim in one.tensor_shape.dim) for name, one in outputs.items()} == {
        "maps": (2, 32, 32),
        "chosen": (2,),
        "probabilities": (2, 3),
    }
    assert list(outputs["chosen"].int64_val) == [2, 0]
    request.inputs["classes"].CopyFrom(tf.make_tensor_proto(np.array([-1, 3])))
    with pytest.raises(grpc.RpcError) as raised:
        stub.Predict(request)
    assert raised.value.code() == StatusCode.INVALID_ARGUMENT


def test_the_stand_in_classifies_examples(channel: grpc.Channel) -> None:
    request = classification_pb2.ClassificationRequest()
    request.model_spec.name, request.model_spec.signature_name = "tiny", "classify"
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    with pytest.raises(grpc.RpcError, match=r"Input is empty\."):
        stub.Classify(request)
    features = request.input.example_list.examples.add().features
    features.feature["image/encoded"].bytes_list.value.append(IMAGE)
    (answer,) = stub.Classify(request).result.classifications
    assert answer.classes[0].label == "two"


def test_labels_at_the_start_need_a_flag(stack: Stack, tmp_path: Path) -> None:
    flags = [flag for flag in serving(stack.repository) if "labels" not in flag]
    command = [sys.executable, "-m", "tests.support.tf_serving", "--port", "0", *flags]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode != 0
    assert re.search(r"assign label to version \d of model tiny, which is not currently available", ended.stderr)


# What TensorFlow Serving does differently from what a client expects


def test_a_version_that_is_still_loading_is_503_and_not_404(
    stack: Stack, constant_classifier: Publish, channel: grpc.Channel
) -> None:
    stack.backend.fail(load_delay=3)
    constant_classifier(stack.repository, 3)
    path = "/classify/tiny/versions/3"
    assert eventually(lambda: stack.classify(path).status_code, lambda status: status != 404) == 503
    found = problem(stack.classify(path), 503, "model-unavailable")
    assert found["detail"] == "version 3 of tiny is not loaded yet; try again"
    with pytest.raises(grpc.RpcError) as raised:
        predict(channel, version=3)
    assert raised.value.code() == StatusCode.NOT_FOUND  # the server's own answer cannot be told from "unknown"
    listed = stack.gateway.client.get("/models/tiny/versions").json()
    assert [version["state"] for version in listed] == ["ready", "ready", "loading"]
    assert stack.classify().json()["version"] == 2  # the others go on
    assert stack.becomes(200, path).json()["version"] == 3
    with models_config.edited(stack.repository) as config:  # as it was
        entry = models_config.include(config, stack.repository, "tiny")
        entry.model_version_policy.CopyFrom(models_config.read_policy("specific=1,2"))
    problem(stack.becomes(404, path), 404, "version-not-found")


def test_an_unknown_label_is_404_where_the_server_says_invalid_argument(stack: Stack, channel: grpc.Channel) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        predict(channel, label="gold")
    assert raised.value.code() == StatusCode.INVALID_ARGUMENT
    problem(stack.classify("/classify/tiny/labels/gold"), 404, "label-not-found")


def test_labels_are_listed_by_version_although_the_servers_status_ignores_them(stack: Stack) -> None:
    listed = stack.gateway.client.get("/models/tiny/versions").json()
    assert [(version["version"], version["labels"]) for version in listed] == [(1, ["stable"]), (2, ["canary"])]


def test_rolling_back_is_moving_a_label(stack: Stack) -> None:
    path = "/classify/tiny/labels/stable"
    for version in (2, 1):
        stack.label(stable=version, canary=2)
        eventually(lambda: stack.classify(path).json()["version"], functools.partial(operator.eq, version))


def test_the_servers_rest_port_is_never_asked(stack: Stack) -> None:
    connections = stack.gateway.process.net_connections("tcp")
    called = {one.raddr.port for one in connections if one.raddr and one.laddr.port != stack.gateway.port}
    assert called == {stack.backend.port}  # gRPC's; JSON, which can end that server, goes no further than the gateway


def test_the_gateway_has_neither_tensorflow_nor_openvino_and_stays_small(stack: Stack) -> None:
    for _ in range(20):
        assert stack.classify().is_success
    libraries = Path(f"/proc/{stack.gateway.process.pid}/maps").read_text()
    assert "grpc" in libraries
    assert "libtensorflow" not in libraries
    assert "openvino" not in libraries
    assert stack.gateway.resident_mb() < 120


# Faults


def test_a_server_that_answers_unavailable_is_not_asked_again(stack: Stack) -> None:
    stack.backend.fail(code="UNAVAILABLE", times=2)
    for _ in range(2):
        problem(stack.classify(), 503, "backend-unavailable")
    assert stack.classify().is_success


def test_a_full_queue_is_an_overload_that_retries_do_not_make_worse(stack: Stack) -> None:
    stack.backend.fail(code="UNAVAILABLE", message=QUEUE_FULL, times=10)
    for _ in range(10):  # and the circuit stays closed
        problem(stack.classify(), 503, "overloaded")
    assert stack.classify().is_success


@pytest.mark.parametrize(
    ("code", "message", "status", "kind"),
    [
        ("RESOURCE_EXHAUSTED", "OOM when allocating tensor", 503, "overloaded"),
        ("DEADLINE_EXCEEDED", "Run() timeout exceeded while waiting in batching queue", 504, "deadline-exceeded"),
        ("NOT_FOUND", "Servable not found for request: Specific(tiny, 2)", 503, "model-unavailable"),
        (
            "INVALID_ARGUMENT",
            "Task size 32 is larger than maximum input batch size 16",
            422,
            "invalid-parameter",
        ),
        ("INTERNAL", "/secret/path: kernel failed", 500, "internal-error"),
        ("FAILED_PRECONDITION", 'Serving signature key "serving_default" not found.', 500, "internal-error"),
        ("UNIMPLEMENTED", "unknown service", 500, "internal-error"),
    ],
)
def test_what_a_status_means(stack: Stack, code: str, message: str, status: int, kind: str) -> None:
    stack.backend.fail(code=code, message=message)
    found = problem(stack.classify("/classify/tiny/versions/2"), status, kind)
    assert message not in found["detail"]
    stack.backend.fail()
    stack.becomes(200, "/classify/tiny/versions/2")


def test_a_graph_that_does_not_explain_although_its_card_says_so_is_no_failing_server(stack: Stack) -> None:
    assert stack.classify("/explain/tiny").json()["class"]["label"] == "two"
    stack.backend.fail(code="FAILED_PRECONDITION", message='Serving signature key "explain" not found.')
    for _ in range(6):
        problem(stack.classify("/explain/tiny"), 422, "explanation-unsupported")
    stack.backend.fail()
    assert stack.classify().is_success  # and the circuit is closed


def test_an_explanation_of_another_shape_is_an_error_and_is_logged(stack: Stack) -> None:
    stack.backend.fail(wrong_shape=True)
    problem(stack.classify("/explain/tiny"), 500, "internal-error")
    assert "of int64 [1] expected" in stack.gateway.logged()


def test_a_slow_server_is_given_up_at_the_clients_deadline(stack: Stack) -> None:
    stack.backend.fail(delay=2)
    problem(stack.classify(timeout=0.3), 504, "deadline-exceeded")
    stack.backend.fail()
    assert stack.classify().is_success


def test_an_answer_of_another_shape_is_an_error_and_is_logged(stack: Stack) -> None:
    stack.backend.fail(wrong_shape=True)
    problem(stack.classify(), 500, "internal-error")
    assert "the answer's shape is (1, 2), of float32 [1, 3] expected" in stack.gateway.logged()


def test_a_server_that_keeps_failing_is_left_alone_and_tried_again(stack: Stack) -> None:
    stack.backend.fail(code="INTERNAL")
    for _ in range(5):
        problem(stack.classify(), 500, "internal-error")
    problem(stack.classify(), 503, "backend-unavailable")  # the circuit is open
    assert of_the_server(stack, "left_alone") == 1
    assert of_the_server(stack, "failures_total") >= 5
    stack.backend.fail()
    stack.becomes(200)
    assert of_the_server(stack, "left_alone") == 0
    assert of_the_server(stack, "calls_total") > of_the_server(stack, "failures_total")


def of_the_server(stack: Stack, metric: str) -> float:
    """What the gateway's metrics say of the server."""
    pattern = rf'^keras_archs_backend_{metric}{{backend="ipv4:{stack.backend.target}"}} (.+)$'
    (value,) = re.findall(pattern, stack.gateway.client.get("/metrics").text, re.MULTILINE)
    return float(value)


def test_a_server_that_dies_in_mid_call_or_refuses_is_503_and_comes_back_by_itself(stack: Stack) -> None:
    stack.backend.fail(die=True)
    problem(stack.classify(), 503, "backend-unavailable")
    problem(stack.classify(), 503, "backend-unavailable")
    stack.backend.kill()
    eventually(lambda: stack.gateway.client.get("/readyz").status_code, lambda status: status == 503)
    assert stack.gateway.client.get("/healthz").is_success
    assert of_the_server(stack, "up") == 0
    listed = stack.gateway.client.get("/models/tiny/versions").json()
    assert {version["state"] for version in listed} == {"loading"}
    detail = problem(stack.classify(), 503, "backend-unavailable")["detail"]
    assert detail == "no inference server answers; try again"
    stack.backend.start()
    stack.becomes(200)
    assert stack.gateway.client.get("/readyz").is_success
    assert of_the_server(stack, "up") == 1


def test_a_gateway_that_starts_first_is_alive_and_becomes_ready(stack: Stack, tmp_path: Path) -> None:
    late = Backend(tmp_path / "late.log", *serving(stack.repository))
    late.start()  # for its port
    late.kill()
    flags = ("--engine", "tf-serving", "--backend", late.target)
    with running_gateway(stack.repository, tmp_path / "log", *flags, ready=False) as gateway:
        problem(gateway.client.get("/readyz"), 503, "model-unavailable")
        late.start()
        try:
            eventually(lambda: gateway.client.get("/readyz").status_code, lambda status: status == 200)
        finally:
            late.kill()


def test_a_server_that_hangs_is_found_out(stack: Stack) -> None:
    stack.backend.pause()
    try:
        eventually(lambda: stack.gateway.client.get("/readyz").status_code, lambda status: status == 503)
        problem(stack.classify(), 503, "backend-unavailable")
    finally:
        stack.backend.resume()
    stack.becomes(200)


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


# TLS


@pytest.mark.parametrize("mutual", [False, True])
def test_servers_are_known_by_their_certificates_and_know_the_gateway(
    stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mutual: bool
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    for name in ("localhost", "gateway"):
        issued = authority.issue_cert(name)
        issued.private_key_pem.write_to_path(str(tmp_path / f"{name}.key"))
        for pem in issued.cert_chain_pems:
            pem.write_to_path(str(tmp_path / f"{name}.pem"), append=True)
    tls = ["--tls_certificate", str(tmp_path / "localhost.pem"), "--tls_key", str(tmp_path / "localhost.key")]
    if mutual:
        tls += ["--tls_client_authority", str(tmp_path / "ca.pem")]
    monkeypatch.setenv("KERAS_ARCHS_BACKEND_CA", str(tmp_path / "ca.pem"))

    def answers(host: str, port: int, *, ready: bool) -> bool:
        flags = ("--engine", "tf-serving", "--backend", f"{host}:{port}")
        with running_gateway(stack.repository, tmp_path / "log", *flags, ready=ready) as gateway:
            return gateway.client.post("/classify/tiny", content=IMAGE).is_success

    with running_backend(tmp_path / "backend.log", *serving(stack.repository), *tls) as backend:
        if mutual:
            assert not answers("localhost", backend.port, ready=False)  # it does not know us
            monkeypatch.setenv("KERAS_ARCHS_BACKEND_CERTIFICATE", str(tmp_path / "gateway.pem"))
            monkeypatch.setenv("KERAS_ARCHS_BACKEND_KEY", str(tmp_path / "gateway.key"))
        assert answers("localhost", backend.port, ready=True)
        assert not answers("127.0.0.1", backend.port, ready=False)  # its certificate is for another name


# Settings


@pytest.mark.parametrize(
    ("flags", "environment", "message"),
    [
        ((), {}, "engine tf-serving needs a backend"),
        (("--backend", "tf-serving"), {}, "a backend is host:port, or [address]:port for IPv6; got 'tf-serving'"),
        (("--backend", "dns:///tf-serving:8500"), {}, "a backend is host:port"),
        (("--backend", "a:1"), {"BACKEND_KEY": "k"}, "come together"),
        (("--backend", "a:1"), {"BACKEND_CA": "nowhere.pem"}, "nowhere.pem: No such file"),
    ],
)
def test_incomplete_settings_are_said_in_one_line(
    flags: tuple[str, ...],
    environment: dict[str, str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from keras_archs.cli.app import run

    for name, value in environment.items():
        monkeypatch.setenv(f"KERAS_ARCHS_{name}", value)
    assert run(["serve", "--engine", "tf-serving", *flags]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert message in line
