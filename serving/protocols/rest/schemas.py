"""The JSON that clients send and receive. The OpenAPI document is made from these."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from serving.core.engine import State


class ImagesIn(BaseModel):
    """Images as JSON."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"images": ["/9j/4AAQSkZJRgABAQ..."]}]})

    images: Annotated[
        list[str],
        Field(min_length=1, description="Encoded images (JPEG, PNG, WebP, BMP, GIF), each in standard base64."),
    ]


class PatienceIn(BaseModel):
    """How long a client will wait, in the query."""

    timeout: float | None = Field(
        None, gt=0, allow_inf_nan=False, description="Seconds that you will wait; the gateway's own bound is the most."
    )


class WantedIn(PatienceIn):
    """What a client may say of the answer in the query."""

    top_k: int | None = Field(
        None, ge=1, description="Classes to return per image, at most as many as the model has. Default: 5."
    )


class ExplainIn(PatienceIn):
    """What a client may ask to have explained in the query."""

    index: int | None = Field(None, alias="class", ge=0, description="Class index, from 0. Default: the likeliest.")


class ClassOut(BaseModel):
    """One class and its score."""

    index: int = Field(description="Class index, from 0.", examples=[967])
    label: str = Field(examples=["espresso"])
    wordnet_id: str | None = Field(description="WordNet id of ImageNet's classes, else null.", examples=["n07920052"])
    score: float = Field(description="Probability, 0 to 1.", examples=[0.95])


class ClassificationOut(BaseModel):
    """The answer: one entry per image, in the order they were sent."""

    model: str = Field(examples=["efficientnet-lite0"])
    version: int = Field(description="The version that answered.", examples=[1])
    trained: bool = Field(description="False: weights as initialised, the scores mean nothing.")
    weights: str = Field(description="What the weights were trained on or loaded from.")
    images: list[list[ClassOut]] = Field(description="Per image its best classes, best first.")


class InputOut(BaseModel):
    """What the model sees of an image."""

    size: tuple[int, int] = Field(description="Height and width, in pixels.")
    channels: int
    crop_fraction: float
    interpolation: str


class ExplanationOut(BaseModel):
    """Which places of an image speak for a class."""

    model: str = Field(examples=["efficientnet-lite0"])
    version: int = Field(description="The version that answered.", examples=[1])
    trained: bool = Field(description="False: weights as initialised, the map means nothing.")
    weights: str = Field(description="What the weights were trained on or loaded from.")
    explained: ClassOut = Field(serialization_alias="class", description="The class that the map is of.")
    grid: list[list[float]] = Field(
        description="Class activation map by rows, over the part of the image that the model sees (`input`). Its mean, "
        "plus the class's bias, is the class's logit.",
        examples=[[[0.2, 1.5], [0.1, 0.4]]],
    )
    input: InputOut


class VersionOut(BaseModel):
    """One version of a model."""

    version: int
    state: State = Field(description="idle: loads on first use. failed: see `error`.")
    labels: list[str] = Field(description="Version labels, e.g. stable, canary.")
    error: str | None = Field(None, description="Why the version cannot be served.")


class ModelOut(BaseModel):
    """A published model."""

    name: str
    versions: list[VersionOut]
    classify: str = Field(description="Path to send images to.")


class ModelDetailOut(ModelOut):
    """A published model, with the card of the version that answers."""

    version: int = Field(description="The version that the fields below describe.")
    classes: int
    trained: bool
    weights: str
    created: str
    input: InputOut
    labels: list[str] = Field(description="Class names, by index.")
    explain: str | None = Field(
        description="Path to send an image to that is to be explained; null: the network cannot."
    )


class HealthOut(BaseModel):
    """The process, or the service, is well."""

    status: str = "ok"
