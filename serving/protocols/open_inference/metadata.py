"""What the server and its models are, and whether they are ready; the same over HTTP and over gRPC."""

from __future__ import annotations

import re
from importlib import metadata

from serving.core.access import Caller
from serving.core.engine import Engine, State
from serving.core.errors import ServingError
from serving.core.repository import ModelSpec
from serving.core.service import ClassificationService
from serving.protocols.open_inference.inputs import DATATYPES, ENCODED, PIXELS
from serving.protocols.open_inference.outputs import PROBABILITIES
from serving.protocols.open_inference.schemas import IndexEntry, ModelMetadata, ServerMetadata, TensorMetadata

EXTENSIONS = ["binary_tensor_data", "classification"]
PLATFORM = "tensorflow_savedmodel"
"""The format of the published models; the engine may convert them."""

_LONGEST = 128
"""Letters of the longest name or label that can exist."""
_NUMBER = re.compile(r"[0-9]{1,19}")
_STATES = {
    State.READY: "READY",
    State.IDLE: "READY",  # it answers, after it has been loaded on first use
    State.LOADING: "LOADING",
    State.FAILED: "UNAVAILABLE",
}


def selected(name: str, version: str = "") -> ModelSpec:
    """Return the model that a request selects.

    Args:
        name: Name of the model.
        version: Number of a version, or one of its labels; empty for the newest version.
    """
    # errors repeat both, and a message may hold megabytes of them; one letter too many is enough to find nothing
    name, version = name[: _LONGEST + 1], version[: _LONGEST + 1]
    if not version:
        return ModelSpec(name)
    return ModelSpec(name, version=int(version)) if _NUMBER.fullmatch(version) else ModelSpec(name, label=version)


def server_metadata() -> ServerMetadata:
    """Describe the gateway."""
    return ServerMetadata(name="keras-archs", version=metadata.version("keras-archs"), extensions=EXTENSIONS)


async def model_metadata(service: ClassificationService, spec: ModelSpec, caller: Caller) -> ModelMetadata:
    """Describe the version that answers `spec`; it need not be loaded.

    Raises:
        ServingError: The caller may not use the model, or it is not published, or its card cannot be read.
    """
    service.check(spec, caller)
    _, card = await service.engine.resolve(spec)
    pixels = [-1, *card.preprocessing.size, card.preprocessing.channels]
    return ModelMetadata(
        name=spec.name,
        versions=[str(status.version) for status in service.engine.model_statuses().get(spec.name, ())],
        platform=PLATFORM,
        inputs=[
            TensorMetadata(name=PIXELS, datatype=DATATYPES[PIXELS], shape=pixels),
            TensorMetadata(name=ENCODED, datatype=DATATYPES[ENCODED], shape=[-1]),
        ],
        outputs=[TensorMetadata(name=PROBABILITIES, datatype="FP32", shape=[-1, len(card.labels)])],
    )


async def model_not_ready_reason(service: ClassificationService, spec: ModelSpec, caller: Caller) -> str | None:
    """Return why the version that answers `spec` cannot answer at present; None if it can.

    Raises:
        ServingError: The caller may not use the model, or it is not published.
    """
    service.check(spec, caller)
    try:
        version, _ = await service.engine.resolve(spec)
    except ServingError as error:
        return str(error)
    for status in service.engine.model_statuses().get(spec.name, ()):
        if status.version == version and _STATES[status.state] != "READY":
            return status.error or f"version {version} of {spec.name} is {status.state}"
    return None


def index(engine: Engine, caller: Caller, *, ready_only: bool) -> list[IndexEntry]:
    """List the versions of the models that a caller may use.

    Args:
        engine: Engine with the models.
        caller: Who asks.
        ready_only: Whether to leave out what is not ready.
    """
    entries = [
        IndexEntry(name=name, version=str(status.version), state=_STATES[status.state], reason=status.error or "")
        for name, statuses in sorted(engine.model_statuses().items())
        if caller.may_use(name)
        for status in statuses
    ]
    return [entry for entry in entries if entry.state == "READY" or not ready_only]
