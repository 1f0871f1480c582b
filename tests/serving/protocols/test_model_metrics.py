"""Metrics of models: phases, requests in flight, distribution of scores and of images, by published versions."""

from __future__ import annotations

import asyncio
import math
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from keras_archs.repository.artifact_card import ArtifactCard
from serving.core.observer import Work
from serving.protocols.metrics.models import ANSWERS, ModelMetrics, normalised_entropy
from tests.support.fake_app import IMAGE, running_app

NET = {"model": "net", "version": "7"}
CARD = cast(ArtifactCard, SimpleNamespace(multi_label=False))


def after(repository: Path, *requests: tuple[str, bytes], **settings: Any) -> dict[str, float]:
    """Post images one after the other; return what `/metrics` then shows, by name with labels."""

    async def scenario() -> str:
        async with running_app(repository, **settings) as client:
            for path, image in requests:
                await client.post(path, content=image)
            return (await client.get("/metrics")).text

    families = text_string_to_metric_families(asyncio.run(scenario()))
    return {
        f"{sample.name}{{{','.join(f'{name}={value}' for name, value in sorted(sample.labels.items()))}}}": sample.value
        for family in families
        for sample in family.samples
    }


def test_a_request_is_measured_by_model_and_version(tmp_path: Path) -> None:
    samples = after(tmp_path, ("/classify/net", IMAGE))
    for phase in ("queue", "decode", "inference"):
        assert samples[f"keras_archs_phase_seconds_count{{model=net,phase={phase},version=7}}"] >= 1
    assert samples["keras_archs_in_flight{model=net,version=7}"] == 0
    assert samples["keras_archs_best_score_sum{model=net,version=7}"] == 1
    assert samples["keras_archs_entropy_bucket{le=0.05,model=net,version=7}"] == 1
    assert samples["keras_archs_image_bytes_sum{model=net}"] == len(IMAGE)
    assert samples["keras_archs_image_pixels_sum{model=net}"] == 20 * 30


def test_an_explanation_has_phases_and_no_scores(tmp_path: Path) -> None:
    samples = after(tmp_path, ("/explain/net", IMAGE))
    assert samples["keras_archs_phase_seconds_count{model=net,phase=inference,version=7}"] == 1
    assert samples["keras_archs_best_score_count{model=net,version=7}"] == 0


def test_what_was_done_before_a_failure_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("serving.engines.embedded.EmbeddedModel.predict", broken)
    samples = after(tmp_path, ("/classify/net", IMAGE))
    assert samples["keras_archs_phase_seconds_count{model=net,phase=decode,version=7}"] == 1
    assert "keras_archs_phase_seconds_count{model=net,phase=inference,version=7}" not in samples
    assert samples["keras_archs_in_flight{model=net,version=7}"] == 0


def test_names_and_versions_that_clients_make_up_are_no_labels(tmp_path: Path) -> None:
    paths = ["/classify/made-up", "/classify/net/versions/123", "/classify/net/labels/made-up", "/v1/models/made-up"]
    shown = " ".join(after(tmp_path, *((path, IMAGE) for path in paths)))
    assert not re.search("made-up|123", shown)
    assert "model=unknown" in shown


def test_the_load_is_shown_with_its_limits(tmp_path: Path) -> None:
    samples = after(tmp_path, ("/classify/net", IMAGE), max_pending=5, max_body_mb=1, max_bodies_mb=2)
    assert (samples["keras_archs_pending{}"], samples["keras_archs_pending_limit{}"]) == (0, 5)
    assert (samples["keras_archs_body_bytes{}"], samples["keras_archs_body_bytes_limit{}"]) == (0, 2e6)
    assert (samples["keras_archs_uploading{}"], samples["keras_archs_expected_seconds{}"]) == (0, 0)


def test_requests_are_in_flight_until_their_work_ends() -> None:
    registry = CollectorRegistry()
    metrics = ModelMetrics(registry)
    work = Work("net", 7, CARD)
    metrics.begin(work)
    metrics.begin(Work("net", 7, CARD))
    metrics.end(work)
    assert registry.get_sample_value("keras_archs_in_flight", NET) == 1


def test_many_answers_are_measured_without_a_scrape_so_that_they_take_little_memory() -> None:
    registry = CollectorRegistry()
    metrics = ModelMetrics(registry)
    for _ in range(3):
        work = Work("net", 7, CARD)
        metrics.begin(work)
        work.probabilities = np.full((ANSWERS - 1, 2), 0.5, np.float32)
        metrics.end(work)
    assert registry.get_sample_value("keras_archs_best_score_count", NET) == 2 * (ANSWERS - 1)
    metrics.sample()
    assert registry.get_sample_value("keras_archs_best_score_count", NET) == 3 * (ANSWERS - 1)
    assert registry.get_sample_value("keras_archs_entropy_sum", NET) == pytest.approx(3 * (ANSWERS - 1))


def test_a_version_that_is_not_published_any_more_is_forgotten_when_its_last_request_has_ended() -> None:
    registry = CollectorRegistry()
    metrics = ModelMetrics(registry)
    work = Work("net", 7, CARD)
    metrics.begin(work)
    metrics.keep_only({("net", 8)})
    assert registry.get_sample_value("keras_archs_in_flight", NET) == 1
    work.did(0.0, inference=0.1)
    metrics.end(work)
    metrics.keep_only({("net", 7)})
    assert registry.get_sample_value("keras_archs_phase_seconds_count", NET | {"phase": "inference"}) == 1
    metrics.keep_only({("net", 8)})
    assert not [sample for family in registry.collect() for sample in family.samples if "version" in sample.labels]


@pytest.mark.parametrize("classes", [1, 2, 1000])
def test_entropy_is_0_for_a_sure_network_and_1_for_one_that_knows_nothing(classes: int) -> None:
    sure = np.eye(classes, dtype=np.float32)[:1]
    even = np.full((1, classes), 1 / classes, np.float32)
    found = normalised_entropy(np.concatenate([sure, even]), multi_label=False)
    np.testing.assert_allclose(found, [0, classes > 1], atol=1e-5)


def test_entropy_of_independent_labels_is_the_mean_of_each_labels() -> None:
    probabilities = np.array([[0, 1, 1], [0.5, 0.5, 0.5], [0.5, 0, 1]], np.float32)
    found = normalised_entropy(probabilities, multi_label=True)
    np.testing.assert_allclose(found, [0, 1, 1 / 3], atol=1e-5)


def test_entropy_is_shannons_relative_to_its_maximum() -> None:
    probabilities = np.array([[0.5, 0.25, 0.25]], np.float32)
    expected = 1.5 * math.log(2) / math.log(3)
    np.testing.assert_allclose(normalised_entropy(probabilities, multi_label=False), [expected], rtol=1e-5)
