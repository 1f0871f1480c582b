"""Everything that can go wrong with a request: one class per kind, each with its HTTP status and title.

Responses and the OpenAPI document are made from these, so a kind is described in one place. The core raises them
without knowing of HTTP beyond the number.
"""

from __future__ import annotations

from typing import ClassVar

CLIENT_CLOSED_REQUEST = 499  # not in the standard; nginx's word for a client that did not wait


class ServingError(Exception):
    """A request that cannot be answered. The message is for the client: no paths, no internals.

    Attributes:
        status: HTTP status code.
        slug: Name of the kind, the last part of a problem's `type`.
        title: What the kind is, the same for each occurrence.
        retry_after: Seconds after which the same request may succeed; None if it never will.
    """

    status: ClassVar[int] = 500
    slug: ClassVar[str] = "internal-error"
    title: ClassVar[str] = "The server failed"
    retry_after: ClassVar[int | None] = None


class InvalidImageError(ServingError):
    """The bytes are no image, or a broken one."""

    status, slug, title = 400, "invalid-image", "Not a readable image"


class MalformedRequestError(ServingError):
    """The body does not have the form that its media type promises."""

    status, slug, title = 400, "malformed-request", "The request body is malformed"


class ModelNotFoundError(ServingError):
    """No model of that name is published."""

    status, slug, title = 404, "model-not-found", "Unknown model"


class VersionNotFoundError(ServingError):
    """The model has no such version, or its policy does not serve it."""

    status, slug, title = 404, "version-not-found", "Unknown version"


class LabelNotFoundError(ServingError):
    """No version of the model carries that label."""

    status, slug, title = 404, "label-not-found", "Unknown version label"


class NotAcceptableError(ServingError):
    """The client takes none of the media types that there are of the answer."""

    status, slug, title = 406, "not-acceptable", "No acceptable media type"


class UploadTimeoutError(ServingError):
    """The client took too long to send its request."""

    status, slug, title = 408, "upload-timeout", "The request body arrived too slowly"


class BodyTooLargeError(ServingError):
    """The body has more bytes than the server reads."""

    status, slug, title = 413, "body-too-large", "The request body is too large"


class ImageTooLargeError(ServingError):
    """The image claims more pixels than the server decodes."""

    status, slug, title = 413, "image-too-large", "The image has too many pixels"


class UnsupportedMediaTypeError(ServingError):
    """The body is of a media type that is not an image, a form or JSON."""

    status, slug, title = 415, "unsupported-media-type", "Unsupported media type"


class InvalidParameterError(ServingError):
    """A path or query parameter, or a JSON field, is out of its range."""

    status, slug, title = 422, "invalid-parameter", "Invalid parameter"


class ExplanationUnsupportedError(ServingError):
    """The version has no class activation maps, as its network ends otherwise or its export is too old."""

    status, slug, title = 422, "explanation-unsupported", "The network cannot be explained"


class OverloadedError(ServingError):
    """More requests wait than the server lets wait."""

    status, slug, title, retry_after = 503, "overloaded", "The server is overloaded", 1


class ModelUnavailableError(ServingError):
    """The model is published, but no version of it can be loaded at present."""

    status, slug, title, retry_after = 503, "model-unavailable", "The model is not available", 5


class BackendUnavailableError(ServingError):
    """The inference server is away, or went away while it computed the answer."""

    status, slug, title, retry_after = 503, "backend-unavailable", "The inference server is not available", 2


class DeadlineExceededError(ServingError):
    """The answer was not ready in time."""

    status, slug, title, retry_after = 504, "deadline-exceeded", "The deadline passed", 1


OF_CLASSIFYING: tuple[type[ServingError], ...] = (
    InvalidImageError,
    MalformedRequestError,
    ModelNotFoundError,
    VersionNotFoundError,
    LabelNotFoundError,
    UploadTimeoutError,
    BodyTooLargeError,
    ImageTooLargeError,
    UnsupportedMediaTypeError,
    InvalidParameterError,
    OverloadedError,
    ModelUnavailableError,
    BackendUnavailableError,
    DeadlineExceededError,
)
OF_EXPLAINING = (*OF_CLASSIFYING, NotAcceptableError, ExplanationUnsupportedError)
