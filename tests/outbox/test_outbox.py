"""`Outbox` against the sandbox, in real time: the journal is written in a thread, which virtual time would race past."""

import os
import sys
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest

from landbot_async import (
    AsyncApichat,
    AsyncLandbot,
    ConfigurationError,
    RetryPolicy,
)
from landbot_async._core.errors import (
    KeyConflictError,
    OutboxError,
)
from landbot_async.outbox import (
    Added,
    Outbox,
    OutboxReader,
    Outgoing,
    Reconciled,
)
from landbot_async.sandbox import Sandbox
from landbot_async.webhooks import Inbox, Message
from tests.helpers import TOKEN

from .helpers import counts, keys, receipts, said, texts

pytestmark = [pytest.mark.anyio, pytest.mark.real_time]


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
