"""Clients, limiters and responses that several test files use."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import os
import traceback
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeVar

import anyio
import anyio.lowlevel
import httpx
import pytest
import respx
import sniffio

from landbot_async import (
    APIStatusError,
    AsyncLandbot,
    AuthenticationError,
    BadRequestError,
    ConflictError,
    Event,
    NotFoundError,
    PaymentRequiredError,
    PermissionDeniedError,
    PreconditionFailedError,
    RateLimitError,
    ServerError,
    UnprocessableEntityError,
)
from landbot_async._core.client import Client

C = TypeVar("C", bound=Client)
T = TypeVar("T")

# The library whose clients are borrowed in the tests of the wire: httpx, or httpx2 in a nox session of its own.
HTTP: Any = importlib.import_module(os.environ.get("HTTP_LIBRARY", "httpx"))

TOKEN = "f00dfacef00dfacef00dfacef00dfacef00dface"
URL = "https://api.landbot.io/v1"
OK = httpx.Response(200, json={"success": True})
CUSTOMER = httpx.Response(200, json={"success": True, "customer": {"id": 1}})

# Faults of the wire, by what is known of the outcome.
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

# The class of error that each status has, in both APIs.
ERRORS_BY_STATUS: list[tuple[int, type[APIStatusError]]] = [
    (302, APIStatusError),
    (400, BadRequestError),
    (401, AuthenticationError),
    (402, PaymentRequiredError),
    (403, PermissionDeniedError),
    (404, NotFoundError),
    (405, APIStatusError),
    (409, ConflictError),
    (412, PreconditionFailedError),
    (413, APIStatusError),
    (422, UnprocessableEntityError),
    (429, RateLimitError),
    (500, ServerError),
    (503, ServerError),
]


def kind_name(value: object) -> str:
    """Return a name for a parameter: a number itself, and the class of anything else."""
    return str(value) if isinstance(value, int) else type(value).__name__


def half(cases: Sequence[T], backend: str) -> Sequence[T]:
    """Return the event loop's half of many cases, for a test whose result does not depend on the loop."""
    return cases[["asyncio", "trio"].index(backend) :: 2]


def shown_by(error: BaseException | None) -> str:
    """Return an error and its causes as a tool shows them that prints the variables of our frames and the drivers'."""
    lines: list[str] = []
    frames = 0
    while error is not None:
        lines += [str(error), repr(error), *getattr(error, "__notes__", ())]
        for frame, _ in traceback.walk_tb(error.__traceback__):
            if frame.f_globals["__name__"].startswith(("landbot_async", "psycopg", "redis")):
                frames += 1
                for value in frame.f_locals.values():
                    with contextlib.suppress(AttributeError):  # an object that was not made
                        lines.append(repr(value))
        error = error.__cause__ or error.__context__
    assert frames
    return "\n".join(lines)


class Unlimited:
    """A limiter without a limit, for tests of everything else."""

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
    """Take the request and never respond."""
    while True:
        await anyio.sleep_forever()


async def until(condition: Callable[[], object]) -> None:
    """Wait in real time for what a thread, a socket or another process brings about, however busy the machine is."""
    with anyio.fail_after(60):
        while not condition():  # noqa: ASYNC110  # nobody tells
            await anyio.sleep(0.005)


async def cancelled(
    job: Callable[[], Awaitable[object]], cancels: list[Callable[[], object]], *, natively: bool
) -> None:
    """Run a job, and check that its cancellation ends it, at the next `await` after it at the latest.

    Args:
        job: what is run. It has itself cancelled by calling what it finds in `cancels`.
        cancels: gets what cancels it.
        natively: true if it is to be cancelled as asyncio's own tasks are, where the event loop is asyncio's.
    """
    if natively and sniffio.current_async_library() == "asyncio":
        task = asyncio.ensure_future(job())
        cancels.append(task.cancel)
        with pytest.raises(asyncio.CancelledError):
            await task
    else:
        with anyio.CancelScope() as scope:
            cancels.append(scope.cancel)
            await job()
            await anyio.lowlevel.checkpoint()
        assert scope.cancelled_caught


@contextlib.asynccontextmanager
async def breath() -> AsyncGenerator[None]:
    """Yield to the event loop at the end: after an exception is thrown in, CPython 3.11 traces nothing before that."""
    yield
    await anyio.lowlevel.checkpoint()


@contextlib.asynccontextmanager
async def wire(**options: Any) -> AsyncGenerator[tuple[AsyncLandbot, respx.Router, list[Event]]]:
    """Yield a client whose requests end in a respx router, the router, and the client's events."""
    events: list[Event] = []
    with respx.mock(base_url=URL, assert_all_called=False) as router:
        given: dict[str, Any] = {"limiter": Unlimited(), "on_event": events.append, **options}
        async with AsyncLandbot(TOKEN, **given) as landbot:
            yield landbot, router, events


def lent(
    handler: Callable[[httpx.Request], Any], **options: Any
) -> AbstractAsyncContextManager[tuple[AsyncLandbot, list[httpx.Request]]]:
    """Yield an `AsyncLandbot` that borrows an httpx client, and the requests. `handler` makes the responses."""
    return lent_to(AsyncLandbot, handler, **options)


@contextlib.asynccontextmanager
async def lent_to(
    kind: type[C], handler: Callable[[httpx.Request], Any], **options: Any
) -> AsyncGenerator[tuple[C, list[httpx.Request]]]:
    """Yield a client of any class, as `lent` does."""
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
