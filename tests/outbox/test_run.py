"""Runs of the Outbox, and the steps that follow a message; in real time, as `test_outbox.py`."""

import time as clock
from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any

import anyio
import anyio.from_thread
import pytest

from landbot_async import (
    AsyncLandbot,
    RetryPolicy,
    TokenBucket,
)
from landbot_async.outbox import (
    AssignBot,
    Outbox,
    Outgoing,
    Reconciled,
    SetFields,
)
from landbot_async.outbox.journal.rows import Claimed
from landbot_async.outbox.journal.store import Store
from landbot_async.sandbox import Sandbox
from tests.helpers import cancelled, until

from .helpers import counts, keys, receipts, said, texts

pytestmark = [pytest.mark.anyio, pytest.mark.real_time]


class TestRunning:
    async def test_receipts_come_as_messages_end(self, path: Path, sandbox: Sandbox, landbot: AsyncLandbot) -> None:
        before = datetime.now(UTC)
        async with Outbox(path, landbot) as outbox:
            await outbox.add_many(texts(*range(1, 31), 99))
            sandbox.fault("lost_answer", method="POST")
            ended = {each.key: each for each in await receipts(outbox)}
            assert len(ended) == 31
            lost = [each for each in ended.values() if each.status == "unknown"]
            assert len(lost) == 1
            assert lost[0].error is not None
            assert lost[0].error.startswith("APIConnectionError: POST /customers/{customer_id}/send_text/")
            assert (ended["k99"].status, ended["k99"].error) == ("failed", "404 Not Found: customer: Not found")
            one = next(each for each in ended.values() if each.status == "sent")
            assert (one.attempts, one.evidence, one.error) == (1, "answer", None)
            assert one.started_at is not None
            assert one.ended_at is not None
            assert before < one.queued_at < one.started_at < one.ended_at < datetime.now(UTC)
            assert await receipts(outbox) == []
            assert await counts(outbox) == {"sent": 29, "unknown": 1, "failed": 1}
            assert await outbox.receipt("k99") == ended["k99"]
            assert await outbox.receipt("nobody's") is None

    async def test_one_customer_s_messages_go_one_after_another(
        self, path: Path, sandbox: Sandbox, landbot: AsyncLandbot
    ) -> None:
        async with Outbox(path, landbot) as outbox:
            await outbox.add_many(
                Outgoing.text(customer, f"{number}", key=f"{customer}-{number}")
                for number in range(8)
                for customer in (1, 2, 4)
            )
            await receipts(outbox)
        for customer in (1, 2, 4):
            assert said(sandbox, customer) == [str(number) for number in range(8)]

    async def test_the_first_so_many(self, path: Path, sandbox: Sandbox, landbot: AsyncLandbot) -> None:
        async with Outbox(path, landbot) as outbox:
            await outbox.add_many(texts(99, *range(1, 21)))
            assert len(await receipts(outbox, first=5)) == 5
            assert await counts(outbox) == {"failed": 1, "sent": 4, "queued": 16}
            assert len(await receipts(outbox, first=100)) == 16

    async def test_so_many_customers_a_day(self, path: Path, sandbox: Sandbox, landbot: AsyncLandbot) -> None:
        async with Outbox(path, landbot) as outbox:
            await outbox.add_many(texts(*range(1, 11)))
            await outbox.add_many(Outgoing.text(number, "Again", key=f"again-{number}") for number in range(1, 11))
            assert len(await receipts(outbox, per_day=4)) == 8
            assert {each.customer_id for each in sandbox.sent} == {1, 2, 3, 4}
            assert await receipts(outbox, per_day=4) == []
            assert len(await receipts(outbox, per_day=6)) == 4
            assert await counts(outbox) == {"sent": 12, "queued": 8}
            assert len(await receipts(outbox)) == 8

    async def test_a_failure_uses_up_no_customer_of_the_day(
        self, path: Path, sandbox: Sandbox, landbot: AsyncLandbot
    ) -> None:
        async with Outbox(path, landbot) as outbox:
            await outbox.add_many(texts(97, 98, 99, 1, 2, 3, 4))
            assert len(await receipts(outbox, per_day=2)) == 5
            assert {each.customer_id for each in sandbox.sent} == {1, 2}

    @pytest.mark.parametrize("natively", [False, True])
    async def test_a_run_that_is_cancelled_as_it_begins_counts_the_customers_of_the_day_again(
        self, place: str, sandbox: Sandbox, landbot: AsyncLandbot, monkeypatch: pytest.MonkeyPatch, natively: bool
    ) -> None:
        expire, cancels = Store.expire, list[Callable[[], object]]()

        def cancelling(store: Store) -> None:
            anyio.from_thread.run_sync(cancels[0])
            expire(store)

        async with Outbox(place, landbot) as outbox:
            await outbox.add_many(texts(*range(1, 31)))
            assert len(await receipts(outbox, per_day=3)) == 3
            run = outbox.run(per_day=4)
            with monkeypatch.context() as patch:
                patch.setattr(Store, "expire", cancelling)
                await cancelled(lambda: anext(run), cancels, natively=natively)
            assert len([receipt async for receipt in run]) == 1
        assert len({each.customer_id for each in sandbox.sent}) == 4

    async def test_tasks_that_begin_a_run_together_keep_to_the_customers_of_the_day(
        self, place: str, sandbox: Sandbox, landbot: AsyncLandbot, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        claim = Store.claim

        def slow(store: Store, per_day: int | None) -> Claimed | None:
            clock.sleep(0.05)
            return claim(store, per_day)

        monkeypatch.setattr(Store, "claim", slow)
        async with Outbox(place, landbot) as outbox:
            await outbox.add_many(texts(*range(1, 31)))
            assert len(await receipts(outbox, per_day=3)) == 3
            run = outbox.run(per_day=4)

            async def receive() -> None:
                async for _ in run:
                    pass

            async with anyio.create_task_group() as group:
                group.start_soon(receive)
                group.start_soon(receive)
        assert len({each.customer_id for each in sandbox.sent}) == 4

    @pytest.mark.parametrize("before", [3, None])
    async def test_what_an_earlier_run_has_begun_counts_as_customers_of_the_day(
        self, place: str, sandbox: Sandbox, before: int | None
    ) -> None:
        async with sandbox.client(limiter=TokenBucket(rate=20)) as landbot, Outbox(place, landbot) as outbox:
            await outbox.add_many(texts(99, *range(1, 31)))
            await anext(outbox.run(per_day=before))
            # Others wait for the limiter now.
            assert outbox._open.workers._flights
            assert len(await receipts(outbox, per_day=3)) == 3
        assert len({each.customer_id for each in sandbox.sent}) == 3

    async def test_a_claim_that_waits_for_another_is_not_made_for_an_earlier_run(
        self, path: Path, sandbox: Sandbox, landbot: AsyncLandbot
    ) -> None:
        async with Outbox(path, landbot) as outbox:
            await outbox.add_many(texts(1, 2))
            opened = outbox._open.workers
            before = opened.progress
            outbox.run()
            assert await opened._claim(before) is None
            assert await counts(outbox) == {"queued": 2}

    async def test_an_older_run_that_finds_nothing_does_not_end_the_one_that_begins(
        self, path: Path, sandbox: Sandbox, landbot: AsyncLandbot, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        next_due, scope = Store.next_due, anyio.CancelScope()

        def slow(store: Store) -> float | None:
            anyio.from_thread.run_sync(scope.cancel)
            clock.sleep(0.2)
            return next_due(store)

        async with Outbox(path, landbot) as outbox:
            await outbox.add_many(texts(*range(1, 11)))
            assert len(await receipts(outbox, per_day=3)) == 3
            with monkeypatch.context() as patch, scope:
                patch.setattr(Store, "next_due", slow)
                await anext(outbox.run(per_day=3))
            assert scope.cancelled_caught
            assert len(await receipts(outbox)) == 7

    async def test_only_between_some_hours(self, path: Path, sandbox: Sandbox, landbot: AsyncLandbot) -> None:
        now = datetime.now(UTC)
        inside = ((now - timedelta(hours=1)).time(), (now + timedelta(hours=1)).time(), UTC)
        outside = ((now + timedelta(hours=1)).time(), (now + timedelta(hours=2)).time(), UTC)
        async with Outbox(path, landbot) as outbox:
            await outbox.add_many(texts(1, 2))
            assert await receipts(outbox, between=outside) == []
            assert len(await receipts(outbox, between=inside)) == 2

    async def test_a_window_that_closes_meanwhile(
        self, path: Path, sandbox: Sandbox, landbot: AsyncLandbot, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with Outbox(path, landbot) as outbox:
            await outbox.add_many(texts(1))
            flights, closed = outbox._open.workers._flights, list[bool]()

            def contain(*_: Any) -> bool:
                closed.extend([True] * len(flights))
                return not closed

            monkeypatch.setattr("landbot_async.outbox.states.OpeningHours.contain", contain)
            assert await receipts(outbox, between=(time(9), time(20), UTC)) == []
            assert await counts(outbox) == {"queued": 1}
        assert not sandbox.sent

    async def test_later_and_not_later(self, path: Path, sandbox: Sandbox, landbot: AsyncLandbot) -> None:
        now = datetime.now(UTC)
        async with Outbox(path, landbot) as outbox:
            await outbox.text(1, "Later", key="later", send_after=now + timedelta(hours=1))
            await outbox.text(1, "Now", key="now", send_after=now - timedelta(hours=1))
            await outbox.text(1, "Too late", key="late", expires=now - timedelta(seconds=1))
            await outbox.text(2, "Never", key="never", expires=now, send_after=now + timedelta(hours=1))
            assert await keys(outbox) == ["now"]
            assert await counts(outbox) == {"sent": 1, "queued": 1, "expired": 2}
        assert said(sandbox) == ["Now"]

    async def test_one_that_expires_before_its_turn(
        self, path: Path, sandbox: Sandbox, landbot: AsyncLandbot, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with Outbox(path, landbot) as outbox:
            await outbox.text(1, "Soon", key="soon", expires=datetime.now(UTC) + timedelta(seconds=30))
            later = clock.time() + 31
            monkeypatch.setattr("landbot_async.outbox.workers.time.time", lambda: later)
            opened: Any = outbox._open.journal
            opened._store._now = lambda: later - 31
            assert await receipts(outbox) == []
            assert await counts(outbox) == {"expired": 1}
        assert not sandbox.sent

    async def test_what_follows_a_message_is_done_after_it_would_have_expired(
        self, path: Path, sandbox: Sandbox, landbot: AsyncLandbot, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        passed = 0.0
        real, real_time = Store.next_step, clock.time

        def slow(store: Store, taken: Claimed) -> Claimed | None:
            nonlocal passed
            passed = 31
            return real(store, taken)

        monkeypatch.setattr(Store, "next_step", slow)
        monkeypatch.setattr("landbot_async.outbox.workers.time.time", lambda: real_time() + passed)
        expires = datetime.now(UTC) + timedelta(seconds=30)
        async with Outbox(path, landbot) as outbox:
            await outbox.text(1, "Soon", key="soon", expires=expires, then=[AssignBot(77, launch=False)])
            assert [each.status for each in await receipts(outbox)] == ["sent"]
        assert said(sandbox) == ["Soon"]

    async def test_one_that_expires_while_the_limit_is_refused(self, path: Path, sandbox: Sandbox) -> None:
        slow = RetryPolicy(base=0.8, cap=0.8)
        async with (
            sandbox.client(limiter=TokenBucket(rate=500), retry=slow) as landbot,
            Outbox(path, landbot) as outbox,
        ):
            await outbox.text(1, "Soon", key="soon", expires=datetime.now(UTC) + timedelta(seconds=0.5))
            sandbox.fault(429, method="POST")
            assert await receipts(outbox) == []
            assert await counts(outbox) == {"expired": 1}
        assert not sandbox.sent

    async def test_it_follows_until_it_is_stopped(self, path: Path, sandbox: Sandbox, landbot: AsyncLandbot) -> None:
        got: list[str] = []
        async with Outbox(path, landbot) as outbox, anyio.create_task_group() as group:

            async def follow() -> None:
                async for receipt in outbox.run(follow=True):
                    got.append(receipt.key)  # noqa: PERF401  # each as it comes

            group.start_soon(follow)
            await anyio.sleep(0.05)
            await outbox.text(1, "One", key="one")
            soon = datetime.now(UTC) + timedelta(seconds=0.3)
            await outbox.text(1, "Two", key="two", send_after=soon)
            await until(lambda: len(got) == 2)
            assert datetime.now(UTC) >= soon
            outbox.stop()
        assert got == ["one", "two"]

    async def test_stopped_it_finishes_what_is_on_the_wire(
        self, path: Path, sandbox: Sandbox, landbot: AsyncLandbot
    ) -> None:
        sandbox.fault("latency", latency=0.2, times=None, method="POST")
        async with Outbox(path, landbot) as outbox:
            await outbox.add_many(texts(*range(1, 41)))
            got = []
            async for receipt in outbox.run():
                got.append(receipt.key)
                outbox.stop()
            counted = await counts(outbox)
            assert counted == {"sent": len(got), "queued": 40 - len(got)}
            assert len(got) < 40
            assert len(sandbox.sent) == len(got)
            # And the next run goes on.
            sandbox.clear_faults()
            assert len(await receipts(outbox)) == 40 - len(got)

    async def test_without_a_run_there_is_nothing_to_stop(self, path: Path, landbot: AsyncLandbot) -> None:
        async with Outbox(path, landbot) as outbox:
            outbox.stop()
            await outbox.add_many(texts(1))
            assert len(await receipts(outbox)) == 1

    async def test_nothing_is_claimed_while_nobody_iterates(
        self, path: Path, sandbox: Sandbox, landbot: AsyncLandbot
    ) -> None:
        async with Outbox(path, landbot) as outbox:
            await outbox.add_many(texts(*range(1, 41)))
            outbox.run()
            await anyio.sleep(0.1)
            assert sandbox.received == 0
            await anext(outbox.run())
            await until(lambda: not outbox._open.workers._flights)
            received = sandbox.received
            assert 1 <= received <= 24
            await anyio.sleep(0.2)
            assert sandbox.received == received
            assert (await counts(outbox))["sent"] == received
            # The others, whose loop was left, are handed out by the next run; then it goes on.
            assert len(await receipts(outbox)) == 39

    async def test_a_newer_run_takes_over(self, path: Path, sandbox: Sandbox, landbot: AsyncLandbot) -> None:
        async with Outbox(path, landbot) as outbox:
            older = outbox.run(follow=True)
            ended = list[str]()
            async with anyio.create_task_group() as group:

                async def follow() -> None:
                    ended.extend([receipt.key async for receipt in older])

                group.start_soon(follow)
                await anyio.sleep(0.05)
                await outbox.add_many(texts(1, 2))
                while await counts(outbox) != {"sent": 2}:  # noqa: ASYNC110  # nobody tells
                    await anyio.sleep(0.01)
                await anyio.wait_all_tasks_blocked()
                assert ended == []
                newer = outbox.run()
                await outbox.add_many(texts(4))
                assert [receipt.key async for receipt in newer] == ["k4"]
            assert sorted(ended) == ["k1", "k2"]

    async def test_a_run_that_is_over_stays_so(self, path: Path, landbot: AsyncLandbot) -> None:
        async with Outbox(path, landbot) as outbox:
            run = outbox.run()
            assert [receipt.key async for receipt in run] == []
            await outbox.add_many(texts(1))
            assert [receipt.key async for receipt in run] == []

    async def test_two_may_iterate_over_one_run(self, path: Path, sandbox: Sandbox, landbot: AsyncLandbot) -> None:
        got: list[str] = []
        async with Outbox(path, landbot) as outbox:
            await outbox.add_many(texts(*range(1, 31)))
            run = outbox.run()

            async def take() -> None:
                got.extend([receipt.key async for receipt in run])

            async with anyio.create_task_group() as group:
                group.start_soon(take)
                group.start_soon(take)
        assert len(got) == len(set(got)) == 30

    async def test_its_calls_let_others_go_first(self, path: Path, landbot: AsyncLandbot) -> None:
        async with Outbox(path, landbot, send_timeout=7.5) as outbox:
            options = outbox._open.workers._engine.options
            assert (options.priority, options.total_timeout) == ("low", 7.5)
            assert landbot._engine.options.priority == "normal"

    async def test_as_many_are_in_flight_as_the_latency_needs(self, path: Path, sandbox: Sandbox) -> None:
        sandbox.fault("latency", latency=0.3, times=None, method="POST")
        async with sandbox.client(limiter=TokenBucket(rate=20)) as landbot, Outbox(path, landbot) as outbox:
            await outbox.add_many(texts(*range(1, 41)))
            most, begun = 0, anyio.current_time()
            async for _ in outbox.run():
                most = max(most, len(outbox._open.workers._flights))
            assert 6 <= most <= 12
            assert anyio.current_time() - begun < 8  # one after another it would take twelve seconds


class TestSteps:
    THEN = (SetFields({"wave": "spring", "born": datetime(2000, 1, 2, tzinfo=UTC)}), AssignBot(77))

    async def test_they_follow_the_message(self, path: Path, sandbox: Sandbox, landbot: AsyncLandbot) -> None:
        async with Outbox(path, landbot) as outbox:
            await outbox.text(1, "Hello", key="a", then=self.THEN)
            [receipt] = await receipts(outbox)
            assert (receipt.status, receipt.attempts) == ("sent", 2)
        customer = sandbox.customer(1)
        assert (customer.fields["wave"], customer.field_types["born"], customer.bot_id) == ("spring", "datetime", 77)

    async def test_they_stop_at_the_first_that_fails_and_go_on_there(
        self, path: Path, sandbox: Sandbox, landbot: AsyncLandbot
    ) -> None:
        async with Outbox(path, landbot) as outbox:
            await outbox.text(1, "Hello", key="a", then=self.THEN)
            sandbox.fault(422, route="/customers/{customer_id}/fields/{field_name}/")
            [receipt] = await receipts(outbox)
            assert receipt.status == "failed"
            assert receipt.error is not None
            assert receipt.error.startswith("422")
            assert "wave" not in sandbox.customer(1).fields
            assert await outbox.retry(422) == 1
            sandbox.fault("lost_answer", route="/customers/{customer_id}/assign_bot/{bot_id}/")
            [receipt] = await receipts(outbox)
            assert receipt.status == "unknown"
            assert await outbox.reconcile() == Reconciled(
                0, 0, {"the assignment to a bot leaves no trace in transcripts": 1}
            )
            await outbox.resolve("a", "sent")
            resolved = await outbox.receipt("a")
            assert resolved is not None
            assert (resolved.status, resolved.evidence) == ("sent", "resolved")
        assert [each for each in said(sandbox) if each == "Hello"] == ["Hello"]

    async def test_fields_whose_outcome_is_unknown_are_set_again_by_hand(
        self, path: Path, sandbox: Sandbox, landbot: AsyncLandbot
    ) -> None:
        async with Outbox(path, landbot) as outbox:
            await outbox.text(1, "Hello", key="a", then=[SetFields({"wave": "spring"})])
            sandbox.fault(503, times=20, method="PUT")
            [receipt] = await receipts(outbox)
            assert receipt.status == "failed"
            sandbox.clear_faults()
            await outbox.retry()
            [receipt] = await receipts(outbox)
            assert receipt.status == "sent"
        assert said(sandbox) == ["Hello"]

    async def test_a_run_that_is_stopped_between_them(
        self, path: Path, sandbox: Sandbox, landbot: AsyncLandbot
    ) -> None:
        async with Outbox(path, landbot) as outbox:
            await outbox.text(1, "Hello", key="a", then=[SetFields({"wave": "spring"})])
            next_step = Store.next_step

            def stop(store: Store, taken: Any) -> Any:
                outbox._open.workers.progress.stopping = True
                return next_step(store, taken)

            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(Store, "next_step", stop)
                assert await receipts(outbox) == []
            assert await counts(outbox) == {"queued": 1}
            assert await keys(outbox) == ["a"]
        assert said(sandbox) == ["Hello"]
