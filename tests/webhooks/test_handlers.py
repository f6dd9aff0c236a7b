import asyncio
import functools
import logging
from typing import Any

import anyio
import pytest
from anyio import sleep

from landbot_async.webhooks.handlers import Handlers, OnError, check_types
from landbot_async.webhooks.messages import ButtonMessage, ImageMessage, Message, TextMessage, UnknownMessage
from landbot_async.webhooks.parsing import read
from tests.webhooks.deliveries import delivery

pytestmark = pytest.mark.anyio

TEXT = read("platform", delivery("a secret text"), "d1")
BUTTON = read("platform", delivery("Yes", type="button"), "d2")
STICKER = read("platform", delivery(type="sticker"), "d3")


class Told:
    """An `on_error` that remembers."""

    def __init__(self) -> None:
        self.of: list[tuple[Message, Exception]] = []

    async def __call__(self, message: Message, error: Exception) -> None:
        self.of.append((message, error))


def handlers(on_error: OnError | None = None, timeout: float = 60.0) -> Handlers:
    return Handlers(timeout=timeout, on_error=on_error)


async def handled(found: Handlers, message: Message) -> None:
    """Have it handled while somebody watches, as an inbox does."""
    async with anyio.create_task_group() as group:
        group.start_soon(found.watch.run)
        await found.handle(message)
        group.cancel_scope.cancel()


async def test_the_most_special_handler_gets_it() -> None:
    found = handlers()
    got: list[str] = []

    async def text(message: TextMessage) -> None:
        got.append(f"text {message.text}")

    async def any_(message: Message) -> None:
        got.append(f"any {message.type}")

    found.add([Message], any_, 1)
    found.add([TextMessage, ImageMessage], text, 1)
    for message in (TEXT, BUTTON, STICKER):
        await found.handle(message)
    assert got == ["text a secret text", "any button", "any sticker"]


async def test_what_nobody_takes_is_dropped(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "landbot_async")
    await handlers().handle(TEXT)
    assert [each.getMessage() for each in caplog.records] == ["no handler takes a TextMessage, so it is dropped"]


def test_a_message_has_one_handler() -> None:
    found, handler = handlers(), Failing(ValueError())
    found.add([TextMessage], handler, 1)
    with pytest.raises(ValueError, match="TextMessage has a handler already"):
        found.add([ButtonMessage, TextMessage], handler, 1)
    found.add([ButtonMessage], handler, 1)  # nothing of the refused one is left


@pytest.mark.parametrize("handler", [print, lambda message: None, None, 5, "text", Told])
def test_a_handler_is_an_async_function(handler: Any) -> None:
    with pytest.raises(TypeError, match="async function"):
        handlers().add([TextMessage], handler, 1)
    if handler is not None:
        with pytest.raises(TypeError, match="on_error must be an async function"):
            handlers(on_error=handler)


async def test_whatever_is_async_is_a_handler() -> None:
    async def with_more(more: list[str], message: Message) -> None:
        more.append(message.type)

    got: list[str] = []
    found, told = handlers(), Failing(ValueError(), times=0)
    found.add([TextMessage], functools.partial(with_more, got), 1)
    found.add([ButtonMessage], told, 1)
    for message in (TEXT, BUTTON):
        await found.handle(message)
    assert (got, len(told.at)) == (["text"], 1)


@pytest.mark.parametrize("types", [[5], [print], ["TextMessage"], [TextMessage, dict], [TEXT]])
def test_types_are_classes_of_messages(types: list[Any]) -> None:
    with pytest.raises(TypeError, match=r"as in @inbox\.on\(TextMessage\)"):
        check_types(types)
    check_types([TextMessage, UnknownMessage, Message])


class Failing:
    """A handler that raises, the first times."""

    def __init__(self, error: BaseException, times: int = 99) -> None:
        self.error, self.times = error, times
        self.at: list[float] = []

    async def __call__(self, message: Message) -> None:
        self.at.append(anyio.current_time())
        if len(self.at) <= self.times:
            raise self.error


async def test_a_failure_goes_to_on_error_once() -> None:
    told, failing = Told(), Failing(ValueError("no"))
    found = handlers(told)
    found.add([TextMessage], failing, 1)
    await found.handle(TEXT)
    assert told.of == [(TEXT, failing.error)]
    assert len(failing.at) == 1


