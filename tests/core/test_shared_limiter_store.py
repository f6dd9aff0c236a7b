"""The shared limit when its store is away, has lost its memory, or sees its clock jump."""

from __future__ import annotations

import logging

import anyio
import pytest
from anyio import create_task_group, current_time, sleep
from anyio.lowlevel import checkpoint

from landbot_async import AsyncLandbot, LimiterError
from landbot_async._core.shared_limiter import RETRY
from tests.conformance.limiters import Client, most_in
from tests.helpers import TOKEN
from tests.shared.model import Remote
from tests.shared.processes import all_starts, bucket, running

pytestmark = pytest.mark.anyio


class TestStoreAway:
    async def test_everybody_who_waits_is_told_at_once(self) -> None:
        remote = Remote(delay=0.4)
        remote.away = True
        limiter, errors = bucket(remote), list[float]()
        begun = current_time()

        async def call() -> None:
            with pytest.raises(LimiterError, match="nothing was sent, and a retry is safe") as error:
                await limiter.acquire()
            assert (error.value.safe_to_retry, error.value.transient, error.value.method) == (True, True, None)
            errors.append(current_time() - begun)

        async with create_task_group() as group:
            for _ in range(100):
                group.start_soon(call)
        assert len(errors) == 100
        assert max(errors) <= 0.5

    async def test_it_goes_on_when_the_store_is_back_after_one_window(self, caplog: pytest.LogCaptureFixture) -> None:
        remote = Remote()
        limiter = bucket(remote)
        await limiter.acquire()
        remote.away = True
        with caplog.at_level(logging.INFO):
            for _ in range(3):
                with pytest.raises(LimiterError):
                    await limiter.acquire()
            remote.away = False
            begun = current_time()
            await limiter.acquire()
        assert 1.0 <= current_time() - begun <= 1.01
        assert [record.getMessage() for record in caplog.records] == [
            "the store of the shared limit is away (it is away)",
            "the store of the shared limit is back: nothing starts for 1 s",
        ]
        begun = current_time()
        await limiter.acquire()
        assert current_time() - begun <= 0.11

    async def test_one_that_waits_goes_on_by_itself(self) -> None:
        remote = Remote()
        remote.away = True
        limiter, begun = bucket(remote, on_store_error="wait"), current_time()
        client = Client(limiter)
        async with create_task_group() as group:
            for number in range(3):
                group.start_soon(client.send, number)
                await checkpoint()
            await sleep(5)
            assert client.starts == []
            remote.away = False
        assert client.order == [0, 1, 2]
        assert 6 <= client.times[0] - begun <= 6 + 2 * RETRY

    async def test_waiting_can_be_given_up(self) -> None:
        remote = Remote()
        remote.away = True
        limiter, begun = bucket(remote, on_store_error="wait"), current_time()
        with anyio.move_on_after(3):
            await limiter.acquire()
        assert current_time() - begun <= 3.01

    async def test_a_start_that_was_counted_while_the_store_was_away_for_others_is_left_unused(self) -> None:
        remote = Remote()
        limiter = bucket(remote)
        await limiter.acquire()
        client, begun = Client(limiter), 0.0
        async with create_task_group() as group:
            group.start_soon(client.send, 0)
            await sleep(0.05)
            remote.away = True
            with pytest.raises(LimiterError):
                await limiter.pause(0)
            remote.away = False
            begun = current_time()
        assert remote.calls == ["reserve", "confirm", "reserve", "confirm", "reserve", "confirm"]
        assert 1.0 <= client.times[0] - begun <= 1.2

    async def test_a_pause_holds_this_process_all_the_same(self) -> None:
        remote = Remote()
        limiter = bucket(remote)
        remote.away = True
        begun = current_time()
        with pytest.raises(LimiterError):
            await limiter.pause(3)
        remote.away = False
        await limiter.acquire()
        assert current_time() - begun >= 3

    @pytest.mark.parametrize("mode", ["raise", "wait"])
    async def test_a_ticket_that_cannot_be_renewed(self, mode: str) -> None:
        remote = Remote()
        limiter = bucket(remote, on_store_error=mode)
        ticket = await limiter.acquire()
        await sleep(0.5)
        remote.away = True
        if mode == "raise":
            with pytest.raises(LimiterError):
                await ticket.renew()
        else:
            async with create_task_group() as group:
                group.start_soon(ticket.renew)
                await sleep(2)
                remote.away = False
        assert remote.calls == ["reserve", "confirm"] + ["reserve"] * (mode == "wait") + ["reserve", "confirm"] * (
            mode == "wait"
        )

    async def test_a_start_that_was_left_is_lost_if_it_cannot_be_renewed(self) -> None:
        remote = Remote(delay=0.01)
        limiter = bucket(remote)
        with anyio.move_on_after(0.015):
            await limiter.acquire()
        await sleep(0.1)
        remote.away = True
        with pytest.raises(LimiterError):
            await limiter.acquire()
        remote.away = False
        await limiter.acquire()
        assert remote.calls == ["reserve", "confirm", "renew", "reserve", "confirm"]

    async def test_a_late_start_is_reported_when_the_store_is_back(self) -> None:
        remote = Remote()
        limiter = bucket(remote)
        await (await limiter.acquire()).renew()
        ticket = await limiter.acquire()
        await sleep(0.3)
        ticket.started()
        remote.away = True
        with pytest.raises(LimiterError):
            await limiter.acquire()
        remote.away = False
        await limiter.acquire()
        assert remote.calls[-3:] == ["reserve", "written", "confirm"]

    async def test_a_call_of_the_client_tells_that_nothing_was_sent(self) -> None:
        remote = Remote()
        remote.away = True
        async with AsyncLandbot(TOKEN, limiter=bucket(remote)) as landbot:
            with pytest.raises(LimiterError, match="was not sent") as error:
                await landbot.customers.send_text(42, "Hello")
        assert (error.value.safe_to_retry, error.value.transient) == (True, True)
        assert error.value.route == "/customers/{customer_id}/send_text/"


class TestLostMemory:
    async def test_nobody_starts_for_one_window(self) -> None:
        remote = Remote()
        async with running(remote, 4) as processes:
            await sleep(4.02)
            remote.forget()
            begun = current_time()
        starts = all_starts(processes)
        assert most_in(starts, 1.0) <= 10
        after = [at for at in starts if at >= begun + 0.01]
        assert 0.9 <= after[0] - begun <= 2

    async def test_what_is_known_no_more_after_an_idle_spell_costs_nothing(self) -> None:
        remote = Remote()
        limiter = bucket(remote)
        await limiter.acquire()
        await sleep(2)
        remote.forget()
        begun = current_time()
        await limiter.acquire()
        assert current_time() - begun <= 0.01

    @pytest.mark.parametrize("seconds", [-3600, -0.5, 0.5, 3600])
    async def test_a_clock_that_jumps_stops_nobody(self, seconds: float) -> None:
        remote = Remote()
        async with running(remote, 4, seconds=10) as processes:
            await sleep(5)
            remote.skew += round(seconds * 1e6)
        starts = all_starts(processes)
        # What lay ahead is over if the clock jumps over it, so one start may come early for each process.
        assert most_in(starts, 1.0) <= 10 + 4 * (seconds > 0)
        assert len(starts) >= 90
