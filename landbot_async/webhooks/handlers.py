"""The handlers of an inbox: which one gets a message, how often it is tried, and who is told when it fails.

Reasons: docs/decisions.md, "One handler".
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Final, NamedTuple, TypeAlias

from .messages import Message

Handler: TypeAlias = Callable[[Any], Awaitable[object]]
OnError: TypeAlias = Callable[[Message, Exception], Awaitable[object]]
"""A function for `Inbox(on_error=)`: it is called with a message and the error of its handler."""

# Seconds before a second attempt, doubled for each later one, up to the longest.
_BACK_OFF: Final = 1.0
_LONGEST_BACK_OFF: Final = 30.0
# Decorators around a handler, at most.
_LAYERS: Final = 100


class Registered(NamedTuple):
    """A handler, and the number of its attempts."""

    call: Handler
    attempts: int


class Handlers:
    """The handlers of an inbox.

    Args:
        timeout: seconds after which a handler is cut off, and `on_error` too.
        on_error: awaited with the message and the exception of a handler that failed; None logs it.
    """

    def __init__(self, *, timeout: float, on_error: OnError | None) -> None:
        if on_error is not None and not _is_async(on_error):
            raise TypeError("on_error must be an async function of the message and the exception")
        self.timeout: float = timeout
        self.on_error: OnError | None = on_error
        self._by_type: dict[type[Message], Registered] = {}

    def add(self, types: Sequence[type[Message]], handler: Handler, attempts: int) -> None:
        """Register a handler for these types.

        Raises:
            TypeError: it is not an async function.
            ValueError: one of the types has a handler already.
        """
        if not _is_async(handler):
            raise TypeError("a handler must be an async function of the message")
        for each in types:
            if each in self._by_type:
                raise ValueError(f"{each.__name__} has a handler already: a message is handled once")
        self._by_type.update(dict.fromkeys(types, Registered(handler, attempts)))

    def find(self, type_: type[Message]) -> Registered | None:
        """Return the most specific handler for messages of a class, or None."""
        if type_ in self._by_type:
            return self._by_type[type_]
        return next((self._by_type[cls] for cls in type_.__mro__ if cls in self._by_type), None)


def back_off(failures: int) -> float:
    """Return the seconds to wait after so many failed attempts: 1, 2, 4 …, at most 30."""
    return min(_BACK_OFF * 2.0 ** min(failures - 1, 10), _LONGEST_BACK_OFF)


def check_types(types: Sequence[object]) -> None:
    """Raise `TypeError` unless all are classes of messages."""
    for each in types:
        if not isinstance(each, type) or not issubclass(each, Message):
            raise TypeError(f"on() takes classes of messages, as in @inbox.on(TextMessage), not {each!r}")


def _is_async(function: object) -> bool:
    if isinstance(function, type):
        return False
    for _ in range(_LAYERS):
        if not callable(function):
            return False
        if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__):
            return True
        # A decorator may be a plain function that returns the coroutine of the one it wraps.
        function = function.func if isinstance(function, partial) else getattr(function, "__wrapped__", None)
    return False
