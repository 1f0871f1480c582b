"""A gateway with efficientnet-lite0, shared by the tests of a module, which do not change the repository."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.gateway import Gateway, running_gateway


@pytest.fixture(scope="module")
def gateway(lite0_repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A running gateway with efficientnet-lite0 loaded, and a small limit on bodies so that tests can exceed it."""
    log = tmp_path_factory.mktemp("gateway") / "log"
    flags = ("--preload", "efficientnet-lite0", "--max-body-mb", "5")
    with running_gateway(lite0_repository, log, *flags) as running:
        yield running
