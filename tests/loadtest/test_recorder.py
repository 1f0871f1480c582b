"""From outcomes to figures."""

from __future__ import annotations

import pytest

from keras_archs.loadtest.recorder import Recorder
from keras_archs.loadtest.sender import Outcome


def record(recorder: Recorder, outcome: Outcome, latency: float, *, is_during: bool = True) -> None:
    recorder.add(outcome, latency=latency, service=latency, sent=1000, is_during=is_during)


def test_percentiles_are_exact_to_three_digits() -> None:
    recorder = Recorder(clients=1)
    for number in range(1, 10_001):
        record(recorder, Outcome(), number / 1000)
    latency = recorder.figures().latency
    assert latency
    assert [latency.p50, latency.p90, latency.p99, latency.p999, latency.max] == [
        pytest.approx(1000 * seconds, rel=1e-3) for seconds in (5, 9, 9.9, 9.99, 10)
    ]


def test_failures_have_latencies_of_their_own() -> None:
    recorder = Recorder(clients=1)
    for kind, latency in (("overloaded", 0.001), (None, 0.1), ("overloaded", 0.003), ("no answer in time", 30.0)):
        record(recorder, Outcome(kind), latency)
    recorder.lasted(2)
    figures = recorder.figures()
    assert figures.errors == {"overloaded": 2, "no answer in time": 1}
    assert figures.answers_per_second == 0.5
    assert figures.latency
    assert figures.error_latency
    assert figures.latency.max == pytest.approx(100, rel=1e-3)
    assert (figures.error_latency.p50, figures.error_latency.max) == pytest.approx((3, 30_000), rel=1e-3)


def test_phases_leave_a_rest() -> None:
    recorder = Recorder(clients=1)
    for _ in range(3):
        record(recorder, Outcome(phases={"decode": 0.002, "inference": 0.005}), 0.010)
    assert recorder.figures().phases == {
        "decode": pytest.approx(2, rel=1e-3),
        "inference": pytest.approx(5, rel=1e-3),
        "rest": pytest.approx(3, rel=1e-3),
    }


def test_bytes_are_counted_in_both_directions() -> None:
    recorder = Recorder(clients=1)
    for _ in range(4):
        record(recorder, Outcome(received=500_000), 0.1)
    record(recorder, Outcome(received=500_000), 9.0, is_during=False)
    recorder.lasted(2)
    figures = recorder.figures()
    assert (figures.sent_mb_per_second, figures.received_mb_per_second) == (0.003, 1), "a late answer is no throughput"


@pytest.mark.parametrize(
    ("late", "latency", "is_slow"),
    [(0.001, 0.002, False), (0.02, 0.01, True), (0.02, 1.0, False), (0.2, 1.0, True)],
)
def test_a_client_is_slow_if_its_delay_is_a_part_of_what_it_measures(
    late: float, latency: float, is_slow: bool
) -> None:
    recorder = Recorder(clients=1)
    record(recorder, Outcome(), latency)
    recorder.late(late)
    assert recorder.figures().is_client_slow is is_slow


def test_nothing_recorded_is_no_figure() -> None:
    figures = Recorder(rate=5).figures()
    assert (figures.requests, figures.answers_per_second, figures.latency, figures.late) == (0, 0, None, None)
    assert not figures.is_client_slow
