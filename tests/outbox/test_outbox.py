"""`Outbox` against the sandbox, in real time: the journal is written in a thread, which virtual time would race past."""

import asyncio
import contextlib
import os
import sqlite3
import stat
import sys
import time as clock
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest

from landbot_async import (
    APIConnectionError,
    AsyncApichat,
    AsyncLandbot,
    AuthenticationError,
    ClientClosedError,
    ConfigurationError,
    LimiterError,
    RetryPolicy,
    TokenBucket,
    UnprocessableEntityError,
)
from landbot_async._core.errors import (
    JournalFullError,
    JournalInUseError,
    JournalMismatchError,
    KeyConflictError,
    OutboxError,
    OutboxStoppedError,
)
from landbot_async._core.sqlite import open_owned
from landbot_async.outbox import (
    Added,
    AssignBot,
    Outbox,
    OutboxReader,
    Outgoing,
    Receipt,
    Reconciled,
    SetFields,
    workers,
)
from landbot_async.outbox.journal import sqlite
from landbot_async.outbox.journal.rows import Claimed
from landbot_async.outbox.journal.sqlite import KIND
from landbot_async.outbox.journal.store import Store
from landbot_async.outbox.workers import Workers
from landbot_async.sandbox import Sandbox
from landbot_async.webhooks import Inbox, Message
from tests.helpers import TOKEN, Unlimited

pytestmark = [pytest.mark.anyio, pytest.mark.real_time]

QUICK = RetryPolicy(base=0.001, cap=0.002, attempts=2)


@pytest.fixture
async def sandbox(anyio_backend: Any) -> AsyncIterator[Sandbox]:
    async with Sandbox(customers=50, window="off") as sandbox:
        yield sandbox


@pytest.fixture
async def landbot(sandbox: Sandbox) -> AsyncIterator[AsyncLandbot]:
    async with sandbox.client(limiter=TokenBucket(rate=500), retry=QUICK) as landbot:
        yield landbot


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "spring.campaign"


def said(sandbox: Sandbox, customer: int = 1) -> list[str]:
    return [each.text for each in sandbox.sent if each.customer_id == customer]


def texts(*customers: int, message: str = "Hi") -> list[Outgoing]:
    return [Outgoing.text(customer, message, key=f"k{customer}") for customer in customers]


async def receipts(outbox: Outbox, **options: Any) -> list[Receipt]:
    return [receipt async for receipt in outbox.run(**options)]


async def keys(outbox: Outbox, **options: Any) -> list[str]:
    return sorted(receipt.key for receipt in await receipts(outbox, **options))


def read(path: Path) -> bytes:
    return path.read_bytes()


def copy_of(path: Path, copy: Path) -> None:
    copy.write_bytes(path.read_bytes())


async def counts(outbox: Outbox) -> dict[str, int]:
    return {status: count for status, count in (await outbox.counts()).items() if count}


