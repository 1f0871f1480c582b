"""The network for a budget: the most accurate that fits, and the front of networks that none beats.

A network is on the front if no other is as accurate in less time. What is measured, and in which order, decides how
long a choice takes, since each network has to be built first:

- Networks that multiply-adds, parameters or accuracy exclude are not measured.
- The others are measured from the fewest multiply-adds to the most. A network is left out if it cannot be on the front:
  its multiply-adds take at least a certain time at a rate that no network reaches, and this time is above the bound, or
  a network that is at least as accurate was measured to be faster.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from keras_archs.analysis.budget import Budget, Need, describe, excess
from keras_archs.analysis.latency import Latency
from keras_archs.cards.accuracy import Accuracy
from keras_archs.cards.model_card import PublishedCost
from keras_archs.cards.weights_entry import WeightsEntry
from keras_archs.registry import list_weights, model_card

_MARGIN: Final = 1.5
"""By how much a network's multiply-adds per second may exceed those of the convolution.

Measured with OpenVINO by ResNet-50, the fastest network of the registry per multiply-add: 0.84 of the convolution in
float32 on one processor; on another, 1.16 in float32 and 1.14 in bfloat16.
"""


@dataclass(frozen=True)
class Candidate:
    """A network with published weights."""

    entry: WeightsEntry
    """The weights."""
    top1: Accuracy
    """Published accuracy with these weights."""
    cost: PublishedCost
    """Cost with the image size of these weights."""

    @property
    def name(self) -> str:
        """Network and weights, e.g. ``"resnet-50:timm/a1_in1k"``."""
        return f"{self.entry.network}:{self.entry.tag}"


@dataclass(frozen=True)
class Bounds:
    """What a network must keep within."""

    budget: Budget
    min_top1: float | None = None
    """Smallest top-1 accuracy, in per cent."""

    def needs(self, candidate: Candidate, latency: Latency | None = None) -> Sequence[Need]:
        """Return the quantities of a network beside their bounds; latency only if it was measured."""
        cost = candidate.cost
        return [
            *self.budget.needs(cost.macs, cost.parameters, latency.median if latency else None),
            Need(candidate.top1.value, "% top-1", self.min_top1, at_least=True),
        ]


@dataclass(frozen=True)
class Choice:
    """Networks within the bounds, by their names (`Candidate.name`)."""

    front: Mapping[str, Candidate]
    """Networks that none beats in accuracy and time, the fastest first."""
    beaten: Mapping[str, Candidate]
    """Networks that were measured and are not on the front, or above the bound on the latency."""
    left_out: Mapping[str, Candidate]
    """Networks that were not measured because they cannot be on the front."""
    latencies: Mapping[str, Latency] = field(default_factory=dict)
    """Latency of each network of `front` and `beaten`."""

    @property
    def best(self) -> Candidate:
        """The most accurate network."""
        return list(self.front.values())[-1]


def candidates(*, commercial: bool = False) -> list[Candidate]:
    """Return the networks with weights and a published top-1 accuracy for ImageNet.

    Of several weights for the same network, image size and arguments, the most accurate are taken. Networks that load
    the files of another network, and compute the same with them, are left out.

    Args:
        commercial: Whether to leave out weights whose licence excludes commercial use.
    """
    best: dict[tuple[object, ...], Candidate] = {}
    owners: dict[tuple[object, ...], str] = {}
    for entry in list_weights():
        card = model_card(entry.network)
        top1 = card.top1 if entry.default else entry.top1
        if entry.dataset != "imagenet" or top1 is None or (commercial and not entry.commercial):
            continue
        if owners.setdefault((entry.files, entry.preprocessing.size), entry.network) != entry.network:
            continue
        key = (entry.network, entry.preprocessing.size, *sorted(entry.arguments.items()))
        if key not in best or best[key].top1.value < top1.value:
            best[key] = Candidate(entry, top1, card.cost_with(entry))
    return list(best.values())


def within(bounds: Bounds, among: Iterable[Candidate]) -> list[Candidate]:
    """Return the networks that all bounds but that on the latency admit, those with fewest multiply-adds first.

    Raises:
        ValueError: There is none; the message names the network that comes nearest.
    """
    judged = [(excess(bounds.needs(candidate)), candidate) for candidate in among]
    fitting = [candidate for ratio, candidate in judged if ratio <= 1]
    if not fitting:
        raise _nothing_fits(min(judged, key=lambda pair: pair[0])[1], bounds)
    return sorted(fitting, key=lambda candidate: candidate.cost.macs)


def choose(
    fitting: Sequence[Candidate],
    bounds: Bounds,
    measure: Callable[[Candidate], Latency],
    *,
    rate: float,
    known: Mapping[str, Latency],
    on_progress: Callable[[Candidate], None] = lambda candidate: None,
) -> Choice:
    """Measure the networks that may be on the front, and find the front.

    Args:
        fitting: Result of `within`.
        bounds: The bounds.
        measure: Measures a network.
        rate: Multiply-adds per millisecond of a large convolution.
        known: Latencies that need not be measured, by the networks' names.
        on_progress: Called with each network before it is measured or left out.

    Raises:
        ValueError: No network is within the bound on the latency; the message names the nearest.
    """
    by_name = {candidate.name: candidate for candidate in fitting}
    latencies = {name: known[name] for name in by_name if name in known}
    for name, candidate in by_name.items():
        on_progress(candidate)
        if name not in latencies and _may_be_on_front(candidate, bounds, rate, by_name, latencies):
            latencies[name] = measure(candidate)
    admitted = [name for name in latencies if excess(bounds.needs(by_name[name], latencies[name])) <= 1]
    if not admitted:
        raise _nothing_fits(by_name[min(latencies, key=lambda name: latencies[name].median)], bounds, latencies)
    front: dict[str, Candidate] = {}
    best = 0.0
    for name in sorted(admitted, key=lambda name: (latencies[name].median, -by_name[name].top1.value)):
        if by_name[name].top1.value > best:
            front[name], best = by_name[name], by_name[name].top1.value
    return Choice(
        front,
        {name: by_name[name] for name in latencies if name not in front},
        {name: candidate for name, candidate in by_name.items() if name not in latencies},
        latencies,
    )


def _may_be_on_front(
    candidate: Candidate,
    bounds: Bounds,
    rate: float,
    by_name: Mapping[str, Candidate],
    latencies: Mapping[str, Latency],
) -> bool:
    least = candidate.cost.macs / (_MARGIN * rate)
    if not latencies:  # the smallest network is measured in any case: an error names the time that it takes
        return True
    bound = bounds.budget.max_latency_ms
    return (bound is None or least <= bound) and not any(
        latency.median <= least and by_name[name].top1.value >= candidate.top1.value
        for name, latency in latencies.items()
    )


def _nothing_fits(nearest: Candidate, bounds: Bounds, latencies: Mapping[str, Latency] | None = None) -> ValueError:
    needs = bounds.needs(nearest, (latencies or {}).get(nearest.name))
    return ValueError(f"nothing fits the budget; the nearest is {nearest.entry.network}, which has {describe(needs)}")
