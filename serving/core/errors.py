"""The errors of a request: one class per kind, with its HTTP status and title.

Responses and the OpenAPI document are generated from these classes, so each kind is described once. The status number
is all that the core knows of HTTP.
"""

from __future__ import annotations

from typing import ClassVar

CLIENT_CLOSED_REQUEST = 499  # not in the standard: nginx's status for a client that disconnected before the answer


class ServingError(Exception):
    """A failed request. The message is shown to the client, so it must not contain paths or internals.

    Attributes:
        status: HTTP status code.
        slug: Identifier of the kind, the last part of a problem document's `type`.
        title: Short description of the kind, the same for each occurrence.
        retry_after: Seconds after which the same request may succeed; None if a retry is pointless.
        reason: Which limit was reached, in a word; empty for kinds of error that have one reason only.
    """

    status: ClassVar[int] = 500
    slug: ClassVar[str] = "internal-error"
    title: ClassVar[str] = "The server failed"
    retry_after: int | None = None

    def __init__(self, message: str = "", *, retry_after: int | None = None, reason: str = "") -> None:
        """Describe one failure.

        Args:
            message: What the client is told.
            retry_after: Seconds until a retry may succeed; None for those of the kind.
            reason: Which limit was reached, in a word.
        """
        super().__init__(message)
        self.reason = reason
        if retry_after is not None:
            self.retry_after = retry_after


class InvalidImageError(ServingError):
    """The bytes are not an image, or a damaged image."""

    status, slug, title = 400, "invalid-image", "Not a readable image"


class MalformedRequestError(ServingError):
    """The body cannot be parsed as its declared media type."""

    status, slug, title = 400, "malformed-request", "The request body is malformed"


class UnauthenticatedError(ServingError):
    """The request has no credentials, or they are not valid."""

    status, slug, title = 401, "unauthenticated", "Credentials are missing or not valid"


class ModelNotAllowedError(ServingError):
    """The caller's credentials are for other models."""

    status, slug, title = 403, "model-not-allowed", "The model is not allowed"


class ModelNotFoundError(ServingError):
    """No model of this name is published."""

    status, slug, title = 404, "model-not-found", "Unknown model"


class VersionNotFoundError(ServingError):
    """The model has no such version, or its version policy does not serve it."""

    status, slug, title = 404, "version-not-found", "Unknown version"


class LabelNotFoundError(ServingError):
    """No version of the model carries this label."""

    status, slug, title = 404, "label-not-found", "Unknown version label"


class NotAcceptableError(ServingError):
    """The client accepts none of the media types in which the answer is available."""

    status, slug, title = 406, "not-acceptable", "No acceptable media type"


class HeadersTimeoutError(ServingError):
    """The client took too long to send the headers."""

    status, slug, title = 408, "headers-timeout", "The request headers arrived too slowly"


class UploadTimeoutError(ServingError):
    """The client took too long to send the body."""

    status, slug, title = 408, "upload-timeout", "The request body arrived too slowly"


class BodyTooLargeError(ServingError):
    """The body has more bytes than the server accepts."""

    status, slug, title = 413, "body-too-large", "The request body is too large"


class ImageTooLargeError(ServingError):
    """By its header, the image has more pixels, or takes more memory or work, than the server decodes."""

    status, slug, title = 413, "image-too-large", "The image is too large"


class UrlTooLongError(ServingError):
    """Path and query have more bytes than the server accepts."""

    status, slug, title = 414, "url-too-long", "The path is too long"


class UnsupportedMediaTypeError(ServingError):
    """The body is not an image, a multipart form or JSON, or it is an image of a kind that is not decoded."""

    status, slug, title = 415, "unsupported-media-type", "Unsupported media type"


class InvalidParameterError(ServingError):
    """A path or query parameter, a JSON field or a form field has an invalid value, or there are too many images."""

    status, slug, title = 422, "invalid-parameter", "Invalid parameter"


class ExplanationUnsupportedError(ServingError):
    """The version has no class activation maps: its network has another head, or its export is too old."""

    status, slug, title = 422, "explanation-unsupported", "The network cannot be explained"


class RateLimitedError(ServingError):
    """The caller has sent more requests or bytes than its rate allows."""

    status, slug, title = 429, "rate-limited", "Too many requests"
    retry_after = 1


class HeadersTooLargeError(ServingError):
    """The headers have more bytes, or there are more headers, than the server accepts."""

    status, slug, title = 431, "headers-too-large", "The request headers are too large"


class OverloadedError(ServingError):
    """A limit on connections, on requests or on the memory of requests is reached."""

    status, slug, title = 503, "overloaded", "The server is overloaded"
    retry_after = 1


class ModelUnavailableError(ServingError):
    """The model is published, but the selected version is not loaded or cannot be loaded at present."""

    status, slug, title = 503, "model-unavailable", "The model is not available"
    retry_after = 5


class BackendUnavailableError(ServingError):
    """No inference server can be reached, or the connection was lost during the computation."""

    status, slug, title = 503, "backend-unavailable", "The inference server is not available"
    retry_after = 2


class DeadlineExceededError(ServingError):
    """The answer was not ready before the deadline."""

    status, slug, title = 504, "deadline-exceeded", "The deadline passed"
    retry_after = 1


class ClientDeadlineError(DeadlineExceededError):
    """The answer was not ready before a deadline that the client chose, shorter than the server's own."""

    slug, title = "client-deadline-exceeded", "The client's deadline passed"
