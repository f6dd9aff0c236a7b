"""Promises of every limiter: those of `Limiter` and of its optional parts, in `landbot_async._core.limiter`.

To check a limiter, subclass `LimiterConformance` in a test file and override `limiter`. One whose clock is not the
event loop's, because other processes share it, is checked in real time: mark the subclass with `real_time`, and choose
a small `PER` and some seconds for `LATE`.
"""

from __future__ import annotations

import asyncio
import random
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from itertools import pairwise
from typing import Any, ClassVar

import anyio
import pytest
from anyio import create_task_group, current_time, sleep
from anyio.lowlevel import checkpoint

from landbot_async import Limiter
from landbot_async._core.limiter import FinishableTicket, PredictingLimiter, StartableTicket
from landbot_async._core.priority import Priority
from landbot_async._core.throttle import takes_priority


def most_in(starts: list[float], per: float) -> int:
    """Return the most starts in any closed stretch of `per` seconds."""
    return max((sum(first <= each <= first + per for each in starts) for first in starts), default=0)


class Client:
    """Sends requests through a limiter, and notes when each was written.

    Attributes:
        starts: the number of each request, and the time at which it was written.
    """

    def __init__(self, limiter: Any) -> None:
        self.limiter = limiter
        self.starts: list[tuple[int | str, float]] = []

    async def send(self, number: int | str, priority: Priority = "normal", *, connect: float = 0.0) -> None:
        ticket = await (self.limiter.acquire(priority=priority) if priority == "low" else self.limiter.acquire())
        if connect:
            await sleep(connect)
        if isinstance(ticket, StartableTicket):
            ticket.started()
        self.starts.append((number, current_time()))
        if isinstance(ticket, FinishableTicket):
            ticket.done()

    @property
    def order(self) -> list[int | str]:
        return [number for number, _ in self.starts]

    @property
    def times(self) -> list[float]:
        return [at for _, at in self.starts]


