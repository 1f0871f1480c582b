"""Tables of the site as Markdown, from the cards, the settings and counted graphs: nothing is typed in."""

# ruff: noqa: RUF001 (the multiplication sign stands between sizes)

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, get_args, get_origin

from prometheus_client.metrics import MetricWrapperBase

from docs.tools.families import FAMILIES, networks
from keras_archs.cards.model_card import ModelCard
from keras_archs.cards.published_weights import entries
from keras_archs.cards.scaling import PAPER
from keras_archs.cards.weights_entry import WeightsEntry
from keras_archs.registry import scalable
from keras_archs.training.data.augmentation import Augmentation
from keras_archs.training.tuning.recipe import Recipe
from keras_archs.training.tuning.recipes import RECIPES
from serving.core.errors import ServingError
from serving.settings import PREFIX, Settings

ROOT = Path(__file__).parents[2]
GROWTH = ROOT / "docs" / "growth.csv"
"""Counted growth of the baselines, which ``python -m docs.pictures`` writes: too slow for each build."""
PHIS = (1, 2, 4)
_NETWORKS = ("network", "input", "parameters", "multiply-adds", "top-1", "weights, licence", "source of top-1")
_WEIGHTS = ("network", "weights", "top-1", "top-5", "input", "licence", "file")
_OF_MACHINE = {
    "threads": "one per core",
    "streams": "one per thread",
    "workers": "two per thread",
    "memory_limit_mb": "half of the memory",
    "decode_memory_mb": "500",
}
"""Defaults that depend on the machine, or on the limits of the container."""
_RIGHT = {"input", "parameters", "multiply-adds", "top-1", "top-5"}


