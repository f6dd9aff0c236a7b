"""`Inbox`: takes deliveries, acknowledges them at once and hands the messages to handlers.

The path of a delivery: `asgi` or `aiohttp` → `receiver` (is it taken?) → `dispatcher` (whose turn is it?) → a handler.
Beside it: `claims` (was it taken before?), `ordering` (the order) and `journal` (the file of a durable inbox).

Source: dev.landbot.io, "Message hooks" and "APIchat".
"""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterator
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar, overload

from landbot_async._core.arguments import NOT_GIVEN, Given, choice, finite_number, methods, whole_number
from landbot_async._core.background import Background
from landbot_async._core.errors import ConfigurationError, WebhookPayloadError
from landbot_async._core.event_loop import LoopBinding
from landbot_async._core.log import log
from landbot_async._core.mounted import reached

from .asgi import Receive, Scope, Send, live, refuse_websocket, serve
from .authentication import Tokens
from .claims import Claims, MemoryClaims
from .delivery import Delivery, Headers, read_headers
from .dispatcher import Dispatcher
from .handlers import Handlers, OnError, check_types
from .messages import Message, Source
from .parsing import read_deliveries
from .receiver import Opened, Receiver

if TYPE_CHECKING:
    from aiohttp import web

    from .journal import Entry, Journal
    from .worker_files import WorkerFiles

M = TypeVar("M", bound=Message)
R = TypeVar("R")


class Registration(Protocol[M]):
    """The type of what `Inbox.on` returns: a decorator that registers an async function and returns it unchanged."""

    @overload
    def __call__(self, handler: Callable[[M], Coroutine[Any, Any, R]], /) -> Callable[[M], Coroutine[Any, Any, R]]: ...
    @overload
    def __call__(self, handler: Callable[[M], Awaitable[R]], /) -> Callable[[M], Awaitable[R]]: ...


