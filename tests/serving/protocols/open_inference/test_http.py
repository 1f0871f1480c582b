"""The protocol over plain HTTP: paths, statuses and bodies, as any client sees them."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
import pytest

from tests.serving.protocols.open_inference.conftest import MODEL, Server

INFER = f"/v2/models/{MODEL}/infer"
HEADER = "Inference-Header-Content-Length"


def file_as_json(server: Server, **fields: Any) -> dict[str, Any]:
    """A request with the photograph in base64."""
    data = [base64.b64encode(server.jpeg).decode()]
    return {"inputs": [{"name": "image_bytes", "datatype": "BYTES", "shape": [1], "data": data}], **fields}


def test_health_is_what_probes_and_clients_expect(server: Server) -> None:
    assert server.client.get("/v2/health/live").json() == {"live": True}
    assert server.client.get("/v2/health/ready").json() == {"ready": True}
    assert server.client.get(f"/v2/models/{MODEL}/ready").json() == {"name": MODEL, "ready": True}
    assert server.client.get(f"/v2/models/{MODEL}/versions/1/ready").json() == {"name": MODEL, "ready": True}


def test_the_answer_in_json_is_that_of_the_specification(server: Server) -> None:
    response = server.client.post(INFER, json=file_as_json(server, id="42"))
    answer = response.json()
    (output,) = answer.pop("outputs")
    assert response.headers["content-type"] == "application/json"
    assert answer == {"model_name": MODEL, "model_version": "1", "id": "42", "parameters": {"trained": True}}
    np.testing.assert_allclose([output.pop("data")], server.expected, atol=1e-4)
    assert output == {"name": "probabilities", "datatype": "FP32", "shape": [1, 1000]}


def test_the_answer_in_bytes_is_that_of_the_specification(server: Server) -> None:
    response = server.client.post(INFER, json=file_as_json(server, parameters={"binary_data_output": True}))
    length = int(response.headers[HEADER])
    assert response.headers["content-type"] == "application/octet-stream"
    (output,) = json.loads(response.content[:length])["outputs"]
    assert output["parameters"] == {"binary_data_size": 4000}
    assert "data" not in output
    np.testing.assert_allclose([np.frombuffer(response.content[length:], "<f4")], server.expected, atol=1e-4)


def test_the_best_classes_are_one_readable_line_each(server: Server) -> None:
    outputs = [{"name": "probabilities", "parameters": {"classification": 1}}]
    (output,) = server.client.post(INFER, json=file_as_json(server, outputs=outputs)).json()["outputs"]
    best = int(server.expected.argmax())
    assert output["datatype"] == "BYTES"
    assert output["shape"] == [1, 1]
    assert output["data"][0].startswith(f"{server.expected.max():f}"[:5])
    assert output["data"][0].split(":")[1:] == [str(best), {281: "tabby", 282: "tiger cat", 285: "Egyptian cat"}[best]]


@pytest.mark.parametrize("path", ["/v2/", "/v2/nothing", "/v2/models", "/v2/models/a/b/c", "/v2/health"])
def test_unknown_paths_have_an_error_of_the_protocol(server: Server, path: str) -> None:
    response = server.client.get(path)
    assert response.status_code == 404
    assert list(response.json()) == ["error"]
    assert response.headers["content-type"] == "application/json"


def test_another_method_has_an_error_of_the_protocol(server: Server) -> None:
    response = server.client.get(INFER)
    assert response.status_code == 405
    assert list(response.json()) == ["error"]
    assert response.headers["allow"] == "POST"


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/v2/models/nothing", "no model 'nothing' is published here"),
        ("/v2/models/nothing/infer", "no model 'nothing' is published here"),
        (f"/v2/models/{MODEL}/versions/7/infer", "has no version 7; versions: 1"),
        (f"/v2/models/{MODEL}/versions/{'9' * 4000}/infer", "has no version labelled"),
        (f"/v2/models/{MODEL}/versions/stable/infer", "has no version labelled 'stable'; labels: none"),
        (f"/v2/models/{'m' * 4000}/infer", "no model 'mmm"),
    ],
)
def test_what_is_not_published_is_not_found(server: Server, path: str, says: str) -> None:
    response = server.client.request("POST" if path.endswith("infer") else "GET", path)
    assert response.status_code == 404
    assert says in response.json()["error"]
    assert len(response.content) < 500


@pytest.mark.parametrize(
    ("status", "headers", "content"),
    [
        (400, {}, b"{"),
        (400, {}, b""),
        (400, {HEADER: "-1"}, b"{}"),
        (400, {HEADER: "3"}, b"{}"),
        (422, {}, b"{}"),
        (422, {}, b"[]"),
        (415, {"Content-Encoding": "gzip"}, b"{}"),
        (413, {}, b" " * 5_000_001),
    ],
)
def test_a_malformed_request_has_an_error_of_the_protocol(
    server: Server, status: int, headers: dict[str, str], content: bytes
) -> None:
    response = server.client.post(INFER, headers=headers, content=content)
    assert response.status_code == status
    assert list(response.json()) == ["error"]


def test_the_index_can_leave_out_what_is_not_ready(server: Server) -> None:
    ready = [{"name": MODEL, "version": "1", "state": "READY", "reason": ""}]
    assert server.client.post("/v2/repository/index").json() == ready
    assert server.client.post("/v2/repository/index", json={"ready": True}).json() == ready
    response = server.client.post("/v2/repository/index", json={"ready": "yes"})
    assert response.status_code == 400
    assert "ready" in response.json()["error"]


def test_the_paths_are_documented_with_their_errors(server: Server) -> None:
    document = server.client.get("/openapi.json").json()
    operation = document["paths"]["/v2/models/{model}/infer"]["post"]
    schemas = document["components"]["schemas"]
    assert {"400", "404", "413", "422", "503", "504"} <= operation["responses"].keys()
    for schema in (
        operation["requestBody"]["content"]["application/json"]["schema"],
        operation["responses"]["404"]["content"]["application/json"]["schema"],
    ):
        references = [part.split('"')[0] for part in json.dumps(schema).split("#/components/schemas/")[1:]]
        assert references
        assert all(name in schemas for name in references)
