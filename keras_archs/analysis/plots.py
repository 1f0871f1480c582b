"""Pictures of costs and of what networks have learnt; matplotlib comes with the extra ``analysis``.

What a row of a table stands for has that row's name as its ``gid``, so that
`keras_archs.analysis.html_report` can say what it is.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from keras_archs.analysis.cost import Cost
from keras_archs.analysis.extras import import_extra
from keras_archs.cards.model_card import ModelCard

_NAMED = 20
"""More names than these would hide each other."""

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from keras_archs.analysis.compound_family import Member


def plot_cost(cost: Cost, title: str = "") -> "Figure":
    """Draw what each stage of a network costs: multiply-adds, parameters, activations and memory traffic.

    Args:
        cost: What `keras_archs.profile` returned.
        title: Of the picture.

    Returns:
        A matplotlib figure.

    Raises:
        ModuleNotFoundError: Without matplotlib.
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
        for bar, size in zip(bars, stages, strict=True):
            bar.set_gid(f"{size}/{name.partition(',')[0]}".replace(" ", "-"))
        axis.set_title(name, fontsize=9)
        axis.grid(axis="x", alpha=0.3)
    axes[0].invert_yaxis()  # computation goes from the top down
    axes[0].set_ylabel("size of the feature maps")
    for place, stage in enumerate(cost.stages):
        if stage.macs is None:
            axes[0].annotate("unknown", (0, place), fontsize=8, va="center")
    figure.suptitle(title)
    return figure


def plot_comparison(
    cards: Sequence[ModelCard], costs: Sequence[float] | None = None, cost_label: str = "multiply-adds, millions"
) -> "Figure":
    """Draw published accuracy against what networks cost, both of which their cards know.

    Args:
        cards: The networks. Those without a published accuracy are left out, and named below the picture.
        costs: What to draw them against, e.g. measured milliseconds; None for their multiply-adds.
        cost_label: What the costs are.

    Returns:
        A matplotlib figure; the area of a dot is proportional to the number of parameters. Many dots have no names.

    Raises:
        ValueError: If no network has a published accuracy.
        ModuleNotFoundError: Without matplotlib.
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
        colour = palette(number * 2 % 20 + number // 10)  # first the ten dark ones
        axis.plot(xs, ys, alpha=0.4, color=colour)
        for cost, top1, card in members:
            area = 4 * card.cost.parameters / 1e6
            axis.scatter(cost, top1, s=area, color=[colour], alpha=0.8, gid=card.name)
            if len(points) <= _NAMED:
                axis.annotate(card.name, (cost, top1), xytext=(5, -9), textcoords="offset points", fontsize=7)
        axis.scatter([], [], color=[colour], label=family, alpha=0.8)  # the legend's, of one size
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
    if len(families) > 1:
        axis.legend()
    if missing := [card.name for card in cards if not card.top1]:
        figure.text(0.01, 0.01, f"no accuracy was published for {', '.join(missing)}", fontsize=7)
    return figure


def plot_growth(families: Mapping[str, Sequence["Member"]]) -> "Figure":
    """Draw how families grow beside 2^phi, and by what they miss it.

    Args:
        families: What `keras_archs.members` returned, by the name of the baseline.

    Returns:
        A matplotlib figure: multiply-adds relative to the baseline's, and these relative to 2^phi.

    Raises:
        ModuleNotFoundError: Without matplotlib.
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
    ratio.set_ylabel("the same, relative to 2^phi")
    for axis in (growth, ratio):
        axis.set_xlabel("phi")
        axis.set_xticks(ideal)
        axis.grid(alpha=0.3)
    growth.legend(fontsize=8)
    return figure


def plot_excitations(excitations: Mapping[str, NDArray[np.float32]], labels: Sequence[str]) -> "Figure":
    """Draw how squeeze-and-excitation weighs channels, by class and depth (Hu et al. 2017, figure 5).

    Args:
        excitations: What `keras_archs.squeeze_excitations` returned, of one image per class, or of each
            class's mean.
        labels: What the rows are called.

    Returns:
        A matplotlib figure: a panel per block, a line per row.

    Raises:
        ModuleNotFoundError: Without matplotlib.
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
    for panel in panels:  # what is left over
        panel.axis("off")
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(labels))
    figure.supxlabel("channel", fontsize=8)
    figure.supylabel("gate", fontsize=8)
    return figure


def plot_feature_reuse(reuse: Mapping[str, NDArray[np.float32]]) -> "Figure":
    """Draw what the layers of a DenseNet use of the ones before them (Huang et al. 2016, figure 5).

    Args:
        reuse: What `keras_archs.analysis.explanations.feature_reuse` returned.

    Returns:
        A matplotlib figure: a heat map per dense block, each column divided by its largest value.

    Raises:
        ModuleNotFoundError: Without matplotlib.
    """
    figure = _figure(4 * len(reuse), 4)
    panels = figure.subplots(1, len(reuse), squeeze=False)[0]
    for panel, (block, matrix) in zip(panels, reuse.items(), strict=True):
        picture = panel.imshow(matrix / np.nanmax(matrix, axis=0), cmap="viridis", vmin=0, vmax=1)
        panel.set_title(block, fontsize=9)
        panel.set_xlabel("layer that takes, less 1", fontsize=8)
    panels[0].set_ylabel("layer that is taken; 0 is the input", fontsize=8)
    figure.colorbar(picture, ax=list(panels), shrink=0.8)
    return figure


def _figure(width: float, height: float) -> "Figure":
    # Not through pyplot: no window, no state, nothing to close.
    figure: Figure = import_extra("matplotlib.figure", "analysis").Figure(
        (width, height), layout="constrained", dpi=120
    )
    return figure