@pytest.mark.anyio
class LimiterConformance(ABC):
    RATE: ClassVar[int] = 10
    PER: ClassVar[float] = 1.0
    LATE: ClassVar[float] = 1e-6
    """Seconds by which a start may be later than it has to be, because of a slow store or a busy machine."""
    EARLY: ClassVar[float] = 1e-6
    """Seconds by which the limiter's clock and the event loop's may differ."""

    @abstractmethod
    def limiter(self) -> AbstractAsyncContextManager[Any]:
        """Make a limiter of `RATE` in `PER` that nobody else uses."""
        ...

    @property
    def gap(self) -> float:
        """The seconds between two starts, at the ceiling."""
        return self.PER / self.RATE

    def within(self, slots: float) -> float:
        """Return the seconds after which `slots` slots must have passed: spacing may be a twentieth slower."""
        return slots * self.gap * 1.05 + self.LATE

    async def test_it_is_a_limiter(self) -> None:
        async with self.limiter() as limiter:
            assert isinstance(limiter, Limiter)

    async def test_never_more_than_its_rate_in_any_stretch_and_close_to_it(self) -> None:
        async with self.limiter() as limiter:
            client = Client(limiter)
            begun = current_time()
            async with create_task_group() as tasks:
                for number in range(3 * self.RATE):
                    tasks.start_soon(client.send, number)
            assert most_in(client.times, self.PER - self.EARLY) <= self.RATE
            assert client.times[-1] - begun <= self.within(3 * self.RATE)

    async def test_never_more_than_its_rate_after_an_idle_spell(self) -> None:
        async with self.limiter() as limiter:
            client = Client(limiter)
            for _ in range(2):
                await sleep(1.5 * self.PER)
                async with create_task_group() as tasks:
                    for number in range(self.RATE + 3):
                        tasks.start_soon(client.send, number)
            assert most_in(client.times, self.PER - self.EARLY) <= self.RATE

    async def test_first_come_first_served(self) -> None:
        async with self.limiter() as limiter:
            client = Client(limiter)
            async with create_task_group() as tasks:
                for number in range(2 * self.RATE):
                    tasks.start_soon(client.send, number)
                    await checkpoint()
            assert client.order == list(range(2 * self.RATE))

    async def test_nobody_overtakes_those_who_wait(self) -> None:
        async with self.limiter() as limiter:
            client = Client(limiter)
            await limiter.acquire()

            async def send_twice(number: int) -> None:
                await client.send(number)
                await client.send(number)

            async with create_task_group() as tasks:
                for number in range(5):
                    tasks.start_soon(send_twice, number)
                    await checkpoint()
            assert client.order == [*range(5), *range(5)]

    async def test_a_thousand_tasks_that_give_up_cost_at_most_one_slot(self) -> None:
        async with self.limiter() as limiter:
            client = Client(limiter)
            await client.send(0)
            async with create_task_group() as tasks:
                for number in range(1000):
                    tasks.start_soon(client.send, number)
                await checkpoint()
                tasks.cancel_scope.cancel()
            begun = current_time()
            given_up = len(client.starts)
            await client.send("last")
            assert given_up == 1
            assert client.times[-1] - begun <= self.within(2)

    async def test_heads_that_give_up_one_after_another_cost_at_most_two_slots(self) -> None:
        async with self.limiter() as limiter:
            client = Client(limiter)
            await client.send(0)
            for number in range(10):
                with anyio.move_on_after(self.gap / 20):
                    await client.send(number)
            begun = current_time()
            await client.send("last")
            assert client.times[-1] - begun <= self.within(2)

    async def test_those_who_give_up_at_any_moment_take_nothing_from_the_others(self) -> None:
        async with self.limiter() as limiter:
            client, chance = Client(limiter), random.Random(7)
            begun = current_time()
            async with create_task_group() as tasks:
                for number in range(3 * self.RATE):
                    if number % 3:
                        tasks.start_soon(self._give_up, client, number, chance.random() * 2 * self.PER)
                    else:
                        tasks.start_soon(client.send, number)
                    await checkpoint()
            assert most_in(client.times, self.PER - self.EARLY) <= self.RATE
            assert [number for number in client.order if isinstance(number, int)] == sorted(map(int, client.order))
            assert {number for number in range(3 * self.RATE) if number % 3 == 0} <= set(client.order)
            assert client.times[-1] - begun <= self.within(len(client.starts) + 2)

    async def _give_up(self, client: Client, number: int, after: float) -> None:
        with anyio.move_on_after(after):
            await client.send(number)

    async def test_asyncio_may_cancel_in_its_own_way(self, anyio_backend_name: str) -> None:
        if anyio_backend_name == "trio":
            return  # it has no other way
        async with self.limiter() as limiter:
            client, chance = Client(limiter), random.Random(8)
            sends = [asyncio.create_task(client.send(number)) for number in range(3 * self.RATE)]
            for number, task in enumerate(sends):
                if number % 3:
                    asyncio.get_running_loop().call_later(chance.random() * 2 * self.PER, task.cancel)
            begun = current_time()
            await asyncio.gather(*sends, return_exceptions=True)
            assert {number for number in range(3 * self.RATE) if number % 3 == 0} <= set(client.order)
            assert most_in(client.times, self.PER - self.EARLY) <= self.RATE
            assert client.times[-1] - begun <= self.within(len(client.starts) + 2)

    async def test_a_cancelled_scope_takes_nothing(self) -> None:
        async with self.limiter() as limiter:
            with anyio.CancelScope() as scope:
                scope.cancel()
                await limiter.acquire()
            assert scope.cancelled_caught
            client, begun = Client(limiter), current_time()
            await client.send(0)
            assert client.times[0] - begun <= self.LATE

    async def test_a_pause_holds_everybody_those_who_wait_included(self) -> None:
        async with self.limiter() as limiter:
            client, begun, before = Client(limiter), 0.0, 0
            await client.send(0)
            async with create_task_group() as tasks:
                for number in range(1, 4):
                    tasks.start_soon(client.send, number)
                    await checkpoint()
                await sleep(self.gap / 4)
                begun = current_time()
                await limiter.pause(3 * self.PER)
                before = len(client.starts)  # more than one if it takes the store as long to note the pause
                tasks.start_soon(client.send, 4)
            assert client.order == [0, 1, 2, 3, 4]
            assert client.times[before] - begun >= 3 * self.PER - self.EARLY
            assert client.times[-1] - begun <= 3 * self.PER + self.within(5)
            gaps = [later - earlier for earlier, later in pairwise(client.times[before:])]
            assert min(gaps) >= self.gap - self.EARLY - self.LATE, "a pause does not end in a burst"

    @pytest.mark.parametrize("second", [0.0, 0.5])
    async def test_a_shorter_pause_never_shortens_a_longer_one(self, second: float) -> None:
        async with self.limiter() as limiter:
            client, begun = Client(limiter), current_time()
            await limiter.pause(2 * self.PER)
            await limiter.pause(second * self.PER)
            await client.send(0)
            assert 2 * self.PER - self.EARLY <= client.times[0] - begun <= 2 * self.PER + self.within(1)

    async def test_a_pause_that_comes_in_the_last_moment_counts(self) -> None:
        async with self.limiter() as limiter:
            client, begun, before = Client(limiter), 0.0, 0
            await client.send(0)
            async with create_task_group() as tasks:
                tasks.start_soon(client.send, 1)
                await sleep(max(0.0, self.gap * 0.95 - self.LATE / 2))
                begun = current_time()
                await limiter.pause(self.PER)
                before = len(client.starts)
                tasks.start_soon(client.send, 2)
            assert client.times[before] - begun >= self.PER - self.EARLY

    @pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf")])
    async def test_a_pause_is_a_finite_time(self, seconds: float) -> None:
        async with self.limiter() as limiter:
            with pytest.raises(ValueError, match="seconds must be"):
                await limiter.pause(seconds)

    async def test_a_ticket_may_be_told_anything_twice_and_in_any_order(self) -> None:
        async with self.limiter() as limiter:
            ticket = await limiter.acquire()
            told: list[Callable[[], None]] = []
            if isinstance(ticket, StartableTicket):
                told.append(ticket.started)
            if isinstance(ticket, FinishableTicket):
                told.append(ticket.done)
            for tell in (*told, *reversed(told), *told):
                tell()
            client, begun = Client(limiter), current_time()
            await client.send(0)
            assert client.times[0] - begun <= self.within(1)

    async def test_requests_that_are_written_late_count_from_then(self) -> None:
        async with self.limiter() as limiter:
            if not isinstance(await limiter.acquire(), StartableTicket):
                return
            await sleep(self.PER)
            client = Client(limiter)
            async with create_task_group() as tasks:
                for number in range(3 * self.RATE):
                    # The first connections are slow, those that are used again are not.
                    connect = 0.6 * self.PER if number < self.RATE else 0.0
                    tasks.start_soon(partial(client.send, number, connect=connect))
                    await checkpoint()
            assert most_in(client.times, self.PER - self.EARLY) <= self.RATE

    async def test_the_expected_wait_is_never_too_long(self) -> None:
        async with self.limiter() as limiter:
            if not isinstance(limiter, PredictingLimiter):
                return
            client, told = Client(limiter), list[tuple[float, float]]()
            async with create_task_group() as tasks:
                for number in range(2 * self.RATE):
                    told.append((current_time(), limiter.expected_wait()))
                    tasks.start_soon(client.send, number)
                    await checkpoint()
            for (asked, seconds), at in zip(told, client.times, strict=True):
                assert 0 <= seconds <= at - asked + self.EARLY
            assert told[-1][1] > self.PER / 2, "and worth asking for"
            assert limiter.expected_wait(10 * self.RATE) > limiter.expected_wait()


