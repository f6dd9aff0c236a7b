"""The workers when something fails, when the Outbox ends, and when a claim is another's; in real time, as `test_outbox.py`."""

import asyncio
import contextlib
import time as clock
from pathlib import Path
from typing import Any

import anyio
import pytest

from landbot_async import (
    APIConnectionError,
    AsyncLandbot,
    AuthenticationError,
    ClientClosedError,
    Event,
    LimiterError,
    RequestSent,
    UnprocessableEntityError,
)
from landbot_async._core.errors import (
    OutboxStoppedError,
)
from landbot_async.outbox import (
    Outbox,
    SetFields,
    workers,
)
from landbot_async.outbox.journal.store import Store
from landbot_async.outbox.workers import Workers
from landbot_async.sandbox import Sandbox
from tests.helpers import Unlimited, until

from .helpers import counts, receipts, texts

pytestmark = [pytest.mark.anyio, pytest.mark.real_time]


class TestTrouble:
    async def test_a_refused_token_stops_it(self, path: Path, sandbox: Sandbox, landbot: AsyncLandbot) -> None:
        async with Outbox(path, landbot) as outbox:
            await outbox.add_many(texts(*range(1, 41)))
            got = []
            with pytest.raises(OutboxStoppedError, match="The run stopped: 401 Unauthorized") as raised:
                async for receipt in outbox.run():
                    got.append(receipt.key)
                    if len(got) == 5:
                        sandbox.fault(401, times=None, method="POST")
            assert isinstance(raised.value.__cause__, AuthenticationError)
            counted = await counts(outbox)
            assert raised.value.counts["queued"] == counted["queued"] == 40 - len(got)
            assert counted == {"queued": 40 - len(got), "sent": len(got)}
            sandbox.clear_faults()
            assert len(await receipts(outbox)) == 40 - len(got)
        assert len(sandbox.sent) == 40

    async def test_a_run_of_equal_failures_stops_it(self, path: Path, sandbox: Sandbox, landbot: AsyncLandbot) -> None:
        sandbox.fault(422, times=None, method="POST")
        async with Outbox(path, landbot) as outbox:
            await outbox.add_many(texts(*range(1, 51)))
            got = []
            with pytest.raises(OutboxStoppedError, match="5 of the last 100 messages ended with 422") as raised:
                async for receipt in outbox.run(stop_after_failures=5):
                    got.append(receipt.status)  # noqa: PERF401  # it ends with an error
            assert isinstance(raised.value.__cause__, UnprocessableEntityError)
            assert 5 <= len(got) <= 5 + 24
            assert await counts(outbox) == {"failed": len(got), "queued": 50 - len(got)}
            rest = await receipts(outbox, stop_after_failures=None)
            assert len(rest) == 50 - len(got)

    async def test_recipients_who_are_gone_do_not(self, path: Path, landbot: AsyncLandbot) -> None:
        async with Outbox(path, landbot) as outbox:
            await outbox.add_many(texts(*range(100, 130)))
            assert len(await receipts(outbox)) == 30

    async def test_what_never_left_is_queued_again(self, path: Path, sandbox: Sandbox, landbot: AsyncLandbot) -> None:
        sandbox.fault("refused", times=6)
        async with Outbox(path, landbot) as outbox:
            await outbox.add_many(texts(1, 2))
            got = await receipts(outbox)
            assert sorted((each.key, each.status) for each in got) == [("k1", "sent"), ("k2", "sent")]
        assert len(sandbox.sent) == 2

    async def test_a_network_that_stays_away_stops_it(
        self, path: Path, sandbox: Sandbox, landbot: AsyncLandbot, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(workers, "_IN_VAIN_FOR", 0.05)
        monkeypatch.setattr(workers, "slow_down", lambda *_: 0.005)
        sandbox.fault("refused", times=None)
        async with Outbox(path, landbot) as outbox:
            await outbox.add_many(texts(1, 2))
            with pytest.raises(OutboxStoppedError, match=r"for 0\.05 seconds no attempt came to anything") as raised:
                await receipts(outbox)
            assert isinstance(raised.value.__cause__, APIConnectionError)
            assert await counts(outbox) == {"queued": 2}

    async def test_or_does_not_where_nothing_shall(
        self, path: Path, sandbox: Sandbox, landbot: AsyncLandbot, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(workers, "_IN_VAIN_FOR", 0.0)
        monkeypatch.setattr(workers, "slow_down", lambda *_: 0.001)
        sandbox.fault("refused", times=100)
        async with Outbox(path, landbot) as outbox:
            await outbox.add_many(texts(1, 2))
            assert len(await receipts(outbox, stop_after_failures=None)) == 2

    async def test_a_limiter_whose_store_is_away(self, path: Path, sandbox: Sandbox) -> None:
        class Away(Unlimited):
            def __init__(self) -> None:
                super().__init__()
                self.asked = 0

            async def acquire(self) -> None:
                self.asked += 1
                if self.asked <= 2:
                    raise LimiterError("the store is away", transient=True)
                await super().acquire()

        limiter = Away()
        async with sandbox.client(limiter=limiter) as landbot, Outbox(path, landbot) as outbox:
            await outbox.add_many(texts(1))
            begun = anyio.current_time()
            assert len(await receipts(outbox)) == 1
            assert anyio.current_time() - begun > 0.9
            assert limiter.asked == 3

    async def test_a_closed_client_comes_out_as_itself(self, path: Path, sandbox: Sandbox) -> None:
        landbot = sandbox.client(limiter=Unlimited())
        async with Outbox(path, landbot) as outbox:
            await outbox.add_many(texts(1, 2))
            await landbot.aclose()
            with pytest.raises(ClientClosedError):
                await receipts(outbox)
            assert await counts(outbox) == {"queued": 2}

    async def test_any_other_error_comes_out_as_itself(self, path: Path, sandbox: Sandbox) -> None:
        class Broken(Unlimited):
            async def acquire(self) -> None:
                raise ZeroDivisionError("mine")

        async with sandbox.client(limiter=Broken()) as landbot, Outbox(path, landbot) as outbox:
            await outbox.add_many(texts(1, 2))
            with pytest.raises(ZeroDivisionError, match="mine"):
                await receipts(outbox)
            assert await counts(outbox) == {"queued": 2}

    async def test_one_after_which_it_may_have_been_sent(
        self, path: Path, sandbox: Sandbox, landbot: AsyncLandbot, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(*_: Any) -> None:
            raise ZeroDivisionError("mine")

        monkeypatch.setattr("landbot_async.outbox.workers.accepted", broken)
        async with Outbox(path, landbot) as outbox:
            await outbox.add_many(texts(1))
            with pytest.raises(ZeroDivisionError):
                await receipts(outbox)
            assert (await counts(outbox)) in ({"unknown": 1}, {"queued": 1})


class TestTheEnd:
    async def test_the_wire_gets_time_to_answer(self, path: Path, sandbox: Sandbox, landbot: AsyncLandbot) -> None:
        sandbox.fault("latency", latency=0.3, times=None, method="POST")
        async with Outbox(path, landbot) as outbox:
            await outbox.add_many(texts(*range(1, 31)))
            async with anyio.create_task_group() as group:
                group.start_soon(receipts, outbox)
                await until(lambda: len(sandbox.sent) >= 2)
                group.cancel_scope.cancel()
        sandbox.clear_faults()
        async with Outbox(path, landbot) as outbox:
            counted = await counts(outbox)
            assert set(counted) == {"sent", "queued"}
            assert counted["sent"] == len(sandbox.sent) >= 2
            assert len(await receipts(outbox)) == 30 - counted["sent"]

    async def test_but_not_for_ever(self, path: Path, sandbox: Sandbox, landbot: AsyncLandbot) -> None:
        sandbox.fault("latency", latency=30, times=None, method="POST")
        async with Outbox(path, landbot, grace=0.1) as outbox:
            await outbox.add_many(texts(*range(1, 31)))
            async with anyio.create_task_group() as group:
                group.start_soon(receipts, outbox)
                await until(lambda: len(sandbox.sent) >= 2)
                group.cancel_scope.cancel()
            begun = anyio.current_time()
        assert anyio.current_time() - begun < 5
        async with Outbox(path, landbot) as outbox:
            counted = await counts(outbox)
            assert set(counted) == {"unknown", "queued"}
            lost = [each async for each in outbox.receipts("unknown")]
            assert {each.error for each in lost} == {"it was cut off on its way"}
            assert {each.customer_id for each in lost} >= {each.customer_id for each in sandbox.sent}

    async def test_an_error_of_the_block_comes_out_as_itself(self, path: Path, landbot: AsyncLandbot) -> None:
        with pytest.raises(ZeroDivisionError):
            async with Outbox(path, landbot) as outbox:
                await outbox.add_many(texts(*range(1, 31)))
                await anext(outbox.run())
                raise ZeroDivisionError
        async with Outbox(path, landbot) as outbox:
            assert set(await counts(outbox)) == {"sent", "queued"}

    async def test_a_cancelled_task_group(self, path: Path, sandbox: Sandbox, landbot: AsyncLandbot) -> None:
        sandbox.fault("latency", latency=0.4, times=None, method="POST")
        async with anyio.create_task_group() as group:

            async def send() -> None:
                async with Outbox(path, landbot) as outbox:
                    await outbox.add_many(texts(*range(1, 51)))
                    await receipts(outbox)

            group.start_soon(send)
            await until(lambda: sandbox.sent)
            group.cancel_scope.cancel()
        async with Outbox(path, landbot) as outbox:
            counted = await counts(outbox)
            assert set(counted) == {"sent", "queued"}
            assert counted["sent"] == len(sandbox.sent)

    @pytest.mark.parametrize("anyio_backend", ["asyncio"])
    @pytest.mark.parametrize(
        ("leaving", "times", "patient"), [(False, 1, True), (False, 2, False), (True, 1, True), (True, 2, False)]
    )
    async def test_asyncio_s_own_cancellation(
        self, path: Path, sandbox: Sandbox, landbot: AsyncLandbot, leaving: bool, times: int, patient: bool
    ) -> None:
        """Like a Ctrl-C: after the first the wire gets time to answer, also while the block is being left."""
        sandbox.fault("latency", latency=0.6 if patient else 20, times=None, method="POST")
        opened, leave = list[Workers](), anyio.Event()

        async def send() -> None:
            async with Outbox(path, landbot) as outbox, anyio.create_task_group() as group:
                await outbox.add_many(texts(*range(1, 51)))
                opened.append(outbox._open.workers)
                group.start_soon(receipts, outbox)
                await leave.wait()
                group.cancel_scope.cancel()

        task = asyncio.create_task(send())
        await until(lambda: any(each.attempts and each.attempts.on_the_wire for one in opened for each in one._flights))
        if leaving:
            leave.set()
            await until(lambda: opened[0]._closed)
        begun = anyio.current_time()
        for _ in range(times):
            task.cancel()
            # One that comes before it is taken would be none.
            await until(lambda: opened[0]._closed)
            await asyncio.sleep(0.02)
        with pytest.raises(asyncio.CancelledError):
            await task
        async with Outbox(path, landbot) as outbox:
            counted = await counts(outbox)
            if patient:
                assert set(counted) == {"sent", "queued"}
                assert counted["sent"] == len(sandbox.sent)
            else:
                assert anyio.current_time() - begun < 8
                assert set(counted) == {"unknown", "queued"}

    @pytest.mark.parametrize("anyio_backend", ["asyncio"])
    # A child of anyio's task group that is cancelled before its first step leaves a coroutine that nobody awaits.
    @pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
    async def test_a_cancelled_worker_leaves_its_message_in_a_state_of_the_table(
        self, path: Path, sandbox: Sandbox, landbot: AsyncLandbot
    ) -> None:
        """As `asyncio.run` does at its end, to every task."""
        sandbox.fault("latency", latency=5, times=None, method="POST")

        async def send() -> None:
            async with Outbox(path, landbot, grace=0.0) as outbox:
                await outbox.add_many(texts(*range(1, 31)))
                await receipts(outbox)

        before = asyncio.all_tasks()
        task = asyncio.create_task(send())
        await until(lambda: sandbox.sent)
        for each in asyncio.all_tasks() - before:
            each.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        async with Outbox(path, landbot) as outbox:
            counted = await counts(outbox)
            assert set(counted) <= {"unknown", "queued"}
            assert sum(counted.values()) == 30
            assert counted["unknown"] >= len(sandbox.sent)

    async def test_it_is_used_while_it_is_open(self, path: Path, landbot: AsyncLandbot) -> None:
        outbox = Outbox(path, landbot)
        assert repr(outbox) == f"Outbox({str(path)!r}, name='default', closed)"
        with pytest.raises(RuntimeError, match="is not open"):
            await outbox.counts()
        async with outbox:
            assert repr(outbox).endswith("open)")
            with pytest.raises(RuntimeError, match="is open already"):
                await outbox.__aenter__()
        with pytest.raises(RuntimeError, match="is not open"):
            outbox.run()
        # It can be opened again.
        async with outbox:
            assert await counts(outbox) == {}


class WallClock:
    """The wall clock, on which alone the workers notice that the machine has slept."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.slept = 0.0
        real = clock.time
        patch.setattr("landbot_async.outbox.workers.time.time", lambda: real() + self.slept)


class TestFences:
    async def test_a_message_that_is_another_claim_s_is_not_sent(
        self, path: Path, sandbox: Sandbox, landbot: AsyncLandbot, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with Outbox(path, landbot) as outbox:
            await outbox.add_many(texts(1))
            with monkeypatch.context() as patch:
                patch.setattr(Store, "mark", lambda *_, **__: False)
                assert await receipts(outbox) == []
            assert sandbox.received == 0

    async def test_nor_is_one_after_a_sleep_of_the_machine(
        self, path: Path, sandbox: Sandbox, landbot: AsyncLandbot, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with Outbox(path, landbot, send_timeout=5) as outbox:
            await outbox.add_many(texts(1))
            mark, wall = Store.mark, WallClock(monkeypatch)

            def sleep(store: Store, taken: Any) -> bool:
                done = mark(store, taken)
                wall.slept = 60.0 if not wall.slept else 0.0
                return done

            monkeypatch.setattr(Store, "mark", sleep)
            [receipt] = await receipts(outbox)
            assert (receipt.status, receipt.attempts) == ("sent", 2)
        assert len(sandbox.sent) == 1

    async def test_nor_is_one_that_was_refused_before_the_sleep(
        self, path: Path, sandbox: Sandbox, landbot: AsyncLandbot, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Others may have given it up. So it is claimed and marked anew."""
        wall = WallClock(monkeypatch)

        def sleep(event: Event) -> None:
            if isinstance(event, RequestSent):
                wall.slept = 60.0

        sandbox.fault(429, method="POST", times=1)
        async with Outbox(path, landbot.with_options(on_event=sleep), send_timeout=30) as outbox:
            await outbox.add_many(texts(1))
            [receipt] = await receipts(outbox)
        assert (receipt.status, receipt.attempts) == ("sent", 2)
        assert len(sandbox.sent) == 1

    async def test_a_step_that_is_another_claim_s(
        self, path: Path, sandbox: Sandbox, landbot: AsyncLandbot, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with Outbox(path, landbot) as outbox:
            await outbox.text(1, "Hello", key="a", then=[SetFields({"wave": "spring"})])
            monkeypatch.setattr(Store, "next_step", lambda *_, **__: None)
            assert await receipts(outbox) == []
        assert "wave" not in sandbox.customer(1).fields
