"""The order of messages, the room for them, and the end of the dispatcher."""

import asyncio
from contextvars import ContextVar
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from anyio import sleep

from landbot_async.webhooks.dispatcher import Room
from landbot_async.webhooks.messages import Message, TextMessage
from tests.helpers import until

from .dispatching import Failing, Running

pytestmark = pytest.mark.anyio


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
