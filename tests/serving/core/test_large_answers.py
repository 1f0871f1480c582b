"""Answers with many scores: they do not keep the event loop from other clients."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from keras_archs.images.labels import best_classes
from serving.core import service
from tests.serving.core.test_service import CALLER, IMAGE, NET, started


@pytest.mark.parametrize(("images", "top_k", "leaves_the_loop"), [(1, 5, False), (10, 5, False), (10, 20, True)])
def test_scores_of_a_large_answer_are_put_together_off_the_event_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, images: int, top_k: int, leaves_the_loop: bool
) -> None:
    threads = set()

    def recording(*arguments: Any) -> Any:
        threads.add(threading.get_ident())
        return best_classes(*arguments)

    async def scenario() -> None:
        async with started(tmp_path) as classifying:
            answer = await classifying.classify([IMAGE] * images, NET, caller=CALLER, top_k=top_k)
        assert [len(scores) for scores in answer.images] == [top_k] * images

    monkeypatch.setattr(service, "LARGE_ANSWER", 100)
    monkeypatch.setattr(service, "best_classes", recording)
    asyncio.run(scenario())
    assert (threading.get_ident() not in threads) == leaves_the_loop
