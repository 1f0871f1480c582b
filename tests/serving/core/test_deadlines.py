"""A missed deadline says whose it was: the gateway's own, or a shorter one that the client chose."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from serving.core.access import Caller
from serving.core.decoding import Decoder
from serving.core.engine import Engine, Model
from serving.core.errors import ClientDeadlineError, DeadlineExceededError
from serving.core.repository import ModelSpec
from serving.core.service import ClassificationService

GATEWAYS = 0.05  # seconds


class LoadsForever:
    """An engine whose models are never loaded."""

    async def acquire(self, spec: ModelSpec) -> Model:
        """Wait."""
        await asyncio.sleep(3600)
        raise AssertionError


class ServerTooLate:
    """An engine whose server reports the missed deadline first."""

    async def acquire(self, spec: ModelSpec) -> Model:
        """Fail."""
        raise DeadlineExceededError("the inference server did not answer in time")


@pytest.mark.parametrize("engine", [LoadsForever(), ServerTooLate()])
@pytest.mark.parametrize(
    ("clients", "kind"),
    [
        (0.01, ClientDeadlineError),
        (None, DeadlineExceededError),
        (GATEWAYS, DeadlineExceededError),
        (9, DeadlineExceededError),
    ],
)
def test_a_deadline_is_the_clients_only_if_it_is_shorter(
    engine: Any, clients: float | None, kind: type[DeadlineExceededError]
) -> None:
    async def scenario() -> None:
        service = ClassificationService(
            cast(Engine, engine), Decoder(workers=1, max_pixels=1, max_memory=1), timeout_seconds=GATEWAYS
        )
        with pytest.raises(DeadlineExceededError) as raised:
            await service.classify([b"x"], ModelSpec("net"), caller=Caller("a"), timeout_seconds=clients)
        assert type(raised.value) is kind
        await service.close()

    asyncio.run(scenario())
