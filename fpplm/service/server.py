"""Runs the service until SIGTERM or SIGINT: requests that have arrived are answered first."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware

from fpplm.service.address import is_loopback
from fpplm.service.app import Service
from fpplm.service.http import refuse_route
from fpplm.service.log import log_error
from fpplm_core.errors import FpplmError

CONNECTIONS = 800  # most shells limit open files to 1,024; uvicorn answers 503 to further connections


def bind(address: str, port: int) -> socket.socket:
    """A socket bound to an IP address. Raises FpplmError if the port is taken or not allowed."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    # Named, because asyncio sets TCP_NODELAY on TCP sockets alone; without it an answer's body waits 40 ms for an ACK.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((address, port))
    except OSError as error:
        listener.close()
        do = "name another --port, or 0 for a free one"
        raise FpplmError("cannot listen there", where=f"{address}:{port}", got=str(error.strerror), do=do) from None
    return listener


def run(service: Service, listener: socket.socket, beside: Sequence[Coroutine[Any, Any, None]]) -> None:
    """Serves on a bound socket and runs endless jobs beside, until SIGTERM or SIGINT."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(logged(one)) for one in beside]
        yield
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.to_thread(service.close)

    async def logged(job: Coroutine[Any, Any, None]) -> None:
        try:
            await job
        except Exception as error:  # it would end in silence
            log_error(error)

    address = listener.getsockname()[0]
    # A web page whose host name an attacker resolves to this machine must not reach what only this machine reaches.
    hosts = ["localhost", "127.0.0.1", "[::1]", address] if is_loopback(address) else ["*"]
    app = Starlette(
        routes=service.routes(),
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=hosts)],
        exception_handlers={HTTPException: refuse_route},
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False  # to an address that the request names
    config = uvicorn.Config(
        app,
        log_level="error",  # callers could fill a log with warnings: each is about a request
        access_log=False,  # paths and queries are text of callers
        server_header=False,
        http="h11",  # httptools takes the body after an offer of HTTP/2, which Java's client makes, for a request
        ws="none",
        limit_concurrency=CONNECTIONS,
        timeout_graceful_shutdown=round(service.limits.deadline) + 1,
    )
    for number in (signal.SIGTERM, signal.SIGINT):  # uvicorn raises the signal again after the last answer
        signal.signal(number, lambda *_: None)
    uvicorn.Server(config).run([listener])
