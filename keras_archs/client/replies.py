"""From the gateway's HTTP answers to dataclasses or exceptions."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, NoReturn, TypeVar

import numpy as np

from keras_archs.client.answers import (
    Classification,
    Explanation,
    Model,
    ModelDetails,
    ModelInput,
    ModelVersion,
    Timing,
)
from keras_archs.client.errors import ProblemError, UnexpectedAnswerError
from keras_archs.images.labels import ClassScore
from keras_archs.repository.quantization import Quantization

T = TypeVar("T")

_PHASE = re.compile(r"(\w+);dur=(\d+(?:\.\d+)?)")
_ARITHMETIC = re.compile(r'(?:^|,)\s*inference;[^,]*\bdesc="?(\w+)')


@dataclass(frozen=True)
class Reply:
    """A complete HTTP answer.

    Attributes:
        status: HTTP status code.
        headers: Headers by name, in any case.
        content: The body.
        seconds: From the request to the end of the answer.
    """

    status: int
    headers: Mapping[str, str]
    content: bytes
    seconds: float


def classifications(reply: Reply) -> list[Classification]:
    """Return the classes of each image."""

    def read(document: Any) -> list[Classification]:
        arithmetic, timing = _arithmetic(reply), _timing(reply)
        return [
            Classification(
                scores=tuple(map(_class_score, scores)),
                model=str(document["model"]),
                version=int(document["version"]),
                trained=bool(document["trained"]),
                weights=str(document["weights"]),
                multi_label=bool(document["multi_label"]),
                arithmetic=arithmetic,
                timing=timing,
            )
            for scores in document["images"]
        ]

    return _read(reply, read)


def explanation(reply: Reply) -> Explanation:
    """Return the evidence for a class by image position."""
    return _read(
        reply,
        lambda document: Explanation(
            explained=_class_score(document["class"]),
            grid=np.array(document["grid"], np.float32),
            input=_model_input(document["input"]),
            model=str(document["model"]),
            version=int(document["version"]),
            trained=bool(document["trained"]),
            weights=str(document["weights"]),
            arithmetic=_arithmetic(reply),
            timing=_timing(reply),
        ),
    )


def models(reply: Reply) -> tuple[Model, ...]:
    """Return the published models."""
    return _read(reply, lambda document: tuple(Model(**_model_fields(model)) for model in document))


def model_details(reply: Reply) -> ModelDetails:
    """Return one model."""
    return _read(
        reply,
        lambda document: ModelDetails(
            **_model_fields(document),
            version=int(document["version"]),
            trained=bool(document["trained"]),
            weights=str(document["weights"]),
            multi_label=bool(document["multi_label"]),
            created=str(document["created"]),
            input=_model_input(document["input"]),
            labels=tuple(map(str, document["labels"])),
            explains=document["explain"] is not None,
            quantization=None if (made := document["quantization"]) is None else Quantization.from_json(made),
        ),
    )


def readiness(reply: Reply) -> bool:
    """Return whether the gateway says that it is ready."""
    if reply.status == HTTPStatus.SERVICE_UNAVAILABLE:
        return False
    return _read(reply, lambda document: bool(document["status"] == "ready"))


def problem(reply: Reply) -> ProblemError:
    """Return the error that an answer describes, whether as a problem document or by its status alone."""
    retry_after = _retry_after(reply.headers.get("Retry-After", ""))
    if _media_type(reply) == "application/problem+json":
        try:
            document = json.loads(reply.content)
            return ProblemError(
                status=reply.status,
                slug=str(document["type"]).rpartition(":")[2],
                title=str(document["title"]),
                detail=str(document["detail"]),
                request_id=str(document["request_id"]),
                retry_after=retry_after,
            )
        except (ValueError, KeyError, TypeError):
            pass
    title = HTTPStatus(reply.status).phrase if reply.status in list(HTTPStatus) else "Unknown status"
    return ProblemError(
        status=reply.status,
        title=title,
        detail=f"{title}, from a server that is not the gateway or is before it",
        request_id=reply.headers.get("X-Request-ID", ""),
        retry_after=retry_after,
    )


def phases(server_timing: str) -> dict[str, float]:
    """Return the seconds of each phase in a header `Server-Timing`."""
    return {name: float(milliseconds) / 1000 for name, milliseconds in _PHASE.findall(server_timing)}


def _read(reply: Reply, read: Callable[[Any], T]) -> T:
    if reply.status >= HTTPStatus.BAD_REQUEST:
        raise problem(reply)
    if reply.status != HTTPStatus.OK or _media_type(reply) != "application/json":
        _refuse(reply, f"status {reply.status} and the type {_media_type(reply) or 'none'!r}")
    try:
        return read(json.loads(reply.content))
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        _refuse(reply, f"{len(reply.content)} bytes of JSON that are no such answer: {type(error).__name__}", error)


def _refuse(reply: Reply, received: str, cause: Exception | None = None) -> NoReturn:
    location = reply.headers.get("Location")
    hint = f"; it redirects to {location[:200]}" if location else ""
    raise UnexpectedAnswerError(f"this is no answer of a gateway: got {received}{hint}; check the URL") from cause


def _media_type(reply: Reply) -> str:
    return reply.headers.get("Content-Type", "").partition(";")[0].strip().lower()


def _timing(reply: Reply) -> Timing:
    spent = phases(reply.headers.get("Server-Timing", ""))
    decode, queue, inference = (spent.get(phase, 0.0) for phase in ("decode", "queue", "inference"))
    return Timing(decode, queue, inference, reply.seconds)


def _arithmetic(reply: Reply) -> str | None:
    found = _ARITHMETIC.search(reply.headers.get("Server-Timing", ""))
    return found[1] if found else None


def _class_score(document: Any) -> ClassScore:
    wordnet_id = document["wordnet_id"]
    return ClassScore(
        index=int(document["index"]),
        label=str(document["label"]),
        wordnet_id=None if wordnet_id is None else str(wordnet_id),
        score=float(document["score"]),
    )


def _model_input(document: Any) -> ModelInput:
    height, width = map(int, document["size"])
    return ModelInput(
        size=(height, width),
        channels=int(document["channels"]),
        crop_fraction=float(document["crop_fraction"]),
        interpolation=str(document["interpolation"]),
    )


def _model_fields(document: Any) -> dict[str, Any]:
    return {
        "name": str(document["name"]),
        "versions": tuple(
            ModelVersion(
                version=int(version["version"]),
                state=str(version["state"]),
                labels=tuple(map(str, version["labels"])),
                error=version["error"],
                arithmetic=version["arithmetic"],
            )
            for version in document["versions"]
        ),
        "problems": tuple(map(str, document["problems"])),
    }


def _retry_after(header: str) -> float | None:
    """Return the seconds of a header `Retry-After`, which may also be a date (RFC 9110, section 10.2.3)."""
    if header.isascii() and header.isdecimal():
        return float(header)
    try:
        moment = parsedate_to_datetime(header)
    except ValueError:
        return None
    return max(0.0, (moment.astimezone(UTC) - datetime.now(UTC)).total_seconds())
