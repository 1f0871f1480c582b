"""Selection of the best network within a budget of multiply-adds, parameters and latency."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from keras_archs.analysis.latency import Engine, measure_latency
from keras_archs.cards.model_card import ModelCard
from keras_archs.registry import create_model, list_models, model_card

if TYPE_CHECKING:
    import keras

T = TypeVar("T")


@dataclass(frozen=True)
class Need:
    """A quantity of a network beside its bound."""

    value: float
    unit: str
    bound: float | None
    """None for no bound."""
    at_least: bool = False
    """Whether the bound is the smallest value that is allowed, not the largest."""

    @property
    def excess(self) -> float:
        """Ratio by which the bound is exceeded, or fallen short of; at most 1 within the bound."""
        if self.bound is None:
            return 0.0
        return self.bound / self.value if self.at_least else self.value / self.bound

    def __str__(self) -> str:
        limit = f" ({'at least' if self.at_least else 'limit'} {_number(self.bound)})" if self.bound else ""
        return f"{_number(self.value)} {self.unit}{limit}"


def excess(needs: Iterable[Need]) -> float:
    """Return the largest ratio of a quantity to its bound: at most 1 if all are within their bounds."""
    return max((need.excess for need in needs), default=0.0)


def describe(needs: Iterable[Need]) -> str:
    """Return the quantities that have a bound, in words."""
    return " and ".join(str(need) for need in needs if need.bound)


@dataclass(frozen=True)
class Budget:
    """Upper bounds on the cost of a network, for one image; None leaves a quantity unbounded."""

    max_macs: float | None = None
    """Multiply-adds."""
    max_params: float | None = None
    """Parameters, trainable or not."""
    max_latency_ms: float | None = None
    """Median latency on this machine, in milliseconds; measured only for networks within the other bounds."""
    engine: Engine = "openvino"
    """Engine that runs the network when its latency is measured."""

    def __post_init__(self) -> None:
        """Check the bounds.

        Raises:
            ValueError: If no bound is given, or a bound is not positive.
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
        """Return the first candidate within the budget.

        Args:
            ranked: Candidates, best first.
            name: Returns a candidate's name, for the error message.
            cost: Returns a candidate's multiply-adds and parameters.
            model: Builds a candidate; called only if its latency must be measured.

        Returns:
            The first candidate that fits.

        Raises:
            ValueError: If there are no candidates, or none fits; the message names the candidate that exceeds the
                budget least, and by how much.
        """
        rejected: list[tuple[float, str]] = []
        for candidate in ranked:
            excess, description = self._judge(candidate, name, cost, model)
            if excess <= 1:
                return candidate
            rejected.append((excess, description))
        if not rejected:
            raise ValueError("there are no candidates to choose from")
        raise ValueError(f"nothing fits the budget; the nearest is {min(rejected)[1]}")

    def last(
        self,
        ascending: Iterable[T],
        *,
        name: Callable[[T], str],
        cost: Callable[[T], tuple[int, int]],
        model: Callable[[T], keras.Model],
    ) -> T:
        """Return the last candidate within the budget, where each candidate costs more than the one before it.

        The search stops at the first candidate that exceeds the budget, so that no time is spent on measuring the
        latency of larger networks.

        Args:
            ascending: Candidates, smallest first.
            name: Returns a candidate's name, for the error message.
            cost: Returns a candidate's multiply-adds and parameters.
            model: Builds a candidate; called only if its latency must be measured.

        Returns:
            The last candidate that fits.

        Raises:
            ValueError: If there are no candidates, or the smallest does not fit; the message says by how much.
        """
        largest: T | None = None
        for candidate in ascending:
            excess, description = self._judge(candidate, name, cost, model)
            if excess <= 1:
                largest = candidate
            elif largest is not None:
                break
            else:
                raise ValueError(f"nothing fits the budget; the nearest is {description}")
        if largest is None:
            raise ValueError("there are no candidates to choose from")
        return largest

    def _judge(
        self,
        candidate: T,
        name: Callable[[T], str],
        cost: Callable[[T], tuple[int, int]],
        model: Callable[[T], keras.Model],
    ) -> tuple[float, str]:
        """Return the largest ratio of a cost to its bound (at most 1 if the candidate fits), and a description."""
        macs, parameters = cost(candidate)
        needs = self.needs(macs, parameters)
        if self.max_latency_ms is not None and excess(needs) <= 1:
            needs = self.needs(macs, parameters, measure_latency(model(candidate), self.engine).median)
        return excess(needs), f"{name(candidate)}, which needs {describe(needs)}"

    def needs(self, macs: int, parameters: int, latency_ms: float | None = None) -> Sequence[Need]:
        """Return the quantities of a network beside their bounds.

        Args:
            macs: Multiply-adds for one image.
            parameters: Number of parameters, trainable or not.
            latency_ms: Median latency in milliseconds; None if it was not measured.
        """
        needs = [Need(macs, "multiply-adds", self.max_macs), Need(parameters, "parameters", self.max_params)]
        return needs if latency_ms is None else [*needs, Need(latency_ms, "ms", self.max_latency_ms)]


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def mobilenet_for_budget(
    *,
    max_macs: float | None = None,
    max_params: float | None = None,
    max_latency_ms: float | None = None,
    engine: Engine = "openvino",
) -> ModelCard:
    """Choose MobileNet's width and resolution multipliers (Howard et al. 2017, sections 3.3 and 3.4).

    Args:
        max_macs: Upper bound on the multiply-adds for one image; None for no bound.
        max_params: Upper bound on the parameters, trainable or not; None for no bound.
        max_latency_ms: Upper bound on the median latency on this machine, in milliseconds; None for no bound.
        engine: Engine that runs the networks when their latency is measured.

    Returns:
        The card of the most accurate of the 16 published members that fits; `create_model` builds it by its name. Its
        ``arguments`` hold alpha and rho where they are not 1.

    Raises:
        ValueError: If no bound is given, or no member fits; the message names the nearest.
    """
    cards = [model_card(name) for name in list_models("mobilenet-[01].*-*")]
    ranked = sorted(cards, key=lambda card: -card.top1.value if card.top1 else 0.0)
    return Budget(max_macs, max_params, max_latency_ms, engine).first(
        ranked,
        name=lambda card: card.name,
        cost=lambda card: (card.cost.macs, card.cost.parameters),
        model=lambda card: create_model(card.name),
    )
