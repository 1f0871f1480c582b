"""Errors as problem documents (RFC 9457, `application/problem+json`), each with the request id and a log line."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from asgi_correlation_id import correlation_id
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from serving.core.errors import CLIENT_CLOSED_REQUEST, InvalidParameterError, ServingError
from serving.protocols.failure_log import log_failure


class Problem(BaseModel):
    """An error as RFC 9457 describes it."""

    type: str = Field(examples=["urn:keras-archs:problem:model-not-found"])
    title: str = Field(examples=["Unknown model"])
    status: int = Field(examples=[404])
    detail: str = Field(examples=["no model 'efficientnet-b9' is published here"])
    instance: str = Field(examples=["/classify/efficientnet-b9"])
    request_id: str = Field(examples=["9f1c2f0e7d6b4a6f8e1d2c3b4a596877"])


MEDIA_TYPE = "application/problem+json"


def problem_response(
    request: Request, *, status: int, slug: str, title: str, detail: str, retry_after: int | None = None
) -> JSONResponse:
    """Build the response for one problem."""
    problem = Problem(
        type=f"urn:keras-archs:problem:{slug}",
        title=title,
        status=status,
        detail=detail,
        instance=request.scope["path"],
        request_id=correlation_id.get() or "",
    )
    request.state.problem = slug  # for the metrics
    client = request.client.host if request.client else ""
    log_failure(status, client, f"{request.method} {request.scope['path']}", detail)
    headers = {"Retry-After": str(retry_after)} if retry_after is not None else {}
    return JSONResponse(problem.model_dump(), status, headers, media_type=MEDIA_TYPE)


def connection_problem(error: ServingError, client: str, request_id: str) -> tuple[dict[str, str], bytes]:
    """Return headers and body for a connection whose requests cannot be read, or are not read."""
    problem = Problem(
        type=f"urn:keras-archs:problem:{error.slug}",
        title=error.title,
        status=error.status,
        detail=str(error),
        instance="",
        request_id=request_id,
    )
    correlation_id.set(request_id)
    log_failure(error.status, client, "a connection", str(error))
    headers = {"Content-Type": MEDIA_TYPE, "X-Request-ID": request_id, "Connection": "close"}
    if error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    return headers, problem.model_dump_json().encode()


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


def install(app: FastAPI) -> None:
    """Register handlers on `app` that answer every error with a problem document."""

    @app.exception_handler(ServingError)
    async def serving_error(request: Request, error: ServingError) -> JSONResponse:
        return problem_response(
            request,
            status=error.status,
            slug=error.slug,
            title=error.title,
            detail=str(error),
            retry_after=error.retry_after,
        )

    @app.exception_handler(RequestValidationError)
    async def validation_error(request: Request, error: RequestValidationError) -> JSONResponse:
        return await serving_error(request, InvalidParameterError(_describe(error.errors()[0])))

    @app.exception_handler(HTTPException)
    async def http_exception(request: Request, error: HTTPException) -> JSONResponse:
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
    async def unexpected_error(request: Request, error: Exception) -> JSONResponse:
        # called outside all middleware, so the request id is set here; uvicorn logs the error
        response = await serving_error(
            request, ServingError("the request could not be answered; the server's log has the details")
        )
        response.headers["X-Request-ID"] = correlation_id.get() or ""
        return response


def _describe(error: Any) -> str:
    """Return "field: message; got value" for one of Pydantic's errors."""
    field = ".".join(str(part) for part in error["loc"][1:])
    received = repr(error["input"])
    return f"{field}: {error['msg']}; got {received if len(received) <= 60 else received[:57] + '...'}"
