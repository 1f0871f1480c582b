"""A gateway that speaks the protocol over HTTP and over gRPC, shared by the tests of a module."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

from keras_archs.images.decoding import decode
from keras_archs.images.formats import inspect
from keras_archs.repository.artifact import read_card
from tests.support.gateway import running_gateway

MODEL = "efficientnet-lite0"


@dataclass(frozen=True)
class Server:
    """A running gateway with one model, which is loaded.

    Attributes:
        http: Address of HTTP, host:port.
        grpc: Address of gRPC, host:port.
        client: Asks over HTTP.
        pixels: A photograph in the size of the model's input, uint8 [1, H, W, C].
        jpeg: The same photograph as a file.
        expected: The scores of the photograph, float32 [1, classes].
    """

    http: str
    grpc: str
    client: httpx.Client
    pixels: NDArray[np.uint8]
    jpeg: bytes
    expected: NDArray[np.float32]


@pytest.fixture(scope="module")
def server(
    lite0_repository: Path, photographs: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A running gateway with efficientnet-lite0 loaded."""
    log = tmp_path_factory.mktemp("gateway") / "log"
    flags = ("--preload", MODEL, "--max-body-mb", "5", "--grpc-port", "0")
    jpeg = photographs["chelsea"]
    card = read_card(lite0_repository / MODEL / "1")
    with running_gateway(lite0_repository, log, *flags) as gateway:
        answer = gateway.client.post(f"/classify/{MODEL}?top_k={len(card.labels)}", content=jpeg).raise_for_status()
        scores = np.zeros((1, len(card.labels)), np.float32)
        for found in answer.json()["images"][0]:
            scores[0, found["index"]] = found["score"]
        pixels = decode(inspect(jpeg), card.preprocessing)[np.newaxis]
        yield Server(f"127.0.0.1:{gateway.port}", gateway.grpc_address(), gateway.client, pixels, jpeg, scores)
