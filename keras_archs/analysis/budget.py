"""The best network that a budget allows."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

import keras

from keras_archs.analysis.latency import Engine, measure_latency
from keras_archs.cards.model_card import ModelCard
from keras_archs.registry import create_model, list_models, model_card

T = TypeVar("T")


@dataclass(frozen=True)
class Budget:
    """What a network may cost, for one image; None for what does not matter."""

    max_macs: float | None = None
    """Multiply-adds."""
    max_params: float | None = None
    """Parameters, trainable or not."""
    max_latency_ms: float | None = None
    """Median time on this machine, in milliseconds: measured, and only of networks that keep the rest."""
    engine: Engine = "openvino"
    """What to measure the time with."""

    def __post_init__(self) -> None:
        """Check the bounds.

        Raises:
            ValueError: If there is none, or one is not positive.
        """
        bounds = {name: getattr(self, name) for name in ("max_macs", "max_params", "max_latency_ms")}
        if all(bound is None for bound in bounds.values()):
            raise ValueError(f"a budget needs at least one of {', '.join(bounds)}")
        if bad := {name: bound for name, bound in bounds.items() if bound is not None and not bound > 0}:
            raise ValueError(f"a budget's bounds must be positive; got {bad}")

    def first(
        self,
        ranked: Iterable[T],
        *,
        name: Callable[[T], str],
        cost: Callable[[T], tuple[int, int]],
        model: Callable[[T], keras.Model],
    ) -> T:
        """Return the first that keeps the budget.

        Args:
            ranked: What to choose from, the best first.
            name: Says what something is called.
            cost: Returns its multiply-adds and its parameters.
            model: Builds it, if its time has to be measured.

        Returns:
            The first that fits.

        Raises:
            ValueError: If none does; the message names the one that exceeds the budget least, and by what.
        """
        excesses: list[tuple[float, str]] = []
        for one in ranked:
            excess, told = self._judge(one, name, cost, model)
            if excess <= 1:
                return one
            excesses.append((excess, told))
        if not excesses:
            raise ValueError("there is nothing to choose from")
        raise ValueError(f"nothing fits the budget; the nearest is {min(excesses)[1]}")

    def last(
        self,
        ascending: Iterable[T],
        *,
        name: Callable[[T], str],
        cost: Callable[[T], tuple[int, int]],
        model: Callable[[T], keras.Model],
    ) -> T:
        """Return the last that keeps the budget, of what takes more and more of everything.

        What comes after the first that exceeds the budget is not looked at: the time of a large network is not
        measured if a smaller one's is too long.

        Args:
            ascending: What to choose from, the smallest first.
            name: Says what something is called.
            cost: Returns its multiply-adds and its parameters.
            model: Builds it, if its time has to be measured.

        Returns:
            The last that fits.

        Raises:
            ValueError: If none does; the message names the smallest, and by what it exceeds the budget.
        """
        fitting: list[T] = []
        for one in ascending:
            excess, told = self._judge(one, name, cost, model)
            if excess <= 1:
                fitting.append(one)
            elif fitting:
                break
            else:
                raise ValueError(f"nothing fits the budget; the nearest is {told}")
        if not fitting:
            raise ValueError("there is nothing to choose from")
        return fitting[-1]

    def _judge(
        self,
        one: T,
        name: Callable[[T], str],
        cost: Callable[[T], tuple[int, int]],
        model: Callable[[T], keras.Model],
    ) -> tuple[float, str]:
        """How many times it takes the budget, up to 1 keeping it, and that in words."""
        macs, parameters = cost(one)
        needs: dict[str, tuple[float, float | None]] = {
            "multiply-adds": (macs, self.max_macs),
            "parameters": (parameters, self.max_params),
        }
        if self.max_latency_ms is not None and _excess(needs) <= 1:
            latency = measure_latency(model(one), self.engine).median
            needs["ms"] = (latency, self.max_latency_ms)
        told = " and ".join(
            f"{_number(need)} {unit} of {_number(bound)}" for unit, (need, bound) in needs.items() if bound
        )
        return _excess(needs), f"{name(one)}, which takes {told}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _excess(needs: dict[str, tuple[float, float | None]]) -> float:
    """How many times the tightest bound is taken; up to 1 all are kept."""
    return max((need / bound for need, bound in needs.values() if bound is not None), default=0.0)


def mobilenet_for_budget(
    *,
    max_macs: float | None = None,
    max_params: float | None = None,
    max_latency_ms: float | None = None,
    engine: Engine = "openvino",
) -> ModelCard:
    """Choose MobileNet's width and resolution multipliers (Howard et al. 2017, sections 3.3 and 3.4).

    Args:
        max_macs: Multiply-adds that are allowed; None for any.
        max_params: Parameters that are allowed, trainable or not; None for any.
        max_latency_ms: Time that is allowed on this machine, in milliseconds; None for any.
        engine: What to measure it with.

    Returns:
        The card of the most accurate of the 16 published members that fits. Its ``arguments`` are alpha and rho, where
        they are not 1; `create_model` builds it by its name.

    Raises:
        ValueError: If none fits, or no bound is given; the message names the nearest.
    """
    cards = [model_card(name) for name in list_models("mobilenet-[01].*-*")]
    ranked = sorted(cards, key=lambda card: -card.top1.value if card.top1 else 0.0)
    return Budget(max_macs, max_params, max_latency_ms, engine).first(
        ranked,
        name=lambda card: card.name,
        cost=lambda card: (card.cost.macs, card.cost.parameters),
        model=lambda card: create_model(card.name),
    )
