"""Figures of costs and of explanations; matplotlib comes with the extra ``analysis``.

Each artist that stands for a table row has the row's first cell as its ``gid``, which
`keras_archs.analysis.html_report` turns into a tooltip.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from keras_archs.analysis.choice import Candidate, Choice
from keras_archs.analysis.cost import Cost
from keras_archs.analysis.extras import import_extra
from keras_archs.cards.model_card import ModelCard

_MAX_ANNOTATED = 20
"""Largest number of points whose names are written beside them; more would overlap."""

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from keras_archs.analysis.compound_family import Member


def plot_cost(cost: Cost, title: str = "") -> "Figure":
    """Draw the cost of each stage of a network: multiply-adds, parameters, activations and memory traffic.

    Args:
        cost: Result of `keras_archs.profile`.
        title: Title of the figure.

    Returns:
        A matplotlib figure with a bar per stage in each of four panels.

    Raises:
        ModuleNotFoundError: If matplotlib (extra ``analysis``) is not installed.
    """
    figure = _figure(10, 2 + 0.28 * len(cost.stages))
    stages = [stage.stage for stage in cost.stages]
    quantities = {
        "multiply-adds, millions": [stage.macs or 0 for stage in cost.stages],
        "parameters, millions": [stage.parameters for stage in cost.stages],
        "activations, millions": [stage.activations for stage in cost.stages],
        "memory traffic, megabytes": [stage.bytes_moved for stage in cost.stages],
    }
    axes = figure.subplots(1, len(quantities), sharey=True)
    for axis, (name, values) in zip(axes, quantities.items(), strict=True):
        bars = axis.barh(stages, [value / 1e6 for value in values], color="#4477aa")
        for bar, stage in zip(bars, stages, strict=True):
            bar.set_gid(f"{stage}/{name.partition(',')[0]}".replace(" ", "-"))
        axis.set_title(name, fontsize=9)
        axis.grid(axis="x", alpha=0.3)
    axes[0].invert_yaxis()  # the first stage on top
    axes[0].set_ylabel("size of the feature maps")
    for row, stage_cost in enumerate(cost.stages):
        if stage_cost.macs is None:
            axes[0].annotate("unknown", (0, row), fontsize=8, va="center")
    figure.suptitle(title)
    return figure


def plot_comparison(
    cards: Sequence[ModelCard], costs: Sequence[float] | None = None, cost_label: str = "multiply-adds, millions"
) -> "Figure":
    """Draw published top-1 accuracy against cost, for networks described by their cards.

    Args:
        cards: Cards of the networks. Networks without a published accuracy are not drawn, but named below the figure.
        costs: Cost of each network, all positive, e.g. measured milliseconds; None for the multiply-adds in millions.
        cost_label: Label of the cost axis, with the unit.

    Returns:
        A matplotlib figure. The area of a dot is proportional to the number of parameters; dots are named if there are
        at most 20.

    Raises:
        ValueError: If no network has a published accuracy.
        ModuleNotFoundError: If matplotlib (extra ``analysis``) is not installed.
    """
    values = [card.cost.macs / 1e6 for card in cards] if costs is None else costs
    points = [(card, value, card.top1.value) for card, value in zip(cards, values, strict=True) if card.top1]
    if not points:
        raise ValueError(f"no accuracy was published for {', '.join(card.name for card in cards)}")
    figure = _figure(8, 5.5)
    axis: Axes = figure.subplots()
    families = list(dict.fromkeys(card.family for card, *_ in points))
    palette = import_extra("matplotlib", "analysis").colormaps["tab20"]
    for number, family in enumerate(families):
        members = sorted((cost, top1, card) for card, cost, top1 in points if card.family == family)
        xs, ys = [cost for cost, *_ in members], [top1 for _, top1, _ in members]
        colour = palette(number * 2 % 20 + number // 10)  # tab20 alternates dark and light colours: dark ones first
        axis.plot(xs, ys, alpha=0.4, color=colour)
        for cost, top1, card in members:
            area = 4 * card.cost.parameters / 1e6
            axis.scatter(cost, top1, s=area, color=[colour], alpha=0.8, gid=card.name)
            if len(points) <= _MAX_ANNOTATED:
                axis.annotate(card.name, (cost, top1), xytext=(5, -9), textcoords="offset points", fontsize=7)
        axis.scatter([], [], color=[colour], label=family, alpha=0.8)  # equal dots in the legend
    _label_axes(axis, cost_label)
    if len(families) > 1:
        axis.legend()
    if missing := [card.name for card in cards if not card.top1]:
        figure.text(0.01, 0.01, f"no accuracy was published for {', '.join(missing)}", fontsize=7)
    return figure


def plot_choice(choice: Choice, max_latency_ms: float | None = None, *, computation: str) -> "Figure":
    """Draw published top-1 accuracy against measured latency, with the front of networks that none beats.

    Args:
        choice: Result of `keras_archs.analysis.choice.choose`.
        max_latency_ms: Bound on the latency, in milliseconds, which is drawn as a line; None for no bound.
        computation: How an image was computed, e.g. "in bfloat16 on 1 thread".

    Returns:
        A matplotlib figure. The networks of the front are named, and the best has a star. The area of a dot is
        proportional to the number of parameters.

    Raises:
        ModuleNotFoundError: If matplotlib (extra ``analysis``) is not installed.
    """
    figure = _figure(8, 5.5)
    axis: Axes = figure.subplots()

    def draw(networks: Mapping[str, Candidate], colour: str) -> None:
        for name, network in networks.items():
            area = 4 * network.cost.parameters / 1e6
            place = choice.latencies[name].median, network.top1.value
            axis.scatter(*place, s=area, color=colour, alpha=0.8, gid=name, zorder=2)

    draw(choice.beaten, "#bbbbbb")
    draw(choice.front, "#4477aa")
    xs = [choice.latencies[name].median for name in choice.front]
    ys = [network.top1.value for network in choice.front.values()]
    axis.plot(xs, ys, color="#4477aa", alpha=0.4, drawstyle="steps-post")
    for x, y, network in zip(xs, ys, choice.front.values(), strict=True):
        text = network.entry.network
        axis.annotate(text, (x, y), xytext=(-5, 5), textcoords="offset points", fontsize=7, ha="right")
    axis.plot(xs[-1], ys[-1], "*", color="#cc3311", markersize=13, zorder=3, label=f"best: {choice.best.entry.network}")
    for colour, label in (("#4477aa", "no other is as accurate in less time"), ("#bbbbbb", "other networks")):
        axis.scatter([], [], color=colour, alpha=0.8, label=label)  # equal dots in the legend
    if max_latency_ms is not None:
        axis.axvline(
            max_latency_ms, linestyle="--", color="#cc3311", linewidth=1, label=f"limit: {max_latency_ms:g} ms"
        )
    _label_axes(axis, f"milliseconds for one image {computation}")
    axis.margins(x=0.2)  # names are to the left of their dots
    axis.legend(loc="lower right", fontsize=8)
    return figure


def _label_axes(axis: "Axes", cost_label: str) -> None:
    axis.set_xscale("log")
    ticker = import_extra("matplotlib.ticker", "analysis")
    axis.xaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
    axis.xaxis.set_major_formatter(lambda cost, _: f"{cost:,.0f}" if cost >= 1 else f"{cost:g}")
    axis.xaxis.set_minor_formatter(ticker.NullFormatter())
    axis.tick_params(labelsize=8)
    axis.margins(x=0.15)
    axis.set_xlabel(cost_label)
    axis.set_ylabel("published top-1 accuracy, %")
    axis.grid(alpha=0.3)


def plot_growth(families: Mapping[str, Sequence["Member"]]) -> "Figure":
    """Draw the growth of families by compound scaling, and its ratio to 2^phi.

    Args:
        families: Results of `keras_archs.members` by the name of the baseline.

    Returns:
        A matplotlib figure with two panels: multiply-adds relative to the baseline's, and that growth divided by 2^phi.

    Raises:
        ModuleNotFoundError: If matplotlib (extra ``analysis``) is not installed.
    """
    figure = _figure(10, 4.5)
    growth, ratio = figure.subplots(1, 2)
    for name, family in families.items():
        phis = [member.phi for member in family]
        panels = {
            "growth": (growth, [member.growth for member in family]),
            "ratio": (ratio, [member.growth / 2**member.phi for member in family]),
        }
        for panel, (axis, values) in panels.items():
            (line,) = axis.plot(phis, values, "o-", alpha=0.6, markersize=4, label=name)
            for phi, value in zip(phis, values, strict=True):
                gid = f"{phi:g}/{name}/{panel}"
                axis.plot(phi, value, "o", color=line.get_color(), markersize=5, gid=gid)
    ideal = sorted({member.phi for family in families.values() for member in family})
    growth.plot(ideal, [2**phi for phi in ideal], "--", color="black", linewidth=1, label="2^phi")
    ratio.axhline(1, linestyle="--", color="black", linewidth=1)
    growth.set_yscale("log", base=2)
    growth.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    growth.set_ylabel("multiply-adds, relative to the baseline")
    ratio.set_ylabel("multiply-adds, relative to 2^phi times the baseline")
    for axis in (growth, ratio):
        axis.set_xlabel("phi")
        axis.set_xticks(ideal)
        axis.grid(alpha=0.3)
    growth.legend(fontsize=8)
    return figure


def plot_excitations(excitations: Mapping[str, NDArray[np.float32]], labels: Sequence[str]) -> "Figure":
    """Draw the gates of squeeze-and-excitation by class and depth (Hu et al. 2017, figure 5).

    Args:
        excitations: Gates of shape (n, channels), 0 to 1, by block name: a row per class, of one image or the mean
            over several. `keras_archs.squeeze_excitations` returns them for each image.
        labels: Name of each of the n rows, for the legend.

    Returns:
        A matplotlib figure with a panel per block and a line per row.

    Raises:
        ModuleNotFoundError: If matplotlib (extra ``analysis``) is not installed.
    """
    columns = min(4, len(excitations))
    rows = -(-len(excitations) // columns)
    figure = _figure(3 * columns, 2 * rows + 0.6)
    panels = figure.subplots(rows, columns, squeeze=False, sharey=True).flat
    for panel, (block, gates) in zip(panels, excitations.items(), strict=False):
        for label, gate in zip(labels, gates, strict=True):
            panel.plot(gate, linewidth=0.6, label=label)
        panel.set_title(block, fontsize=8)
        panel.tick_params(labelsize=7)
    for panel in panels:  # `zip` has consumed the panels in use
        panel.axis("off")
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(labels))
    figure.supxlabel("channel", fontsize=8)
    figure.supylabel("gate", fontsize=8)
    return figure


def plot_feature_reuse(reuse: Mapping[str, NDArray[np.float32]]) -> "Figure":
    """Draw how strongly the layers of a DenseNet use earlier layers (Huang et al. 2016, figure 5).

    Args:
        reuse: Result of `keras_archs.feature_reuse`.

    Returns:
        A matplotlib figure with a heat map per dense block, each column divided by its largest value.

    Raises:
        ModuleNotFoundError: If matplotlib (extra ``analysis``) is not installed.
    """
    figure = _figure(4 * len(reuse), 4)
    panels = figure.subplots(1, len(reuse), squeeze=False)[0]
    for panel, (block, matrix) in zip(panels, reuse.items(), strict=True):
        heat_map = panel.imshow(matrix / np.nanmax(matrix, axis=0), cmap="viridis", vmin=0, vmax=1)
        panel.set_title(block, fontsize=9)
        panel.set_xlabel("layer that takes, less 1", fontsize=8)
    panels[0].set_ylabel("layer that is taken; 0 is the input", fontsize=8)
    figure.colorbar(heat_map, ax=list(panels), shrink=0.8)
    return figure


def _figure(width: float, height: float) -> "Figure":
    # A Figure without pyplot opens no window, keeps no global state and need not be closed.
    figure: Figure = import_extra("matplotlib.figure", "analysis").Figure(
        (width, height), layout="constrained", dpi=120
    )
    return figure
