"""What is recorded of a load, and the figures of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from hdrh.histogram import HdrHistogram

from keras_archs.loadtest.sender import Outcome

_LONGEST = 3_600_000_000  # microseconds that a histogram can hold: an hour
_DIGITS = 3
_LATE_MS = 5.0
_LATE_PART = 0.1
REST = "rest"
"""Time of a request in none of the phases that the server reports: network, HTTP, and the client."""


@dataclass(frozen=True)
class Percentiles:
    """Percentiles of a time, in ms, to three digits."""

    p50: float
    p90: float
    p99: float
    p999: float
    max: float


@dataclass(frozen=True)
class Figures:
    """What was measured at one load.

    Attributes:
        clients: Number of clients that send their next request after an answer; None in an open loop.
        rate: Requests per second that were to be sent; None in a closed loop.
        seconds: Length of the measurement.
        requests: Requests that were sent.
        answers_per_second: Answers of the model that arrived during the measurement, per second: the goodput.
        errors: Number of failed requests by kind.
        latency: Latency of the model's answers; None without answers.
        error_latency: Time until a request had failed; None without errors.
        phases: Median of each phase that the server reports and, as "rest", of what is left, in ms.
        sent_mb_per_second: MB (10^6 bytes) of bodies sent per second.
        received_mb_per_second: MB of bodies that arrived during the measurement, per second.
        late: How much later than intended the client acted, in ms.
        is_client_slow: Whether the client was so late that the figures say little about the server.
    """

    clients: int | None
    rate: float | None
    seconds: float
    requests: int
    answers_per_second: float
    errors: Mapping[str, int]
    latency: Percentiles | None
    error_latency: Percentiles | None
    phases: Mapping[str, float]
    sent_mb_per_second: float
    received_mb_per_second: float
    late: Percentiles | None
    is_client_slow: bool


class Recorder:
    """Records the requests of one load."""

    def __init__(self, *, clients: int | None = None, rate: float | None = None) -> None:
        self._clients = clients
        self._rate = rate
        self._seconds = 0.0
        self._requests = 0
        self._answers_in_time = 0
        self._answers = _histogram()
        self._failures = _histogram()
        self._late = _histogram()
        self._phases: dict[str, HdrHistogram] = {}
        self._errors: Counter[str] = Counter()
        self._sent = 0
        self._received = 0

    @property
    def is_empty(self) -> bool:
        """Whether no request has been answered or failed yet."""
        return not self._requests

    def lasted(self, seconds: float) -> None:
        """Record how long the measurement has lasted."""
        self._seconds = seconds

    def late(self, seconds: float) -> None:
        """Record how much later than intended the client acted."""
        _record(self._late, seconds)

    def add(self, outcome: Outcome, *, latency: float, service: float, sent: int, is_during: bool) -> None:
        """Record a request.

        Args:
            outcome: What became of it.
            latency: Seconds from the moment at which it was to be sent to the end of its answer.
            service: Seconds from the moment at which it was sent.
            sent: Bytes of its body.
            is_during: Whether the answer arrived before the end of the measurement.
        """
        self._requests += 1
        self._sent += sent
        self._received += outcome.received if is_during else 0
        if outcome.error is not None:
            self._errors[outcome.error] += 1
            _record(self._failures, latency)
            return
        self._answers_in_time += is_during
        _record(self._answers, latency)
        if outcome.phases:
            rest = max(0.0, service - sum(outcome.phases.values()))
            for name, seconds in (*outcome.phases.items(), (REST, rest)):
                _record(self._phases.setdefault(name, _histogram()), seconds)

    def figures(self) -> Figures:
        """Return the figures so far."""
        latency, late = _percentiles(self._answers), _percentiles(self._late)
        seconds = self._seconds or float("inf")
        return Figures(
            clients=self._clients,
            rate=self._rate,
            seconds=round(self._seconds, 3),
            requests=self._requests,
            answers_per_second=round(self._answers_in_time / seconds, 2),
            errors=dict(self._errors.most_common()),
            latency=latency,
            error_latency=_percentiles(self._failures),
            phases={name: _milliseconds(phase, 50) for name, phase in self._phases.items()},
            sent_mb_per_second=round(self._sent / seconds / 1e6, 3),
            received_mb_per_second=round(self._received / seconds / 1e6, 3),
            late=late,
            is_client_slow=late is not None and late.p99 > max(_LATE_MS, _LATE_PART * latency.p50 if latency else 0.0),
        )


def _histogram() -> HdrHistogram:
    return HdrHistogram(1, _LONGEST, _DIGITS)


def _record(histogram: HdrHistogram, seconds: float) -> None:
    histogram.record_value(min(_LONGEST, max(1, round(1e6 * seconds))))


def _percentiles(histogram: HdrHistogram) -> Percentiles | None:
    if not histogram.get_total_count():
        return None
    return Percentiles(*(_milliseconds(histogram, percent) for percent in (50, 90, 99, 99.9, 100)))


def _milliseconds(histogram: HdrHistogram, percent: float) -> float:
    microseconds: int = histogram.get_value_at_percentile(percent)
    return round(microseconds / 1000, 3)
