"""What all routes share: bodies within their limits, errors as one line of JSON, and counts. No text is logged."""

from __future__ import annotations

import asyncio
import functools
import json
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, TypeVar

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from fpplm.service.limits import Limits, Refused
from fpplm.service.log import log_error
from fpplm.service.metrics import Metrics
from fpplm_core.errors import FpplmError
from fpplm_core.escaping import printable

Endpoint = Callable[[Request], Awaitable[Response]]
T = TypeVar("T")
CLIENT_GONE = 499  # nobody reads the answer; the number that nginx logs


def answer(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A response with JSON in ASCII: halves of surrogate pairs in a bundle's labels cannot break the encoding."""
    body = json.dumps(content, separators=(",", ":"))
    return Response(body, status, headers, media_type="application/json")


def error(status: int, message: str, retry_after: int | None = None) -> Response:
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return answer({"error": printable(message)}, status, headers)


async def read_body(request: Request, limits: Limits) -> bytes:
    """Reads the body of a request with JSON. Raises Refused if it has another type, is too large or too slow."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" or "content-encoding" in request.headers:
        # A browser lets pages of other origins send some other types without asking the server.
        raise Refused(415, "the body must be application/json, not compressed")
    too_large = Refused(413, f"at most {limits.body:,} bytes are accepted")
    length = request.headers.get("content-length", "0")
    if not length.isdecimal() or int(length[:20]) > limits.body:
        raise too_large
    parts, size = [], 0
    try:
        async with asyncio.timeout(limits.deadline):
            async for part in request.stream():
                parts.append(part)
                size += len(part)
                if size > limits.body:
                    raise too_large
    except TimeoutError:
        raise Refused(408, f"the body took longer than {limits.deadline:g} s") from None
    request.state.has_ended = True
    return b"".join(parts)


def close_before_body(request: Request, response: Response) -> None:
    """Closes the connection with this response if the body has not been read: a client could send it for ever."""
    has_body = "content-length" in request.headers or "transfer-encoding" in request.headers
    if has_body and not hasattr(request.state, "has_ended"):
        response.headers["Connection"] = "close"


async def unless_gone(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Returns or raises what the work does. Cancels it and raises ClientDisconnect if the client leaves first."""
    task, gone = asyncio.ensure_future(work), asyncio.ensure_future(request.receive())  # the body has been read
    try:
        await asyncio.wait((task, gone), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientDisconnect
        return task.result()
    finally:
        task.cancel()
        gone.cancel()


def counted(route: str, endpoint: Endpoint, metrics: Metrics) -> Endpoint:
    """The endpoint with its errors as responses; counts and times all responses."""

    @functools.wraps(endpoint)
    async def handle(request: Request) -> Response:
        start = time.perf_counter()
        try:
            response = await endpoint(request)
        except Refused as refused:
            response = error(refused.status, str(refused), refused.retry_after)
        except ClientDisconnect:
            response = Response(status_code=CLIENT_GONE)
        except Exception as failed:
            log_error(failed)
            said = failed.what if isinstance(failed, FpplmError) else f"unexpected {type(failed).__name__}"
            response = error(500, said)
        close_before_body(request, response)
        metrics.requests.labels(route, str(response.status_code)).inc()
        metrics.latency.labels(route).observe(time.perf_counter() - start)
        return response

    return handle


async def refuse_route(request: Request, failed: Exception) -> Response:
    """Answers requests that no route takes: 404 and 405."""
    assert isinstance(failed, HTTPException)
    response = answer({"error": failed.detail}, failed.status_code, failed.headers)
    close_before_body(request, response)
    return response
