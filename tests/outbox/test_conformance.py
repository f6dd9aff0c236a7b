"""The promises of an Outbox, whatever keeps its messages; in real time, because a journal waits for a disk."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal

import anyio
import anyio.from_thread
import pytest

from landbot_async import AsyncLandbot, JournalMismatchError, KeyConflictError, OutboxError
from landbot_async.outbox import Added, AssignBot, Outbox, OutboxReader, Outgoing, SetFields
from landbot_async.outbox.journal.rows import Kept
from landbot_async.outbox.journal.store import Store
from landbot_async.sandbox import Sandbox
from tests.helpers import TOKEN, Unlimited, cancelled, until

from .helpers import counts, keys, receipts, said, texts

pytestmark = [pytest.mark.anyio, pytest.mark.real_time]


async def test_each_message_is_sent_once_however_often_it_is_queued_and_run(
    place: str, sandbox: Sandbox, landbot: AsyncLandbot
) -> None:
    for added in (Added(40, 0), Added(0, 40)):
        async with Outbox(place, landbot) as outbox:
            assert await outbox.add_many(texts(*range(1, 41))) == added
            assert len(await keys(outbox)) == added.new
            assert await counts(outbox) == {"sent": 40}
            with pytest.raises(KeyConflictError):
                await outbox.text(1, "Something else", key="k1")
            assert not await outbox.text(1, "Hi", key="k1")
    assert sorted(each.customer_id for each in sandbox.sent) == list(range(1, 41))


@pytest.mark.parametrize("natively", [False, True])
async def test_what_is_begun_is_queued_although_the_caller_is_cancelled(
    natively: bool, place: str, landbot: AsyncLandbot, monkeypatch: pytest.MonkeyPatch
) -> None:
    add, cancels = Store.add, list[Callable[[], object]]()

    def cancelling(store: Store, messages: Sequence[Outgoing]) -> Added:
        anyio.from_thread.run_sync(cancels[0])
        return add(store, messages)

    async with Outbox(place, landbot) as outbox:
        with monkeypatch.context() as patch:
            patch.setattr(Store, "add", cancelling)
            await cancelled(lambda: outbox.add_many(texts(1, 2)), cancels, natively=natively)
        assert await counts(outbox) == {"queued": 2}
        assert await outbox.add_many(texts(1, 2)) == Added(0, 2)


@pytest.mark.parametrize("natively", [False, True])
async def test_what_is_on_the_wire_of_a_run_that_is_cancelled_has_time_to_end(
    natively: bool, place: str, sandbox: Sandbox, landbot: AsyncLandbot
) -> None:
    sandbox.fault("latency", latency=0.1, times=None, method="POST")
    cancels: list[Callable[[], object]] = []

    async def send() -> None:
        async with Outbox(place, landbot) as outbox:
            await outbox.add_many(texts(*range(1, 31)))
            await receipts(outbox)

    async def cancel() -> None:
        await until(lambda: sandbox.sent)
        cancels[0]()

    async with anyio.create_task_group() as group:
        group.start_soon(cancel)
        await cancelled(send, cancels, natively=natively)
    sandbox.clear_faults()
    async with Outbox(place, landbot) as outbox:
        found = await counts(outbox)
        assert found == {"sent": len(sandbox.sent), "queued": 30 - len(sandbox.sent)}
        await receipts(outbox)
    assert sorted(each.customer_id for each in sandbox.sent) == list(range(1, 31))


async def test_a_customer_s_messages_go_in_the_order_queued(
    place: str, sandbox: Sandbox, landbot: AsyncLandbot
) -> None:
    async with Outbox(place, landbot) as outbox:
        await outbox.add_many(Outgoing.text(n % 3 + 1, f"{n}", key=f"k{n}") for n in range(30))
        await receipts(outbox)
    for customer in (1, 2, 3):
        assert said(sandbox, customer) == [f"{n}" for n in range(30) if n % 3 + 1 == customer]


async def test_what_is_left_goes_on_later(place: str, sandbox: Sandbox, landbot: AsyncLandbot) -> None:
    async with Outbox(place, landbot) as outbox:
        await outbox.add_many(texts(*range(1, 21)))
        assert len(await receipts(outbox, first=5)) == 5
        await anext(outbox.run())
    async with Outbox(place, landbot) as outbox:
        await receipts(outbox)
        assert await counts(outbox) == {"sent": 20}
    assert len(sandbox.sent) == 20


async def test_kinds_steps_times_and_notes(place: str, sandbox: Sandbox, landbot: AsyncLandbot) -> None:
    now = datetime.now(UTC)
    async with Outbox(place, landbot) as outbox:
        assert await outbox.image(1, "https://x.example/1.png", key="image", note="row 1")
        assert await outbox.location(3, 41.4, 2.2, key="place", then=[SetFields({"wave": "1"}), AssignBot(7)])
        assert await outbox.template(2, 5, "en", body=["Ana"], key="template", send_after=now - timedelta(hours=1))
        await outbox.text(4, "Later", key="later", send_after=now + timedelta(hours=1))
        await outbox.text(5, "Too late", key="late", expires=now - timedelta(seconds=1))
        assert await keys(outbox) == ["image", "place", "template"]
        assert await counts(outbox) == {"sent": 3, "queued": 1, "expired": 1}
        receipt = await outbox.receipt("image")
        assert receipt is not None
        assert (receipt.note, receipt.attempts, receipt.evidence) == ("row 1", 1, "answer")
        assert await outbox.set_expiry(now) == 1
        await receipts(outbox)
        assert await outbox.forget() == 5
        receipt = await outbox.receipt("image")
        assert receipt is not None
        assert receipt.note is None
        assert await outbox.receipt("nobody's") is None
    assert (await landbot.customers.get(3)).fields["wave"] == "1"
    assert {each.type for each in sandbox.sent} >= {"image", "location", "template"}


async def test_what_fails_is_retried_and_what_is_queued_is_cancelled(
    place: str, sandbox: Sandbox, landbot: AsyncLandbot
) -> None:
    async with Outbox(place, landbot) as outbox:
        sandbox.fault(412, method="POST", times=2)
        await outbox.add_many(texts(1, 2, 3))
        await receipts(outbox)
        assert await counts(outbox) == {"sent": 1, "failed": 2}
        assert await outbox.retry(404) == 0
        assert await outbox.retry(412) == 2
        assert await outbox.cancel("k9") == 0
        queued = [receipt.key async for receipt in outbox.receipts("queued")]
        assert await outbox.cancel(queued[0]) == 1
        await receipts(outbox)
        assert await counts(outbox) == {"sent": 2, "cancelled": 1}
        assert await outbox.forget(datetime.now(UTC) - timedelta(days=1)) == 0


async def test_what_is_unknown_is_looked_up_or_resolved(place: str, sandbox: Sandbox, landbot: AsyncLandbot) -> None:
    async with Outbox(place, landbot, reconcile_after=0) as outbox:
        await outbox.add_many(texts(1, 2, 3))
        await receipts(outbox)
        sandbox.fault("lost_answer", method="POST", times=1)
        await outbox.text(4, "Hi", key="arrived")
        await receipts(outbox)
        sandbox.fault("cut", method="POST", times=1)
        await outbox.text(5, "Hi", key="never")
        await receipts(outbox)
        assert await counts(outbox) == {"sent": 3, "unknown": 2}
        done = await outbox.reconcile()
        assert (done.sent, done.queued, done.unknown) == (1, 1, {})
        await receipts(outbox)
        sandbox.fault("lost_answer", method="POST", times=1)
        await outbox.text(6, "Hi", key="told")
        await receipts(outbox)
        await outbox.resolve("told", "sent")
        with pytest.raises(OutboxError, match="it is sent"):
            await outbox.resolve("told", "queued")
        assert await counts(outbox) == {"sent": 6}
    assert len(sandbox.sent) == 6


@pytest.mark.parametrize(("decided", "meanwhile"), [("queued", "sent"), ("sent", "queued")])
async def test_one_that_is_settled_while_a_person_decides(
    place: str,
    sandbox: Sandbox,
    landbot: AsyncLandbot,
    monkeypatch: pytest.MonkeyPatch,
    decided: Literal["sent", "queued"],
    meanwhile: str,
) -> None:
    """Nobody is told that a message counts as sent while it is queued to be sent again."""

    def find(store: Store, key: str) -> Kept:
        [kept] = store.unknown(0, 1)
        assert store.found(kept, "hook") if meanwhile == "sent" else store.absent(kept)
        return kept

    async with Outbox(place, landbot) as outbox:
        sandbox.fault("lost_answer", method="POST", times=1)
        await outbox.text(1, "Hi", key="a")
        await receipts(outbox)
        monkeypatch.setattr(Store, "find", find)
        with pytest.raises(OutboxError, match="settled in this moment"):
            await outbox.resolve("a", decided)
        assert await counts(outbox) == {meanwhile: 1}


async def test_a_journal_belongs_to_its_account(place: str, sandbox: Sandbox, landbot: AsyncLandbot) -> None:
    async with Outbox(place, landbot):
        pass
    async with AsyncLandbot(TOKEN, base_url=landbot.base_url, limiter=Unlimited()) as other:
        with pytest.raises(JournalMismatchError, match="belongs to another token") as raised:
            await Outbox(place, other).__aenter__()
    assert TOKEN not in str(raised.value)
    async with sandbox.client(limiter=Unlimited()) as other:
        other._engine.connection.base_url = "https://elsewhere.invalid/v1/"
        with pytest.raises(JournalMismatchError, match="and this client to https"):
            await Outbox(place, other).__aenter__()


async def test_outboxes_have_their_own_messages_and_anybody_may_look(place: str, landbot: AsyncLandbot) -> None:
    async with Outbox(place, landbot, name="one") as outbox:
        await outbox.add_many(texts(1, 2))
        assert (await OutboxReader(place, name="one").counts())["queued"] == 2
        assert (await OutboxReader(place, name="two").counts())["queued"] == 0
        await receipts(outbox)
        reader = OutboxReader(place, name="one")
        assert [each.key async for each in reader.receipts("sent")] == ["k1", "k2"]
        assert await reader.sent_within(60) == 2
        assert await reader.receipt("k1") == await outbox.receipt("k1")
    async with Outbox(place, landbot, name="two") as outbox:
        assert await outbox.add_many(texts(1)) == Added(1, 0)