class TestQueueing:
    async def test_every_kind_reaches_its_customer(self, path: Path, sandbox: Sandbox, landbot: AsyncLandbot) -> None:
        on_whatsapp = next(each.id for each in sandbox.customers if each.channel_id == 9)
        async with Outbox(path, landbot) as outbox:
            assert await outbox.text(1, "Hello", key="text") is True
            assert await outbox.image(1, "https://x.example/a.png", caption="Look", key="image") is True
            assert await outbox.location(1, 41.5, 2.25, key="location") is True
            assert await outbox.template(on_whatsapp, 5, "en", body=["Ana"], key="template") is True
            assert sandbox.received == 0
            assert {each.status for each in await receipts(outbox)} == {"sent"}
        assert sorted((each.customer_id, each.type) for each in sandbox.sent) == [
            (1, "image"),
            (1, "location"),
            (1, "text"),
            (on_whatsapp, "template"),
        ]

    async def test_the_same_key_is_the_same_message(self, path: Path, sandbox: Sandbox, landbot: AsyncLandbot) -> None:
        for _ in range(2):
            async with Outbox(path, landbot) as outbox:
                await outbox.text(1, "Hello", key="a")
                assert await outbox.text(1, "Hello", key="a") is False
                with pytest.raises(KeyConflictError):
                    await outbox.text(1, "Good-bye", key="a")
                await receipts(outbox)
        assert said(sandbox) == ["Hello"]

    async def test_a_message_that_is_given_twice_is_queued_once(self, path: Path, landbot: AsyncLandbot) -> None:
        async with Outbox(path, landbot) as outbox:
            message = Outgoing.text(1, "Hello", key="a")
            assert await outbox.add_many([message, message]) == Added(1, 1)

    async def test_wrong_arguments_queue_nothing(self, path: Path, landbot: AsyncLandbot) -> None:
        async with Outbox(path, landbot) as outbox:
            with pytest.raises(ValueError, match="customer_id"):
                await outbox.text(0, "Hello", key="a")
            with pytest.raises(TypeError, match="key"):
                await outbox.text(1, "Hello")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
            with pytest.raises(TypeError, match="add_many takes Outgoing, not str"):
                await outbox.add_many(["Hello"])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
            assert await counts(outbox) == {}

    async def test_many_at_once(self, path: Path, landbot: AsyncLandbot) -> None:
        async with Outbox(path, landbot) as outbox:
            messages = [Outgoing.text(number, "Hi", key=f"k{number}") for number in range(1, 10_251)]
            assert await outbox.add_many(iter(messages)) == Added(10_250, 0)
            assert await outbox.add_many(messages[-300:]) == Added(0, 300)
            assert await outbox.add_many([]) == Added(0, 0)
            # What was in an earlier transaction stays.
            conflict = [Outgoing.text(1, "Other", key="k1")]
            with pytest.raises(KeyConflictError):
                await outbox.add_many([Outgoing.text(1, "Hi", key=f"n{n}") for n in range(5000)] + conflict)
            assert await counts(outbox) == {"queued": 15_250}

    async def test_a_text_is_on_disk_when_it_is_queued(self, path: Path, landbot: AsyncLandbot) -> None:
        async with Outbox(path, landbot) as outbox:
            await outbox.text(1, "Hello", key="a")
            # A copy of both files is what a crash would leave.
            for name in os.listdir(path.parent):
                (path.parent / f"copy-{name}").write_bytes((path.parent / name).read_bytes())
        assert (await OutboxReader(path.parent / "copy-spring.campaign").counts())["queued"] == 1


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

    @pytest.mark.parametrize("seconds", [30.0, 0.0])
    async def test_so_many_customers_a_day(
        self, path: Path, sandbox: Sandbox, landbot: AsyncLandbot, monkeypatch: pytest.MonkeyPatch, seconds: float
    ) -> None:
        monkeypatch.setattr(workers, "_COUNT_AGAIN", seconds)
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

    async def test_a_run_that_is_cancelled_as_it_begins_counts_the_customers_of_the_day_again(
        self, path: Path, sandbox: Sandbox, landbot: AsyncLandbot, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        expire = Store.expire

        def slow(store: Store) -> None:
            clock.sleep(0.1)
            expire(store)

        async with Outbox(path, landbot) as outbox:
            await outbox.add_many(texts(*range(1, 31)))
            assert len(await receipts(outbox, per_day=3)) == 3
            run = outbox.run(per_day=4)
            with monkeypatch.context() as patch, anyio.move_on_after(0.02) as scope:
                patch.setattr(Store, "expire", slow)
                await anext(run)
            assert scope.cancelled_caught
            assert len([receipt async for receipt in run]) == 1
        assert len({each.customer_id for each in sandbox.sent}) == 4

    async def test_tasks_that_begin_a_run_together_keep_to_the_customers_of_the_day(
        self, path: Path, sandbox: Sandbox, landbot: AsyncLandbot, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        contacted = Store.contacted

        def slow(store: Store, but: set[int]) -> int:
            clock.sleep(0.05)
            return contacted(store, but)

        monkeypatch.setattr(Store, "contacted", slow)
        async with Outbox(path, landbot) as outbox:
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
        self, path: Path, sandbox: Sandbox, before: int | None
    ) -> None:
        async with sandbox.client(limiter=TokenBucket(rate=20)) as landbot, Outbox(path, landbot) as outbox:
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
            opened = outbox._open.journal._store
            opened.now = lambda: later - 31
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
            with anyio.fail_after(10):
                while len(got) < 2:  # noqa: ASYNC110  # nobody tells
                    await anyio.sleep(0.01)
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
            await anyio.sleep(0.2)
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
            assert anyio.current_time() - begun < 4  # one after another it would take twelve seconds


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


def of_a_later_format(path: Path) -> None:
    open_owned(path, KIND).close()
    with path.open("r+b") as data:
        data.seek(44)
        data.write(b"\0\0\0\x09")


class TestTheJournal:
    async def test_it_is_its_owner_s_alone(self, path: Path, landbot: AsyncLandbot) -> None:
        async with Outbox(path, landbot) as outbox:
            await outbox.add_many(texts(1))
            modes = {name: stat.S_IMODE(os.stat(path.parent / name).st_mode) for name in os.listdir(path.parent)}
            assert set(modes.values()) == {0o600}
            assert len(modes) == 4
        assert os.listdir(path.parent) == ["spring.campaign"]

    async def test_one_outbox_owns_it(self, path: Path, sandbox: Sandbox, landbot: AsyncLandbot) -> None:
        async with Outbox(path, landbot):
            begun = clock.monotonic()
            with pytest.raises(JournalInUseError, match="one Outbox owns it at a time"):
                await Outbox(path, landbot, name="other").__aenter__()
            # Said first, whatever else is wrong.
            async with sandbox.client(limiter=Unlimited()) as other:
                other._engine.connection.base_url = "https://elsewhere.invalid/v1/"
                with pytest.raises(JournalInUseError):
                    await Outbox(path, other).__aenter__()
            assert clock.monotonic() - begun < 1
        async with Outbox(path, landbot, name="other"):
            pass

    @pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
    @pytest.mark.parametrize("where", ["in the thread that opens the file", "while its workers begin"])
    async def test_it_is_free_again_after_asyncio_cancels_its_opening(
        self, where: str, path: Path, landbot: AsyncLandbot, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        loop = asyncio.get_running_loop()
        open_file, live = sqlite._open, Workers.live

        def slow(*args: Any, **options: Any) -> Any:
            opened = open_file(*args, **options)
            loop.call_soon_threadsafe(opening.cancel)
            clock.sleep(0.05)
            return opened

        async def late(self: Workers) -> None:
            loop.call_soon(opening.cancel)  # before the task that waits for the workers goes on
            await live(self)

        with monkeypatch.context() as patch:
            if where == "while its workers begin":
                patch.setattr(Workers, "live", late)
            else:
                patch.setattr(sqlite, "_open", slow)
            opening = asyncio.create_task(Outbox(path, landbot).__aenter__())
            done, _ = await asyncio.wait([opening], timeout=10)
        assert done
        assert opening.cancelled()
        async with Outbox(path, landbot) as outbox:
            assert await outbox.text(1, "Hi", key="a")

    @pytest.mark.parametrize("natively", [False, True])
    async def test_one_that_is_cancelled_as_it_opens_lets_the_file_go(
        self,
        path: Path,
        landbot: AsyncLandbot,
        monkeypatch: pytest.MonkeyPatch,
        anyio_backend_name: str,
        natively: bool,
    ) -> None:
        recover = Store.recover

        def slow(store: Store) -> None:
            clock.sleep(0.1)
            recover(store)

        async def enter() -> None:
            await Outbox(path, landbot).__aenter__()

        with monkeypatch.context() as patch:
            patch.setattr(Store, "recover", slow)
            if natively and anyio_backend_name == "asyncio":
                task = asyncio.get_running_loop().create_task(enter())
                await anyio.sleep(0.03)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            else:
                with anyio.move_on_after(0.03):
                    await enter()
        async with Outbox(path, landbot) as outbox:
            assert await counts(outbox) == {}

    async def test_it_belongs_to_its_token(self, path: Path, landbot: AsyncLandbot) -> None:
        async with Outbox(path, landbot):
            pass
        async with AsyncLandbot(TOKEN, base_url=landbot.base_url) as other:
            with pytest.raises(JournalMismatchError, match="belongs to another token") as raised:
                await Outbox(path, other).__aenter__()
        assert TOKEN not in str(raised.value)
        assert landbot._engine.connection.token.reveal().encode() not in read(path)

    async def test_and_to_its_base_url(self, path: Path, sandbox: Sandbox, landbot: AsyncLandbot) -> None:
        async with Outbox(path, landbot):
            pass
        async with AsyncLandbot(sandbox.token, base_url="https://other.invalid/v1/") as other:
            with pytest.raises(
                JournalMismatchError, match=r"belongs to https://sandbox\.invalid/v1/, and this client to"
            ):
                await Outbox(path, other).__aenter__()

    async def test_a_copy_would_send_again(self, path: Path, sandbox: Sandbox, landbot: AsyncLandbot) -> None:
        async with Outbox(path, landbot) as outbox:
            await outbox.add_many(texts(1))
        copy = path.parent / "copy.campaign"
        copy_of(path, copy)
        with pytest.raises(JournalMismatchError, match="is a copy"):
            await Outbox(copy, landbot).__aenter__()
        os.remove(path)
        async with Outbox(copy, landbot, moved=True) as outbox:
            assert await keys(outbox) == ["k1"]
        async with Outbox(copy, landbot):
            pass
        # Moving is not copying.
        os.rename(copy, path)
        async with Outbox(path, landbot):
            pass

    @pytest.mark.parametrize(
        ("make", "error", "text"),
        [
            (lambda path: path.write_text("My diary. " * 50), JournalMismatchError, "is not the file of an outbox"),
            (lambda path: path.mkdir(), JournalMismatchError, "is not a regular file"),
            (of_a_later_format, OutboxError, "cannot be used: unsupported file format"),
        ],
    )
    async def test_something_else_is_left_alone(
        self, path: Path, landbot: AsyncLandbot, make: Callable[[Path], object], error: type[Exception], text: str
    ) -> None:
        make(path)
        with pytest.raises(error, match=text):
            await Outbox(path, landbot).__aenter__()
        with pytest.raises(error, match=text):
            await OutboxReader(path).counts()

    async def test_a_newer_version_s(self, path: Path, landbot: AsyncLandbot) -> None:
        async with Outbox(path, landbot):
            pass
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA user_version = 99")
        with pytest.raises(JournalMismatchError, match="of a newer version of landbot_async"):
            await Outbox(path, landbot).__aenter__()

    async def test_a_folder_that_is_not_there(self, path: Path, landbot: AsyncLandbot) -> None:
        for ask in (Outbox(path / "x", landbot).__aenter__, OutboxReader(path / "x").counts):
            with pytest.raises(OutboxError, match="cannot be opened"):
                await ask()

    async def test_a_file_in_its_place_sends_nothing(self, path: Path, sandbox: Sandbox, landbot: AsyncLandbot) -> None:
        async with Outbox(path, landbot) as outbox:
            await outbox.add_many(texts(1))
            os.rename(path, path.parent / "moved.campaign")
            with pytest.raises(JournalMismatchError, match="was moved, replaced or deleted"):
                await outbox.add_many(texts(2))
            with pytest.raises(JournalMismatchError):
                await receipts(outbox)
            assert sandbox.received == 0
            os.rename(path.parent / "moved.campaign", path)
            assert await keys(outbox) == ["k1"]


def full(*_: Any, **__: Any) -> Any:
    error = sqlite3.OperationalError("database or disk is full")
    error.sqlite_errorcode = sqlite3.SQLITE_FULL
    raise error


class TestAFullDisk:
    async def test_when_queueing(self, path: Path, landbot: AsyncLandbot, monkeypatch: pytest.MonkeyPatch) -> None:
        async with Outbox(path, landbot) as outbox:
            with monkeypatch.context() as patch:
                patch.setattr("shutil.disk_usage", lambda _: type("usage", (), {"free": 1000}))
                with pytest.raises(JournalFullError, match="cannot grow: the disk is full"):
                    await outbox.text(1, "Hi", key="a")
            await outbox.text(1, "Hi", key="a")

    async def test_at_the_mark_nothing_leaves(
        self, path: Path, sandbox: Sandbox, landbot: AsyncLandbot, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with Outbox(path, landbot) as outbox:
            await outbox.add_many(texts(1, 2, 4))
            with monkeypatch.context() as patch:
                patch.setattr(Store, "mark", full)
                with pytest.raises(JournalFullError):
                    await receipts(outbox)
            assert sandbox.received == 0
            assert await counts(outbox) == {"queued": 3}
            assert len(await receipts(outbox)) == 3

    async def test_at_the_claim(
        self, path: Path, sandbox: Sandbox, landbot: AsyncLandbot, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with Outbox(path, landbot) as outbox:
            await outbox.add_many(texts(1))
            with monkeypatch.context() as patch:
                patch.setattr(Store, "claim", full)
                with pytest.raises(JournalFullError):
                    await receipts(outbox)
            assert await keys(outbox) == ["k1"]

    @pytest.mark.parametrize("ends", [False, True])
    async def test_at_the_result_it_is_kept_until_it_can_be_written(
        self, path: Path, sandbox: Sandbox, landbot: AsyncLandbot, monkeypatch: pytest.MonkeyPatch, ends: bool
    ) -> None:
        async with Outbox(path, landbot) as outbox:
            await outbox.add_many(texts(1, 2))
            with monkeypatch.context() as patch:
                patch.setattr(Store, "_settle", full)
                with pytest.raises(JournalFullError):
                    await receipts(outbox)
                reached = len(sandbox.sent)
                assert reached >= 1
                assert (await counts(outbox))["sending"] == reached
                with pytest.raises(JournalFullError):
                    await outbox.cancel()
            if not ends:
                assert (await counts(outbox))["sent"] == reached
                await receipts(outbox)
        async with Outbox(path, landbot) as outbox:
            await receipts(outbox)
            assert await counts(outbox) == {"sent": 2}
        assert len(sandbox.sent) == 2

    async def test_it_never_comes_back(
        self, path: Path, sandbox: Sandbox, landbot: AsyncLandbot, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(Store, "_settle", full)
            async with Outbox(path, landbot) as outbox:
                await outbox.add_many(texts(1))
                with pytest.raises(JournalFullError):
                    await receipts(outbox)
        async with Outbox(path, landbot) as outbox:
            assert await counts(outbox) == {"unknown": 1}

    async def test_any_other_trouble_of_the_database(
        self, path: Path, landbot: AsyncLandbot, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(_: Store) -> None:
            raise sqlite3.DatabaseError("database disk image is malformed")

        async with Outbox(path, landbot) as outbox:
            monkeypatch.setattr(Store, "counts", broken)
            with pytest.raises(OutboxError, match="cannot be used: database disk image is malformed"):
                await outbox.counts()


class TestNoThread:
    """A system may have no thread to spare."""

    async def test_a_result_is_written_later(
        self, path: Path, sandbox: Sandbox, landbot: AsyncLandbot, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run_sync, failures = anyio.to_thread.run_sync, [1]

        async def run(function: Any, **options: Any) -> Any:
            if getattr(getattr(function, "func", None), "__name__", "") == "_settled" and failures:
                raise RuntimeError(f"can't start new thread {failures.pop()}")
            return await run_sync(function, **options)

        async with Outbox(path, landbot) as outbox:
            await outbox.add_many(texts(1, 2))
            monkeypatch.setattr(anyio.to_thread, "run_sync", run)
            with pytest.raises(OutboxError, match="no thread could be started"):
                await receipts(outbox)
            await receipts(outbox)
            assert await counts(outbox) == {"sent": 2}
            assert len(sandbox.sent) == 2


class TestTheEnd:
    async def test_the_wire_gets_time_to_answer(self, path: Path, sandbox: Sandbox, landbot: AsyncLandbot) -> None:
        sandbox.fault("latency", latency=0.3, times=None, method="POST")
        async with Outbox(path, landbot) as outbox:
            await outbox.add_many(texts(*range(1, 31)))
            with anyio.move_on_after(0.15):
                await receipts(outbox)
        sandbox.clear_faults()
        async with Outbox(path, landbot) as outbox:
            counted = await counts(outbox)
            assert set(counted) == {"sent", "queued"}
            assert counted["sent"] == len(sandbox.sent) >= 2
            assert len(await receipts(outbox)) == 30 - counted["sent"]

    async def test_but_not_for_ever(self, path: Path, sandbox: Sandbox, landbot: AsyncLandbot) -> None:
        sandbox.fault("latency", latency=30, times=None, method="POST")
        begun = anyio.current_time()
        async with Outbox(path, landbot, grace=0.1) as outbox:
            await outbox.add_many(texts(*range(1, 31)))
            with anyio.move_on_after(0.2):
                await receipts(outbox)
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
            await anyio.sleep(0.2)
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
        while not any(each.attempts and each.attempts.on_the_wire for one in opened for each in one._flights):  # noqa: ASYNC110  # nobody tells
            await asyncio.sleep(0.01)
        if leaving:
            leave.set()
            while not opened[0]._closed:  # noqa: ASYNC110  # nobody tells
                await asyncio.sleep(0)
        begun = anyio.current_time()
        for _ in range(times):
            task.cancel()
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
        await asyncio.sleep(0.3)
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
            mark, slept = Store.mark, 0.0

            def sleep(store: Store, taken: Any) -> bool:
                nonlocal slept
                done = mark(store, taken)
                slept = 60.0 if not slept else 0.0
                return done

            real = clock.time
            monkeypatch.setattr("landbot_async.outbox.workers.time.time", lambda: real() + slept)
            monkeypatch.setattr(Store, "mark", sleep)
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


class TestEvidence:
    async def test_transcripts_settle_what_is_unknown(
        self, path: Path, sandbox: Sandbox, landbot: AsyncLandbot
    ) -> None:
        async with Outbox(path, landbot, reconcile_after=0) as outbox:
            await outbox.add_many(texts(*range(1, 21)))
            sandbox.fault("lost_answer", method="POST", times=3)
            sandbox.fault("cut", method="POST", times=3)
            await receipts(outbox)
            assert await counts(outbox) == {"sent": 14, "unknown": 6}
            assert await outbox.reconcile() == Reconciled(3, 3, {})
            assert len(await receipts(outbox)) == 3
            assert await counts(outbox) == {"sent": 20}
        assert len(sandbox.sent) == 20

    async def test_it_asks_nobody_where_nothing_is_unknown(
        self, path: Path, sandbox: Sandbox, landbot: AsyncLandbot
    ) -> None:
        async with Outbox(path, landbot) as outbox:
            assert await outbox.reconcile() == Reconciled(0, 0, {})
        assert sandbox.received == 0

    async def test_our_own_message_hook_settles_it_at_once(
        self, path: Path, sandbox: Sandbox, landbot: AsyncLandbot
    ) -> None:
        inbox = Inbox("s3cret", senders={"customer", "agent"}, settle=0)
        await landbot.hooks.create(8, "https://hooks.example/landbot", token="s3cret")
        sandbox.mount("https://hooks.example", inbox)
        async with Outbox(path, landbot) as outbox:
            inbox.on(Message)(outbox.witness)
            async with inbox:
                one, two = [each.id for each in sandbox.customers if each.channel_id == 8][:2]
                await outbox.add_many(texts(one, two))
                sandbox.fault("lost_answer", method="POST", times=2)
                await receipts(outbox)
                await sandbox.settled()
                await inbox.idle()
            assert [(each.status, each.evidence) async for each in outbox.receipts()] == [("sent", "hook")] * 2

    async def test_a_person_decides(self, path: Path, sandbox: Sandbox, landbot: AsyncLandbot) -> None:
        async with Outbox(path, landbot) as outbox:
            await outbox.add_many(texts(1, 2, 4))
            sandbox.fault("cut", method="POST", times=2)
            await receipts(outbox)
            one, two = [each.key async for each in outbox.receipts("unknown")]
            await outbox.resolve(one, "sent")
            await outbox.resolve(two, "queued")
            assert await keys(outbox) == [two]
            for key, text in ((one, "it is sent"), ("nobody's", "there is no such message")):
                with pytest.raises(OutboxError, match=text):
                    await outbox.resolve(key, "sent")
            with pytest.raises(ValueError, match="outcome must be one of 'sent', 'queued', not 'lost'"):
                await outbox.resolve(one, "lost")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
            with pytest.raises(TypeError, match="outcome"):
                await outbox.resolve(one, None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


class TestLooking:
    async def test_receipts_by_status_while_the_journal_changes(
        self, path: Path, sandbox: Sandbox, landbot: AsyncLandbot
    ) -> None:
        async with Outbox(path, landbot) as outbox:
            await outbox.add_many(Outgoing.text(number, "Hi", key=f"k{number}") for number in range(1, 1201))
            seen = 0
            async for receipt in outbox.receipts():
                seen += 1
                if seen == 2:
                    await outbox.cancel("k1100")
                assert receipt.key == f"k{seen}"
                assert receipt.status == ("cancelled" if seen == 1100 else "queued")
            assert seen == 1200
            assert [each.key async for each in outbox.receipts("cancelled")] == ["k1100"]
            assert len([each async for each in outbox.receipts(["cancelled", "queued"])]) == 1200
            assert [each async for each in outbox.receipts(())] == []
            with pytest.raises(ValueError, match="status must be one of 'queued', 'sending'"):
                outbox.receipts("taken")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

    async def test_another_process_looks_while_it_runs(
        self, path: Path, sandbox: Sandbox, landbot: AsyncLandbot
    ) -> None:
        look = (
            "import sys, time, anyio\n"
            "from landbot_async.outbox import OutboxReader\n"
            "async def main():\n"
            "    begun = time.perf_counter()\n"
            "    print(await OutboxReader(sys.argv[1]).counts())\n"
            "anyio.run(main)\n"
        )
        async with Outbox(path, landbot) as outbox:
            await outbox.add_many(texts(1, 2))
            process = await anyio.run_process([sys.executable, "-c", look, str(path)])
            assert b"'queued': 2" in process.stdout
            reader = OutboxReader(path)
            assert repr(reader) == f"OutboxReader({str(path)!r}, name='default')"
            assert (await reader.counts()) == (await outbox.counts())
            assert [each.key async for each in reader.receipts("queued")] == ["k1", "k2"]
            assert await reader.receipt("k2") == await outbox.receipt("k2")
            assert (await OutboxReader(path, name="other").counts())["queued"] == 0
            assert len(await receipts(outbox)) == 2


class TestChanging:
    async def test_cancel_and_retry(self, path: Path, sandbox: Sandbox, landbot: AsyncLandbot) -> None:
        async with Outbox(path, landbot) as outbox:
            await outbox.add_many(texts(99, 1, 2, 4))
            assert await outbox.cancel("k2") == 1
            assert await keys(outbox, first=1) == ["k99"]
            assert await outbox.cancel() == 2
            assert await outbox.retry(412) == 0
            assert await outbox.retry(404) == 1
            assert await outbox.retry() == 0
            assert await counts(outbox) == {"cancelled": 3, "queued": 1}
            with pytest.raises(ValueError, match="error must be from 100 to 599"):
                await outbox.retry(7)

    async def test_forgotten_contents_are_nowhere_in_the_file(
        self, path: Path, sandbox: Sandbox, landbot: AsyncLandbot
    ) -> None:
        secret = "a very private matter indeed"
        async with Outbox(path, landbot) as outbox:
            await outbox.add_many(
                Outgoing.text(number, f"{secret} {number} " * number, key=f"k{number}") for number in range(1, 41)
            )
            await receipts(outbox)
            files = [path.parent / name for name in os.listdir(path.parent)]
            assert any(secret.encode() in each.read_bytes() for each in files)
            assert await outbox.forget(datetime(2020, 1, 1, tzinfo=UTC)) == 0
            assert await outbox.forget() == 40
            assert await outbox.forget() == 0
            files = [path.parent / name for name in os.listdir(path.parent)]
            assert not any(secret.encode() in each.read_bytes() for each in files)
            assert await counts(outbox) == {"sent": 40}
            with pytest.raises(ValueError, match="before must have a time zone"):
                await outbox.forget(datetime(2020, 1, 1))


class TestArguments:
    @pytest.mark.parametrize(
        ("arguments", "error", "text"),
        [
            ({"journal": ""}, TypeError, "journal must be the path of a file"),
            ({"journal": 5}, TypeError, "journal must be the path of a file"),
            ({"journal": b"x"}, TypeError, "journal must be the path of a file"),
            ({"journal": "a\0b"}, ValueError, "null character"),
            ({"journal": "mysql://u:secret@h/db"}, ValueError, "begins with mysql://"),
            ({"journal": "redis+unix://u:secret@h/db"}, ValueError, r"begins with redis\+unix://"),
            ({"landbot": object()}, TypeError, "landbot must be an AsyncLandbot, not object"),
            ({"name": ""}, ValueError, "name must not be empty"),
            ({"send_timeout": 0}, ValueError, "send_timeout"),
            ({"reconcile_after": -1}, ValueError, "reconcile_after"),
            ({"grace": -1}, ValueError, "grace"),
            ({"moved": "yes"}, TypeError, "moved"),
        ],
    )
    async def test_of_an_outbox(
        self, path: Path, landbot: AsyncLandbot, arguments: dict[str, Any], error: type[Exception], text: str
    ) -> None:
        given: dict[str, Any] = {"journal": path, "landbot": landbot, **arguments}
        with pytest.raises(error, match=text) as raised:
            Outbox(given.pop("journal"), given.pop("landbot"), **given)
        assert "secret" not in str(raised.value)

    async def test_a_client_that_sends_at_least_once(self, path: Path, sandbox: Sandbox) -> None:
        async with sandbox.client(retry=RetryPolicy(sends="at_least_once")) as landbot:
            with pytest.raises(ConfigurationError, match="would send twice by order"):
                Outbox(path, landbot)
        async with AsyncApichat(TOKEN) as chat:
            with pytest.raises(TypeError, match="not AsyncApichat"):
                Outbox(path, chat)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

    @pytest.mark.parametrize(
        ("arguments", "error", "text"),
        [
            ({"first": 0}, ValueError, "first"),
            ({"first": 1.5}, TypeError, "first"),
            ({"per_day": 0}, ValueError, "per_day"),
            ({"stop_after_failures": 0}, ValueError, "stop_after_failures"),
            ({"follow": 1}, TypeError, "follow"),
            ({"between": (9, 20)}, TypeError, r"between must be \(start, end, zone\)"),
            ({"between": (time(9), time(20), "Europe/Madrid")}, TypeError, "between must be two datetime.time and a"),
            ({"between": (time(9, tzinfo=UTC), time(20), UTC)}, ValueError, "no time zone of their own"),
            ({"between": (time(9), time(9), UTC)}, ValueError, "must differ"),
        ],
    )
    async def test_of_a_run(
        self, path: Path, landbot: AsyncLandbot, arguments: dict[str, Any], error: type[Exception], text: str
    ) -> None:
        async with Outbox(path, landbot) as outbox:
            with pytest.raises(error, match=text):
                outbox.run(**arguments)


async def test_a_note_comes_back_with_the_receipt_until_it_is_forgotten(path: Path, landbot: AsyncLandbot) -> None:
    async with Outbox(path, landbot) as outbox:
        await outbox.text(1, "Hello", key="a", note="row 17")
        assert not await outbox.text(1, "Hello", key="a", note="row 18")  # the same message
        await outbox.text(2, "Hello", key="b")
        notes = [receipt.note async for receipt in outbox.run()]
        assert notes == ["row 17", None]
        assert "row 17" not in repr(await outbox.receipt("a"))
        assert await outbox.forget() == 2
        assert [receipt.note async for receipt in outbox.receipts()] == [None, None]
    with pytest.raises(ValueError, match="note must not be empty"):
        Outgoing.text(1, "Hello", key="a", note=" ")


async def test_what_is_queued_can_be_given_another_end(path: Path, landbot: AsyncLandbot, sandbox: Sandbox) -> None:
    async with Outbox(path, landbot) as outbox:
        await outbox.text(1, "Hello", key="a")
        async for _ in outbox.run():
            pass
        await outbox.text(2, "Hello", key="b", expires=datetime.now(UTC) + timedelta(days=1))
        await outbox.text(3, "Hello", key="c")
        assert await outbox.set_expiry(datetime.now(UTC) - timedelta(seconds=1)) == 2
        assert [receipt async for receipt in outbox.run()] == []
        assert (await outbox.counts())["expired"] == 2
        with pytest.raises(TypeError, match="expires must be a datetime"):
            await outbox.set_expiry(None)  # type: ignore[arg-type]  # what is wrong is the test
        with pytest.raises(ValueError, match="time zone"):
            await outbox.set_expiry(datetime(2026, 5, 1))
    assert [each.customer_id for each in sandbox.sent] == [1]


async def test_a_reader_says_how_many_were_sent_lately(path: Path, landbot: AsyncLandbot) -> None:
    reader = OutboxReader(path)
    async with Outbox(path, landbot) as outbox:
        await outbox.add_many(Outgoing.text(number, "Hello", key=f"s-{number}") for number in range(1, 6))
        async for _ in outbox.run(first=3):
            pass
        assert await reader.sent_within(60) == 3
        await anyio.sleep(0.01)
        assert await reader.sent_within(0.001) == 0
    with pytest.raises(ValueError, match="seconds must be above 0"):
        await reader.sent_within(0)
