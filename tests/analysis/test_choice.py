"""The choice of a network: what is compared, what is measured, and what the front is."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from keras_archs.analysis.budget import Budget
from keras_archs.analysis.choice import Bounds, Candidate, Choice, candidates, choose, within
from keras_archs.analysis.latency import Latency
from keras_archs.cards.accuracy import Accuracy
from keras_archs.cards.model_card import PublishedCost
from keras_archs.cards.weights_entry import WeightsEntry
from keras_archs.images.preprocessing import Preprocessing

RATE = 1e6
"""Multiply-adds per millisecond of the convolution; networks reach at most 1.5 times as many."""


def network(name: str, macs: float, top1: float) -> Candidate:
    preprocessing = Preprocessing(size=(32, 32), mean=(0.0,), std=(1.0,))
    accuracy = Accuracy(top1, "a test")
    entry = WeightsEntry(name, "tag", (), "names", preprocessing, accuracy, None, "MIT")
    return Candidate(entry, accuracy, PublishedCost((32, 32), 1000, 0, int(macs)))


def times(by_name: dict[str, float]) -> tuple[list[str], Callable[[Candidate], Latency]]:
    measured: list[str] = []

    def measure(candidate: Candidate) -> Latency:
        name = candidate.entry.network
        measured.append(name)
        return latency(by_name[name])

    return measured, measure


def latency(median: float) -> Latency:
    return Latency("openvino", 1, median, median, median, median, None)


def names(networks: object) -> list[str]:
    return [name.partition(":")[0] for name in networks]  # type: ignore[attr-defined]


def decide(
    networks: list[Candidate], by_name: dict[str, float], max_latency_ms: float | None = None
) -> tuple[Choice, list[str]]:
    measured, measure = times(by_name)
    bounds = Bounds(Budget(max_macs=1e12, max_latency_ms=max_latency_ms))
    return choose(within(bounds, networks), bounds, measure, rate=RATE, known={}), measured


def test_the_front_has_the_networks_that_none_beats_in_accuracy_and_time() -> None:
    networks = [network("quick", 1e6, 60), network("beaten", 2e6, 59), network("slow", 3e6, 70)]
    choice, _ = decide(networks, {"quick": 5, "beaten": 6, "slow": 7})
    assert (names(choice.front), names(choice.beaten)) == (["quick", "slow"], ["beaten"])
    assert choice.best.entry.network == "slow"


def test_of_equally_fast_networks_the_more_accurate_is_on_the_front() -> None:
    choice, _ = decide([network("a", 1e6, 60), network("b", 2e6, 61)], {"a": 5, "b": 5})
    assert names(choice.front) == ["b"]


def test_networks_are_measured_from_the_fewest_multiply_adds() -> None:
    networks = [network("large", 3e6, 72), network("small", 1e6, 70), network("medium", 2e6, 71)]
    assert decide(networks, {"small": 5, "medium": 6, "large": 7})[1] == ["small", "medium", "large"]


def test_a_network_is_not_measured_if_a_network_as_accurate_is_faster_than_its_multiply_adds_can_be() -> None:
    networks = [network("good", 1e6, 70), network("old", 15.1e6, 70), network("better", 15.1e6, 71)]
    choice, measured = decide(networks, {"good": 10, "better": 20})
    assert (measured, names(choice.left_out)) == (["good", "better"], ["old"])


def test_a_network_is_not_measured_if_its_multiply_adds_cannot_keep_within_the_latency() -> None:
    networks = [network("good", 1e6, 70), network("large", 13e6, 80), network("too large", 23e6, 90)]
    choice, measured = decide(networks, {"good": 5, "large": 12}, max_latency_ms=15)
    assert (measured, choice.best.entry.network) == (["good", "large"], "large")


def test_a_network_above_the_latency_is_not_on_the_front() -> None:
    choice, _ = decide([network("a", 1e6, 60), network("b", 2e6, 70)], {"a": 5, "b": 50}, max_latency_ms=10)
    assert (names(choice.front), names(choice.beaten)) == (["a"], ["b"])


def test_known_latencies_are_not_measured() -> None:
    networks = [network("known", 1e6, 60), network("new", 2e6, 70)]
    measured, measure = times({"new": 6})
    bounds = Bounds(Budget(max_macs=1e12))
    choice = choose(within(bounds, networks), bounds, measure, rate=RATE, known={"known:tag": latency(5)})
    assert (measured, names(choice.front)) == (["new"], ["known", "new"])


def test_an_impossible_budget_names_the_nearest_network() -> None:
    networks = [network("accurate", 4e6, 80), network("small", 2e6, 60)]
    with pytest.raises(ValueError, match=r"nearest is small, which has 2,000,000 multiply-adds \(limit 1,000,000\)"):
        within(Bounds(Budget(max_macs=1e6)), networks)
    with pytest.raises(ValueError, match=r"nearest is accurate, .* and 80 % top-1 \(at least 90\)"):
        within(Bounds(Budget(max_macs=1e9), min_top1=90), networks)
    with pytest.raises(ValueError, match=r"nearest is small, .* and 5 ms \(limit 1\)"):
        decide(networks, {"small": 5, "accurate": 9}, max_latency_ms=1)


def test_each_network_has_its_most_accurate_weights_for_each_image_size() -> None:
    by_size = {
        candidate.entry.preprocessing.size: candidate.entry.tag
        for candidate in candidates()
        if candidate.entry.network == "resnet-18"
    }
    assert by_size == {(224, 224): "timm/fb_swsl_ig1b_ft_in1k", (160, 160): "timm/a3_in1k"}
    sizes = [c.cost.size for c in candidates() if c.entry.tag == "timm/a3_in1k"]
    assert sizes
    assert set(sizes) == {(160, 160)}


def test_weights_that_exclude_commercial_use_can_be_left_out() -> None:
    assert not all(candidate.entry.commercial for candidate in candidates())
    assert all(candidate.entry.commercial for candidate in candidates(commercial=True))
    assert {"resnet-18"} <= {candidate.entry.network for candidate in candidates(commercial=True)}


def test_only_accuracies_of_the_same_data_are_compared() -> None:
    assert {candidate.entry.dataset for candidate in candidates()} == {"imagenet"}


def test_networks_that_load_the_weights_of_others_are_left_out() -> None:
    networks = {candidate.entry.network for candidate in candidates()}
    assert "resnet-50" in networks
    assert not [name for name in networks if name.startswith("stochastic-depth")]
