"""Errors as problem documents (RFC 9457, `application/problem+json`), each with the request id and a log line."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import msgspec
from asgi_correlation_id import correlation_id
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from serving.core.errors import CLIENT_CLOSED_REQUEST, InvalidParameterError, MalformedRequestError, ServingError
from serving.protocols.failure_log import log_failure
from serving.protocols.security_headers import HEADERS


class Problem(BaseModel):
    """An error as RFC 9457 describes it."""

    type: str = Field(examples=["urn:keras-archs:problem:model-not-found"])
    title: str = Field(examples=["Unknown model"])
    status: int = Field(examples=[404])
    detail: str = Field(examples=["no model 'efficientnet-b9' is published here"])
    instance: str = Field(examples=["/classify/efficientnet-b9"])
    request_id: str = Field(examples=["9f1c2f0e7d6b4a6f8e1d2c3b4a596877"])


class ErrorOut(BaseModel):
    """An error as other protocols describe it."""

    error: str = Field(examples=["no model 'efficientnet-b9' is published here"])


MEDIA_TYPE = "application/problem+json"
TENSORFLOW_REST = "/v1/"
OPEN_INFERENCE = "/v2/"
PLAIN_REFUSAL: dict[int | str, dict[str, Any]] = {"4XX": {"model": ErrorOut, "description": "The request is refused"}}
"""FastAPI's `responses` for all routes of the protocols below these paths, whose errors are `{"error": "..."}`."""


def problem_response(
    request: Request, *, status: int, slug: str, title: str, detail: str, retry_after: int | None = None
) -> Response:
    """Build the response for one problem, in the words of the protocol that was asked."""
    path = request.scope["path"]
    request.state.problem = slug  # for the metrics
    status, media_type, content = problem_content(
        path, status=status, slug=slug, title=title, detail=detail, request_id=correlation_id.get() or ""
    )
    client, *_ = request.scope.get("client") or ("",)
    log_failure(status, client, f"{request.method} {path}", detail)
    headers = {"Retry-After": str(retry_after)} if retry_after is not None else {}
    return Response(content, status, headers, media_type=media_type)


def problem_content(
    path: str, *, status: int, slug: str, title: str, detail: str, request_id: str
) -> tuple[int, str, bytes]:
    """Return status, media type and body of the answer for one problem, in the words of the protocol of a path."""
    status = _status_below(f"{path}/", status)
    if f"{path}/".startswith((TENSORFLOW_REST, OPEN_INFERENCE)):
        return status, "application/json", msgspec.json.encode({"error": detail})
    return status, MEDIA_TYPE, _document(slug, title, status, detail, path, request_id)


def _document(slug: str, title: str, status: int, detail: str, instance: str, request_id: str) -> bytes:
    """Return a `Problem` as JSON; under overload there are hundreds a second, so no model is built and validated."""
    fields = {
        "type": f"urn:keras-archs:problem:{slug}",
        "title": title,
        "status": status,
        "detail": detail,
        "instance": instance,
        "request_id": request_id,
    }
    return msgspec.json.encode(fields)


def response_to(request: Request, error: ServingError) -> Response:
    """Build the response for an error of the core."""
    request.state.reason = error.reason  # for the metrics
    return problem_response(
        request,
        status=error.status,
        slug=error.slug,
        title=error.title,
        detail=str(error),
        retry_after=error.retry_after,
    )


def connection_problem(error: ServingError, client: str, request_id: str) -> tuple[dict[str, str], bytes]:
    """Return headers and body for a connection whose requests cannot be read, or are not read."""
    correlation_id.set(request_id)
    log_failure(error.status, client, "a connection", str(error))
    headers = {"Content-Type": MEDIA_TYPE, "X-Request-ID": request_id, "Connection": "close", **HEADERS}
    if error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    return headers, _document(error.slug, error.title, error.status, str(error), "", request_id)


def error_responses(*kinds: type[ServingError]) -> dict[int | str, dict[str, Any]]:
    """Return FastAPI's `responses` for a route with these kinds of error, for the OpenAPI document."""
    by_status: dict[int | str, list[str]] = {}
    for kind in kinds:
        by_status.setdefault(kind.status, []).append(kind.title)
    return {
        status: {
            "description": " / ".join(titles),
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status, titles in by_status.items()
    }


def plain_error_responses(prefix: str, *kinds: type[ServingError]) -> dict[int | str, dict[str, Any]]:
    """Return `error_responses` in the words of the protocol whose paths begin with `prefix`, such as `/v2/`."""
    by_status: dict[int | str, list[str]] = {}
    for kind in kinds:
        by_status.setdefault(_status_below(prefix, kind.status), []).append(kind.title)
    return {status: {"model": ErrorOut, "description": " / ".join(titles)} for status, titles in by_status.items()}


def _status_below(path: str, status: int) -> int:
    """Return the status of an error: TensorFlow Serving has 400 for all that a client can mend."""
    is_invalid = path.startswith(TENSORFLOW_REST) and status == InvalidParameterError.status
    return MalformedRequestError.status if is_invalid else status


def install(app: FastAPI) -> None:
    """Register handlers on `app` that answer every error with a problem document."""

    @app.exception_handler(ServingError)
    async def serving_error(request: Request, error: ServingError) -> Response:
        return response_to(request, error)

    @app.exception_handler(RequestValidationError)
    async def validation_error(request: Request, error: RequestValidationError) -> Response:
        return await serving_error(request, InvalidParameterError(_describe(error.errors()[0])))

    @app.exception_handler(HTTPException)
    async def http_exception(request: Request, error: HTTPException) -> Response:
        status = HTTPStatus(error.status_code)
        response = problem_response(
            request,
            status=status.value,
            slug=status.phrase.lower().replace(" ", "-"),
            title=status.phrase,
            detail=f"{request.method} {request.scope['path']}: {error.detail}",
        )
        response.headers.update(error.headers or {})
        if response.headers.get("Allow") == "GET":
            response.headers["Allow"] = "GET, HEAD"
        return response

    @app.exception_handler(ClientDisconnect)
    async def client_disconnected(request: Request, error: ClientDisconnect) -> Response:
        return Response(status_code=CLIENT_CLOSED_REQUEST)  # no client receives it, but the metrics count the status

    @app.exception_handler(Exception)
    async def unexpected_error(request: Request, error: Exception) -> Response:
        # called outside all middleware, so the request id is set here; uvicorn logs the error
        response = await serving_error(
            request, ServingError("the request could not be answered; the server's log has the details")
        )
        response.headers["X-Request-ID"] = correlation_id.get() or ""
        response.headers.update(HEADERS)
        return response


def _describe(error: Any) -> str:
    """Return "field: message; got value" for one of Pydantic's errors."""
    field = ".".join(str(part) for part in error["loc"][1:])
    received = repr(error["input"])
    return f"{field}: {error['msg']}; got {received if len(received) <= 60 else received[:57] + '...'}"
