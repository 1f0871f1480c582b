"""What a client sees when TensorFlow Serving fails: a clear answer, and soon another one that is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.backend import Backend
from tests.support.engines import serving
from tests.support.gateway import running_gateway
from tests.support.tf_serving_stack import Stack, eventually, of_the_server, problem

QUEUE_FULL = (
    "The batch scheduling queue to which this task was submitted is full; currently 4 batches enqueued and "
    "max_enqueued_batches is 4"
)


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
