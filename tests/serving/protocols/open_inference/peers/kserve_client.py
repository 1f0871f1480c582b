"""Asks a server with kserve's clients, and with plain HTTP, and prints what came back by the name of the request.

Arguments: addresses of HTTP and of gRPC, host:port. The same requests go to every server.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable
from typing import Any

import grpc
import httpx
import numpy as np
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig
from kserve.inference_client import InferenceGRPCClient
from kserve.protocol.infer_type import RequestedOutput

PIXELS = np.random.default_rng(7).integers(0, 256, (2, 32, 24, 3), np.uint8)
NAMES = ("images", "probabilities")


def request(
    *, binary: bool = True, pixels: Any = PIXELS, model: str = "colours", outputs: Any = None, **fields: Any
) -> InferRequest:
    """A request as kserve builds it."""
    given = InferInput(NAMES[0], list(pixels.shape), "UINT8")
    given.set_data_from_numpy(pixels, binary_data=binary)
    return InferRequest(model, [given], request_outputs=outputs, **fields)


def shown(response: Any) -> Any:
    """What a response has, apart from what servers choose."""
    outputs = [
        {"name": output.name, "datatype": output.datatype, "shape": output.shape, "data": output.as_numpy().tolist()}
        for output in response.outputs
    ]
    return {"model": response.model_name, "id": response.id, "outputs": outputs}


async def outcome(work: Awaitable[Any]) -> Any:
    """The result, or the status of the error and whether it has a text."""
    try:
        return await work
    except httpx.HTTPStatusError as error:
        body = error.response.json()
        return {"status": error.response.status_code, "fields": sorted(body), "has_text": bool(body.get("error"))}
    except httpx.TransportError as error:
        return {"failure": type(error).__name__}
    except grpc.aio.AioRpcError as error:
        return {"code": error.code().name}


async def plain(client: httpx.AsyncClient, method: str, path: str, **content: Any) -> Any:
    """Status and, of a success, the body; of an error, its fields."""
    response = await client.request(method, path, **content)
    if response.headers.get("content-type") != "application/json":
        return {"status": response.status_code, "text": response.text}
    body = response.json()
    if response.is_success:
        return {"status": response.status_code, "body": body}
    return {"status": response.status_code, "fields": sorted(body)}


async def main(http: str, grpc_target: str) -> None:
    url = f"http://{http}"
    asked: dict[str, Awaitable[Any]] = {}
    client = InferenceRESTClient(RESTConfig(protocol="v2", retries=0, timeout=60))

    async def infer(**options: Any) -> Any:
        model = options.get("model", "colours")
        return shown(await client.infer(url, request(**options), model_name=model))

    asked["live"] = client.is_server_live(url)
    asked["ready"] = client.is_server_ready(url)
    asked["model ready"] = client.is_model_ready(url, "colours")
    asked["unknown model ready"] = client.is_model_ready(url, "nothing")
    asked["infer, binary"] = infer(request_id="42")
    asked["infer, JSON"] = infer(request_id="42", binary=False)
    asked["infer, binary output"] = infer(request_id="42", parameters={"binary_data_output": True})
    asked["infer, chosen output"] = infer(request_id="42", outputs=[RequestedOutput(NAMES[1], {"binary_data": True})])
    asked["infer, unknown output"] = infer(request_id="42", outputs=[RequestedOutput("logits")])
    asked["infer, unknown model"] = infer(model="nothing")
    asked["infer, wrong size"] = infer(pixels=PIXELS[:, :16])

    async with (
        httpx.AsyncClient(base_url=url, timeout=60, limits=httpx.Limits(max_keepalive_connections=0)) as raw,
        InferenceGRPCClient(grpc_target, retries=0, channel_args=[("grpc.enable_retries", 0)]) as calls,
    ):
        described = {"name": NAMES[0], "shape": [1, 1, 1, 3], "datatype": "UINT8"}
        asked["model"] = plain(raw, "GET", "/v2/models/colours")
        asked["unknown model"] = plain(raw, "GET", "/v2/models/nothing")
        asked["unknown path"] = plain(raw, "GET", "/v2/nothing")
        asked["no JSON"] = plain(raw, "POST", "/v2/models/colours/infer", content=b"{")
        asked["no inputs"] = plain(raw, "POST", "/v2/models/colours/infer", json={})
        asked["no data"] = plain(raw, "POST", "/v2/models/colours/infer", json={"inputs": [described]})
        too_few = {"inputs": [{**described, "data": [1, 2]}]}
        asked["too few data"] = plain(raw, "POST", "/v2/models/colours/infer", json=too_few)
        no_number = {"inputs": [{**described, "data": [1, 2, "x"]}]}
        asked["no number"] = plain(raw, "POST", "/v2/models/colours/infer", json=no_number)
        asked["wrong binary size"] = plain(
            raw,
            "POST",
            "/v2/models/colours/infer",
            content=json.dumps({"inputs": [{**described, "parameters": {"binary_data_size": 9}}]}).encode(),
            headers={"Inference-Header-Content-Length": "5"},
        )

        async def call(**options: Any) -> Any:
            return shown(await calls.infer(request(request_id="42", **options)))

        asked["gRPC, live"] = calls.is_server_live()
        asked["gRPC, ready"] = calls.is_server_ready()
        asked["gRPC, model ready"] = calls.is_model_ready("colours")
        asked["gRPC, unknown model ready"] = calls.is_model_ready("nothing")
        asked["gRPC, infer, raw"] = call()
        asked["gRPC, infer, contents"] = call(binary=False)
        asked["gRPC, infer, unknown model"] = call(model="nothing")
        asked["gRPC, infer, wrong size"] = call(pixels=PIXELS[:, :16])
        print(json.dumps({name: await outcome(work) for name, work in asked.items()}))
    await client.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
