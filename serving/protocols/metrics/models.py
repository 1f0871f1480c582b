"""What the versions of models do: durations of the phases, requests in progress, and the distribution of answers.

Scores and entropy show drift: a network that sees other images than before becomes less sure, long before anybody
complains. The sizes of images show that clients have begun to send other images.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry, Gauge, Histogram

from serving.core.access import Caller
from serving.core.observer import Work
from serving.core.repository import ModelSpec
from serving.protocols.metrics.buckets import BYTES, PHASE_SECONDS, PIXELS, SHARES

_LABELS: Final = ["model", "version"]
ANSWERS: Final = 32
"""Images whose scores are measured at once: NumPy gives way to other threads at each call, so each call takes long."""


class ModelMetrics:
    """Observes the work of the service, by model and version.

    Only versions that were found have labels, so clients cannot create label values.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        """Register the metrics."""
        self._series: dict[tuple[str, int], _Series] = {}
        self._in_flight = Gauge(
            "keras_archs_in_flight",
            "Requests for which a version works, or on which they wait for a thread.",
            _LABELS,
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._phase_seconds = Histogram(
            "keras_archs_phase_seconds",
            "Seconds of the phases of a request: queue (for free threads), decode, inference, draw.",
            [*_LABELS, "phase"],
            buckets=PHASE_SECONDS,
            registry=registry,
        )
        self._best_score = Histogram(
            "keras_archs_best_score",
            "Score of the best class of each image.",
            _LABELS,
            buckets=SHARES,
            registry=registry,
        )
        self._entropy = Histogram(
            "keras_archs_entropy",
            "Entropy of the scores of each image, from 0 (sure) to 1 (all classes are equally likely).",
            _LABELS,
            buckets=SHARES,
            registry=registry,
        )
        self._image_bytes = Histogram(
            "keras_archs_image_bytes",
            "Bytes of each encoded image.",
            ["model"],
            buckets=BYTES,
            registry=registry,
        )
        self._image_pixels = Histogram(
            "keras_archs_image_pixels",
            "Pixels of each encoded image, by its header.",
            ["model"],
            buckets=PIXELS,
            registry=registry,
        )

    def asked(self, spec: ModelSpec, caller: Caller) -> None:
        """Do nothing: requests are counted when they have ended."""

    def begin(self, work: Work) -> None:
        """Count the request as in progress."""
        series = self._series_of(work)
        series.running += 1
        series.in_flight.inc()

    def end(self, work: Work) -> None:
        """Measure what was done."""
        series = self._series_of(work)
        series.running -= 1
        series.in_flight.dec()
        for phase, seconds in work.seconds().items():
            if phase not in series.phases:
                series.phases[phase] = self._phase_seconds.labels(work.model, work.version, phase)
            series.phases[phase].observe(seconds)
        for size in work.sizes:
            series.image_bytes.observe(size.bytes)
            series.image_pixels.observe(size.pixels)
        if work.probabilities is not None:
            series.answers.append(work.probabilities)
            if sum(map(len, series.answers)) >= ANSWERS:
                series.measure_answers()

    def sample(self) -> None:
        """Measure the answers that wait."""
        for series in self._series.values():
            series.measure_answers()

    def keep_only(self, versions: Collection[tuple[str, int]]) -> None:
        """Forget the versions that are neither running nor among these: there may be a new version every night."""
        for key in [key for key, series in self._series.items() if not series.running and key not in versions]:
            del self._series[key]
            labels = dict(zip(_LABELS, map(str, key), strict=True))
            for metric in (self._in_flight, self._phase_seconds, self._best_score, self._entropy):
                metric.remove_by_labels(labels)

    def _series_of(self, work: Work) -> _Series:
        key = work.model, work.version
        if key not in self._series:
            self._series[key] = _Series(
                self._in_flight.labels(*key),
                self._best_score.labels(*key),
                self._entropy.labels(*key),
                self._image_bytes.labels(work.model),
                self._image_pixels.labels(work.model),
                work.card.multi_label,
            )
        return self._series[key]


@dataclass(eq=False)
class _Series:
    """The metrics of one version with their labels, which take longer to look up than to observe."""

    in_flight: Gauge
    best_score: Histogram
    entropy: Histogram
    image_bytes: Histogram
    image_pixels: Histogram
    multi_label: bool
    phases: dict[str, Histogram] = field(default_factory=dict)
    answers: list[NDArray[np.float32]] = field(default_factory=list)
    running: int = 0

    def measure_answers(self) -> None:
        """Measure the answers that wait."""
        if not self.answers:
            return
        probabilities = np.concatenate(self.answers)
        self.answers.clear()
        for score in probabilities.max(axis=1).tolist():
            self.best_score.observe(score)
        for entropy in normalised_entropy(probabilities, multi_label=self.multi_label).tolist():
            self.entropy.observe(entropy)


def normalised_entropy(probabilities: NDArray[np.float32], *, multi_label: bool) -> NDArray[np.float32]:
    """Return the entropy of each image's scores as a part of the largest entropy that they can have.

    Args:
        probabilities: Scores, float32 [N, classes].
        multi_label: Whether each class has a probability of its own; else they sum up to 1.

    Returns:
        Entropies from 0 to 1, float32 [N].
    """
    if multi_label:
        both = np.stack([probabilities, 1 - probabilities])
        return np.asarray(_surprise(both).sum(axis=0).mean(axis=1) / math.log(2), np.float32)
    classes = probabilities.shape[1]
    return np.asarray(_surprise(probabilities).sum(axis=1) / math.log(max(classes, 2)), np.float32)


def _surprise(probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(-probabilities * np.log(np.maximum(probabilities, 1e-12)))
