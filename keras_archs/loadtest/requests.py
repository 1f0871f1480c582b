"""What is sent: a photograph in the form of each protocol."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final
from urllib.parse import quote


@dataclass(frozen=True)
class LoadRequest:
    """A POST request.

    Attributes:
        path: Path and query below the server's URL.
        headers: Headers by name.
        body: The body.
    """

    path: str
    headers: Mapping[str, str]
    body: bytes


def rest(model: str, photo: bytes, timeout: float) -> LoadRequest:
    """Ask the gateway's own REST API, which is also told the deadline."""
    return LoadRequest(
        f"/classify/{quote(model, safe='')}?timeout={timeout:g}", {"Content-Type": "application/octet-stream"}, photo
    )


def tensorflow_rest(model: str, photo: bytes, timeout: float) -> LoadRequest:
    """Ask the REST API of TensorFlow Serving."""
    encoded = base64.b64encode(photo).decode()
    body = {"signature_name": "serving_bytes", "instances": [{"b64": encoded}]}
    return LoadRequest(
        f"/v1/models/{quote(model, safe='')}:predict", {"Content-Type": "application/json"}, json.dumps(body).encode()
    )


def open_inference(model: str, photo: bytes, timeout: float) -> LoadRequest:
    """Ask by the Open Inference Protocol over HTTP, with binary tensors in both directions."""
    element = len(photo).to_bytes(4, "little") + photo
    tensor = {
        "name": "image_bytes",
        "datatype": "BYTES",
        "shape": [1],
        "parameters": {"binary_data_size": len(element)},
    }
    header = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    return LoadRequest(
        f"/v2/models/{quote(model, safe='')}/infer",
        {"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": str(len(header))},
        header + element,
    )


PROTOCOLS: Final[Mapping[str, Callable[[str, bytes, float], LoadRequest]]] = MappingProxyType(
    {"rest": rest, "v1": tensorflow_rest, "v2": open_inference}
)
"""Functions from a model's name, a photograph and the seconds until the deadline to a request, by protocol."""
