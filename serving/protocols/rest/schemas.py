"""Query parameters and JSON bodies. The OpenAPI document is generated from these models."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from keras_archs.runtimes.runtime import Arithmetic
from serving.core.engine import State
from serving.protocols import examples
from serving.protocols.fixed_arrays import fixed_array

HeightAndWidth = Annotated[tuple[int, int], fixed_array(2, "integer")]


class ImagesBody(BaseModel):
    """Images as JSON."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"images": [examples.IMAGE]}]})

    images: Annotated[
        list[str],
        Field(min_length=1, description="Encoded images (JPEG, PNG, WebP, BMP, GIF), each in standard base64."),
    ]


class TimeoutQuery(BaseModel):
    """The query parameter of all image requests."""

    timeout: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        description="Seconds to wait for the answer, at most the gateway's own timeout, which is the default.",
    )


class ClassifyQuery(TimeoutQuery):
    """Query parameters of classify requests."""

    top_k: int | None = Field(
        None, ge=1, description="Classes to return per image, at most as many as the model has. Default: 5."
    )


class ExplainQuery(TimeoutQuery):
    """Query parameters of explain requests."""

    index: int | None = Field(
        None, alias="class", ge=0, description="Class index, from 0. Default: the most probable class."
    )


class ClassOut(BaseModel):
    """One class and its score."""

    index: int = Field(description="Class index, from 0.", examples=[967])
    label: str = Field(examples=["espresso"])
    wordnet_id: str | None = Field(description="WordNet id of ImageNet's classes, else null.", examples=["n07920052"])
    score: float = Field(description="Probability, 0 to 1.", examples=[0.95])


class ClassificationOut(BaseModel):
    """The best classes of each image, in the order of the request."""

    model: str = Field(examples=["efficientnet-lite0"])
    version: int = Field(description="The version that answered.", examples=[1])
    trained: bool = Field(description="False for randomly initialised weights, whose scores are meaningless.")
    weights: str = Field(description="Training set or source of the weights.")
    multi_label: bool = Field(
        description="True if each score stands for itself, because an image may show several classes; false if the "
        "scores of all classes add up to 1."
    )
    images: list[list[ClassOut]] = Field(description="Best classes of each image, best first.")


class InputOut(BaseModel):
    """Preprocessing of an image for the model."""

    size: HeightAndWidth = Field(description="Height and width, in pixels.")
    channels: int
    crop_fraction: float
    interpolation: str


class ExplanationOut(BaseModel):
    """The evidence for a class by image position."""

    model: str = Field(examples=["efficientnet-lite0"])
    version: int = Field(description="The version that answered.", examples=[1])
    trained: bool = Field(description="False for randomly initialised weights, whose map is meaningless.")
    weights: str = Field(description="Training set or source of the weights.")
    explained: ClassOut = Field(serialization_alias="class", description="The explained class.")
    grid: list[list[float]] = Field(
        description="Class activation map by rows, over the part of the image that the model sees (`input`). Its mean "
        "plus the bias of the class is the logit of the class.",
        examples=[[[0.2, 1.5], [0.1, 0.4]]],
    )
    input: InputOut


class VersionOut(BaseModel):
    """One version of a model."""

    version: int
    state: State = Field(description="idle: loads on first use. failed: see `error`.")
    labels: list[str] = Field(description="Version labels, e.g. stable, canary.")
    error: str | None = Field(None, description="Why the version cannot be served.")
    arithmetic: Arithmetic | None = Field(
        None,
        description="What computes the answers: f32 (float32), bf16 (bfloat16), or int8 where the version is quantized "
        "and float32 elsewhere; null until the version is loaded.",
    )


class CalibrationOut(BaseModel):
    """The pictures that an int8 graph was calibrated on."""

    pictures: int = Field(description="Number of pictures.", examples=[300])
    fingerprint: str = Field(description="SHA-256 of the pictures' checksums.")


class AgreementOut(BaseModel):
    """How an int8 graph answers pictures that it was not calibrated on, compared with its float32 graph."""

    pictures: int = Field(description="Number of pictures.", examples=[500])
    top1: float = Field(description="Share of pictures with the same best class, 0 to 1.", examples=[0.99])
    largest_difference: float = Field(description="Largest difference of a probability.", examples=[0.05])
    mean_difference: float = Field(
        description="Mean over the pictures of the largest difference of a probability.", examples=[0.004]
    )


