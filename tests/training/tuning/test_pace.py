"""How many steps are planned within a time limit."""

from __future__ import annotations

import pytest

from keras_archs.training.tuning import pace as module
from keras_archs.training.tuning.pace import MARGIN, Pace
from tests.support.clock import Clock


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def paced(limit: float | None, step: float, validation: float) -> Pace:
    """Return the pace of a training whose steps and validations take these seconds."""
    pace = Pace(limit)
    pace.add_validation(validation)
    for seconds in (20 * step, step, step):  # compiles in the first
        pace.add_step(seconds)
    return pace


def test_without_a_limit_all_steps_fit(clock: Clock) -> None:
    assert paced(None, 1, 1).fitting_steps(0, 1000, 10) == 1000


def test_before_a_step_was_measured_all_steps_are_planned(clock: Clock) -> None:
    assert Pace(100).fitting_steps(0, 1000, 10) == 1000


def test_no_more_steps_are_planned_than_the_recipe_asks_for(clock: Clock) -> None:
    assert paced(1e6, 1, 1).fitting_steps(0, 1000, 10) == 1000


@pytest.mark.parametrize("done", [0, 3, 10])
@pytest.mark.parametrize("limit", [15, 50, 101, 1000])
def test_steps_with_their_validations_fill_the_time_but_do_not_exceed_it(clock: Clock, limit: float, done: int) -> None:
    pace = paced(limit, 1.0, 4.0)
    clock.now = 5.0
    steps = pace.fitting_steps(done, 10_000, 10)
    validations = (done + steps) // 10 - done // 10 + bool((done + steps) % 10)
    used = 5 + steps + 4 * validations
    assert limit * MARGIN - 4 - 2 < used <= limit * MARGIN


def test_when_the_time_is_over_no_step_fits(clock: Clock) -> None:
    pace = Pace(10)
    clock.now = 11.0
    assert pace.fitting_steps(0, 1000, 10) == 0


def test_the_time_of_earlier_processes_counts(clock: Clock) -> None:
    pace = Pace(10)
    pace.add_used(11)
    assert pace.seconds == 11
    assert pace.fitting_steps(5, 1000, 10) == 0
