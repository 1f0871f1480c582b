"""A `kserve.ModelServer` with the network of `tests.support.colours`, version 1. Arguments: ports of HTTP and gRPC."""

from __future__ import annotations

import sys
from typing import Any

import kserve
import numpy as np


class Colours(kserve.Model):
    """Finds the strongest colour the likeliest."""

    def __init__(self) -> None:
        super().__init__("colours")
        self.ready = True

    async def get_input_types(self) -> list[dict[str, Any]]:
        return [{"name": "images", "datatype": "UINT8", "shape": [-1, 32, 24, 3]}]

    async def get_output_types(self) -> list[dict[str, Any]]:
        return [{"name": "probabilities", "datatype": "FP32", "shape": [-1, 3]}]

    def predict(self, payload: Any, headers: Any = None, response_headers: Any = None) -> kserve.InferResponse:
        pixels = payload.inputs[0].as_numpy()
        if pixels.shape[1:] != (32, 24, 3):
            raise kserve.errors.InvalidInput(f"unexpected shape {pixels.shape}")
        raised = np.exp(5 * pixels.mean(axis=(1, 2)) / 255)
        scores = (raised / raised.sum(axis=1, keepdims=True)).astype(np.float32)
        output = kserve.InferOutput("probabilities", list(scores.shape), "FP32")
        output.set_data_from_numpy(scores, binary_data=payload.use_binary_outputs)
        return kserve.InferResponse(
            payload.id,
            self.name,
            [output],
            use_binary_outputs=payload.use_binary_outputs,
            requested_outputs=payload.request_outputs,
        )


if __name__ == "__main__":
    http_port, grpc_port = map(int, sys.argv[1:])
    kserve.ModelServer(http_port=http_port, grpc_port=grpc_port, workers=1).start([Colours()])