@pytest.mark.anyio
class PriorityConformance(LimiterConformance):
    """A limiter that declares `acquire(priority=)` as well."""

    async def test_it_takes_a_priority(self) -> None:
        async with self.limiter() as limiter:
            assert takes_priority(limiter)
            with pytest.raises(ValueError, match="priority must be 'normal' or 'low', not 'high'"):
                await limiter.acquire(priority="high")  # type: ignore[arg-type]  # what is wrong is the test

    async def test_a_normal_call_has_at_most_one_of_a_thousand_low_ones_before_it(self) -> None:
        async with self.limiter() as limiter:
            client, before = Client(limiter), 0
            async with create_task_group() as tasks:
                for number in range(1000):
                    tasks.start_soon(client.send, number, "low")
                await sleep(2.5 * self.gap)
                before = len(client.starts)
                await client.send("normal")
                tasks.cancel_scope.cancel()
            assert client.order.index("normal") - before <= 1

    async def test_low_calls_get_every_tenth_slot_at_the_least(self) -> None:
        async with self.limiter() as limiter:
            client = Client(limiter)
            async with create_task_group() as tasks:
                for number in range(35):
                    tasks.start_soon(client.send, f"normal {number}")
                    await checkpoint()
                for number in range(3):
                    tasks.start_soon(client.send, number, "low")
                    await checkpoint()
            low = [place for place, number in enumerate(client.order) if isinstance(number, int)]
            assert [client.order[place] for place in low] == [0, 1, 2]
            assert low[0] <= 10
            assert all(later - earlier <= 10 for earlier, later in pairwise(low))
            normal = [number for number in client.order if not isinstance(number, int)]
            assert normal == [f"normal {number}" for number in range(35)]

    async def test_low_calls_have_the_whole_limit_where_nobody_else_wants_it(self) -> None:
        async with self.limiter() as limiter:
            client, begun = Client(limiter), current_time()
            async with create_task_group() as tasks:
                for number in range(2 * self.RATE):
                    tasks.start_soon(client.send, number, "low")
                    await checkpoint()
            assert client.order == list(range(2 * self.RATE))
            assert client.times[-1] - begun <= self.within(2 * self.RATE)

    async def test_a_low_head_that_gives_up_holds_up_nobody(self) -> None:
        async with self.limiter() as limiter:
            client = Client(limiter)
            await client.send(0)
            begun = current_time()
            async with create_task_group() as tasks, create_task_group() as doomed:
                doomed.start_soon(client.send, "doomed", "low")
                await checkpoint()
                tasks.start_soon(client.send, 1)
                tasks.start_soon(client.send, 2, "low")
                await checkpoint()
                doomed.cancel_scope.cancel()
            assert client.order == [0, 1, 2]
            assert client.times[-1] - begun <= self.within(3)
