"""A client for the gateway, blocking and for asyncio, with typed answers. It needs neither Keras nor TensorFlow."""

try:
    from keras_archs.client.async_client import AsyncClient
    from keras_archs.client.client import Client
except ModuleNotFoundError as error:
    if error.name not in {"httpx", "tenacity"}:
        raise
    raise ModuleNotFoundError(
        f"{error.name} is not installed: pip install 'keras-archs[client]'", name=error.name
    ) from error
from keras_archs.client.answers import (
    Classification,
    Explanation,
    Model,
    ModelDetails,
    ModelInput,
    ModelVersion,
    Timing,
)
from keras_archs.client.encoding import ImageLike
from keras_archs.client.errors import ClientError, NoAnswerError, ProblemError, UnexpectedAnswerError
from keras_archs.images.labels import ClassScore
from keras_archs.repository.quantization import Quantization

__all__ = [
    "AsyncClient",
    "ClassScore",
    "Classification",
    "Client",
    "ClientError",
    "Explanation",
    "ImageLike",
    "Model",
    "ModelDetails",
    "ModelInput",
    "ModelVersion",
    "NoAnswerError",
    "ProblemError",
    "Quantization",
    "Timing",
    "UnexpectedAnswerError",
]
