"""The README is short, its facts are the registry's, and its links lead somewhere."""

from __future__ import annotations

import re
from urllib.parse import unquote

from docs.tools.families import FAMILIES, networks
from keras_archs.registry import list_models
from tests.support.snippets import README, ROOT, text

TEXT = text(README)


def test_it_has_at_most_200_lines() -> None:
    assert len(TEXT.splitlines()) <= 200


def test_the_first_request_is_on_the_first_screen() -> None:
    assert "curl" in "\n".join(TEXT.splitlines()[:40])


def test_the_table_of_families_counts_the_registry() -> None:
    rows = re.findall(r"^\| \[(.*?)\]\(docs/families/(.*?)\.md\) \| (\d+) \|", TEXT, re.MULTILINE)
    assert rows == [(family.title, family.slug, str(len(networks(family)))) for family in FAMILIES]
    assert f"{len(list_models())} networks in {len(FAMILIES)} families." in TEXT


def test_the_networks_with_imagenet_weights_are_named() -> None:
    numbers = [name.removeprefix("efficientnet-lite") for name in list_models(weights="imagenet")]
    assert f"ImageNet weights come with EfficientNet-Lite{', '.join(numbers[:-1])} and {numbers[-1]}" in TEXT


def test_every_link_leads_to_a_file() -> None:
    targets = re.findall(r"\]\(([^)#]+)[^)]*\)", TEXT)
    assert [target for target in targets if not (ROOT / unquote(target)).exists()] == []
