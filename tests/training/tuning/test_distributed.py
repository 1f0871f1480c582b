"""What a training with several processes asks for before it begins."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import pytest

from keras_archs.training.tuning.distributed import ALONE, Distribution, Team, distributed


class Several(Team):
    """Three processes, of which the last has another value, on six devices."""

    process = 1
    processes = 3
    devices = 6

    def gather(self, value: Any) -> list[Any]:
        return [value, value, "another"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"processes": 0}, "the number of processes must be at least 1, got 0"),
        ({"processes": 2, "process": 2, "coordinator": "a:1"}, "the number of this process must be 0 to 1, .* got 2"),
        ({"process": -1}, "the number of this process must be 0 to 0, .* got -1"),
        ({"processes": 2}, "several processes need the address of process 0 as coordinator, HOST:PORT"),
        ({"processes": 2, "coordinator": "trainer-0"}, "the coordinator must be HOST:PORT"),
    ],
)
def test_numbers_and_addresses_that_are_not_possible_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Distribution(**arguments)


@pytest.mark.skipif(find_spec("jax") is not None, reason="JAX is installed")
def test_without_jax_the_extra_to_install_is_named() -> None:
    with (
        pytest.raises(ModuleNotFoundError, match=r"jax is not installed: pip install 'keras-archs\[train-jax\]'"),
        distributed(Distribution()),
    ):
        pass


@pytest.mark.parametrize(("batch", "instead"), [(32, "30 or 36"), (3, "6")])
def test_a_batch_that_the_devices_cannot_share_is_refused(batch: int, instead: str) -> None:
    with pytest.raises(ValueError, match=f"the batch must be a multiple of the 6 devices, got {batch}: take {instead}"):
        Several().check_batch(batch)
    Several().check_batch(12)
    ALONE.check_batch(7)


def test_a_value_that_differs_between_processes_is_refused_in_all_of_them() -> None:
    Team().check_same("the recipe", "a")
    with pytest.raises(
        ValueError,
        match="the recipe must be the same for all processes; for process 0 it is a, for process 2 it is another",
    ):
        Several().check_same("the recipe", "a")


def test_a_process_alone_shares_with_itself() -> None:
    assert (ALONE.is_first, ALONE.gather(3), ALONE.share(3), ALONE.any(False)) == (True, [3], 3, False)
