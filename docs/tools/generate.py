"""Write the generated parts of the site into ``docs/generated``, and copy the notebooks beside the pages."""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import keras_archs.training
from docs.tools import api, commands, rest, tables
from docs.tools.families import FAMILIES, Block

DOCS = Path(__file__).parents[1]
GENERATED = DOCS / "generated"
NOTEBOOKS = DOCS / "notebooks"


def main() -> None:
    """Write what has changed; Sphinx then reads again only the pages that include it."""
    for name, text in texts():
        write(GENERATED / name, text)
    for name, picture in pictures():
        write(GENERATED / name, picture)
    NOTEBOOKS.mkdir(exist_ok=True)
    for notebook in sorted((DOCS.parent / "notebooks").glob("[0-9]*.ipynb")):
        copy = NOTEBOOKS / notebook.name
        if not copy.exists() or copy.read_bytes() != notebook.read_bytes():
            shutil.copyfile(notebook, copy)


def texts() -> Iterator[tuple[str, str]]:
    """Yield file names and texts of all generated Markdown."""
    yield "networks.md", tables.all_networks()
    yield "weights.md", tables.all_weights()
    yield "recipes.md", tables.recipes()
    yield "settings.md", tables.settings()
    yield "problems.md", tables.problems()
    yield "metrics.md", tables.metrics()
    yield "alerts.md", tables.alerts()
    yield "rest.md", rest.reference()
    yield "commands.md", commands.reference()
    readme = (NOTEBOOKS.parents[1] / "notebooks" / "README.md").read_text(encoding="utf-8")
    yield "notebooks.md", readme.replace("](0", "](notebooks/0")
    yield "growth.md", tables.growth()
    for family in FAMILIES:
        yield f"paper-{family.slug}.md", tables.paper(family.slug)
        yield f"variants-{family.slug}.md", tables.variants(family.slug)
    for page, names in api.pages().items():
        yield f"{page.replace('/', '-')}.md", api.directives(names)
    yield "api-training.md", api.directives(keras_archs.training.__all__, keras_archs.training)


def pictures() -> Iterator[tuple[str, str]]:
    """Yield file names and SVG of all blocks; each network is built once, without values for its weights."""
    from docs.tools.blocks import block
    from docs.tools.drawing import svg
    from keras_archs.analysis.weightless import weightless
    from keras_archs.registry import create_model, model_card

    by_network: defaultdict[str, list[Block]] = defaultdict(list)
    for family in FAMILIES:
        for shown in family.blocks:
            by_network[shown.network].append(shown)
    for name, blocks in by_network.items():
        with weightless():
            model = create_model(name)
            for shown in blocks:
                title = f"A block of {model_card(name).title}"
                yield f"block-{shown.slug}.svg", svg(block(model, shown.layers), title)


def write(path: Path, text: str) -> None:
    """Write a file unless it has this text already."""
    path.parent.mkdir(exist_ok=True)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
