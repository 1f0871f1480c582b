"""Bodies of requests and answers, from which the OpenAPI document is generated."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from serving.protocols import examples
from serving.protocols.fixed_arrays import fixed_array
from serving.protocols.tensorflow_rest.signatures import CLASSIFY, ENCODED, ENCODED_FEATURE, INPUTS, PIXELS

_FORMS = (
    "pixels as nested lists of whole numbers from 0 to 255 in the size of the model's input, or encoded images (JPEG, "
    'PNG, WebP, BMP, GIF) as `{"b64": "<base64>"}`'
)
_ENCODED_IMAGE: JsonDict = {"b64": examples.IMAGE}


class PredictIn(BaseModel):
    """Images by row (`instances`) or by column (`inputs`)."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [{"required": ["instances"]}, {"required": ["inputs"]}],
            "examples": [{"instances": [_ENCODED_IMAGE]}],
        }
    )

    signature_name: str | None = Field(
        None, description=f"{PIXELS} for pixels, {ENCODED} for encoded images. Default: what the images are."
    )
    instances: list[Any] | None = Field(
        None,
        min_length=1,
        description=f"One item per image: {_FORMS}; or an object with the input's name, {INPUTS[PIXELS]} or "
        f"{INPUTS[ENCODED]}, and that.",
    )
    inputs: list[Any] | dict[str, list[Any]] | None = Field(
        None, description=f"A list with {_FORMS}; or an object with the input's name and that list."
    )


class PredictOut(BaseModel):
    """The scores of all classes for each image."""

    predictions: list[list[float]] | None = Field(None, description="Scores, if the request had `instances`.")
    outputs: list[list[float]] | None = Field(None, description="Scores, if the request had `inputs`.")


class ClassifyIn(BaseModel):
    """An example for each image."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"examples": [{ENCODED_FEATURE: _ENCODED_IMAGE}]}]})

    signature_name: str | None = Field(None, description=f"{CLASSIFY}, which is the default.")
    context: dict[str, Any] | None = Field(None, description="Features that all examples have.")
    examples: list[dict[str, Any]] = Field(
        min_length=1,
        description=f'Features by name. `{ENCODED_FEATURE}` is an encoded image as `{{"b64": "<base64>"}}`; other '
        "features have no effect.",
    )


LabelAndScore = Annotated[tuple[str, float], fixed_array(2, "string", "number")]


class ClassifyOut(BaseModel):
    """The best classes of each image, best first."""

    results: list[list[LabelAndScore]] = Field(description="Label and score of each class.")


class StatusOut(BaseModel):
    """Why a version is not available."""

    error_code: str = Field(description="OK, or UNKNOWN for a version that cannot be loaded.", examples=["OK"])
    error_message: str


class VersionStatusOut(BaseModel):
    """The state of a version."""

    version: str = Field(examples=["1"])
    state: str = Field(
        description="LOADING; AVAILABLE, also for a version that is loaded on first use; or END for a version that "
        "cannot be loaded.",
        examples=["AVAILABLE"],
    )
    status: StatusOut


class ModelStatusOut(BaseModel):
    """The states of versions, newest first."""

    model_version_status: list[VersionStatusOut]


class MetadataOut(BaseModel):
    """The signatures of a version."""

    model_spec: dict[str, str] = Field(examples=[{"name": "efficientnet-lite0", "signature_name": "", "version": "1"}])
    metadata: dict[str, Any] = Field(description="TensorFlow's `SignatureDefMap`, as protobuf's JSON.")
