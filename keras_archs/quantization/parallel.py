"""A function of many pictures, computed in as many threads as keep this machine busy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from keras_archs.batch.in_order import in_order
from keras_archs.runtimes.machine import usable_cores

Item = TypeVar("Item")
Result = TypeVar("Result")


def results_of(compute: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """Compute a result for each item, and return the results in the order of the items.

    An exception, that of Ctrl-C too, ends the threads after their items, and is raised here.

    Args:
        compute: Computes the result for an item; called by several threads.
        items: The items.
    """
    return list(in_order(compute, items, threads=2 * usable_cores()))
