from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any, Self

import anyio
import anyio.lowlevel
import pytest
from anyio import sleep

from landbot_async import WebhookPayloadError
from landbot_async.webhooks.dispatcher import Workers
from landbot_async.webhooks.messages import Message
from landbot_async.webhooks.parsing import look, read
from tests.webhooks.deliveries import NOON, delivery

pytestmark = pytest.mark.anyio

Handle = Callable[[Message], Awaitable[None]]


class Running:
    """Workers in a task group, and what they handled: (text, when, late)."""

    def __init__(self, handle: Handle | None = None, **options: Any) -> None:
        self.handle = handle
        self.options: dict[str, Any] = {"settle": 0.2, "concurrency": 32, **options}
        self.got: list[tuple[str, float, bool]] = []
        self.finished: list[int] = []

    async def __aenter__(self) -> Self:
        self.group = await anyio.create_task_group().__aenter__()
        self.workers = Workers(self.group, self._read, self._handle, self._handled, **self.options)
        self.group.start_soon(self.workers.run)
        self.begun = anyio.current_time()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.group.cancel_scope.cancel()
        await self.group.__aexit__(None, None, None)

    def _read(self, body: bytes, delivery_id: str | None) -> Message:
        if b"unreadable" in body:
            raise WebhookPayloadError("it cannot be read")
        return read("platform", body, delivery_id)

    async def _handle(self, message: Message) -> None:
        self.got.append((message.data["body"], round(anyio.current_time() - self.begun, 6), message.late))
        if self.handle is not None:
            await self.handle(message)

    async def _handled(self, number: int) -> None:
        self.finished.append(number)

    def put(self, text: str, *, customer: int = 1, at: float = 0, seq: int | None = None) -> None:
        body = delivery(text, customer=customer, at=NOON + at, seq=seq)
        number = len(self.got) + self.workers.held + 1
        self.workers.put(look("platform", body, None), number, anyio.current_time())

    @property
    def texts(self) -> list[str]:
        return [text for text, _, _ in self.got]


async def test_one_that_cannot_be_read_any_more_keeps_no_other_from_being_handled(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with Running() as running:
        running.put("unreadable")
        running.put("b", at=1)
        await sleep(1)
        assert (running.texts, running.finished, running.workers.held) == (["b"], [2], 0)
    [record] = caplog.records
    assert record.getMessage() == "a message that was taken cannot be read, and is not handled: it cannot be read"


async def test_a_message_settles_and_is_handled_in_order() -> None:
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
        assert running.workers.held == 0


async def test_one_that_comes_too_late_is_handled_and_says_so() -> None:
    async with Running() as running:
        running.put("b", at=2)
        await sleep(0.5)
        running.put("a", at=1)
        running.put("c", at=3)
        await sleep(0.5)
    assert [(text, late) for text, _, late in running.got] == [("b", False), ("a", True), ("c", False)]


async def test_nothing_settles_where_nothing_has_to() -> None:
    async with Running(settle=0) as running:
        running.put("b", at=2)
        running.put("a", at=1)
        await anyio.wait_all_tasks_blocked()
        assert [when for _, when, _ in running.got] == [0.0, 0.0]
        assert running.texts == ["a", "b"]  # both were there before anybody had a turn


async def test_the_clock_is_not_asked_for_each_message() -> None:
    async with Running() as running:
        for number in range(100):
            running.put(str(number), customer=number)
            await sleep(0.001)
        await sleep(1)
        assert len(running.got) == 100
        assert len({when for _, when, _ in running.got}) <= 7


async def test_customers_side_by_side_and_each_in_order() -> None:
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
            assert [each for each in running.texts if each[0] == str(customer)] == [f"{customer}-{n}" for n in range(4)]


async def test_one_customers_flood_holds_up_nobody() -> None:
    async def slow(message: Message) -> None:
        await sleep(1)

    async with Running(slow, concurrency=1) as running:
        for number in range(50):
            running.put("flood", at=number)
        running.put("other", customer=2)
        await sleep(5)
        assert "other" in running.texts[:2]


async def test_a_handler_that_never_waits_lets_others_run() -> None:
    turns = 0

    async def spin() -> None:
        nonlocal turns
        while True:
            await anyio.lowlevel.checkpoint()
            turns += 1

    async with Running(settle=0, concurrency=1) as running:
        for number in range(200):
            running.put("x", customer=number)
        running.group.start_soon(spin)
        while len(running.got) < 200:
            await anyio.lowlevel.checkpoint()
        assert turns >= 5


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

    before = SAID.set("the inbox's")
    async with Running(say, settle=settle, concurrency=2) as running:
        SAID.set("a request's")
        for number in range(7):
            running.put("x", customer=number % 3, at=number)
        await running.workers.drain()
    assert found == ["the inbox's"] * 7
    SAID.reset(before)


async def test_drain_waits_for_all() -> None:
    async def slow(message: Message) -> None:
        await sleep(1)

    async with Running(slow, concurrency=2, settle=60) as running:
        for number in range(10):
            running.put(str(number), at=number)
        await running.workers.drain()
        assert running.texts == [str(number) for number in range(10)]
        assert running.workers.held == 0
        await running.workers.drain()


async def test_halt_and_rest_waits_for_what_is_in_hand() -> None:
    async def slow(message: Message) -> None:
        await sleep(1)

    async with Running(slow, concurrency=2, settle=0) as running:
        for number in range(10):
            running.put(str(number), customer=number)
        await sleep(0.5)
        running.workers.halt()
        await running.workers.rest()
        running.put("after", customer=99)
        await sleep(60)
        assert sorted(running.texts) == ["0", "1"]
        assert sorted(running.finished) == [1, 2]
        assert running.workers.held == 9


async def test_halted_before_a_worker_began() -> None:
    async with Running(settle=0) as running:
        running.put("never")
        running.workers.halt()
        await running.workers.rest()
        assert running.got == []
