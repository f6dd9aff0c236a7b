"""The order of messages, and the fate of a message whose handler fails or does something to its task."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextvars import ContextVar
from typing import Any, Self

import anyio
import anyio.lowlevel
import pytest
from anyio import sleep

from landbot_async._core.background import Background
from landbot_async.webhooks import dispatcher
from landbot_async.webhooks.dispatcher import Dispatcher, Room
from landbot_async.webhooks.handlers import Handlers
from landbot_async.webhooks.messages import ButtonMessage, Message, TextMessage
from landbot_async.webhooks.parsing import read_deliveries
from tests.helpers import until
from tests.webhooks.deliveries import NOON, delivery

pytestmark = pytest.mark.anyio
on_asyncio = pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)

Handle = Callable[[Message], Awaitable[object]]


class Running:
    """A dispatcher that runs, and what it handled: (text, when, late)."""

    def __init__(
        self,
        handle: Handle | None = None,
        *,
        attempts: int = 1,
        timeout: float = 60,
        on_error: Any = None,
        durable: bool = True,
        **options: Any,
    ) -> None:
        self.handle = handle
        self.options: dict[str, Any] = {"settle": 0.2, "concurrency": 32, "queue_size": 1000, **options}
        self.handlers = Handlers(timeout=timeout, on_error=on_error)
        self.handlers.add([Message], self._handle, attempts)
        self.durable = durable
        self.got: list[tuple[str, float, bool]] = []
        self.finished: list[int] = []
        self.count = 0

    async def __aenter__(self) -> Self:
        self.tasks = Background(self._interrupted)
        await self.tasks.open()
        finish = self.finished.append if self.durable else None
        self.dispatcher = Dispatcher(self.tasks, self.handlers, finish, source="platform", **self.options)
        self.tasks.start(self.dispatcher.run)
        self.begun = anyio.current_time()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.dispatcher.halt()
        await self.tasks.close()
        self.dispatcher.tell_lost()

    def _interrupted(self) -> None:
        self.dispatcher.halt()

    async def _handle(self, message: Message) -> None:
        self.got.append((message.data["body"], round(anyio.current_time() - self.begun, 6), message.late))
        if self.handle is not None:
            await self.handle(message)

    def put(self, text: str, *, customer: int = 1, at: float = 0, seq: int | None = None, **given: Any) -> None:
        self.count += 1
        body = delivery(text, customer=customer, at=NOON + at, seq=seq, **given)
        (found,) = read_deliveries("platform", body, f"d{self.count}", 0)
        self.dispatcher.reserve(found.customer)
        self.dispatcher.put(found._replace(number=self.count), anyio.current_time())

    @property
    def texts(self) -> list[str]:
        return [text for text, _, _ in self.got]


class Told:
    """An `on_error` that remembers."""

    def __init__(self) -> None:
        self.of: list[tuple[str, Exception]] = []

    async def __call__(self, message: Message, error: Exception) -> None:
        self.of.append((message.data["body"], error))


class Failing:
    """A handler that raises, the first times."""

    def __init__(self, error: BaseException, times: int = 9999) -> None:
        self.error, self.times = error, times
        self.at: list[float] = []

    async def __call__(self, message: Message) -> None:
        self.at.append(anyio.current_time())
        if len(self.at) <= self.times:
            raise self.error


class TestOrder:
    async def test_a_message_settles_and_is_handled_in_order(self) -> None:
        async with Running() as running:
            for text, at, seq in (("c", 2, None), ("b", 1, 2), ("a", 1, 1)):
                running.put(text, at=at, seq=seq)
                await sleep(0.05)
            assert running.got == []
            await sleep(1)
            assert running.texts == ["a", "b", "c"]
            # At most a tenth of the settling time later than it has to be.
            assert [when for _, when, _ in running.got] == pytest.approx([0.2, 0.2, 0.2], abs=0.0201)
            assert running.finished == [3, 2, 1]
            assert running.dispatcher.held == 0

    async def test_one_that_comes_too_late_is_handled_and_says_so(self) -> None:
        async with Running() as running:
            running.put("b", at=2)
            await sleep(0.5)
            running.put("a", at=1)
            running.put("c", at=3)
            await sleep(0.5)
        assert [(text, late) for text, _, late in running.got] == [("b", False), ("a", True), ("c", False)]

    async def test_nothing_settles_where_nothing_has_to(self) -> None:
        async with Running(settle=0) as running:
            running.put("b", at=2)
            running.put("a", at=1)
            await running.dispatcher.drain()
            assert running.got == [("b", 0.0, False), ("a", 0.0, True)]

    async def test_the_clock_is_not_asked_for_each_message(self) -> None:
        async with Running() as running:
            for number in range(100):
                running.put(str(number), customer=number)
                await sleep(0.001)
            await sleep(1)
            assert len(running.got) == 100
            assert len({when for _, when, _ in running.got}) <= 7

    async def test_customers_side_by_side_and_each_in_order(self) -> None:
        busy, most = list[int](), 0

        async def slow(message: Message) -> None:
            nonlocal most
            busy.append(message.customer.id)
            assert len(set(busy)) == len(busy)
            most = max(most, len(busy))
            await sleep(1)
            busy.remove(message.customer.id)

        async with Running(slow, concurrency=3) as running:
            for number in range(20):
                running.put(f"{number % 5}-{number // 5}", customer=number % 5, at=number)
            await sleep(30)
            assert most == 3
            assert len(running.got) == 20
            for customer in range(5):
                own = [each for each in running.texts if each[0] == str(customer)]
                assert own == [f"{customer}-{n}" for n in range(4)]

    async def test_one_customers_flood_holds_up_nobody(self) -> None:
        async def slow(message: Message) -> None:
            await sleep(1)

        async with Running(slow, concurrency=1) as running:
            for number in range(50):
                running.put("flood", at=number)
            running.put("other", customer=2)
            await sleep(5)
            assert "other" in running.texts[:2]

    async def test_a_handler_that_never_waits_lets_others_run(self) -> None:
        turns = 0

        async def spin() -> None:
            nonlocal turns
            while True:
                await anyio.lowlevel.checkpoint()
                turns += 1

        async with Running(settle=0, concurrency=1) as running:
            for number in range(200):
                running.put("x", customer=number)
            running.tasks.start(spin)
            while len(running.got) < 200:
                await anyio.lowlevel.checkpoint()
            assert turns >= 5

    async def test_one_that_cannot_be_read_any_more_keeps_no_other_from_being_handled(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        async with Running() as running:
            running.put("b", at=1)
            (entry,) = running.dispatcher._ordering._queues[1].waiting
            entry[2].delivery = entry[2].delivery._replace(body=b"{}")
            running.put("c", at=2)
            await sleep(1)
            assert (running.texts, running.finished, running.dispatcher.held) == (["c"], [1, 2], 0)
        [record] = caplog.records
        told = (
            "a message that was taken cannot be read, and is not handled: The delivery is no message of a message hook"
        )
        assert record.getMessage().startswith(told)


class TestRoom:
    async def test_the_queue_and_each_customers_part_of_it_are_bounded(self) -> None:
        async with Running(queue_size=10) as running:
            room = running.dispatcher.room
            for customer in (1, 1, 2, 2, 3, 3, 4, 4):
                assert room(customer) is Room.FREE
                running.put("x", customer=customer)
            assert [room(customer) for customer in (1, 4, 5)] == [Room.CUSTOMER_FULL, Room.CUSTOMER_FULL, Room.FREE]
            running.put("x", customer=5)
            running.dispatcher.reserve(6)
            assert room(7) is Room.FULL
            running.dispatcher.release(6)
            assert room(7) is Room.FREE
            assert running.dispatcher.held_of(1) == 2
            await sleep(1)
            assert room(1) is Room.FREE
            assert (running.dispatcher.held, running.dispatcher.held_of(1)) == (0, 0)
            running.dispatcher.halt()
            assert room(1) is Room.CLOSED

    @pytest.mark.parametrize(("size", "share"), [(1, 1), (3, 1), (4, 1), (8, 2), (1000, 250), (1003, 250)])
    async def test_a_customer_has_a_quarter(self, size: int, share: int) -> None:
        async with Running(queue_size=size) as running:
            assert running.dispatcher.share == share


class TestEnd:
    async def test_drain_waits_for_all(self) -> None:
        async def slow(message: Message) -> None:
            await sleep(1)

        async with Running(slow, concurrency=2, settle=60) as running:
            for number in range(10):
                running.put(str(number), at=number)
            await running.dispatcher.drain()
            assert running.texts == [str(number) for number in range(10)]
            assert running.dispatcher.held == 0
            await running.dispatcher.drain()

    async def test_halt_and_rest_waits_for_what_is_running(self) -> None:
        async def slow(message: Message) -> None:
            await sleep(1)

        async with Running(slow, concurrency=2, settle=0) as running:
            for number in range(10):
                running.put(str(number), customer=number)
            await sleep(0.5)
            running.dispatcher.halt()
            await running.dispatcher.rest()
            running.put("after", customer=99)
            await sleep(60)
            assert sorted(running.texts) == ["0", "1"]
            assert sorted(running.finished) == [1, 2]
            assert running.dispatcher.held == 9

    async def test_between_attempts_it_looks_whether_it_is_halted(self, caplog: pytest.LogCaptureFixture) -> None:
        failing = Failing(ValueError("no"))
        async with Running(failing, attempts=20, settle=0) as running:
            running.put("a")
            await sleep(5)
            running.dispatcher.halt()
            begun = anyio.current_time()
            await running.dispatcher.rest()
            assert anyio.current_time() == begun
        assert len(failing.at) == 3
        assert running.finished == []
        assert caplog.records == []

    async def test_a_message_whose_handler_is_cancelled_at_the_end_is_not_handled(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def cleans_up(message: Message) -> None:
            try:
                await anyio.sleep_forever()
            finally:
                raise KeyError("while cleaning up")

        for durable in (True, False):
            async with Running(cleans_up, durable=durable, settle=0) as running:
                running.put("a")
                await sleep(1)
            assert running.finished == []
        [record] = caplog.records
        assert record.getMessage() == "the inbox ends with 1 acknowledged messages that are not handled: they are lost"

    async def test_an_on_error_that_is_cancelled_at_the_end_leaves_the_message_unhandled(self) -> None:
        async def hangs(message: Message, error: Exception) -> None:
            await anyio.sleep_forever()

        async with Running(Failing(ValueError("no")), on_error=hangs, settle=0) as running:
            running.put("a")
            await sleep(1)
        assert running.finished == []


SAID: ContextVar[str] = ContextVar("SAID", default="nothing")


@pytest.mark.parametrize("settle", [0, 0.2])
@pytest.mark.parametrize("waits", [True, False])
async def test_no_handler_sees_the_context_of_another_or_of_a_request(settle: float, waits: bool) -> None:
    found: list[str] = []

    async def say(message: Message) -> None:
        found.append(SAID.get())
        SAID.set("a handler's")
        if waits:
            await sleep(1)
        raise ValueError

    async def told(message: Message, error: Exception) -> None:
        found.append(SAID.get())

    before = SAID.set("the inbox's")
    async with Running(say, settle=settle, concurrency=2, on_error=told) as running:
        SAID.set("a request's")
        for number in range(7):
            running.put("x", customer=number % 3, at=number)
        await running.dispatcher.drain()
    assert found == ["the inbox's"] * 14
    SAID.reset(before)


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


def test_the_end_of_the_event_loop_gives_everything_back() -> None:
    """It is cancelled as when a program is told to end twice: `asyncio.run` cancels every task."""
    running = Running(durable=True, settle=0, concurrency=2)

    async def handle(message: Message) -> None:
        if message.data["body"] != "quick":
            await anyio.sleep_forever()

    async def main() -> None:
        running.handle = handle
        await running.__aenter__()
        running.put("quick", customer=9)
        for number in range(5):
            running.put("slow", customer=number)
        await until(lambda: running.finished and len(running.texts) == 3)

    asyncio.run(main())
    assert running.finished == [1]
    assert running.dispatcher.held == 5
    assert sorted(running.texts) == ["quick", "slow", "slow"]


async def test_idle_uses_no_time(anyio_backend: Any) -> None:
    """An idle dispatcher waits for no clock: in virtual time, nothing would hold it up."""
    async with Running(timeout=1e-6) as running:
        running.put("a")
        await sleep(1)
        begun = anyio.current_time()
        await anyio.to_thread.run_sync(lambda: __import__("time").sleep(0.05))
        # Virtual time moves when somebody waits for it; a thread takes none.
        assert anyio.current_time() == begun


async def test_a_text_is_a_text() -> None:
    """The messages of these tests are what they seem."""
    got: list[type] = []

    async def handle(message: Message) -> None:
        got.append(type(message))

    async with Running(handle) as running:
        running.put("a")
        await sleep(1)
    assert got == [TextMessage]
