"""Answers as JSON, and the request for the OpenAPI document."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, Field

from serving.protocols import examples
from serving.protocols.open_inference.inputs import DATATYPES, ENCODED, PIXELS
from serving.protocols.open_inference.outputs import PROBABILITIES


class LiveOut(BaseModel):
    """The process answers."""

    live: bool = True


class ReadyOut(BaseModel):
    """The gateway can answer inference requests."""

    ready: bool = True


class ServerMetadata(BaseModel):
    """What answers, and the extensions of the protocol that it has."""

    name: str
    version: str
    extensions: list[str]


class TensorMetadata(BaseModel):
    """One input or output of a model."""

    name: str
    datatype: str
    shape: list[int] = Field(description="Sizes; -1 stands for the number of images.")


class ModelMetadata(BaseModel):
    """What a model takes and gives. A request has one of the inputs."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class ModelReadyOut(BaseModel):
    """The model can answer inference requests."""

    name: str
    ready: bool = True


class IndexEntry(BaseModel):
    """One version of a model."""

    name: str
    version: str
    state: str = Field(description="READY, LOADING or UNAVAILABLE.")
    reason: str = Field(description="Why the version is not available; else empty.")


Parameters = Annotated[dict[str, bool | int | float | str], Field(description="Options; unknown options do nothing.")]


class InputIn(BaseModel):
    """The input of an inference request."""

    name: str = Field(description=f"{PIXELS}, or {ENCODED}.", examples=[ENCODED])
    datatype: str = Field(
        description=f"{DATATYPES[PIXELS]} for {PIXELS}, {DATATYPES[ENCODED]} for {ENCODED}.", examples=["BYTES"]
    )
    shape: list[int] = Field(description=f"[N, H, W, C] for {PIXELS}, [N] for {ENCODED}.", examples=[[1]])
    parameters: Parameters | None = None
    data: list[Any] | None = Field(
        None,
        description="Numbers from 0 to 255 by rows, flat or nested; or image files, each in base64. Without data, "
        "`binary_data_size` says how many bytes behind the JSON are the input's.",
        examples=[[examples.IMAGE]],
    )


class OutputIn(BaseModel):
    """A requested output."""

    name: str = Field(examples=[PROBABILITIES])
    parameters: Parameters | None = Field(None, examples=[{"classification": 5}])


class InferIn(BaseModel):
    """An inference request."""

    id: str | None = Field(None, description="Text that the answer repeats.")
    inputs: list[InputIn] = Field(min_length=1, max_length=1)
    outputs: list[OutputIn] | None = Field(None, max_length=1)
    parameters: Parameters | None = Field(
        None, description="`binary_data_output`: true or false; `timeout`: microseconds to wait for the answer."
    )


class OutputOut(BaseModel):
    """An output of an inference."""

    name: str = Field(examples=[PROBABILITIES])
    datatype: str = Field(description="FP32 for scores, BYTES for classes.")
    shape: list[int] = Field(description="Images, and classes of each.")
    parameters: Parameters | None = None
    data: list[float] | list[str] | None = Field(
        None, description="Scores of all classes, or the best classes as score:index:label, image by image."
    )


class InferOut(BaseModel):
    """The answer to an inference request."""

    model_name: str
    model_version: str
    id: str | None = None
    parameters: Parameters
    outputs: list[OutputOut]

    model_config = {"protected_namespaces": ()}
