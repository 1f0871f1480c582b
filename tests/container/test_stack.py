"""`docker compose up`: answers, confinement, updates and recovery."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import numpy as np
import pytest

from tests.support.compose_stack import MODEL, Stack, podman, running

pytestmark = [pytest.mark.container, pytest.mark.timeout(3600)]

# espresso; tabby, tiger cat or Egyptian cat; tripod
EXPECTED = {"coffee": {967}, "chelsea": {281, 282, 285}, "camera": {872}}


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with running("keras-archs-test", "tf-serving") as up:
        yield up


def scores(response: httpx.Response) -> dict[int, float]:
    """Return the score of each class in the answer for one image."""
    assert response.is_success, response.text
    (image,) = response.json()["images"]
    return {score["index"]: score["score"] for score in image}


def test_photographs_are_classified_correctly(stack: Stack, photographs: dict[str, bytes]) -> None:
    for name, classes in EXPECTED.items():
        response = stack.post(photographs[name])
        assert next(iter(scores(response))) in classes
        assert (response.json()["version"], response.json()["trained"]) == (1, True)


def test_requests_need_a_key_until_it_is_revoked(stack: Stack, photographs: dict[str, bytes]) -> None:
    def ask(key: str | None) -> httpx.Response:
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        with httpx.Client(base_url=stack.client.base_url, headers=headers, timeout=60) as client:
            return client.post(f"/classify/{MODEL}", content=photographs["coffee"])

    assert ask(None).status_code == 401
    assert ask("keras_archs_" + 40 * "0").status_code == 401
    key, of_another = stack.make_key("guest", "--model", MODEL), stack.make_key("other", "--model", "resnet-50")
    stack.until(lambda: ask(key).is_success)
    stack.until(lambda: ask(of_another).status_code == 403)
    stack.compose("run", "--rm", "exporter", "keras-archs", "keys", "revoke", "guest")
    stack.until(lambda: ask(key).status_code == 401)
    assert stack.post(photographs["coffee"]).is_success, "other keys are still valid"
    stored = stack.run("gateway", "sh", "-c", "cat /keys/*")
    assert "sha256" in stored
    for secret in (key, of_another, stack.client.headers["X-API-Key"]):
        assert secret not in stored + stack.logs()


def test_the_metrics_are_on_the_admin_port_only(stack: Stack) -> None:
    assert stack.client.get("/metrics").status_code == 404
    scraped = httpx.get(f"http://127.0.0.1:{stack.admin_port}/metrics")
    assert "keras_archs_requests_total" in scraped.text
    # the name and port of docker/prometheus/prometheus.yml, from the network that Prometheus is in
    script = "from urllib.request import urlopen; print(urlopen('http://gateway:8081/metrics', timeout=5).status)"
    assert stack.run("gateway", "python", "-c", script) == "200"


def test_the_gateway_image_is_small_and_has_no_tensorflow(stack: Stack) -> None:
    assert int(podman("image", "inspect", "--format", "{{.Size}}", "keras-archs-gateway")) < 510e6
    libraries = stack.run("gateway", "sh", "-c", "find /opt /usr -name 'lib*.so*' -size +20M")
    assert not [path for path in libraries.split() if "tensorflow" in path or "openvino" in path]


def test_the_gateway_runs_as_non_root_and_cannot_write(stack: Stack) -> None:
    assert stack.run("gateway", "id", "-u") == "10001"
    status = dict(line.split(":\t") for line in stack.run("gateway", "cat", "/proc/1/status").splitlines())
    assert (int(status["CapBnd"], 16), status["NoNewPrivs"]) == (0, "1")
    for place in ("/", "/models", "/keys", "/opt/keras-archs", "/home"):
        assert stack.run("gateway", "sh", "-c", f"touch {place}/new 2>&1 || true").endswith("Read-only file system")


def test_the_health_checks_succeed(stack: Stack) -> None:
    podman("healthcheck", "run", stack.container("gateway"))
    podman("healthcheck", "run", stack.container("tf-serving"))


def test_only_the_gateway_can_reach_tensorflow_serving(stack: Stack) -> None:
    assert podman("port", stack.container("tf-serving")) == ""
    assert stack.run("tf-serving", "id", "-u") == "10001"
    routes = stack.run("tf-serving", "cat", "/proc/net/route").splitlines()
    assert "00000000" not in [route.split("\t")[1] for route in routes], "the container has a default route"


def test_a_new_version_and_a_moved_label_fail_no_requests(stack: Stack, photographs: dict[str, bytes]) -> None:
    exporter = ("run", "--rm", "exporter", "keras-archs")
    with stack.under_load(photographs["coffee"]) as responses:
        stack.compose(*exporter, "export", MODEL, "--weights", "imagenet")
        stack.until(lambda: stack.answering_version(photographs["coffee"]) == 2)
        for version in (1, 2, 1):
            stack.compose(*exporter, "repo", "label", MODEL, f"stable={version}")
            stack.until(lambda: stack.answering_version(photographs["coffee"], "/labels/stable") == version)  # noqa: B023
    assert {response.status_code for response in responses} == {200}
    assert {response.json()["version"] for response in responses} == {1, 2}


def test_a_killed_server_is_restarted_and_answers_again(stack: Stack, photographs: dict[str, bytes]) -> None:
    started = stack.inspect("tf-serving", "{{.State.StartedAt}}")
    with stack.under_load(photographs["coffee"]) as responses:
        stack.run("tf-serving", "bash", "-c", "kill -KILL -1", check=False)  # every process but process 1
        stack.until(lambda: responses[-1].status_code == 503)
        stack.until(lambda: responses[-1].is_success)
    assert stack.inspect("tf-serving", "{{.State.StartedAt}}") != started
    failed = [response for response in responses if not response.is_success]
    assert {response.status_code for response in failed} == {503}
    assert all(response.headers["Retry-After"].isdecimal() for response in failed)
    assert stack.is_ready()


def test_the_embedded_profile_gives_the_same_answers(stack: Stack, photographs: dict[str, bytes]) -> None:
    with running("keras-archs-test-embedded", "embedded") as embedded:
        for image in photographs.values():
            # OpenVINO computes in bfloat16 where the processor has it
            found, expected = scores(embedded.post(image)), scores(stack.post(image))
            assert next(iter(found)) == next(iter(expected))
            both = found.keys() & expected.keys()
            assert len(both) >= 4
            assert [found[index] for index in both] == pytest.approx([expected[index] for index in both], abs=0.02)
            maps = [np.array(running_stack.explain(image).json()["grid"]) for running_stack in (embedded, stack)]
            np.testing.assert_allclose(maps[0], maps[1], atol=0.05 * float(np.ptp(maps[0])))
        assert embedded.run("embedded", "id", "-u") == "10001"
        assert podman("ps", "--filter", f"name={embedded.container('tf-serving')}", "--quiet") == ""
