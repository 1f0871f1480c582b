"""The gateway as a process over a repository in which people make mistakes."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.fake_runtime import publish as publish_rubbish
from tests.support.gateway import Gateway, running_gateway
from tests.support.images import encode
from tests.support.network import Host

IMAGE = encode(np.zeros((32, 32, 3), np.uint8), "PNG")


@dataclass(frozen=True)
class Unprivileged(Host):
    """This machine for a user whom permissions stop, even if the tests run as root."""

    @property
    def prefix(self) -> tuple[str, ...]:
        """Prefix of commands that run without root's right to read everything."""
        is_root = os.geteuid() == 0
        return ("setpriv", "--bounding-set=-dac_override,-dac_read_search") if is_root else ()


HOST = Unprivileged("127.0.0.1")


@pytest.fixture(autouse=True)
def frequent_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_ARCHS_POLL_SECONDS", "0.05")


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def answering_version(gateway: Gateway) -> int | None:
    answer = gateway.client.post("/classify/tiny", content=IMAGE)
    return int(answer.json()["version"]) if answer.is_success else None


def models(gateway: Gateway) -> dict[str, Any]:
    return {model["name"]: model for model in gateway.client.get("/models").json()}


def problems_metric(gateway: Gateway, model: str) -> float:
    start = f'keras_archs_repository_problems{{model="{model}"}} '
    lines = gateway.client.get("/metrics").text.splitlines()
    return next(float(line.removeprefix(start)) for line in lines if line.startswith(start))


@pytest.mark.skipif(os.geteuid() == 0 and not shutil.which("setpriv"), reason="needs setpriv to give up root's rights")
def test_what_the_gateway_may_not_read_does_not_keep_it_from_serving_the_rest(
    tmp_path: Path, constant_classifier: Callable[[Path, int], Path]
) -> None:
    repository = tmp_path / "models"
    constant_classifier(repository, 1)
    forbidden = [repository / "private", constant_classifier(repository, 2)]
    forbidden[0].mkdir()
    for folder in forbidden:
        folder.chmod(0)
    try:
        with running_gateway(repository, tmp_path / "log", "--preload", "tiny", host=HOST) as gateway:
            assert answering_version(gateway) == 1
            listed = models(gateway)
            assert listed["private"]["problems"] == ["its folder cannot be read: Permission denied"]
            assert listed["tiny"]["problems"] == ["version 2 cannot be read: Permission denied"]
            assert problems_metric(gateway, "private") == problems_metric(gateway, "tiny") == 1
            answer = gateway.client.post("/classify/private", content=IMAGE)
            assert answer.status_code == 503 and "Permission denied" in answer.json()["detail"]
            constant_classifier(repository, 3)
            eventually(lambda: answering_version(gateway) == 3)
            forbidden[1].chmod(0o755)
            eventually(lambda: not models(gateway)["tiny"]["problems"])
            assert gateway.client.get("/readyz").is_success
            assert gateway.logged().count("private: its folder cannot be read") == 1
            assert str(tmp_path) not in gateway.client.get("/models").text + answer.text
    finally:
        for folder in forbidden:
            folder.chmod(0o755)


def test_a_spoilt_models_config_is_in_the_metrics_and_the_gateway_stays_ready(
    tmp_path: Path, constant_classifier: Callable[[Path, int], Path]
) -> None:
    constant_classifier(tmp_path, 1)
    config = tmp_path / "models.config"
    sound = "model_config_list { config { name: 'tiny' base_path: '/models/tiny' model_platform: 'tensorflow' } }"
    config.write_text(sound)
    with running_gateway(tmp_path, tmp_path / "log") as gateway:
        for spoilt in ("", "# comments only", "modle_config_list {}", sound[:-1]):
            assert problems_metric(gateway, "*") == 0
            config.write_text(spoilt)
            eventually(lambda: problems_metric(gateway, "*") == 1)
            assert gateway.client.get("/readyz").is_success
            assert answering_version(gateway) == 1
            config.write_text(sound)
            eventually(lambda: problems_metric(gateway, "*") == 0)


def test_a_rollout_with_a_model_that_cannot_be_loaded_is_not_ready(
    tmp_path: Path, constant_classifier: Callable[[Path, int], Path]
) -> None:
    publish_rubbish(tmp_path, "tiny", 1)
    with running_gateway(tmp_path, tmp_path / "log", "--preload", "tiny", ready=False) as gateway:
        detail = "cannot preload tiny: version 1 of tiny cannot be loaded"
        eventually(lambda: detail in gateway.client.get("/readyz").text)
        assert gateway.client.get("/readyz").status_code == 503
        assert gateway.client.get("/healthz").is_success
        assert "Traceback" in gateway.logged()
        constant_classifier(tmp_path, 2)
        eventually(lambda: gateway.client.get("/readyz").is_success)
        assert answering_version(gateway) == 2
