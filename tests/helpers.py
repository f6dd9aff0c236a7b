"""What several test files need."""

from __future__ import annotations

import contextlib
import importlib
import os
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeVar

import anyio
import httpx
import respx

from landbot_async import AsyncLandbot, Event
from landbot_async._core.client import Client

C = TypeVar("C", bound=Client)

# The library whose clients are borrowed in the tests of the wire: httpx, or httpx2 in a nox session of its own.
HTTP: Any = importlib.import_module(os.environ.get("HTTP_LIBRARY", "httpx"))

TOKEN = "f00dfacef00dfacef00dfacef00dfacef00dface"
URL = "https://api.landbot.io/v1"
OK = httpx.Response(200, json={"success": True})
CUSTOMER = httpx.Response(200, json={"success": True, "customer": {"id": 1}})

# Faults of the wire, by what is known after them.
NEVER_SENT = [httpx.ConnectError("x"), httpx.ConnectTimeout("x"), httpx.PoolTimeout("x")]
UNKNOWN = [
    httpx.ReadError("x"),
    httpx.WriteError("x"),
    httpx.CloseError("x"),
    httpx.ReadTimeout("x"),
    httpx.WriteTimeout("x"),
    httpx.RemoteProtocolError("x"),
    httpx.ProxyError("x"),
    httpx.DecodingError("x"),
    ConnectionResetError("x"),
    TimeoutError("x"),
]


def kind_name(value: object) -> str:
    """A number as it is, anything else by its class: names for parameters."""
    return str(value) if isinstance(value, int) else type(value).__name__


class Unlimited:
    """A limiter that limits nothing, for tests of everything else."""

    def __init__(self) -> None:
        self.pauses: list[float] = []

    async def acquire(self) -> None:
        await anyio.lowlevel.checkpoint()

    async def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        await anyio.lowlevel.checkpoint()


def customer(request: httpx.Request) -> httpx.Response:
    """Return the customer that was asked for."""
    return httpx.Response(200, json={"success": True, "customer": {"id": int(request.url.path.split("/")[-2])}})


async def never(_: httpx.Request) -> httpx.Response:
    """A server that takes the request and does not answer."""
    while True:
        await anyio.sleep_forever()


@contextlib.asynccontextmanager
async def breath() -> AsyncGenerator[None]:
    """Let go once at the end: CPython 3.11 traces nothing in a coroutine between an exception thrown in and that."""
    yield
    await anyio.lowlevel.checkpoint()


@contextlib.asynccontextmanager
async def wire(**options: Any) -> AsyncGenerator[tuple[AsyncLandbot, respx.Router, list[Event]]]:
    """A client whose requests end in a respx router, and the events it tells."""
    events: list[Event] = []
    with respx.mock(base_url=URL, assert_all_called=False) as router:
        given: dict[str, Any] = {"limiter": Unlimited(), "on_event": events.append, **options}
        async with AsyncLandbot(TOKEN, **given) as landbot:
            yield landbot, router, events


def lent(
    handler: Callable[[httpx.Request], Any], **options: Any
) -> AbstractAsyncContextManager[tuple[AsyncLandbot, list[httpx.Request]]]:
    """An `AsyncLandbot` over a lent httpx client that answers by `handler`, and the requests that reached it."""
    return lent_to(AsyncLandbot, handler, **options)


@contextlib.asynccontextmanager
async def lent_to(
    kind: type[C], handler: Callable[[httpx.Request], Any], **options: Any
) -> AsyncGenerator[tuple[C, list[httpx.Request]]]:
    """The same for either client."""
    requests: list[httpx.Request] = []

    async def answer(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        result = handler(request)
        return result if isinstance(result, httpx.Response) else await result

    given: dict[str, Any] = {"limiter": Unlimited(), **options}
    async with (
        httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client,
        kind(TOKEN, http_client=client, **given) as made,
    ):
        yield made, requests
