"""`Inbox`: takes deliveries, acknowledges them at once and hands the messages to handlers.

The way of a delivery: `asgi` or `aiohttp` → `intake` (is it taken?) → `workers` (whose turn is it?) → `handlers`.
Beside it: `claims` (has it been taken before?), `lanes` (the order) and `journal` (the file of a durable inbox).

Source: dev.landbot.io, "Message hooks" and "APIchat".
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Collection, Iterator
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Self, TypeAlias, TypeVar, overload

import anyio
from anyio.abc import TaskGroup

from landbot_async._core.arguments import NOT_GIVEN, Given, choice, finite_number, methods, whole_number
from landbot_async._core.errors import ConfigurationError, WebhookPayloadError
from landbot_async._core.events import log
from landbot_async._core.mounted import reached

from .asgi import Receive, Scope, Send, live, serve
from .authentication import Tokens
from .claims import Claims, MemoryClaims
from .dispatcher import Workers
from .handlers import Handlers, OnError, check_types
from .messages import Message, Source
from .parsing import Headers, Sealed, delivered_by, look, read
from .receiver import Intake

if TYPE_CHECKING:
    from aiohttp import web

    from .journal import Entry, Journal

M = TypeVar("M", bound=Message)
Handles: TypeAlias = Callable[[M], Awaitable[object]]


class _Open(NamedTuple):
    """What there is while an inbox is open."""

    workers: Workers
    journal: Journal | None
    group: TaskGroup
    stack: AsyncExitStack


class Inbox:
    """Receives what Landbot posts, and calls handlers: an ASGI application, and a handler for aiohttp.

    Each message is handled once, each customer's in order; echoes of what you send are left out. Handlers run while
    `async with inbox` is open; until then deliveries get 503, and Landbot makes them again. Leaving it lets what was
    taken be handled: all of it, or, in a durable inbox, what is in hand. Left by an exception it cancels handlers.

        inbox = Inbox(token="hook-secret")

        @inbox.on(TextMessage)
        async def reply(message: TextMessage) -> None: ...

    Args:
        token: the hook's token, or several while it is changed; None for a hook without one, which must be said.
            APIchat sends none.
        source: `"platform"` for message hooks, `"apichat"` for a channel of type APIchat.
        senders: whose messages are handled; None is customers' alone on the Platform, and everybody's on APIchat,
            where a customer's own messages are not delivered.
        durable: a file in which a message stands before it is acknowledged, and until it is handled. After a crash
            it is handled again (`message.redelivered`). None keeps what waits in memory.
        settle: seconds that a message waits for earlier ones of its customer.
        concurrency: how many customers' messages are handled side by side.
        queue_size: how many messages are taken and not yet handled, at most; further deliveries get 503.
        handler_timeout: seconds after which a handler is cut off with a `TimeoutError`.
        max_body: bytes of a delivery, at most; larger ones get 413.
        window: seconds for which a message is remembered, so that it is not handled twice.
        claims: where that is remembered, for processes that share it; None is this process's memory.
        on_error: awaited with the message and the exception of a handler that failed; None logs it.

    Raises:
        ConfigurationError: the token is missing, or there is one that could never match; on entering, the file cannot
            be used.
        TypeError, ValueError: another argument cannot be right.

    Source: dev.landbot.io, "Message hooks" and "APIchat".
    """

    def __init__(
        self,
        token: Given[str | Collection[str] | None] = NOT_GIVEN,
        *,
        source: Source = "platform",
        senders: Collection[str] | None = None,
        durable: str | os.PathLike[str] | None = None,
        settle: float = 0.2,
        concurrency: int = 32,
        queue_size: int = 1000,
        handler_timeout: float = 60.0,
        max_body: int = 1_000_000,
        window: float = 3600.0,
        claims: Claims | None = None,
        on_error: OnError | None = None,
    ) -> None:
        # First, because a traceback may show one that is half made.
        self._source: Source = source
        self._entered = False
        self._open: _Open | None = None
        try:
            tokens = _tokens(token, source)
        finally:
            token = None  # no frame of a traceback shows it
        self._settle = finite_number("settle", settle, at_least=0)
        self._concurrency = whole_number("concurrency", concurrency, at_least=1)
        self._window = finite_number("window", window, above=0)
        self._durable = None if durable is None else _path(durable)
        methods("claims", claims, "claim", "keep", "release")
        if claims is not None and durable is not None:
            raise ValueError("a durable inbox remembers in its file: give claims or durable, not both")
        self._handlers = Handlers(timeout=finite_number("handler_timeout", handler_timeout, above=0), on_error=on_error)
        self._intake = Intake(
            source=source,
            tokens=tokens,
            senders=_senders(senders, source),
            max_body=whole_number("max_body", max_body, at_least=1),
            queue_size=whole_number("queue_size", queue_size, at_least=1),
            window=self._window,
            claims=MemoryClaims() if claims is None else claims,
        )

    def __repr__(self) -> str:
        state = "closed" if self._open is None else f"waiting={self._open.workers.held}"
        return f"Inbox(source={self._source!r}, {state})"

    # Handlers

    @overload
    def on(self, *, attempts: int = 1) -> Callable[[Handles[Message]], Handles[Message]]: ...
    @overload
    def on(self, type: type[M], /, *, attempts: int = 1) -> Callable[[Handles[M]], Handles[M]]: ...
    @overload
    def on(self, *types: type[Message], attempts: int = 1) -> Callable[[Handles[Any]], Handles[Any]]: ...
    def on(self, *types: type[Message], attempts: int = 1) -> Callable[[Handles[Any]], Handles[Any]]:
        """Register an async function for messages of these types; without any for all that no other takes.

        The most special handler of a message gets it, and no other.

        Args:
            types: classes of messages; a handler for `Message` takes what no other takes.
            attempts: how often it is tried when it raises, after 1, 2, 4 … seconds, at most 30. One that has answered
                before it raised answers twice.

        Raises:
            TypeError: it is no class of messages, or no async function.
            ValueError: a type has a handler already.
        """
        whole_number("attempts", attempts, at_least=1)
        check_types(types)

        def register(handler: Handles[Any]) -> Handles[Any]:
            self._handlers.add(types or (Message,), handler, attempts)
            return handler

        return register

    # Taking

    @overload
    async def __call__(self, scope: Scope, receive: Receive, send: Send, /) -> None: ...
    @overload  # what type checkers think `add_route` of Starlette takes; it takes applications as well
    async def __call__(self, request: Any, /) -> Any: ...
    async def __call__(self, scope: Any, receive: Any = None, send: Any = None, /) -> None:
        """Serve ASGI 3: a POST on any path; and the lifespan, where the inbox is the whole application."""
        if scope["type"] == "http":
            reached(self)
            await serve(self._intake, scope, receive, send)
        elif scope["type"] == "lifespan":
            await live(self, receive, send)
        else:
            raise ValueError(f"an inbox serves HTTP, not {scope['type']}")

    async def aiohttp(self, request: web.Request) -> web.Response:
        """Serve aiohttp: `app.router.add_post("/landbot", inbox.aiohttp)`."""
        from .aiohttp import serve as serve_aiohttp  # noqa: PLC0415  # whoever calls this has it

        return await serve_aiohttp(self._intake, request)

    async def receive(self, body: bytes | bytearray, headers: Headers) -> int:
        """Take one delivery, in whatever framework.

        Args:
            body: the request's body.
            headers: the request's headers; the case of their names does not matter.

        Returns:
            The status to answer with: 200 taken (or seen before, or from a sender that is not asked for), 400
            rubbish, 401 wrong token, 413 too large, 503 not now.
        """
        reached(self)
        delivered = delivered_by(headers)
        status = self._intake.refuse(delivered, len(body))
        return await self._intake.take(body, delivered.delivery_id) if status is None else status

    async def idle(self) -> None:
        """Return when every message taken before this call has been handled, or when the inbox is closed.

        For tests, and before a shutdown. Messages that are taken later are not waited for. A handler that calls this
        waits for itself.
        """
        if self._open is not None:
            await self._open.workers.idle()

    # Life

    async def __aenter__(self) -> Self:
        if self._entered:
            raise RuntimeError("this inbox is open already")
        self._entered = True
        async with AsyncExitStack() as stack:
            stack.callback(self._forget)
            journal, entries = await self._take_file(stack)
            group = await stack.enter_async_context(anyio.create_task_group())
            workers = Workers(
                group,
                partial(read, self._source),
                self._handlers.handle,
                None if journal is None else partial(_finish, journal),
                settle=self._settle,
                concurrency=self._concurrency,
            )
            group.start_soon(workers.run)
            group.start_soon(self._handlers.watch.run)
            if journal is not None:
                group.start_soon(journal.run)
            for sealed, number in self._unhandled(entries):
                workers.put(sealed, number, anyio.current_time(), redelivered=True)
            self._open = _Open(workers, journal, group, stack.pop_all())
            self._intake.open(workers, journal)
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._open is None:
            raise RuntimeError("this inbox is not open")
        workers, journal, group, stack = self._open
        self._intake.close()
        try:
            if exc is None and journal is None:
                await workers.drain()
            elif exc is None:
                workers.halt()
                await workers.rest()
        finally:
            workers.halt()
            if workers.held and journal is None:
                log.error(
                    "the inbox ends with %d acknowledged messages that are not handled: they are lost", workers.held
                )
            group.cancel_scope.cancel()
            # Whatever ends the block goes on by itself: a task group would wrap it up.
            await stack.__aexit__(None, None, None)

    def _forget(self) -> None:
        self._entered, self._open = False, None

    async def _take_file(self, stack: AsyncExitStack) -> tuple[Journal | None, list[Entry]]:
        if self._durable is None:
            return None, []
        from .journal import open_journal  # noqa: PLC0415  # sqlite3 only where it is asked for

        journal, entries = await open_journal(self._durable, self._source, window=self._window)
        stack.push_async_callback(journal.aclose)
        return journal, entries

    def _unhandled(self, entries: list[Entry]) -> Iterator[tuple[Sealed, int]]:
        for entry in entries:
            try:
                sealed = look(self._source, entry.body, entry.delivery_id)
            except WebhookPayloadError as error:
                # Written by another version. It must not keep the others from being handled.
                log.error("message %d in the inbox's file cannot be read, and stays there: %s", entry.number, error)
            else:
                yield sealed, entry.number


async def _finish(journal: Journal, number: int) -> None:
    journal.finish(number)


def _path(durable: object) -> Path:
    if not isinstance(durable, str | os.PathLike) or not durable:
        raise TypeError("durable must be the path of a file")
    return Path(durable).absolute()


def _tokens(token: Given[str | Collection[str] | None], source: object) -> Tokens | None:
    given, unsaid = token is not NOT_GIVEN and token is not None, token is NOT_GIVEN
    try:
        tokens = None if token is NOT_GIVEN or token is None or source != "platform" else Tokens(token)
    finally:
        token = None  # no frame of a traceback shows it
    if choice("source", source, ("platform", "apichat")) is None:
        raise TypeError("source must be 'platform' or 'apichat', not None")
    if source == "apichat" and given:
        raise ConfigurationError("APIchat sends no token: leave it out, and let nobody guess the inbox's URL.")
    if source == "platform" and unsaid:
        raise ConfigurationError("There is no token: give that of the hook, or say token=None for a hook without one.")
    return tokens


def _senders(senders: object, source: Source) -> frozenset[str] | None:
    if senders is None:
        return frozenset({"customer"}) if source == "platform" else None
    if (
        isinstance(senders, str)
        or not isinstance(senders, Collection)
        or not all(isinstance(each, str) for each in senders)
    ):
        raise TypeError('senders must be a set of strings such as {"customer", "agent"}')
    if not senders:
        raise ValueError("senders must not be empty: nobody's messages would be handled")
    return frozenset(senders)
