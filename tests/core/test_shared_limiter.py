"""The waiting of a limit that several processes share, over a store in virtual time."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from itertools import pairwise
from typing import Any

import anyio
import pytest
from anyio import create_task_group, current_time, sleep
from anyio.lowlevel import checkpoint
from hypothesis import given
from hypothesis import strategies as st

from landbot_async import AsyncLandbot, ConfigurationError, LimiterError
from landbot_async._core.priority import Priority
from landbot_async._core.shared_limiter import KEPT, SharedTicket, SharedTokenBucket, limiter_key, store_key
from landbot_async.sandbox.clock import VirtualLoop
from tests.conformance.limiters import Client, PriorityConformance, most_in
from tests.helpers import TOKEN, breath
from tests.shared.model import Remote
from tests.shared.processes import all_starts, bucket, running

pytestmark = pytest.mark.anyio

GAP = 0.1


class TestConformance(PriorityConformance):
    LATE = 0.01

    @asynccontextmanager
    async def limiter(self) -> AsyncGenerator[SharedTokenBucket]:
        async with bucket(Remote(), rate=self.RATE, per=self.PER) as made:
            yield made


class TestProcesses:
    @pytest.mark.parametrize("count", [1, 4, 16])
    async def test_together_they_use_the_limit_and_never_more_and_share_it(self, count: int) -> None:
        begun = current_time()
        async with running(Remote(), count) as processes:
            pass
        starts = all_starts(processes)
        assert most_in(starts, 1.0) <= 10
        steady = [[at for at in process.times if at >= begun + 3] for process in processes]
        assert sum(map(len, steady)) >= 98
        assert min(map(len, steady)) >= 0.9 * 98 / count - 1

    async def test_a_pause_in_one_holds_all(self) -> None:
        async with running(Remote(), 8) as processes:
            await sleep(2)
            begun = current_time()
            await processes[0].limiter.pause(3)
            told = current_time()
        starts = all_starts(processes)
        assert [at for at in starts if told <= at < begun + 3] == []
        after = [at for at in starts if at >= begun + 3]
        assert after[0] - begun <= 3.2
        assert min(later - earlier for earlier, later in pairwise(after)) >= GAP - 0.002
        assert all(process.times[-1] > begun + 3 for process in processes)

    async def test_a_refusal_widens_the_margin_for_all_and_starts_narrow_it(self) -> None:
        remote = Remote()
        one, other = bucket(remote), bucket(remote)
        tickets = [await one.acquire(), await other.acquire()]
        limit = remote.model.limits["k"]
        for ticket, limiter in zip(tickets, (one, other), strict=True):
            ticket.done()
            ticket.done()
            await limiter.pause(0)
            # The refusal of a request that was on its way already teaches nothing.
            assert limit.margin == pytest.approx(0.024)
        for _ in range(5):
            await other.acquire()
        assert limit.margin < 0.024

    async def test_one_that_is_suspended_gives_its_share_to_the_others(self) -> None:
        remote, begun = Remote(), current_time()
        async with running(remote, 4) as processes:
            await sleep(3)
            # It holds a slot, and does nothing for five seconds.
            stopped = processes[0].limiter
            original, stopped._ask_next = stopped._ask_next, partial(_suspended, stopped._ask_next, begun + 8)
            await anyio.sleep_until(begun + 8)
            stopped._ask_next = original
        starts = all_starts(processes)
        assert most_in(starts, 1.0) <= 10
        assert len([at for at in starts if begun + 3 <= at < begun + 8]) >= 47
        assert len([at for at in processes[0].times if at >= begun + 9]) >= 8

    @pytest.mark.parametrize("count", [4, 16])
    async def test_a_noisy_way_to_the_store_costs_neither_share_nor_fairness(self, count: int) -> None:
        """The starts of others are not moved by the way to the store, or late ones would race each other."""
        begun, remote = current_time(), Remote()
        remote.noise = 0.002
        async with running(remote, count, seconds=23) as processes:
            pass
        starts = all_starts(processes)
        assert most_in(starts, 1.0) <= 10
        steady = [[at for at in process.times if at >= begun + 3] for process in processes]
        assert sum(map(len, steady)) >= 0.98 * 200 - 1
        assert min(map(len, steady)) >= 0.9 * sum(map(len, steady)) / count - 1
        assert len(remote.calls) <= 2.3 * len(starts)

    async def test_when_a_pause_returns_the_last_start_is_over(self) -> None:
        remote = Remote()
        one, other = bucket(remote), bucket(remote)
        await one.acquire()
        begun, client = current_time(), Client(one)
        async with create_task_group() as group:
            group.start_soon(client.send, 0)
            await sleep(GAP - 0.01)
            assert remote.calls == ["reserve", "confirm"] * 2
            assert GAP < one.expected_wait() <= GAP + 0.012
            await other.pause(1)
            assert len(client.starts) == 1
            assert current_time() == pytest.approx(client.times[0], abs=0.001)
            await other.acquire()
        assert current_time() - begun >= 1

    async def test_a_pause_between_the_confirmation_and_the_start_holds_it(self) -> None:
        remote = Remote()
        limiter = bucket(remote)
        await limiter.acquire()
        begun, client = current_time(), Client(limiter)
        async with create_task_group() as group:
            group.start_soon(client.send, 0)
            await sleep(GAP - 0.01)
            assert remote.calls == ["reserve", "confirm"] * 2
            begun = current_time()
            await limiter.pause(1)
        assert 1 <= client.times[0] - begun <= 1 + 2 * GAP


class TestPriorities:
    async def test_a_normal_task_takes_the_slot_for_which_a_low_one_has_waited(self) -> None:
        remote = Remote()
        # The slots of this process are far from each other.
        async with running(remote, 4, seconds=3):
            client = Client(bucket(remote))
            await client.send("low 0", "low")
            async with create_task_group() as group:
                for number in (1, 2):
                    group.start_soon(client.send, f"low {number}", "low")
                    await checkpoint()
                await sleep(0.1)
                group.start_soon(client.send, "normal")
        assert client.order == ["low 0", "normal", "low 1", "low 2"]

    async def test_the_heads_of_both_queues_ask_for_one_slot(self) -> None:
        remote = Remote(delay=0.006)
        client = Client(bucket(remote))
        async with create_task_group() as group:
            group.start_soon(client.send, "low", "low")
            await sleep(0.003)
            group.start_soon(client.send, "normal")
            await sleep(0.0102)
            assert remote.calls == ["reserve", "confirm"]
        assert client.order == ["normal", "low"]
        assert remote.calls == ["reserve", "confirm"] * 2

    @pytest.mark.parametrize("mode", ["raise", "wait"])
    async def test_both_are_told_at_once_that_the_store_is_away(self, mode: str) -> None:
        remote, times = Remote(delay=0.4), list[float]()
        remote.away = True
        limiter, begun = bucket(remote, on_store_error=mode), current_time()

        async def call(priority: Priority) -> None:
            with contextlib.suppress(LimiterError):
                await limiter.acquire(priority)
            times.append(current_time() - begun)

        async with create_task_group() as group:
            group.start_soon(call, "low")
            await sleep(0.05)
            group.start_soon(call, "normal")
            await sleep(0.05)
            remote.away = mode == "raise"
        assert max(times) <= (0.41 if mode == "raise" else 3)


async def _suspended(step: Callable[[], Awaitable[Any]], until: float) -> Any:
    await anyio.sleep_until(until)
    return await step()


class TestCancellation:
    """A task that gives up at any moment: before, in and after each call of the store, and while it waits."""

    MOMENTS = (0.0, 0.001, 0.005, 0.009, 0.01, 0.011, 0.02, 0.09, 0.1, 0.101, 0.105, 0.11, 0.111, 0.115, 0.12)

    @pytest.mark.parametrize("moment", MOMENTS)
    async def test_it_takes_at_most_one_slot(self, moment: float) -> None:
        await self._give_up(moment, self._move_on)

    @pytest.mark.parametrize("moment", MOMENTS)
    @pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
    async def test_asyncio_s_own_cancellation(self, moment: float) -> None:
        await self._give_up(moment, self._cancel)

    async def _give_up(self, moment: float, give_up: Callable[[SharedTokenBucket, float], Awaitable[None]]) -> None:
        remote = Remote(delay=0.01)
        limiter = bucket(remote)
        await limiter.acquire()
        begun = current_time()
        await give_up(limiter, moment)
        # It ends with the call of the store, at the latest.
        assert moment - 1e-9 <= current_time() - begun <= moment + 0.011
        await limiter.acquire()
        assert current_time() - begun <= 2 * GAP * 1.05 + 0.05
        assert len(remote.model.limits["k"].starts) <= 3

    async def _move_on(self, limiter: SharedTokenBucket, moment: float) -> None:
        with anyio.move_on_after(moment):
            await limiter.acquire()
            await anyio.sleep_forever()

    async def _cancel(self, limiter: SharedTokenBucket, moment: float) -> None:
        async def work() -> None:
            await limiter.acquire()
            await anyio.sleep_forever()

        task = asyncio.create_task(work())
        await sleep(moment)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    async def test_a_start_that_a_cancelled_task_has_left_is_the_next_task_s(self) -> None:
        remote = Remote(delay=0.01)
        limiter = bucket(remote)
        with anyio.move_on_after(0.015):
            await limiter.acquire()
        begun = current_time()
        ticket = await limiter.acquire()
        assert current_time() == begun
        assert remote.calls == ["reserve", "confirm"]
        await ticket.renew()
        assert remote.calls == ["reserve", "confirm"]

    async def test_one_that_was_left_for_some_time_counts_from_its_use(self) -> None:
        remote = Remote(delay=0.01)
        limiter = bucket(remote)
        with anyio.move_on_after(0.015):
            await limiter.acquire()
        await sleep(0.5)
        await limiter.acquire()
        assert remote.calls == ["reserve", "confirm", "renew"]
        [start] = remote.model.limits["k"].starts
        assert start == pytest.approx((current_time() - 0.005) * 1e6 + remote.skew, abs=2)

    async def test_one_that_was_left_for_too_long_is_lost(self) -> None:
        remote = Remote(delay=0.01)
        limiter = bucket(remote)
        with anyio.move_on_after(0.015):
            await limiter.acquire()
        await sleep(2)
        await limiter.acquire()
        assert remote.calls == ["reserve", "confirm"] * 2

    async def test_one_that_was_left_is_lost_where_there_is_a_pause(self) -> None:
        remote = Remote(delay=0.01)
        limiter, other = bucket(remote), bucket(remote)
        with anyio.move_on_after(0.015):
            await limiter.acquire()
        begun = current_time()
        await other.pause(0.5)
        await limiter.acquire()
        assert current_time() - begun >= 0.5

    async def test_a_slot_that_nobody_used_for_long_is_not_used_up_later(self) -> None:
        remote = Remote()
        limiter = bucket(remote)
        await limiter.acquire()
        with anyio.move_on_after(GAP / 2):
            await limiter.acquire()
        await sleep(5)
        await limiter.acquire()
        assert remote.calls[-2:] == ["reserve", "confirm"]


class TestTicket:
    async def test_a_ticket_that_is_used_at_once_costs_no_call(self) -> None:
        remote = Remote()
        ticket = await bucket(remote).acquire()
        await ticket.renew()
        ticket.started()
        assert remote.calls == ["reserve", "confirm"]

    async def test_one_that_is_written_late_counts_from_then_for_all(self) -> None:
        remote = Remote()
        limiter, other = bucket(remote), bucket(remote)
        ticket = await limiter.acquire()
        await sleep(0.5)
        await ticket.renew()
        ticket.started()
        assert remote.calls == ["reserve", "confirm", "renew"]
        begun = current_time()
        await other.acquire()
        assert current_time() - begun >= 0.92 * GAP - 0.002

    @pytest.mark.parametrize("later", [1.0, 5.0])
    async def test_one_that_is_too_old_waits_for_another_turn(self, later: float) -> None:
        remote = Remote()
        ticket = await bucket(remote).acquire()
        await sleep(later)
        await ticket.renew()
        assert remote.calls == ["reserve", "confirm"] * 2

    async def test_a_pause_makes_it_invalid(self) -> None:
        limiter = bucket(Remote())
        ticket = await limiter.acquire()
        begun = current_time()
        await limiter.pause(0.5)
        await ticket.renew()
        assert current_time() - begun >= 0.5

    async def test_a_late_start_is_reported_with_the_next_one(self) -> None:
        remote = Remote()
        limiter = bucket(remote)
        ticket = await limiter.acquire()
        await sleep(0.3)
        ticket.started()
        ticket.started()
        begun = current_time()
        await limiter.acquire()
        assert remote.calls == ["reserve", "confirm", "reserve", "written", "confirm", "confirm"]
        assert current_time() - begun >= 0.92 * GAP - 0.002

    async def test_one_whose_writing_takes_long_counts_from_its_end(self) -> None:
        remote = Remote()
        limiter = bucket(remote)
        ticket = await limiter.acquire()
        ticket.started()
        ticket.written()
        await sleep(0.02)
        ticket.written()
        end = current_time()
        await limiter.acquire()
        assert remote.calls == ["reserve", "confirm", "reserve", "written", "confirm"]
        assert current_time() - end >= 0.92 * GAP - 0.002

    async def test_of_one_whose_response_is_there_nothing_more_is_told(self) -> None:
        remote = Remote()
        limiter = bucket(remote)
        ticket = await limiter.acquire()
        ticket.done()
        await sleep(0.3)
        ticket.started()
        ticket.written()
        await limiter.acquire()
        assert "written" not in remote.calls

    async def test_a_slow_store_counts_a_start_before_its_reply_is_here(self) -> None:
        """So the process may send it late, and reports that."""
        remote = Remote(delay=0.1)
        limiter, starts = bucket(remote), list[float]()
        for number in range(25):
            if number == 8:
                remote.delay = 0.001
            ticket = await limiter.acquire()
            ticket.started()
            starts.append(current_time())
        assert "written" in remote.calls
        assert most_in(starts, 1.0) <= 10


class TestRates:
    @pytest.mark.parametrize(("rate", "per"), [(5, 1.0), (10, 2.0)])
    async def test_two_rates_on_one_key_are_an_error(self, rate: int, per: float) -> None:
        remote = Remote()
        await bucket(remote).acquire()
        other = bucket(remote, rate=rate, per=per, on_store_error="wait")
        with pytest.raises(
            ConfigurationError, match=rf"rate={rate} and per={per:g}, another one has rate=10 and per=1\."
        ):
            await other.acquire()
        with pytest.raises(ConfigurationError, match=f"forgotten after {KEPT} seconds"):
            await other.pause(1)

    async def test_arguments_are_checked(self) -> None:
        remote = Remote()
        for wrong in ({"rate": 0}, {"rate": 1001}, {"per": 0}, {"per": 0.0001}, {"on_store_error": "local"}):
            with pytest.raises(ValueError, match=f"{next(iter(wrong))} must be"):
                bucket(remote, **wrong)
        with pytest.raises(TypeError, match="rate must be"):
            bucket(remote, rate=2.5)

    async def test_its_repr_shows_the_rate(self) -> None:
        assert repr(bucket(Remote())) == "SharedTokenBucket(rate=10, per=1.0)"

    async def test_closing_it_closes_the_store_and_it_can_be_used_again(self) -> None:
        limiter = bucket(Remote())
        async with limiter:
            await limiter.acquire()
        store: Any = limiter._store
        assert store.closed == 1
        await limiter.acquire()
        await limiter.aclose()
        assert store.closed == 2


class TestExpectedWait:
    async def test_it_grows_with_the_queue_and_knows_the_pause(self) -> None:
        limiter = bucket(Remote())
        assert limiter.expected_wait() == 0
        await limiter.acquire()
        assert limiter.expected_wait() == pytest.approx(GAP, abs=1e-6)
        assert limiter.expected_wait(10) == pytest.approx(11 * GAP, abs=1e-6)
        await limiter.pause(3)
        assert limiter.expected_wait() == pytest.approx(3, abs=0.01)

    async def test_it_knows_the_slot_that_other_processes_have_left(self) -> None:
        remote = Remote()
        others = [bucket(remote) for _ in range(16)]
        async with create_task_group() as group:
            for each in others[1:]:
                group.start_soon(each.acquire)
            await sleep(0.01)
            group.start_soon(others[0].acquire)
            await sleep(0.01)
            assert others[0].expected_wait() > 1.5
            group.cancel_scope.cancel()

    async def test_a_total_time_out_fails_at_once(self) -> None:
        limiter = bucket(Remote())
        async with AsyncLandbot(TOKEN, limiter=limiter, total_timeout=2) as landbot:
            await limiter.pause(5)
            begun = current_time()
            with pytest.raises(TimeoutError):
                await landbot.customers.get(1)
            assert current_time() == begun


class TestKeys:
    def test_one_token_and_url_have_one_key(self) -> None:
        key = limiter_key(TOKEN, "https://api.landbot.io/v1/")
        assert key == limiter_key(f" {TOKEN} ", "https://API.landbot.io:443/v1")
        assert (
            len(
                {
                    key,
                    limiter_key(TOKEN[::-1], "https://api.landbot.io/v1/"),
                    limiter_key(TOKEN, "https://chat.landbot.io/v1/"),
                }
            )
            == 3
        )
        assert TOKEN not in key

    @pytest.mark.parametrize(("token", "url"), [("", "https://api.landbot.io/v1/"), (TOKEN, "api.landbot.io")])
    def test_a_token_or_url_that_cannot_be_right(self, token: str, url: str) -> None:
        with pytest.raises(ConfigurationError):
            limiter_key(token, url)

    def test_a_store_never_sees_the_key_itself(self) -> None:
        assert TOKEN not in store_key(TOKEN)
        with pytest.raises(TypeError, match="key must be a string"):
            store_key(None)
        with pytest.raises(ValueError, match="key must not be empty"):
            store_key(" ")


ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["send", "give up", "pause", "away", "back", "forget", "slow", "late"]),
        st.integers(0, 2),
        st.floats(0.0, 1.5),
    ),
    max_size=40,
)


@given(ACTIONS, st.sampled_from(["raise", "wait"]))
def test_whatever_happens_never_more_than_the_rate_and_nothing_hangs(
    actions: list[tuple[str, int, float]], mode: str
) -> None:
    starts: list[float] = []

    async def send(limiter: SharedTokenBucket, late: float) -> None:
        with anyio.fail_after(60):
            try:
                ticket: SharedTicket = await limiter.acquire()
                await sleep(late)
                await ticket.renew()
            except LimiterError:
                return
            ticket.started()
            starts.append(current_time())
            await sleep(0.05)
            ticket.done()

    async def pause(limiter: SharedTokenBucket, seconds: float) -> None:
        with contextlib.suppress(LimiterError):
            await limiter.pause(seconds)

    async def run() -> None:
        remote = Remote()
        limiters = [bucket(remote, on_store_error=mode) for _ in range(3)]
        async with breath(), create_task_group() as group:
            for action, number, amount in actions:
                limiter = limiters[number]
                match action:
                    case "send" | "late":
                        for _ in range(6):
                            group.start_soon(send, limiter, amount if action == "late" else 0.0)
                    case "give up":
                        doomed = anyio.CancelScope(deadline=current_time() + amount)
                        group.start_soon(_within, doomed, send, limiter)
                    case "pause":
                        group.start_soon(pause, limiter, amount)
                    case "away" | "back":
                        remote.away = action == "away"
                    case "forget":
                        remote.forget()
                    case _:
                        remote.delay = amount / 10
                await sleep(amount / 4)
            remote.away = False

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(run())
    assert most_in(starts, 0.999) <= 10


async def _within(
    scope: anyio.CancelScope, function: Callable[..., Awaitable[None]], limiter: SharedTokenBucket
) -> None:
    with scope:
        await function(limiter, 0.0)
