import functools
from collections.abc import Awaitable, Callable
from typing import Any
from unittest.mock import AsyncMock, MagicMock

import pytest

from landbot_async.webhooks.handlers import Handlers, OnError, back_off, check_types
from landbot_async.webhooks.messages import (
    ButtonMessage,
    DialogMessage,
    ImageMessage,
    MediaDialogMessage,
    MediaMessage,
    Message,
    TextMessage,
    UnknownMessage,
)


def handlers(on_error: OnError | None = None) -> Handlers:
    return Handlers(timeout=60, on_error=on_error)


async def one(message: Message) -> None: ...


async def other(message: Message) -> None: ...


def found(of: Handlers, type_: type[Message]) -> Any:
    registered = of.find(type_)
    return registered and (registered.call, registered.attempts)


def test_the_most_specific_handler_is_found() -> None:
    of = handlers()
    of.add([MediaMessage], one, 1)
    assert found(of, ImageMessage) == (one, 1)
    assert found(of, TextMessage) is None
    of.add([Message], other, 2)
    of.add([TextMessage, DialogMessage], one, 3)
    assert [found(of, each) for each in (TextMessage, MediaDialogMessage, ImageMessage, ButtonMessage)] == [
        (one, 3),
        (one, 3),
        (one, 1),
        (other, 2),
    ]


def test_a_message_has_one_handler() -> None:
    of = handlers()
    of.add([TextMessage], one, 1)
    with pytest.raises(ValueError, match="TextMessage has a handler already"):
        of.add([ButtonMessage, TextMessage], other, 1)
    of.add([ButtonMessage], other, 1)  # nothing of the refused one is left


class AsyncObject:
    async def __call__(self, *_: object) -> None: ...


def wrapped(function: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    """Decorate as most people do: by a plain function that returns the coroutine of the wrapped one."""

    @functools.wraps(function)
    def wrapper(*args: object) -> Awaitable[None]:
        return function(*args)

    return wrapper


def wrapped_in_itself() -> Callable[..., Any]:
    def wrapper(message: Message) -> None: ...

    wrapper.__dict__["__wrapped__"] = wrapper
    return wrapper


ASYNC: dict[str, Any] = {
    "a coroutine function": one,
    "an object": AsyncObject(),
    "a bound method": AsyncObject().__call__,
    "a partial": functools.partial(one),
    "a wrapper": wrapped(one),
    "a wrapper of a wrapper": wrapped(wrapped(one)),
    "a wrapper of an object": wrapped(AsyncObject()),
    "a partial of a wrapper": functools.partial(wrapped(one)),
    "AsyncMock": AsyncMock(),
    "AsyncMock with a spec": AsyncMock(spec=one),
}


@pytest.mark.parametrize("name", ASYNC)
async def test_whatever_is_async_is_a_handler(name: str, anyio_backend: object) -> None:
    of = handlers(ASYNC[name])
    of.add([TextMessage], ASYNC[name], 1)
    registered = of.find(TextMessage)
    assert registered is not None
    await registered.call(MagicMock())


@pytest.mark.parametrize(
    "handler",
    [
        print,
        wrapped_in_itself(),
        lambda message: None,
        None,
        5,
        "text",
        AsyncObject,
        functools.wraps(print)(lambda message: None),
        MagicMock(),
    ],
)
def test_a_handler_is_an_async_function(handler: Any) -> None:
    with pytest.raises(TypeError, match="async function"):
        handlers().add([TextMessage], handler, 1)
    if handler is not None:
        with pytest.raises(TypeError, match="on_error must be an async function"):
            handlers(on_error=handler)


@pytest.mark.parametrize("types", [[5], [print], ["TextMessage"], [TextMessage, dict], [one]])
def test_types_are_classes_of_messages(types: list[Any]) -> None:
    with pytest.raises(TypeError, match=r"as in @inbox\.on\(TextMessage\)"):
        check_types(types)
    check_types([TextMessage, UnknownMessage, Message])


def test_attempts_are_spaced_more_and_more_up_to_a_bound() -> None:
    assert [back_off(failures) for failures in (1, 2, 3, 4, 5, 6, 7, 10_000)] == [1, 2, 4, 8, 16, 30, 30, 30]
