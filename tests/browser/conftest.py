"""A gateway with models that differ, and a browser that reports what its console says."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.gateway import Gateway, running_gateway

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page

LITE0, TINY, TAGS, UNTRAINED, COLOURS = "efficientnet-lite0", "tiny", "tags", "untrained", "colours"

Open = Callable[..., "Page"]


@pytest.fixture(scope="session")
def models(
    lite0_repository: Path,
    constant_classifier: Callable[[Path, int], Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A repository with photographs' classes, with three versions that disagree, with tags, and without training."""
    repository = tmp_path_factory.mktemp("browser") / "models"
    shutil.copytree(lite0_repository, repository)
    for version in (1, 2, 3, 4):
        constant_classifier(repository, version)
    publish_unusual_models(repository)
    return repository


def publish_unusual_models(repository: Path) -> None:
    """Publish a model of independent classes that has no maps of evidence, and an untrained network of the registry.

    Version 4 of `tiny` is canary and answers like version 1; version 2 is stable.
    """
    import keras
    import numpy as np

    import keras_archs
    from keras_archs.repository import models_config

    inputs = keras.Input((8, 8, 3))
    head = keras.layers.Dense(3, activation="sigmoid", kernel_initializer="zeros")
    model = keras.Model(inputs, head(keras.layers.Flatten()(inputs)))
    head.bias.assign(np.array([3.0, 1.0, -2.0]))
    preprocessing = keras_archs.Preprocessing(size=(8, 8), mean=(0.0,) * 3, std=(255.0,) * 3)
    labels = ["indoors", "table", "people"]
    keras_archs.export_model(
        model, repository, name=TAGS, preprocessing=preprocessing, labels=labels, trained_on="nothing"
    )
    untrained = keras_archs.create_model("mobilenet-0.25-128")
    keras_archs.export_model(untrained, repository, name=UNTRAINED, allow_untrained=True)
    with models_config.edited(repository) as config:
        for name in (LITE0, TINY, TAGS, UNTRAINED):
            models_config.include(config, repository, name)
        entries = models_config.entries(config)
        entries[TINY].version_labels.update({"stable": 2, "canary": 4})
        entries[TINY].model_version_policy.all.SetInParent()


@pytest.fixture(scope="session")
def gateway(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A running gateway with efficientnet-lite0 loaded. Shared: do not change its repository."""
    log = tmp_path_factory.mktemp("browser") / "log"
    with running_gateway(models, log, "--preload", LITE0) as running:
        yield running


@pytest.fixture(scope="session")
def quantized_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with `colours` in float32 as version 1, and quantized, with its accuracy, as version 2."""
    from tests.support.quantizable import publish_quantized_colours

    return publish_quantized_colours(tmp_path_factory.mktemp("quantized"))


@pytest.fixture(scope="session")
def quantized_gateway(quantized_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A running gateway with both versions of `colours`."""
    with running_gateway(quantized_models, tmp_path_factory.mktemp("quantized") / "log") as running:
        yield running


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """A Chromium with a camera that shows a test picture."""
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=20_000)
    path = shutil.which("chromium")
    assert path, "the browser tests need Chromium; on Debian: apt-get install chromium"
    flags = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    if os.geteuid() == 0:
        flags.append("--no-sandbox")  # Chromium's sandbox refuses root
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=flags)
        yield browser
        browser.close()


@pytest.fixture
def contexts(chromium: Browser) -> Iterator[list[BrowserContext]]:
    """The contexts of a test, which are closed at its end."""
    opened: list[BrowserContext] = []
    yield opened
    for context in opened:
        context.close()


@pytest.fixture
def open_page(chromium: Browser, contexts: list[BrowserContext], gateway: Gateway) -> Iterator[Open]:
    """Opens the page in a context of its own; the test fails if a script fails or the security policy is violated."""
    faults: list[str] = []

    def violations(message: ConsoleMessage) -> None:
        if "Content Security" in message.text:
            faults.append(message.text)

    def open_page(port: int = gateway.port, *, path: str = "/", script: str = "", **options: Any) -> Page:
        context = chromium.new_context(**{"viewport": {"width": 1280, "height": 860}, **options})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", violations)
        page.add_init_script(script)
        page.goto(f"http://127.0.0.1:{port}{path}")
        return page

    yield open_page
    assert not faults


@pytest.fixture
def page(open_page: Open) -> Page:
    """The page, with a list of models."""
    page = open_page()
    page.locator(".column").wait_for()
    return page
