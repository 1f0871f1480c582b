"""States of an engine's models and servers."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from serving.core.engine import Engine, State
from serving.core.repository import EVERY_MODEL


class EngineMetrics(Collector):
    """States of an engine's models and servers, collected at each scrape."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def collect(self) -> Iterator[Metric]:
        """Yield the current metrics."""
        versions = GaugeMetricFamily(
            "keras_archs_versions", "Versions of the published models.", labels=["model", "state"]
        )
        for model, statuses in self._engine.model_statuses().items():
            states = Tally(status.state for status in statuses)
            for state in State:
                versions.add_metric([model, state], states[state])
        yield versions

        problems = GaugeMetricFamily(
            "keras_archs_repository_problems",
            "What is not served as it was meant to be; GET /models has the reasons. Model * is the whole repository.",
            labels=["model"],
        )
        found = {EVERY_MODEL: (), **self._engine.problems()}
        for model in sorted(found.keys() | self._engine.model_statuses().keys()):
            problems.add_metric([model], len(found.get(model, ())))
        yield problems

        up = GaugeMetricFamily("keras_archs_backend_up", "1 if the inference server answers.", labels=["backend"])
        circuit_open = GaugeMetricFamily(
            "keras_archs_backend_circuit_open",
            "1 while the inference server's circuit breaker is open.",
            labels=["backend"],
        )
        for backend in self._engine.backends():
            up.add_metric([backend.address], backend.is_up)
            circuit_open.add_metric([backend.address], backend.circuit_open)
        yield from (up, circuit_open)


class BackendMetrics:
    """Counts the calls to the inference servers."""

    def __init__(self, registry: CollectorRegistry, engine: Engine) -> None:
        """Register the metrics."""
        self._engine = engine
        self._counted: Tally[tuple[Counter, str]] = Tally()
        self._calls = Counter(
            "keras_archs_backend_calls", "Requests sent to the inference server.", ["backend"], registry=registry
        )
        self._failures = Counter(
            "keras_archs_backend_failures",
            "Requests that the inference server failed.",
            ["backend"],
            registry=registry,
        )

    def sample(self) -> None:
        """Count the calls since the last sample."""
        for backend in self._engine.backends():
            self._count_to(self._calls, backend.address, backend.calls)
            self._count_to(self._failures, backend.address, backend.failures)

    def _count_to(self, counter: Counter, address: str, total: int) -> None:
        more = total - self._counted[counter, address]
        # A server that left and came back under its address has counted from 0 again.
        counter.labels(address).inc(more if more >= 0 else total)
        self._counted[counter, address] = total