class AccuracyChangeOut(BaseModel):
    """Accuracy on labelled pictures that took no part in making an int8 graph."""

    pictures: int = Field(description="Number of pictures.", examples=[1000])
    float32: float = Field(description="Share of pictures that float32 answers rightly, 0 to 1.", examples=[0.981])
    int8: float = Field(description="Share of pictures that int8 answers rightly, 0 to 1.", examples=[0.98])


class QuantizationOut(BaseModel):
    """How the int8 graph of a version was made, and how its answers differ from float32."""

    source_version: int = Field(description="Version whose float32 graph was quantized.", examples=[1])
    layers: int = Field(description="Number of convolutions and matrix products.", examples=[50])
    int8_layers: int = Field(description="How many of them compute in int8.", examples=[48])
    calibration: CalibrationOut
    agreement: AgreementOut
    accuracy: AccuracyChangeOut | None = Field(description="Null if no labelled pictures were given.")


class ModelOut(BaseModel):
    """A published model."""

    name: str
    versions: list[VersionOut]
    classify: str = Field(description="Path for classify requests.")
    problems: list[str] = Field(
        description="What of the model is not served as it was meant to be, and why: folders that cannot be read or "
        "are no versions, and entries of models.config without effect."
    )


class ModelDetailOut(ModelOut):
    """A published model, with the card of the version that answers."""

    version: int = Field(description="The version that the fields below describe.")
    classes: int
    trained: bool
    weights: str
    multi_label: bool = Field(
        description="True if each score stands for itself, because an image may show several classes; false if the "
        "scores of all classes add up to 1."
    )
    created: str
    input: InputOut
    labels: list[str] = Field(description="Class names, by index.")
    explain: str | None = Field(
        description="Path for explain requests; null if the network has no class activation maps."
    )
    quantization: QuantizationOut | None = Field(description="The int8 graph of the version; null if there is none.")


class NetworkOut(BaseModel):
    """A network of the registry, as its authors published it: with their input size and number of classes."""

    name: str = Field(description="Name in the registry.", examples=["efficientnet-lite0"])
    title: str = Field(examples=["EfficientNet-Lite0"])
    paper: str = Field(description="Title of the publication.")
    year: int = Field(examples=[2019])
    arxiv: str = Field(description="arXiv identifier of the publication.", examples=["1905.11946"])
    size: HeightAndWidth = Field(description="Height and width of the input, in pixels, that the costs are for.")
    parameters: int = Field(description="Number of parameters.", examples=[4694024])
    macs: int = Field(description="Multiply-adds per image.", examples=[385187552])


class AccuracyOut(BaseModel):
    """A published accuracy."""

    top1: float = Field(description="Share of images whose best class is right, in per cent.", examples=[75.1])
    dataset: str = Field(description="Data set of the images.", examples=["imagenet"])
    source: str = Field(description="Publication of the value, in words.")


class VersionDetailOut(VersionOut):
    """One version of a model, with its card."""

    model: str = Field(examples=["efficientnet-lite0"])
    classes: int
    trained: bool = Field(description="False for randomly initialised weights, whose scores are meaningless.")
    weights: str = Field(description="Training set or source of the weights.")
    licence: str | None = Field(description="Licence of the published weights, if they have one.")
    multi_label: bool = Field(
        description="True if each score stands for itself, because an image may show several classes; false if the "
        "scores of all classes add up to 1."
    )
    created: str = Field(description="Time of the export, ISO 8601.")
    input: InputOut
    class_names: list[str] = Field(description="Class names, by index.")
    explain: str | None = Field(
        description="Path for explain requests; null if the network has no class activation maps."
    )
    network: NetworkOut | None = Field(
        description="The network of the registry that the version was built of; null if it is another network."
    )
    accuracy: AccuracyOut | None = Field(
        description="Accuracy that was published for exactly these weights; null for all others."
    )
    quantization: QuantizationOut | None = Field(description="The int8 graph of the version; null if there is none.")


class HealthOut(BaseModel):
    """Health of the process, or readiness of the service."""

    status: str = "ok"
