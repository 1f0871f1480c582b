"""The last part of a run: faults of the data, and the page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keras_archs.repository.artifact_card import ArtifactCard
from keras_archs.runtimes.runtime import Session
from keras_archs.training.data.dataset import SPLITS, Dataset, Split
from keras_archs.training.data.faults import DataFaults, find_faults
from keras_archs.training.evaluation.answers import Answers
from keras_archs.training.heads.feature_cache import FeatureCache, default_folder
from keras_archs.training.heads.features import features_of
from keras_archs.training.networks import build_network
from keras_archs.training.runs.config import RunConfig
from keras_archs.training.runs.metrics_file import read_metrics
from keras_archs.training.runs.outcome import Outcome
from keras_archs.training.runs.overlays import load_overlay
from keras_archs.training.runs.report import report
from keras_archs.training.runs.run_folder import RunFolder
from keras_archs.training.runs.watch import Watch
from keras_archs.training.tuning.checkpoints import replacing

Features = Mapping[Split, NDArray[np.float32]]

_METHODS = {
    "head": "a classifier on the features of the frozen network",
    "fine-tune": "the whole network, from published weights",
    "from-scratch": "the whole network, from initial values",
}


def write_page(
    folder: RunFolder,
    data: Dataset,
    answers: Mapping[Split, Answers],
    faults: DataFaults,
    *,
    session: Session,
    version_dir: Path,
    card: ArtifactCard,
) -> None:
    """Write the page of a run.

    Args:
        folder: Folder of the run.
        data: The data.
        answers: Answers of the version to the validation images and, if there are any, to the test images.
        faults: Faults of the data.
        session: The version, loaded.
        version_dir: Folder of the version.
        card: Card of the version.
    """
    config, state = folder.config, folder.state
    outcome = Outcome(
        name=folder.name,
        network=f"{config.network} ({Path(config.weights).name})" if config.weights else config.network,
        method=_METHODS[config.method],
        settings=dict(_settings(config)),
        data=data,
        preprocessing=card.preprocessing,
        validation=answers["validation"],
        test=answers.get("test"),
        history=read_metrics(folder.metrics),
        faults=faults,
        overlay=load_overlay(session, version_dir, card),
        published=None if config.repository is None else f"{config.name} version {version_dir.name}",
        notes=[f"The training ended before its last epoch: {state.stopped}."] if state.stopped else [],
    )
    with replacing(folder.report) as incoming:
        incoming.write_text(report(outcome), encoding="utf-8")


def find_run_faults(
    config: RunConfig, data: Dataset, features: Features, unreadable: Mapping[str, str], watch: Watch
) -> DataFaults:
    """Look for faults of the data, in the images and in their features from the frozen network.

    Args:
        config: Configuration of the run.
        data: The data.
        features: Features that training has computed, float32 [N, D] for each division; others are computed here.
        unreadable: Why an image could not be read in training, by its path.
        watch: Is told how it goes on.
    """
    known = {**features, **_missing_features(config, data, features, watch)}
    with watch.counting("Looking for faults of the data", config.data.total) as on_progress:
        faults = find_faults(data, known, on_progress=on_progress)
    return replace(faults, unreadable={**unreadable, **faults.unreadable})


def _missing_features(config: RunConfig, data: Dataset, known: Features, watch: Watch) -> Features:
    """Compute features of the divisions that have none, if the network has first weights to compute them with."""
    missing = {split: images for split in SPLITS if split not in known and (images := data.split(split))}
    if not missing or config.weights is None:
        return {}
    from keras_archs.training.heads.backbone import Backbone  # imports Keras

    backbone = Backbone(*build_network(config.choice, len(data.classes)))
    cache = FeatureCache(default_folder(), backbone.digest, backbone.dimension)
    found: dict[Split, NDArray[np.float32]] = {}
    for split, images in missing.items():
        with watch.counting(f"Features of {split} images", len(images.paths)) as on_progress:
            found[split] = features_of(images, backbone, cache, on_progress=on_progress).values
    return found


def _settings(config: RunConfig) -> Iterator[tuple[str, str]]:
    document = config.model_dump(mode="json", exclude={"name", "method", "report", "repository", "data"})
    yield "images", ", ".join(f"{count:,} {split}" for split, count in config.data.images.items())
    yield from _flat(document)


def _flat(document: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in document.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        elif value is not None:
            yield f"{prefix}{key}", ", ".join(map(str, value)) if isinstance(value, list) else str(value)
