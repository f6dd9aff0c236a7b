"""The fate of a message whose handler fails or does something to its task."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator
from typing import Any

import anyio
import pytest
from anyio import sleep

from landbot_async.webhooks import dispatcher
from landbot_async.webhooks.messages import ButtonMessage, Message

from .dispatching import Failing, Handle, Running, Told

pytestmark = pytest.mark.anyio
on_asyncio = pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)


class TestFailures:
    async def test_a_failure_goes_to_on_error_once(self) -> None:
        told, failing = Told(), Failing(ValueError("no"))
        async with Running(failing, on_error=told) as running:
            running.put("a")
            await sleep(1)
        assert told.of == [("a", failing.error)]
        assert (len(failing.at), running.finished) == (1, [1])

    @pytest.mark.parametrize(("times", "tells"), [(0, 0), (2, 0), (3, 0), (4, 1)])
    async def test_it_is_tried_again_only_when_asked_for(self, times: int, tells: int) -> None:
        told, failing = Told(), Failing(ValueError("no"), times)
        async with Running(failing, attempts=4, on_error=told) as running:
            running.put("a")
            running.put("b", at=1)
            await sleep(60)
        waits = [round(later - earlier, 6) for earlier, later in zip(failing.at, failing.at[1:], strict=False)]
        assert waits[:times] == [1.0, 2.0, 4.0][:times] + ([0.0] if times == 4 else [])
        assert [text for text, _ in told.of] == ["a"] * tells
        assert running.texts[-1] == "b"  # the customer's next message waits

    async def test_a_slow_one_is_cut_off(self) -> None:
        told = Told()

        async def slow(message: Message) -> None:
            await sleep(6)

        async with Running(slow, timeout=5, on_error=told, settle=0) as running:
            running.put("a")
            await running.dispatcher.drain()
            assert anyio.current_time() - running.begun == pytest.approx(5)
        [(_, error)] = told.of
        assert repr(error) == "TimeoutError('it took longer than 5 seconds')"

    async def test_a_handler_can_see_its_time_out(self) -> None:
        seen: list[float] = []

        async def look(message: Message) -> None:
            seen.append(anyio.current_effective_deadline() - anyio.current_time())

        async with Running(look, timeout=5) as running:
            running.put("a")
            await sleep(1)
        assert seen == [pytest.approx(5)]

    @pytest.mark.parametrize("uuid", ["f00627c8-6d5a", "Ana says 34 666", None])
    async def test_without_on_error_it_is_logged_with_ids_and_without_the_text(
        self, uuid: str | None, caplog: pytest.LogCaptureFixture
    ) -> None:
        async with Running(Failing(ValueError("no"))) as running:
            running.put("a secret text", customer=42, uuid=uuid)
            await sleep(1)
        (record,) = caplog.records
        id_ = {"f00627c8-6d5a": uuid, None: "d1"}.get(uuid, "without an id")
        assert record.getMessage() == f"the handler of a TextMessage failed: message {id_} of customer 42"
        assert "ValueError: no" in caplog.text
        assert "a secret text" not in caplog.text

    async def test_an_on_error_that_fails_or_hangs_is_logged(self, caplog: pytest.LogCaptureFixture) -> None:
        async def worse(message: Message, error: Exception) -> None:
            raise KeyError("worse")

        async def hangs(message: Message, error: Exception) -> None:
            await anyio.sleep_forever()

        for on_error, told in ((worse, "KeyError"), (hangs, "TimeoutError")):
            caplog.clear()
            async with Running(Failing(ValueError("no")), on_error=on_error) as running:
                running.put("a", customer=42)
                await sleep(100)
            assert running.finished == [1]
            [record] = caplog.records
            assert record.getMessage() == (
                "on_error failed after the handler of a TextMessage had: message d1 of customer 42"
            )
            assert told in caplog.text

    async def test_a_failure_of_our_own_is_told_too(
        self, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with Running(attempts=3) as running:
            monkeypatch.setattr(dispatcher, "read_delivery", lambda *_: 1 / 0)
            running.put("a")
            await sleep(1)
            assert running.finished == [1]
        [record] = caplog.records
        assert record.getMessage() == "the handler of a Message failed: unread"

    async def test_a_kind_without_a_handler_is_dropped_and_logged_once(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO, "landbot_async")
        async with Running() as running:
            running.handlers._by_type.clear()
            running.handlers.add([ButtonMessage], running._handle, 1)
            for number, type_ in enumerate(("text", "text", "button", "sticker", "text")):
                running.put("x", at=number, type=type_)
            await sleep(1)
            assert (running.texts, running.finished) == (["x"], [1, 2, 3, 4, 5])
        assert [each.getMessage() for each in caplog.records] == [
            f"no handler takes a {name}, so it is dropped, as all of its kind are"
            for name in ("TextMessage", "UnknownMessage")
        ]


class Odd(BaseException):
    pass


async def leaky() -> AsyncGenerator[int]:
    with anyio.move_on_after(3):
        yield 1


KEPT: list[Any] = []


async def leaves_a_scope_open(message: Message) -> None:
    generator = leaky()
    KEPT.append(generator)
    await anext(generator)


async def leaves_a_scope_open_and_fails(message: Message) -> None:
    await leaves_a_scope_open(message)
    raise ValueError


async def leaves_a_scope_open_and_waits(message: Message) -> None:
    await leaves_a_scope_open(message)
    await sleep(10)


async def leaves_a_cancelled_scope_open(message: Message) -> None:
    scope = anyio.CancelScope()
    scope.__enter__()
    KEPT.append(scope)
    scope.cancel()


async def leaves_a_task_group_open(message: Message) -> None:
    group = anyio.create_task_group()
    await group.__aenter__()
    KEPT.append(group)


async def raises_an_odd_exception(message: Message) -> None:
    raise Odd


async def raises_generator_exit(message: Message) -> None:
    raise GeneratorExit


async def raises_a_group(message: Message) -> None:
    raise BaseExceptionGroup("", [Odd(), ValueError()])


async def raises_the_cancelled_exception(message: Message) -> None:
    raise anyio.get_cancelled_exc_class() if asyncio._get_running_loop() else Odd


MISBEHAVIOUR: list[Handle] = [
    leaves_a_scope_open,
    leaves_a_scope_open_and_fails,
    leaves_a_scope_open_and_waits,
    leaves_a_cancelled_scope_open,
    leaves_a_task_group_open,
    raises_an_odd_exception,
    raises_generator_exit,
    raises_a_group,
    raises_the_cancelled_exception,
]


@pytest.mark.parametrize("handler", MISBEHAVIOUR)
@pytest.mark.parametrize("attempts", [1, 2])
async def test_whatever_a_handler_does_is_a_failure_of_its_message_only(handler: Handle, attempts: int) -> None:
    told = Told()

    async def handle(message: Message) -> None:
        if message.data["body"] == "odd":
            await handler(message)
        else:
            await sleep(10)

    async with Running(handle, on_error=told, concurrency=2, attempts=attempts) as running:
        for number in range(6):
            running.put("odd", customer=number % 2, at=number)
            running.put("good", customer=number % 2, at=number)
        await sleep(1000)
        assert running.dispatcher.held == 0
        assert sorted(running.finished) == list(range(1, 13))
    assert [text for text, _ in told.of] == ["odd"] * 6
    assert running.texts.count("good") == 6
    assert all(isinstance(error, Exception) for _, error in told.of)
    while KEPT:
        kept = KEPT.pop()
        if hasattr(kept, "aclose"):
            with contextlib.suppress(RuntimeError):
                await kept.aclose()


@on_asyncio
class TestTasks:
    async def test_a_handler_that_cancels_its_own_task_concerns_its_message_only(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def cancels_itself(message: Message) -> None:
            if message.data["body"] == "odd":
                task = asyncio.current_task()
                assert task is not None
                task.cancel()
                await sleep(1)

        for durable, fate in ((True, "it stays in the inbox's file until the next start"), (False, "it is lost")):
            caplog.clear()
            told = Told()
            async with Running(cancels_itself, durable=durable, on_error=told) as running:
                running.put("odd", customer=42)
                running.put("good", customer=42, at=1)
                running.put("good", customer=43)
                await sleep(5)
                assert running.dispatcher.held == 0
                assert sorted(running.texts) == ["good", "good", "odd"]
            assert sorted(running.finished) == ([2, 3] if durable else [])
            assert told.of == []
            [record] = caplog.records
            assert record.getMessage() == (
                f"the task that handled a TextMessage was cancelled, and {fate}: message d1 of customer 42"
            )

    async def test_a_remembered_task_is_that_of_one_message(self) -> None:
        tasks: dict[int, asyncio.Task[Any]] = {}

        async def cancels_the_customers_last(message: Message) -> None:
            task = asyncio.current_task()
            assert task is not None
            if message.customer.id in tasks:
                tasks[message.customer.id].cancel()
            tasks[message.customer.id] = task
            await sleep(0.1)

        async with Running(cancels_the_customers_last, concurrency=2, settle=0) as running:
            for number in range(30):
                running.put("x", customer=number % 5, at=number)
            await running.dispatcher.drain()
        assert sorted(running.finished) == list(range(1, 31))

    async def test_one_that_waits_for_what_others_cancelled_has_failed(self) -> None:
        told = Told()

        async def waits(message: Message) -> None:
            task = asyncio.create_task(asyncio.sleep(10))
            asyncio.get_running_loop().call_soon(task.cancel)
            await task

        async with Running(waits, on_error=told) as running:
            running.put("a")
            await sleep(1)
            assert running.finished == [1]
        [(_, error)] = told.of
        assert str(error) == "it was cancelled by something it waited for"
        assert isinstance(error.__cause__, asyncio.CancelledError)

    async def test_a_back_off_or_an_on_error_that_is_cancelled_alone_goes_on(self) -> None:
        told, failing = Told(), Failing(ValueError("no"))
        async with Running(failing, on_error=told, attempts=2, settle=0) as running:
            running.put("a")
            await sleep(0.1)
            (back_off,) = (
                native
                for native, task in running.tasks._running.items()
                if getattr(task.function, "func", None) == running.dispatcher._back_off
            )
            back_off.cancel()
            await sleep(0.1)
            assert len(failing.at) == 2
            assert [text for text, _ in told.of] == ["a"]