def table(header: Sequence[str], rows: Iterable[Sequence[str]], right: Iterable[str] = ()) -> str:
    """Return a Markdown table.

    Args:
        header: Names of the columns.
        rows: Cells of each row.
        right: Names of the columns that are aligned to the right.
    """
    rule = ["---:" if name in set(right) else "---" for name in header]
    lines = [header, rule, *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def network_row(card: ModelCard) -> list[str]:
    """Return a network's cells: the columns of the networks page."""
    height, width = card.preprocessing.size
    return [
        f"`{card.name}`",
        f"{height}×{width}",
        f"{card.cost.parameters / 1e6:,.1f} M",
        f"{card.cost.macs / 1e6:,.1f} M",
        f"{card.top1.value:.1f} %" if card.top1 else "",
        f"`{card.default.tag}`, {card.default.licence}" if card.default else f"none: {card.without_weights}",
        card.top1.source if card.top1 else "not published",
    ]


def all_networks() -> str:
    """Return the networks page's tables: one section per family."""
    parts = []
    for family in FAMILIES:
        rows = [network_row(card) for card in networks(family)]
        parts.append(f"## [{family.title}](families/{family.slug}.md)\n\n{table(_NETWORKS, rows, _RIGHT)}")
    return "\n".join(parts)


def all_weights() -> str:
    """Return the weights page's tables: the published weights of each family's networks."""
    parts = []
    for family in FAMILIES:
        rows = [weights_row(entry) for card in networks(family) for entry in entries(card.name)]
        parts.append(f"### {family.title}\n\n{table(_WEIGHTS, rows, _RIGHT)}")
    return "\n".join(parts)


def weights_row(entry: WeightsEntry) -> list[str]:
    """Return the cells of one set of weights: the columns of the weights page."""
    height, width = entry.preprocessing.size
    file = entry.files[0]
    name = file.location if file.place == "hub" else file.name.rpartition("/")[2]
    return [
        f"`{entry.network}`",
        f"`{entry.tag}`{', default' if entry.default else ''}",
        f"{entry.top1.value:.1f} %" if entry.top1 else "",
        f"{entry.top5:.1f} %" if entry.top5 else "",
        f"{height}×{width}",
        entry.licence if entry.commercial else f"{entry.licence}, **not for commercial use**",
        f"[{name}]({file.address})" if "://" in file.address else file.address,
    ]


def variants(slug: str) -> str:
    """Return the table of a family page: each network with its builder's call; sources are on the networks page."""
    (family,) = (family for family in FAMILIES if family.slug == slug)
    header = ("network", "builder", *_NETWORKS[1:-1])
    rows = []
    for card in networks(family):
        name, *cells, _ = network_row(card)
        rows.append([name, f"{{py:func}}`{call(card)} <keras_archs.{card.builder}>`", *cells])
    return table(header, rows, _RIGHT)


def paper(slug: str) -> str:
    """Return a line with the paper of a family."""
    (family,) = (family for family in FAMILIES if family.slug == slug)
    source = networks(family)[0].paper
    return f"Paper: *{source.title}* ({source.year}), [arXiv:{source.arxiv}](https://arxiv.org/abs/{source.arxiv}).\n"


def call(card: ModelCard) -> str:
    """Return the call that builds a card's network."""
    arguments = ", ".join(
        f"{key}={value:.3g}" if isinstance(value, float) else f"{key}={value!r}"
        for key, value in card.arguments.items()
    )
    return f"{card.builder}({arguments})"


def growth() -> str:
    """Return how the multiply-adds of each baseline grow under compound scaling, from the counts of `GROWTH`."""
    alpha, beta, gamma = PAPER
    step = alpha * beta**2 * gamma**2
    header = (
        "network",
        f"{alpha:g} × depth",
        f"{beta:g} × width",
        f"{gamma:g} × resolution",
        "φ = 1",
        "φ = 2",
        "φ = 4",
    )
    with GROWTH.open(encoding="utf-8") as counted:
        rows = [
            ["2^φ", "", "", "", *(f"{2**phi}" for phi in PHIS)],
            ["formula", f"{alpha:.2f}", f"{beta**2:.2f}", f"{gamma**2:.2f}", *(f"{step**phi:.2f}" for phi in PHIS)],
            *([f"`{name}`", *factors] for name, *factors in list(csv.reader(counted))[1:]),
        ]
    return table(header, rows, header[1:])


def count_growth(name: str) -> dict[str, str]:
    """Count a row of `GROWTH`: factors on a baseline's multiply-adds. Large members take minutes."""
    from keras_archs.analysis.compound_family import members

    build, (alpha, beta, gamma) = scalable(name), PAPER
    alone = {"depth": (alpha, 1, 1), "width": (1, beta, 1), "resolution": (1, 1, gamma)}
    counted = {column: members(build, (1,), coefficients)[0] for column, coefficients in alone.items()}
    counted |= {f"phi={member.phi:g}": member for member in members(build, PHIS)}
    return {"name": name} | {column: f"{member.growth:.2f}" for column, member in counted.items()}


def recipes() -> str:
    """Return the recipes that trainings follow, with their constants."""
    header = ("recipe", "optimizer", "rate", "schedule", "epochs", "batch", "weight decay", "images and targets")
    rows = [
        [
            f"`{name}`",
            _optimizer(recipe),
            f"{recipe.learning_rate:g}",
            _schedule(recipe),
            str(recipe.epochs),
            str(recipe.batch),
            f"{recipe.weight_decay:g}{', all weights' if recipe.decayed == 'all' else ''}",
            _changes(recipe, recipe.augmentation),
        ]
        for name, recipe in RECIPES.items()
    ]
    return table(header, rows, ("rate", "epochs", "batch"))


def _optimizer(recipe: Recipe) -> str:
    parts = ["AdamW"] if recipe.optimizer == "adamw" else [f"SGD, momentum {recipe.momentum:g}"]
    parts += ["Nesterov"] if recipe.optimizer == "sgd" and recipe.nesterov else []
    parts += [f"average of the weights {recipe.ema:g}"] if recipe.ema else []
    parts += ["frozen statistics"] if recipe.freeze_statistics else []
    return ", ".join(parts)


def _schedule(recipe: Recipe) -> str:
    warmup = f", {recipe.warmup_epochs:g} epochs of warm-up" if recipe.warmup_epochs else ""
    if recipe.schedule == "cosine":
        return f"cosine{warmup}"
    milestones = ", ".join(f"{milestone:.0%}" for milestone in recipe.milestones)
    return f"× {recipe.decay:g} at {milestones}{warmup}"


def _changes(recipe: Recipe, augmentation: Augmentation) -> str:
    crops = {
        "centre": "centre crop",
        "resized": f"random crops of at least {augmentation.min_area:.0%}",
        "padded": "padded, random crops",
    }
    strengths = {
        "RandAugment": augmentation.rand_augment,
        "MixUp": augmentation.mixup,
        "CutMix": augmentation.cutmix,
        "erasing": augmentation.erasing,
        "label smoothing": recipe.label_smoothing,
    }
    parts = [crops[augmentation.crop], *(["mirrored"] if augmentation.flip else [])]
    return ", ".join(parts + [f"{name} {value:g}" for name, value in strengths.items() if value])


def settings() -> str:
    """Return every setting of the gateway with its variable and default."""
    rows = [
        [
            f"`{PREFIX}{name.upper()}`",
            values(field.annotation),
            _OF_MACHINE.get(name) or _default(field.default),
            escaped(field.description or ""),
        ]
        for name, field in Settings.model_fields.items()
    ]
    return table(("variable", "values", "default", "meaning"), rows)


def metrics() -> str:
    """Return the gateway's metrics with their labels, as its collectors describe them."""
    from serving.app import create_engine
    from serving.core.admission import Admission
    from serving.core.backlog import Backlog
    from serving.protocols.metrics import GatewayMetrics

    backlog = Backlog()
    admission = Admission(max_requests=1, max_bytes=1, backlog=backlog)
    registries = GatewayMetrics(create_engine(Settings()), admission, backlog).registries
    labels_of = {
        metric._name: metric._labelnames
        for registry in registries
        for metric in registry._collector_to_names
        if isinstance(metric, MetricWrapperBase)
    }
    rows = []
    for metric in (metric for registry in registries for metric in registry.collect()):
        labels = labels_of.get(metric.name) or getattr(metric, "_labelnames", None) or ()
        suffix = "_total" if metric.type == "counter" else ""
        rows.append(
            [f"`{metric.name}{suffix}`", metric.type, ", ".join(f"`{label}`" for label in labels), metric.documentation]
        )
    return table(("metric", "type", "labels", "meaning"), rows)


def alerts() -> str:
    """Return the alerting rules of Prometheus."""
    import yaml

    rules = yaml.safe_load((ROOT / "docker" / "prometheus" / "alerts.yml").read_text(encoding="utf-8"))
    rows = [
        [
            f"`{rule['alert']}`",
            re.sub(r"\{\{ \$(?:labels\.)?(\w+).*?\}\}", r"*\1*", rule["annotations"]["summary"]),
            rule["annotations"]["action"],
            f"`{' '.join(rule['expr'].split())}`",
            rule["for"],
        ]
        for group in rules["groups"]
        for rule in group["rules"]
    ]
    return table(("alert", "meaning", "what to do", "condition", "for"), rows)


def values(annotation: Any) -> str:
    """Return the values of a type as a reader writes them: its choices, or a word."""
    if get_origin(annotation) in (tuple, list):
        return "list"
    kinds = [kind for kind in get_args(annotation) or (annotation,) if kind is not type(None)]
    if get_origin(kinds[0]) is not None:
        return values(kinds[0])
    if all(isinstance(kind, str) for kind in kinds):
        return ", ".join(f"`{kind}`" for kind in kinds)
    return {"Path": "path", "str": "text", "int": "integer", "float": "number", "bool": "flag"}[kinds[0].__name__]


def escaped(text: str) -> str:
    """Return a text on one line, for Markdown: angle brackets outside code stay what they are."""
    return " ".join(text.split()).replace("<", "&lt;")


def _default(value: Any) -> str:
    return "" if value in (None, ()) else f"`{value}`"


def _kinds(kind: type[ServingError]) -> Iterator[type[ServingError]]:
    """Yield the errors that have a type of their own: some subclasses answer as their parent."""
    for subclass in kind.__subclasses__():
        if "slug" in vars(subclass):
            yield subclass
        yield from _kinds(subclass)


def problems() -> str:
    """Return every kind of error with its status and type."""
    kinds: list[type[ServingError]] = [
        *sorted(_kinds(ServingError), key=lambda kind: (kind.status, kind.slug)),
        ServingError,
    ]
    rows = [
        [
            str(kind.status),
            f"`{kind.slug}`",
            " ".join((kind.__doc__ or "").split()),
            f"{kind.retry_after} s" if kind.retry_after else "",
        ]
        for kind in kinds
    ]
    rows[-1][2] = f"{ServingError.title}; the gateway's log has the reason."
    return table(("status", "type", "meaning", "Retry-After"), rows, ("status",))