@pytest.mark.parametrize(("times", "tells"), [(0, 0), (2, 0), (3, 0), (4, 1)])
async def test_it_is_tried_again_only_when_asked_for(times: int, tells: int) -> None:
    told, failing = Told(), Failing(ValueError("no"), times)
    found = handlers(told)
    found.add([TextMessage], failing, 4)
    await found.handle(TEXT)
    waits = [round(later - earlier, 6) for earlier, later in zip(failing.at, failing.at[1:], strict=False)]
    assert waits == [1.0, 2.0, 4.0][:times]
    assert len(told.of) == tells


async def test_waits_are_bounded() -> None:
    failing = Failing(ValueError("no"))
    found = handlers(Told())
    found.add([TextMessage], failing, 2000)
    begun = anyio.current_time()
    with anyio.move_on_after(1000):
        await found.handle(TEXT)
    assert failing.at[-1] - begun > 900
    assert failing.at[-1] - failing.at[-2] == pytest.approx(30)


async def test_a_slow_one_is_cut_off() -> None:
    told, begun = Told(), anyio.current_time()
    found = handlers(told, timeout=5)

    async def slow(message: Message) -> None:
        await sleep(6)

    found.add([TextMessage], slow, 1)
    await handled(found, TEXT)
    assert anyio.current_time() - begun == pytest.approx(5)
    assert [type(error) for _, error in told.of] == [TimeoutError]


async def test_without_on_error_it_is_logged_without_the_text(caplog: pytest.LogCaptureFixture) -> None:
    found = handlers()
    found.add([TextMessage], Failing(ValueError("no")), 1)
    await found.handle(TEXT)
    (record,) = caplog.records
    assert record.getMessage() == "the handler of a TextMessage failed"
    assert "ValueError: no" in caplog.text
    assert "a secret text" not in caplog.text


async def test_an_on_error_that_fails_or_hangs_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def worse(message: Message, error: Exception) -> None:
        raise KeyError("worse")

    async def hangs(message: Message, error: Exception) -> None:
        await anyio.sleep_forever()

    for on_error, told in ((worse, "KeyError"), (hangs, "TimeoutError")):
        caplog.clear()
        found = handlers(on_error)
        found.add([TextMessage], Failing(ValueError("no")), 1)
        await handled(found, TEXT)
        assert [each.getMessage() for each in caplog.records] == [
            "on_error failed after the handler of a TextMessage had"
        ]
        assert told in caplog.text


async def test_an_exception_group_is_a_failure() -> None:
    told = Told()
    found = handlers(told)

    async def child() -> None:
        raise ValueError("no")

    async def with_tasks(message: Message) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(child)
            group.start_soon(anyio.sleep_forever)

    found.add([TextMessage], with_tasks, 1)
    await found.handle(TEXT)
    (error,) = (error for _, error in told.of)
    assert isinstance(error, ExceptionGroup)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3), GeneratorExit()])
async def test_what_ends_the_program_is_no_failure(error: BaseException) -> None:
    told = Told()
    found = handlers(told)
    found.add([TextMessage], Failing(error), 3)
    with pytest.raises(type(error)):
        await found.handle(TEXT)
    assert told.of == []


async def test_a_cancelled_handler_is_no_failure() -> None:
    told = Told()
    found = handlers(told)
    entered = anyio.Event()

    async def waits(message: Message) -> None:
        entered.set()
        await anyio.sleep_forever()

    found.add([TextMessage], waits, 3)
    async with anyio.create_task_group() as group:
        group.start_soon(found.handle, TEXT)
        await entered.wait()
        group.cancel_scope.cancel()
    assert told.of == []


@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
async def test_one_that_awaits_what_others_cancelled_has_failed() -> None:
    told = Told()
    found = handlers(told)

    async def waits(message: Message) -> None:
        task = asyncio.create_task(asyncio.sleep(10))
        asyncio.get_running_loop().call_soon(task.cancel)
        await task

    found.add([TextMessage], waits, 1)
    async with anyio.create_task_group() as group:
        group.start_soon(found.handle, TEXT)
    (error,) = (error for _, error in told.of)
    assert isinstance(error, RuntimeError)
    assert isinstance(error.__cause__, asyncio.CancelledError)
