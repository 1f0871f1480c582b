"""Failures of TensorFlow Serving: clients get a clear error, and soon a success again."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.backend import Backend
from tests.support.engines import serving_flags
from tests.support.gateway import running_gateway
from tests.support.tf_serving_stack import Stack, assert_problem, backend_metric, eventually

QUEUE_FULL = (
    "The batch scheduling queue to which this task was submitted is full; currently 4 batches enqueued and "
    "max_enqueued_batches is 4"
)


def test_a_request_answered_unavailable_is_not_retried(stack: Stack) -> None:
    stack.backend.fail(code="UNAVAILABLE", times=2)
    for _ in range(2):
        assert_problem(stack.classify(), 503, "backend-unavailable")
    assert stack.classify().is_success


def test_a_full_queue_is_an_overload_and_not_a_failure(stack: Stack) -> None:
    stack.backend.fail(code="UNAVAILABLE", message=QUEUE_FULL, times=10)
    for _ in range(10):  # the circuit stays closed
        assert_problem(stack.classify(), 503, "overloaded")
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
def test_each_grpc_status_has_its_problem(stack: Stack, code: str, message: str, status: int, kind: str) -> None:
    stack.backend.fail(code=code, message=message)
    problem = assert_problem(stack.classify("/classify/tiny/versions/2"), status, kind)
    assert message not in problem["detail"]
    stack.backend.fail()
    stack.becomes(200, "/classify/tiny/versions/2")


def test_a_graph_without_the_explain_signature_is_not_a_failure_of_the_server(stack: Stack) -> None:
    assert stack.classify("/explain/tiny").json()["class"]["label"] == "two"
    stack.backend.fail(code="FAILED_PRECONDITION", message='Serving signature key "explain" not found.')
    for _ in range(6):
        assert_problem(stack.classify("/explain/tiny"), 422, "explanation-unsupported")
    stack.backend.fail()
    assert stack.classify().is_success  # the circuit is closed


def test_an_explanation_of_the_wrong_shape_is_an_error_and_is_logged(stack: Stack) -> None:
    stack.backend.fail(wrong_shape=True)
    assert_problem(stack.classify("/explain/tiny"), 500, "internal-error")
    assert "expected int64 [1]" in stack.gateway.logged()


def test_a_slow_server_is_504_at_the_clients_deadline(stack: Stack) -> None:
    stack.backend.fail(delay=2)
    assert_problem(stack.classify(timeout=0.3), 504, "client-deadline-exceeded")
    stack.backend.fail()
    assert stack.classify().is_success


def test_an_answer_of_the_wrong_shape_is_an_error_and_is_logged(stack: Stack) -> None:
    stack.backend.fail(wrong_shape=True)
    assert_problem(stack.classify(), 500, "internal-error")
    assert "output 'probabilities' has shape (1, 2); expected float32 [1, 3]" in stack.gateway.logged()


@pytest.mark.slow
def test_repeated_failures_open_the_circuit_until_a_trial_call_succeeds(stack: Stack) -> None:
    stack.backend.fail(code="INTERNAL")
    for _ in range(5):
        assert_problem(stack.classify(), 500, "internal-error")
    assert_problem(stack.classify(), 503, "backend-unavailable")  # the circuit is open
    assert backend_metric(stack, "circuit_open") == 1
    assert backend_metric(stack, "failures_total") >= 5
    stack.backend.fail()
    stack.becomes(200)
    assert backend_metric(stack, "circuit_open") == 0
    assert backend_metric(stack, "calls_total") > backend_metric(stack, "failures_total")


def test_a_crashed_server_is_503_until_it_is_up_again(stack: Stack) -> None:
    stack.backend.fail(die=True)
    assert_problem(stack.classify(), 503, "backend-unavailable")
    assert_problem(stack.classify(), 503, "backend-unavailable")
    stack.backend.kill()
    eventually(lambda: stack.gateway.client.get("/readyz").status_code, lambda status: status == 503)
    assert stack.gateway.client.get("/healthz").is_success
    assert backend_metric(stack, "up") == 0
    listed = stack.gateway.client.get("/models/tiny/versions").json()
    assert {version["state"] for version in listed} == {"loading"}
    detail = assert_problem(stack.classify(), 503, "backend-unavailable")["detail"]
    assert detail == "no inference server answers; try again"
    stack.backend.start()
    stack.becomes(200)
    assert stack.gateway.client.get("/readyz").is_success
    assert backend_metric(stack, "up") == 1


def test_a_gateway_started_before_the_server_is_alive_and_becomes_ready(stack: Stack, tmp_path: Path) -> None:
    late = Backend(tmp_path / "late.log", *serving_flags(stack.repository))
    late.start()  # only to reserve a port
    late.kill()
    flags = ("--engine", "tf-serving", "--backend", late.target)
    with running_gateway(stack.repository, tmp_path / "log", *flags, ready=False) as gateway:
        assert_problem(gateway.client.get("/readyz"), 503, "model-unavailable")
        late.start()
        try:
            eventually(lambda: gateway.client.get("/readyz").status_code, lambda status: status == 200)
        finally:
            late.kill()


@pytest.mark.slow
def test_a_hanging_server_is_503_until_it_answers_again(stack: Stack) -> None:
    stack.backend.pause()
    try:
        eventually(lambda: stack.gateway.client.get("/readyz").status_code, lambda status: status == 503)
        assert_problem(stack.classify(), 503, "backend-unavailable")
    finally:
        stack.backend.resume()
    stack.becomes(200)
