"""What the documentation site is generated from: tables, pictures of blocks, the REST reference, the API pages."""

# ruff: noqa: RUF001 (the multiplication sign stands between sizes)

from __future__ import annotations

import csv
import re
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import pytest

import keras_archs
import keras_archs.training
from docs.tools import api, commands, rest, tables
from docs.tools.blocks import Node, block
from docs.tools.check_site import remote_resources
from docs.tools.drawing import svg
from docs.tools.families import FAMILIES
from keras_archs.analysis.weightless import weightless
from keras_archs.registry import SCALABLE, create_model, list_models
from keras_archs.training import RECIPES
from serving.settings import Settings

SVG = "{http://www.w3.org/2000/svg}"
CHEAPEST = "mobilenet-1.0-224"


def test_every_network_is_on_one_family_page() -> None:
    listed = Counter(re.findall(r"^\| `(.*?)` \|", tables.all_networks(), re.MULTILINE))
    assert listed == Counter(list_models())


def test_every_public_name_is_documented_on_one_page() -> None:
    documented = Counter(name for names in api.pages().values() for name in names)
    assert documented == Counter(name for name in keras_archs.__all__ if name != "__version__")


def test_every_public_name_of_training_is_documented() -> None:
    directives = api.directives(keras_archs.training.__all__, keras_archs.training)
    documented = re.findall(r":: keras_archs\.training\.(\w+)$", directives, re.MULTILINE)
    assert documented == keras_archs.training.__all__


def test_every_recipe_is_listed_with_its_constants() -> None:
    listed = re.findall(r"^\| `(.*?)` \|.*? \| ([\d.]+) \|", tables.recipes(), re.MULTILINE)
    assert listed == [(name, f"{recipe.learning_rate:g}") for name, recipe in RECIPES.items()]


def test_every_family_has_a_page_that_shows_its_blocks() -> None:
    for family in FAMILIES:
        page = (tables.ROOT / "docs" / "families" / f"{family.slug}.md").read_text(encoding="utf-8")
        for shown in family.blocks:
            assert f"generated/block-{shown.slug}.svg" in page


def test_every_setting_is_listed() -> None:
    listed = re.findall(r"^\| `KERAS_ARCHS_(\w+)`", tables.settings(), re.MULTILINE)
    assert [setting.lower() for setting in listed] == list(Settings.model_fields)


def test_the_rest_reference_has_every_route_once() -> None:
    document = rest.openapi()
    reference = rest.reference()
    routes = [f"`{verb.upper()} {path}`" for path, operations in document["paths"].items() for verb in operations]
    assert [route for route in routes if reference.count(route) != 1] == []


def test_the_command_reference_has_every_option_of_serve() -> None:
    section = commands.reference().partition("## `keras-archs serve`")[2].partition("\n## ")[0]
    assert {"`--repository`", "`--engine`", "`--backend`", "`--preload`"} <= set(re.findall(r"`--[a-z-]+`", section))


def test_the_growth_table_has_every_baseline() -> None:
    with tables.GROWTH.open(encoding="utf-8") as counted:
        assert [row["name"] for row in csv.DictReader(counted)] == list(SCALABLE)


@pytest.mark.parametrize(
    "name", [CHEAPEST, *(pytest.param(name, marks=pytest.mark.slow) for name in SCALABLE if name != CHEAPEST)]
)
def test_the_growth_table_is_counted(name: str) -> None:
    with tables.GROWTH.open(encoding="utf-8") as counted:
        (row,) = (row for row in csv.DictReader(counted) if row["name"] == name)
    assert tables.count_growth(name) == row


def drawn(network: str, layers: str) -> list[Node]:
    with weightless():
        return block(create_model(network), layers)


def test_a_bottleneck_is_drawn_with_its_shortcut() -> None:
    given, *boxes = drawn("resnet-50", "stage2_block2_")
    assert given.shape == (28, 28, 512)
    assert [(box.title, box.notes) for box in boxes] == [
        ("conv 1×1, 128", ("BN", "ReLU")),
        ("conv 3×3, 128", ("BN", "ReLU")),
        ("conv 1×1, 512", ("BN",)),
        ("+", ("ReLU",)),
    ]
    assert set(boxes[-1].inputs) == {given.key, boxes[-2].key}


def test_layers_inside_stochastic_depth_are_drawn() -> None:
    titles = [box.title for box in drawn("stochastic-depth-resnet-50", "stage2_block2_")]
    assert titles == ["", "conv 1×1, 128", "conv 3×3, 128", "conv 1×1, 512", "+"]


def test_branches_are_drawn_side_by_side_on_a_phones_width() -> None:
    picture = ElementTree.fromstring(svg(drawn("bn-inception", "inception3a_"), "A module"))
    boxes = [(float(box.get("x", "")), float(box.get("width", ""))) for box in picture.findall(f"{SVG}rect")[1:]]
    assert len({round(x + width / 2) for x, width in boxes}) == 4
    assert float(picture.get("width", "")) < 500


def test_a_pattern_without_layers_is_an_error() -> None:
    with weightless():
        model = create_model("mobilenet-0.25-128")
    with pytest.raises(ValueError, match="no layers named like 'stage9'"):
        block(model, "stage9")


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("page.html", '<script src="https://cdn.example/x.js"></script>'),
        ("page.html", '<img src="//cdn.example/x.png">'),
        ("page.html", '<link rel="stylesheet" href="https://cdn.example/x.css">'),
        ("page.html", "<style>body{background:url(https://cdn.example/x.png)}</style>"),
        ("page.html", '<script>import("https://cdn.example/x.js")</script>'),
        ("style.css", "@import 'https://cdn.example/x.css';"),
        ("script.js", "fetch('https://cdn.example/x.json')"),
    ],
)
def test_a_resource_of_another_host_is_found(file: str, content: str, tmp_path: Path) -> None:
    (tmp_path / file).write_text(content, encoding="utf-8")
    (found,) = remote_resources(tmp_path)
    assert found.startswith(f"{file}: ")
    assert "//cdn.example/" in found


def test_a_link_that_a_reader_follows_is_no_resource(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text('<a href="https://arxiv.org/abs/1512.03385">paper</a>', encoding="utf-8")
    assert remote_resources(tmp_path) == []