class Inbox:
    """Receives what Landbot posts, and calls handlers: an ASGI application, and a handler for aiohttp.

    Each message is handled once, and each customer's in order; echoes of what you send are left out. Handlers run
    while `async with inbox` is open; before that deliveries get 503, and Landbot makes them again. Leaving it waits
    until everything taken is handled; a durable inbox finishes only the handlers that are running. If an exception
    leaves it, handlers are cancelled.

        inbox = Inbox(token="hook-secret")

        @inbox.on(TextMessage)
        async def reply(message: TextMessage) -> None: ...

    On asyncio, one task may open it and another close it. On trio the same task must do both.

    Args:
        token: the hook's token, or several while it is changed; None for a hook without one, which must be said.
            APIchat sends none.
        source: `"platform"` for message hooks, `"apichat"` for a channel of type APIchat.
        senders: the types of senders whose messages are handled. None means customers only on the Platform, and
            everybody on APIchat, where a customer's own messages are not delivered.
        durable: a file that has each message from before it is acknowledged until it is handled. After a crash the
            message is handled again (`message.redelivered`). None keeps waiting messages in memory. With `{n}` in its
            name, as in `"inbox-{n}.db"`, each of several workers takes the first number whose file is free.
        settle: seconds that a message waits for earlier ones of its customer.
        concurrency: how many customers' messages are handled at a time.
        queue_size: how many messages are held that are not handled yet; further deliveries get 503. One customer may
            have a quarter of them.
        handler_timeout: seconds after which a handler is cut off with a `TimeoutError`.
        max_body: bytes of a delivery, at most; larger ones get 413.
        window: seconds for which a message is remembered, so that it is not handled twice.
        owner_wait: seconds to wait, on entering, for another process to let the file go. With `{n}` nothing waits:
            messages in files that other workers let go within this time are moved to this one's file.
        claims: a memory of taken messages that several processes share; None is this process's memory, or the file.
        on_error: awaited with the message and the exception of a handler that failed; None logs it.

    Raises:
        ConfigurationError: the token is missing, or could never arrive; on entering, the file cannot be used.
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
        owner_wait: float = 10.0,
        claims: Claims | None = None,
        on_error: OnError | None = None,
    ) -> None:
        # First, because a traceback may show an inbox that is half made.
        self._source: Source = source
        self._entered = False
        self._open: Opened | None = None
        self._closing = AsyncExitStack()
        try:
            tokens = _tokens(token, source)
        finally:
            token = None  # no frame of a traceback shows it
        self._settle = finite_number("settle", settle, at_least=0)
        self._concurrency = whole_number("concurrency", concurrency, at_least=1)
        self._queue_size = whole_number("queue_size", queue_size, at_least=1)
        self._window = finite_number("window", window, above=0)
        self._owner_wait = finite_number("owner_wait", owner_wait, at_least=0)
        self._durable = None if durable is None else _path(durable)
        methods("claims", claims, "claim", "keep", "release")
        self._handlers = Handlers(timeout=finite_number("handler_timeout", handler_timeout, above=0), on_error=on_error)
        self._receiver = Receiver(
            source=source,
            tokens=tokens,
            senders=_senders(senders, source),
            max_body=whole_number("max_body", max_body, at_least=1),
            window=self._window,
            claims=MemoryClaims() if claims is None and durable is None else claims,
        )

    def __repr__(self) -> str:
        state = "closed" if self._open is None else f"waiting={self._open.dispatcher.held}"
        return f"Inbox(source={self._source!r}, {state})"

    # Handlers

    @overload
    def on(self, *, attempts: int = 1) -> Registration[Message]: ...
    @overload
    def on(self, type: type[M], /, *, attempts: int = 1) -> Registration[M]: ...
    @overload
    def on(self, *types: type[Message], attempts: int = 1) -> Registration[Any]: ...
    def on(self, *types: type[Message], attempts: int = 1) -> Registration[Any]:
        """Register an async function for messages of these types; without types for all that no other handler takes.

        The most specific handler gets a message, and no other.

        Args:
            types: classes of messages; a handler for `Message` takes what no other takes.
            attempts: how often it is tried if it raises, after 1, 2, 4 … seconds, at most 30. A handler that has
                answered before it raises answers twice.

        Returns:
            A decorator, which returns the function as it is.

        Raises:
            TypeError: it is not a class of messages, or not an async function.
            ValueError: a type has a handler already.
        """
        whole_number("attempts", attempts, at_least=1)
        check_types(types)

        def register(handler: Callable[[Any], Awaitable[Any]], /) -> Any:
            self._handlers.add(types or (Message,), handler, attempts)
            return handler

        return register

    # Taking deliveries

    @overload
    async def __call__(self, scope: Scope, receive: Receive, send: Send, /) -> None: ...
    @overload  # what type checkers think `add_route` of Starlette takes; it takes applications as well
    async def __call__(self, request: Any, /) -> Any: ...
    async def __call__(self, scope: Any, receive: Any = None, send: Any = None, /) -> None:
        """Serve ASGI 3: a POST on any path; and the lifespan, if the inbox is the whole application."""
        if scope["type"] == "http":
            reached(self)
            await serve(self._receiver, scope, receive, send)
        elif scope["type"] == "lifespan":
            await live(self, receive, send)
        elif scope["type"] == "websocket":
            await refuse_websocket(receive, send)
        else:
            raise ValueError(f"an inbox serves HTTP, not {scope['type']}")

    async def aiohttp(self, request: web.Request) -> web.Response:
        """Serve aiohttp: `app.router.add_post("/landbot", inbox.aiohttp)`."""
        from .aiohttp import serve as serve_aiohttp  # noqa: PLC0415  # whoever calls this has it

        return await serve_aiohttp(self._receiver, request)

    async def receive(self, body: bytes | bytearray, headers: Headers) -> int:
        """Take one delivery, in any framework.

        Args:
            body: the request's body.
            headers: the request's headers; the case of their names does not matter.

        Returns:
            The status to answer with: 200 taken (or seen before, or from a sender that is not asked for), 400
            unreadable, 401 wrong token, 413 too large, 503 not now.
        """
        reached(self)
        authorization, delivery_id = read_headers(headers)
        status = self._receiver.refuse(authorization, len(body))
        return await self._receiver.take(body, delivery_id) if status is None else status

    async def idle(self) -> None:
        """Return when every message taken before this call has been handled, or when the inbox is closed.

        For tests, and before a shutdown. Messages that are taken later are not waited for. A handler that calls this
        waits for itself.
        """
        if self._open is not None:
            await self._open.dispatcher.idle()

    # Opening and closing

    async def __aenter__(self) -> Self:
        if self._entered:
            raise RuntimeError("this inbox is open already")
        self._entered = True
        async with AsyncExitStack() as stack:
            stack.callback(self._forget)
            files = self._worker_files()
            journal, entries = await self._open_file(stack, files)

            def interrupted() -> None:
                # All tasks are cancelled, and nobody may close the inbox.
                self._receiver.close()
                dispatcher.halt()
                dispatcher.tell_lost()

            tasks = await _open_background(stack, interrupted)
            dispatcher = Dispatcher(
                tasks,
                self._handlers,
                None if journal is None else journal.finish,
                source=self._source,
                settle=self._settle,
                concurrency=self._concurrency,
                queue_size=self._queue_size,
            )
            tasks.start(dispatcher.run)

            def unhandled(entries: list[Entry]) -> list[Delivery]:
                # Their process may have died before the claims knew of them.
                deliveries = [*self._unhandled(entries)]
                self._receiver.remember(deliveries, tasks)
                return deliveries

            for delivery in unhandled(entries):
                dispatcher.expect(delivery)(delivery.number)
            if journal is not None and files is not None:
                tasks.start(partial(files.take_over, journal, unhandled, dispatcher.expect, seconds=self._owner_wait))
            loop = LoopBinding("This inbox")
            loop.bind()
            self._open = Opened(loop, tasks, dispatcher, journal)
            self._receiver.open(self._open)
            self._closing = stack.pop_all()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._open is None:
            raise RuntimeError("this inbox is not open")
        dispatcher, durable = self._open.dispatcher, self._open.journal is not None
        self._receiver.close()
        try:
            if exc is None and not durable:
                await dispatcher.drain()
            elif exc is None:
                dispatcher.halt()
                await dispatcher.rest()
        finally:
            dispatcher.halt()
            try:
                # Whatever ends the block goes on by itself: a task group would wrap it up.
                await self._closing.__aexit__(None, None, None)
            finally:
                dispatcher.tell_lost()

    def _forget(self) -> None:
        self._entered, self._open = False, None

    def _worker_files(self) -> WorkerFiles | None:
        if self._durable is None or "{n}" not in self._durable.name:
            return None
        from .worker_files import WorkerFiles  # noqa: PLC0415  # sqlite3 only where it is asked for

        return WorkerFiles(self._durable, self._source, window=self._window)

    async def _open_file(self, stack: AsyncExitStack, files: WorkerFiles | None) -> tuple[Journal | None, list[Entry]]:
        if self._durable is None:
            return None, []
        from .journal import open_journal  # noqa: PLC0415  # sqlite3 only where it is asked for

        journal, entries = await (
            open_journal(self._durable, self._source, window=self._window, owner_wait=self._owner_wait)
            if files is None
            else files.open()
        )
        stack.push_async_callback(journal.aclose)
        writer = await _open_background(stack)
        writer.start(journal.run)
        return journal, entries

    def _unhandled(self, entries: list[Entry]) -> Iterator[Delivery]:
        for entry in entries:
            try:
                (delivery,) = read_deliveries(self._source, entry.body, entry.delivery_id, time.time())
            except WebhookPayloadError as error:
                # Written by another version. It must not keep the others from being handled.
                log.error("message %d in the inbox's file cannot be read, and stays there: %s", entry.number, error)
            else:
                yield delivery._replace(number=entry.number, redelivered=True)


async def _open_background(stack: AsyncExitStack, on_interrupt: Callable[[], None] | None = None) -> Background:
    background = Background(on_interrupt)
    await background.open()
    stack.push_async_callback(background.close)
    return background


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
