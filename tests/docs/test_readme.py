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


def test_the_networks_with_published_weights_are_counted() -> None:
    imagenet, cifar = len(list_models(weights="imagenet")), len(list_models(weights="cifar10"))
    assert f"for ImageNet fit {imagenet} of them, for CIFAR-10 {cifar};" in TEXT
    assert f"for {imagenet + cifar} networks, by name" in TEXT


def test_every_link_leads_to_a_file() -> None:
    targets = re.findall(r"\]\(([^)#]+)[^)]*\)", TEXT)
    assert [target for target in targets if not (ROOT / unquote(target)).exists()] == []
