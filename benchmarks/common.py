"""Shared by the benchmarks: a test image, building and publishing a model, the machine's description, tables, JSON."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from skimage import data

from keras_archs.registry import create_model, model_card
from keras_archs.runtimes.machine import usable_cores
from keras_archs.runtimes.silent_openvino import ov

if TYPE_CHECKING:
    import keras


def picture() -> bytes:
    """Return the test image: a photograph as a JPEG of 451x300 pixels, 35 KB."""
    encoded = io.BytesIO()
    Image.fromarray(data.chelsea()).save(encoded, "JPEG", quality=90)
    return encoded.getvalue()


def build(name: str) -> keras.Model:
    """Build a model of the registry, with ImageNet weights if a pip package has them: nothing is downloaded."""
    default = model_card(name).default
    at_hand = default is not None and default.files[0].place == "package"
    return create_model(name, weights="imagenet" if at_hand else None)


def publish(model: keras.Model, repository: Path, name: str) -> Path:
    """Publish a model, trained or not, and return the version's folder."""
    from keras_archs.export.publish import export_model

    return export_model(model, repository, name=name, allow_untrained=True).path


def machine() -> dict[str, Any]:
    """Return processor, cores and load average; a high load before the run means that other programs used the cores."""
    return {
        "cpu": ov.Core().get_property("CPU", "FULL_DEVICE_NAME"),
        "cores": usable_cores(),
        "load_before": round(os.getloadavg()[0], 1),
    }


def show(title: str, headers: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table whose first column names the rows."""
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    for number, header in enumerate(headers):
        table.add_column(header, justify="right" if number else "left", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    Console().print(table)


def write_json(path: Path | None, figures: dict[str, Any]) -> None:
    """Write the figures to `path` as JSON; do nothing if it is None."""
    if path is not None:
        path.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
