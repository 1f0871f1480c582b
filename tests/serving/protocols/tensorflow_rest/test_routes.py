"""TensorFlow Serving's REST API over a real socket: the shapes of its documentation, and curl as documented there."""

from __future__ import annotations

import base64
import json
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.protobuf import json_format
from numpy.typing import NDArray
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

from keras_archs.images.decoding import load_image
from keras_archs.repository import artifact, models_config
from tests.support.colours import MODEL, NAMES, SIZE
from tests.support.gateway import Gateway, running_gateway

BROKEN = "broken"
URL = f"/v1/models/{MODEL}"
AVAILABLE = {"state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}


@pytest.fixture(scope="module")
def repository(colours_repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The colours, and a model that cannot be loaded."""
    repository = tmp_path_factory.mktemp("rest") / "models"
    shutil.copytree(colours_repository, repository)
    shutil.copytree(repository / MODEL / "1", repository / BROKEN / "1")
    (repository / BROKEN / "1" / artifact.SAVED_MODEL).write_bytes(b"no graph")
    with models_config.edited(repository) as config:
        models_config.include(config, repository, BROKEN)
    return repository


@pytest.fixture(scope="module")
def gateway(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    log = tmp_path_factory.mktemp("gateway") / "log"
    with running_gateway(repository, log, "--preload", MODEL, "--max-body-mb", "1") as running:
        yield running


def b64(image: bytes) -> dict[str, str]:
    return {"b64": base64.b64encode(image).decode()}


def ask(gateway: Gateway, path: str, **body: Any) -> Any:
    response = gateway.client.post(path, json=body)
    assert response.status_code == 200, response.text
    assert response.headers["Content-Type"] == "application/json"
    return response.json()


def all_scores(gateway: Gateway, image: bytes, path: str = f"/classify/{MODEL}") -> list[float]:
    """Return the scores that the gateway's own API gives, by index."""
    (scores,) = gateway.client.post(f"{path}?top_k=3", content=image).json()["images"]
    return [score["score"] for score in sorted(scores, key=lambda score: score["index"])]


@pytest.fixture(scope="module")
def pixels(repository: Path, photographs: dict[str, bytes]) -> NDArray[np.uint8]:
    preprocessing = artifact.read_card(repository / MODEL / "1").preprocessing
    return np.stack([load_image(photographs[name], preprocessing) for name in ("coffee", "chelsea")])


def test_the_status_of_a_model_lists_its_versions_from_the_newest(gateway: Gateway) -> None:
    assert gateway.client.get(URL).json() == {
        "model_version_status": [{"version": "2", **AVAILABLE}, {"version": "1", **AVAILABLE}]
    }


@pytest.mark.parametrize("selected", ["versions/1", "labels/stable"])
def test_the_status_of_a_version_is_asked_by_number_or_label(gateway: Gateway, selected: str) -> None:
    assert gateway.client.get(f"{URL}/{selected}").json() == {"model_version_status": [{"version": "1", **AVAILABLE}]}


def test_a_version_that_cannot_be_loaded_has_ended_and_its_status_says_why(gateway: Gateway) -> None:
    response = gateway.client.post(f"/v1/models/{BROKEN}:predict", json={"instances": [b64(b"image")]})
    assert response.status_code == 503
    assert response.headers["Retry-After"] == "5"
    assert response.json().keys() == {"error"}
    (status,) = gateway.client.get(f"/v1/models/{BROKEN}").json()["model_version_status"]
    assert (status["version"], status["state"], status["status"]["error_code"]) == ("1", "END", "UNKNOWN")
    assert status["status"]["error_message"] in response.json()["error"]


def test_the_metadata_are_those_of_the_saved_model(gateway: Gateway, repository: Path) -> None:
    metadata = gateway.client.get(f"{URL}/versions/1/metadata").json()
    assert metadata.keys() == {"model_spec", "metadata"}
    assert metadata["model_spec"] == {"name": MODEL, "signature_name": "", "version": "1"}
    signatures = metadata["metadata"]["signature_def"]["signature_def"]
    assert signatures.keys() == {"serving_default", "serving_bytes", "classify"}
    saved = SavedModel.FromString((repository / MODEL / "1" / artifact.SAVED_MODEL).read_bytes())
    for name, signature in signatures.items():
        expected = json_format.MessageToDict(
            saved.meta_graphs[0].signature_def[name],
            preserving_proto_field_name=True,
            always_print_fields_with_no_presence=True,
        )
        for output, described in expected["outputs"].items():
            described["name"] = f"{output}:0"  # names inside the graph
        assert signature == expected


@pytest.mark.parametrize(("selected", "version"), [("", "2"), ("/versions/1", "1"), ("/labels/stable", "1")])
def test_the_metadata_name_the_version_that_answers(gateway: Gateway, selected: str, version: str) -> None:
    assert gateway.client.get(f"{URL}{selected}/metadata").json()["model_spec"]["version"] == version


@pytest.mark.parametrize("selected", ["", "/versions/1", "/labels/stable"])
def test_encoded_images_get_the_scores_that_classify_gives(
    gateway: Gateway, photographs: dict[str, bytes], selected: str
) -> None:
    image = photographs["coffee"]
    expected = all_scores(gateway, image, f"/classify/{MODEL}{selected}")
    by_row = ask(gateway, f"{URL}{selected}:predict", instances=[b64(image)])
    assert by_row == {"predictions": [pytest.approx(expected, abs=1e-6)]}
    by_column = ask(gateway, f"{URL}{selected}:predict", inputs={"image_bytes": [b64(image)]})
    assert by_column == {"outputs": by_row["predictions"]}


def test_pixels_get_the_scores_of_the_image_that_they_are_of(
    gateway: Gateway, photographs: dict[str, bytes], pixels: NDArray[np.uint8]
) -> None:
    expected = [pytest.approx(all_scores(gateway, photographs[name]), abs=1e-6) for name in ("coffee", "chelsea")]
    assert ask(gateway, f"{URL}:predict", instances=pixels.tolist()) == {"predictions": expected}
    assert ask(gateway, f"{URL}:predict", signature_name="serving_default", inputs={"images": pixels.tolist()}) == {
        "outputs": expected
    }


def test_the_classes_of_examples_come_with_their_scores_from_the_best(
    gateway: Gateway, photographs: dict[str, bytes]
) -> None:
    image = photographs["coffee"]
    answer = ask(gateway, f"{URL}/labels/stable:classify", examples=[{"image/encoded": b64(image)}] * 2)
    by_label = dict(zip(NAMES, all_scores(gateway, image, f"/classify/{MODEL}/versions/1"), strict=True))
    best_first = sorted(by_label.items(), key=lambda pair: -pair[1])
    assert best_first[0][0] == "red"
    assert answer == {"results": 2 * [[[label, pytest.approx(score, abs=1e-6)] for label, score in best_first]]}


def test_the_headers_name_the_version_and_whether_it_is_trained(
    gateway: Gateway, photographs: dict[str, bytes]
) -> None:
    for verb, body in (
        ("predict", {"instances": [b64(photographs["coffee"])]}),
        ("classify", {"examples": [{"image/encoded": b64(photographs["coffee"])}]}),
    ):
        response = gateway.client.post(f"{URL}/labels/stable:{verb}", json=body)
        assert response.headers["X-Model-Version"] == "1"
        assert response.headers["X-Model-Trained"] == "true"
        assert "inference;dur=" in response.headers["Server-Timing"]


def curl(gateway: Gateway, line: str) -> str:
    """Run a line of TensorFlow Serving's documentation, with this gateway's port and a model that it has."""
    command = line.replace("localhost:8501", f"127.0.0.1:{gateway.port}").replace("half_plus_three", MODEL)
    return subprocess.run([*shlex.split(command), "-sS"], capture_output=True, text=True, check=True, timeout=60).stdout


def test_curl_shows_the_status_of_a_model(gateway: Gateway) -> None:
    answer = json.loads(curl(gateway, "curl http://localhost:8501/v1/models/half_plus_three/versions/1"))
    assert answer == {
        "model_version_status": [
            {"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
        ]
    }


def test_curl_predicts(gateway: Gateway, pixels: NDArray[np.uint8], tmp_path: Path) -> None:
    (tmp_path / "body.json").write_text(json.dumps({"instances": pixels.tolist()}))
    line = "curl -d @{} -X POST http://localhost:8501/v1/models/half_plus_three:predict"
    (first, second) = json.loads(curl(gateway, line.format(tmp_path / "body.json")))["predictions"]
    assert sum(first) == pytest.approx(1)
    assert sum(second) == pytest.approx(1)


def test_curl_gets_the_documented_refusal_of_an_unknown_model(gateway: Gateway) -> None:
    line = """curl -i -d '{"instances": [1.0,5.0]}' -X POST http://localhost:8501/v1/models/half:predict"""
    head, _, body = curl(gateway, line).partition("\n\n")
    assert head.splitlines()[0] == "HTTP/1.1 404 Not Found"
    assert "content-type: application/json" in head.lower()
    assert json.loads(body).keys() == {"error"}


def test_curl_is_told_that_a_classifier_does_not_regress(gateway: Gateway) -> None:
    line = """curl -d '{"signature_name": "tensorflow/serving/regress", "examples": [{"x": 1.0}, {"x": 2.0}]}' \
      -X POST http://localhost:8501/v1/models/half_plus_three:regress"""
    assert json.loads(curl(gateway, line)) == {
        "error": f"no signature of {MODEL} answers :regress; use :predict or :classify"
    }


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/models/none", 404),
        ("GET", "/v1/models/none/metadata", 404),
        ("GET", f"{URL}/versions/7", 404),
        ("GET", f"{URL}/labels/none/metadata", 404),
        ("GET", f"{URL}/versions/one", 400),
        ("GET", f"{URL}/versions/{2**63}", 400),
        ("GET", f"{URL}/versions/{'9' * 5000}", 400),
        ("POST", f"{URL}/versions/-1:predict", 400),
        ("POST", "/v1/models/none:regress", 404),
        ("POST", f"{URL}:regress", 400),
        ("POST", f"{URL}:predict", 400),
        ("POST", f"{URL}:predict?timeout=0", 400),
        ("POST", f"{URL}:predict?top_k=5", 400),
        ("POST", f"{URL}:explain", 404),
        ("GET", "/v1/models", 404),
        ("GET", "/v1", 404),
        ("GET", "/v1/elsewhere", 404),
        ("GET", f"{URL}:predict", 405),
        ("POST", URL, 405),
        ("DELETE", f"{URL}/metadata", 405),
    ],
)
def test_every_refusal_has_the_shape_of_tensorflow_serving(
    gateway: Gateway, method: str, path: str, status: int
) -> None:
    response = gateway.client.request(method, path)
    assert response.status_code == status, response.text
    assert response.headers["Content-Type"] == "application/json"
    assert response.json().keys() == {"error"}
    assert response.headers["X-Request-ID"]
    assert ("Allow" in response.headers) == (status == 405)


def test_compressed_bodies_are_refused(gateway: Gateway) -> None:
    response = gateway.client.post(f"{URL}:predict", content=b"x", headers={"Content-Encoding": "gzip"})
    assert (response.status_code, response.json()) == (
        415,
        {"error": "got content-encoding 'gzip'; send the body without compression"},
    )


def test_pixels_in_another_size_than_that_of_the_model_are_refused(gateway: Gateway) -> None:
    response = gateway.client.post(f"{URL}:predict", json={"instances": [[[[1, 2, 3]]]]})
    assert (response.status_code, response.json()) == (
        400,
        {"error": f"pixels for {MODEL} are uint8 of the shape [N, {SIZE[0]}, {SIZE[1]}, 3]; got uint8 [1, 1, 1, 3]"},
    )


def test_head_answers_without_a_body(gateway: Gateway) -> None:
    for path in (URL, f"{URL}/metadata", "/v1/models/none"):
        head, get = gateway.client.head(path), gateway.client.get(path)
        assert (head.status_code, head.content) == (get.status_code, b"")
        assert head.headers["Content-Length"] == str(len(get.content))


def test_the_openapi_document_describes_the_protocol(gateway: Gateway) -> None:
    paths = gateway.client.get("/openapi.json").json()["paths"]
    described = {path: operations for path, operations in paths.items() if path.startswith("/v1/")}
    selections = ("", "/versions/{version}", "/labels/{label}")
    assert described.keys() == {
        f"/v1/models/{{model}}{selection}{rest}"
        for selection in selections
        for rest in ("", "/metadata", ":predict", ":classify")
    }
    for operations in described.values():
        for operation in operations.values():
            assert operation["tags"] == ["TensorFlow Serving"]
            assert "422" not in operation["responses"]
            assert operation["responses"]["4XX"]["content"]["application/json"]["schema"]
