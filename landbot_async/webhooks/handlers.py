"""Who handles which message, and what becomes of a handler that fails.

Cancellation: a handler is cancelled by its time-out, which is a failure as any other, and when the inbox is left by an
exception, which is not: then its message is not handled. One that raises the loop's cancelled exception while nobody
cancels it (it awaited a task that somebody else cancelled) has failed, too.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

import anyio

from landbot_async._core.events import log

from .messages import Message
from .watch import Watch

Handler: TypeAlias = Callable[[Any], Awaitable[object]]
OnError: TypeAlias = Callable[[Message, Exception], Awaitable[object]]

# Seconds. What a handler that is asked to try again waits, doubled each time.
_BACK_OFF: Final = 1.0
_LONGEST_BACK_OFF: Final = 30.0


class _Registered(NamedTuple):
    """A handler, and how often it is tried."""

    call: Handler
    attempts: int


class Handlers:
    """The handlers of an inbox.

    Args:
        timeout: seconds after which one is cut off.
        on_error: awaited with the message and the exception of one that failed; None logs it.
    """

    def __init__(self, *, timeout: float, on_error: OnError | None) -> None:
        if on_error is not None and not _is_async(on_error):
            raise TypeError("on_error must be an async function of the message and the exception")
        self.watch: Watch = Watch(timeout)
        self._on_error = on_error
        self._by_type: dict[type[Message], _Registered] = {}

    def add(self, types: Sequence[type[Message]], handler: Handler, attempts: int) -> None:
        """Register a handler for these types.

        Raises:
            TypeError: it is no async function.
            ValueError: one of them has a handler already.
        """
        if not _is_async(handler):
            raise TypeError("a handler must be an async function of the message")
        for each in types:
            if each in self._by_type:
                raise ValueError(f"{each.__name__} has a handler already: a message is handled once")
        self._by_type.update(dict.fromkeys(types, _Registered(handler, attempts)))

    async def handle(self, message: Message) -> None:
        """Have the message handled by the most special handler there is for it."""
        registered = self._handler_of(type(message))
        if registered is None:
            log.info("no handler takes a %s, so it is dropped", type(message).__name__)
            return
        error = await self._failure_of(registered.call, message)
        for attempt in range(1, registered.attempts):
            if error is None:
                return
            await anyio.sleep(min(_BACK_OFF * 2.0 ** (attempt - 1), _LONGEST_BACK_OFF))
            error = await self._failure_of(registered.call, message)
        if error is not None:
            await self._tell(message, error)

    def _handler_of(self, type_: type[Message]) -> _Registered | None:
        if type_ in self._by_type:
            return self._by_type[type_]
        return next((self._by_type[cls] for cls in type_.__mro__ if cls in self._by_type), None)

    async def _failure_of(self, call: Callable[..., Awaitable[object]], *args: object) -> Exception | None:
        scope = self.watch.begin()
        try:
            with scope:
                await call(*args)
        except anyio.get_cancelled_exc_class() as cancelled:
            if anyio.current_effective_deadline() == -math.inf:
                raise
            error = RuntimeError("it was cancelled by something that it waited for")
            error.__cause__ = cancelled
            return error
        except Exception as error:  # noqa: BLE001  # whatever it is goes to on_error
            return error
        finally:
            self.watch.end(scope)
        if scope.cancelled_caught:
            return TimeoutError(f"it took longer than {self.watch.seconds:g} seconds")
        return None

    async def _tell(self, message: Message, error: Exception) -> None:
        if self._on_error is None:
            log.error("the handler of a %s failed", type(message).__name__, exc_info=error)
        elif (worse := await self._failure_of(self._on_error, message, error)) is not None:
            log.error("on_error failed after the handler of a %s had", type(message).__name__, exc_info=worse)


def check_types(types: Sequence[object]) -> None:
    """Raise `TypeError` unless all are classes of messages."""
    for each in types:
        if not isinstance(each, type) or not issubclass(each, Message):
            raise TypeError(f"on() takes classes of messages, as in @inbox.on(TextMessage), not {each!r}")


def _is_async(function: object) -> bool:
    if isinstance(function, type) or not callable(function):
        return False
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(function.__call__)
