"""A version that does not fit its card, or answers unlike the exported model, never replaces a sound version."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keras_archs.repository import artifact, reference_answers
from keras_archs.repository.checksums import checksums
from keras_archs.runtimes.openvino_runtime import OpenVinoRuntime
from serving.core.access import Caller
from serving.core.engine import State
from serving.core.errors import ModelUnavailableError
from serving.core.repository import ModelSpec
from serving.engines.embedded import EmbeddedEngine

Card = dict[str, Any]
TINY = ModelSpec("tiny")

EDITS: dict[str, tuple[Callable[[Card], object], str]] = {
    "another size": (lambda card: card["preprocessing"].update(size=[64, 64]), "the graph takes (any, 32, 32, 3)"),
    "greyscale": (lambda card: card["preprocessing"].update(mean=[0], std=[255]), "the graph takes (any, 32, 32, 3)"),
    "another model's name": (lambda card: card.update(name="other"), "that of a model named 'other'"),
    "a label less": (lambda card: card["labels"].pop(), "has 2 labels"),
    "a label more": (lambda card: card["labels"].append(card["labels"][0]), "has 4 labels"),
    "null labels": (lambda card: card.update(labels=None), "labels must be an array"),
    "a label that is a number": (lambda card: card["labels"].__setitem__(0, 7), "labels[0] must be an object"),
    "a size in words": (lambda card: card["preprocessing"].update(size="32x32"), "cannot be read"),
    "checksums of nothing": (lambda card: card.update(checksums={}), "has no checksum of saved_model.pb"),
}


def edit(version_dir: Path, change: Callable[[Card], object]) -> None:
    card = json.loads((version_dir / artifact.CARD).read_text())
    change(card)
    (version_dir / artifact.CARD).write_text(json.dumps(card))


def answer_otherwise(version_dir: Path) -> None:
    """Let the reference answers be those of another network; all checksums are right."""
    answers = reference_answers.read(version_dir, artifact.read_card(version_dir))
    assert answers is not None
    other = np.ascontiguousarray(np.roll(answers.probabilities, 1, axis=1))
    reference_answers.write(version_dir, replace(answers, probabilities=other))
    edit(version_dir, lambda card: card.update(checksums=checksums(version_dir)))


def serve_with_second_version(
    repository: Path, publish: Callable[[Path, int], Path], damage: Callable[[Path], object]
) -> str:
    """Serve a sound version 1 and a damaged version 2; return why version 2 has failed."""

    async def scenario() -> str:
        engine = EmbeddedEngine(repository, OpenVinoRuntime(), workers=1, poll_seconds=0.01, memory_limit=10**9)
        publish(repository, 1)
        damage(publish(repository, 2))
        await engine.start()
        try:
            model = await engine.acquire(TINY)
            prediction = await model.predict(np.zeros((1, 32, 32, 3), np.uint8), deadline=math.inf, caller=Caller("a"))
            assert model.version == prediction.probabilities.argmax() == 1
            _, failed = engine.model_statuses()["tiny"]
            assert failed.state == State.FAILED
            assert failed.error is not None and str(repository.parent) not in failed.error
            with pytest.raises(ModelUnavailableError, match="version 2 of tiny cannot be loaded"):
                await engine.acquire(ModelSpec("tiny", version=2))
            return failed.error
        finally:
            await engine.close()

    return asyncio.run(scenario())


@pytest.mark.parametrize("edited", EDITS)
def test_a_version_whose_card_does_not_fit_is_reported_and_the_older_one_answers(
    edited: str, tmp_path: Path, constant_classifier: Callable[[Path, int], Path]
) -> None:
    change, reason = EDITS[edited]
    error = serve_with_second_version(tmp_path / "models", constant_classifier, lambda folder: edit(folder, change))
    assert reason in error


def test_a_version_that_answers_otherwise_is_reported_with_a_remedy_and_the_older_one_answers(
    tmp_path: Path, constant_classifier: Callable[[Path, int], Path]
) -> None:
    error = serve_with_second_version(tmp_path / "models", constant_classifier, answer_otherwise)
    assert error.startswith("the graph does not answer like the exported model: for reference image 0 and class")
    assert error.endswith("use the runtime `tensorflow`")


def test_a_model_whose_folder_was_renamed_says_so(
    tmp_path: Path, constant_classifier: Callable[[Path, int], Path]
) -> None:
    published = constant_classifier(tmp_path / "models", 1)
    published.parent.rename(tmp_path / "models" / "renamed")

    async def scenario() -> None:
        engine = EmbeddedEngine(tmp_path / "models", OpenVinoRuntime(), workers=1)
        await engine.start()
        with pytest.raises(ModelUnavailableError, match="a model named 'tiny', but the model's folder is 'renamed'"):
            await engine.acquire(ModelSpec("renamed"))
        await engine.close()

    asyncio.run(scenario())
