"""The inbox with a file, in real time: a thread writes, which virtual time would race past."""

import contextlib
import sqlite3
from pathlib import Path

import anyio
import pytest
from anyio import sleep

from landbot_async import ConfigurationError
from landbot_async.webhooks import Inbox, MemoryClaims, Message, TextMessage, receiver
from landbot_async.webhooks.journal import open_journal
from tests.helpers import until
from tests.webhooks.deliveries import NOON, TOKEN, apichat, delivery, headers, post

pytestmark = pytest.mark.anyio


@pytest.mark.real_time
class TestDurable:
    """A thread writes, which virtual time would race past: so these run in real time."""

    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        return tmp_path / "inbox.db"

    async def test_what_is_not_in_hand_is_left_to_the_next_start(self, path: Path) -> None:
        inbox, got = Inbox(TOKEN, durable=path, settle=0, concurrency=2), list[tuple[str, bool]]()
        entered, go = anyio.Event(), anyio.Event()

        @inbox.on(TextMessage)
        async def wait(message: TextMessage) -> None:
            entered.set()
            await go.wait()
            got.append((message.text, message.redelivered))

        async def release() -> None:
            await sleep(0.05)
            go.set()

        async with anyio.create_task_group() as group, inbox:
            for number in range(5):
                await post(inbox, delivery(str(number), customer=number), f"d{number}")
            await entered.wait()
            group.start_soon(release)
        assert sorted(got) == [("0", False), ("1", False)]
        async with inbox:
            await post(inbox, delivery("3", customer=3), "d3")  # a duplicate, handled or not
            await until(lambda: len(got) == 5)
        assert sorted(got[2:]) == [("2", True), ("3", True), ("4", True)]
        async with inbox:
            await sleep(0.05)
        assert len(got) == 5
        assert _rows(path) == 0

    async def test_an_exception_leaves_what_was_in_hand_as_well(
        self, path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        inbox, got = Inbox(TOKEN, durable=path, settle=0), list[tuple[str, bool]]()

        @inbox.on(TextMessage)
        async def wait(message: TextMessage) -> None:
            got.append((message.text, message.redelivered))
            if not message.redelivered:
                await anyio.sleep_forever()

        with pytest.raises(ValueError, match="fails"):
            async with inbox:
                await post(inbox, delivery("a"), "d1")
                await until(lambda: got)
                raise ValueError("fails")
        assert caplog.records == []  # nothing is lost
        async with inbox:
            await until(lambda: len(got) == 2)
        assert got == [("a", False), ("a", True)]

    async def test_duplicates_that_meet_on_the_way_to_the_disk(self, path: Path) -> None:
        inbox, got = Inbox(TOKEN, durable=path), list[str]()

        @inbox.on(TextMessage)
        async def take(message: TextMessage) -> None:
            got.append(message.text)

        async with inbox:
            async with anyio.create_task_group() as group:
                for number in range(80):
                    group.start_soon(post, inbox, delivery(str(number // 4), at=NOON + number // 4), f"d{number // 4}")
            await until(lambda: len(got) == 20)
        assert got == [str(number) for number in range(20)]

    async def test_what_is_being_written_has_its_place(self, path: Path) -> None:
        inbox, statuses = Inbox(TOKEN, durable=path, queue_size=3, settle=5), list[int]()

        async def ask(number: int) -> None:
            statuses.append(await inbox.receive(delivery(customer=number), headers(f"d{number}")))

        async with inbox:
            async with anyio.create_task_group() as group:
                for number in range(10):
                    group.start_soon(ask, number)
            assert sorted(statuses) == [200] * 3 + [503] * 7
            assert await inbox.receive(delivery(), headers("d99")) == 503
        assert _rows(path) == 3

    async def test_a_full_disk_is_503_and_said_once(self, path: Path, caplog: pytest.LogCaptureFixture) -> None:
        inbox = Inbox(TOKEN, durable=path, settle=5)
        async with inbox:
            assert inbox._open is not None
            assert inbox._open.journal is not None
            execute = inbox._open.journal._file._execute
            await post(inbox, delivery(), "d0")
            execute(f"PRAGMA max_page_count = {execute('PRAGMA page_count').fetchone()[0]}")
            large = delivery("x" * 100_000)
            assert [await inbox.receive(large, headers("d1")) for _ in range(3)] == [503] * 3
            execute("PRAGMA max_page_count = 100000")
            await post(inbox, large, "d1")
            assert inbox._open.dispatcher.held == 2
        (record,) = caplog.records
        assert "its file cannot be written" in record.getMessage()
        assert "xxx" not in caplog.text
        assert _rows(path) == 2

    async def test_a_message_that_cannot_be_deleted_is_handled_again(
        self, path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        inbox, got = Inbox(TOKEN, durable=path, settle=0), list[bool]()

        @inbox.on()
        async def take(message: Message) -> None:
            got.append(message.redelivered)
            if not message.redelivered:
                assert inbox._open is not None
                assert inbox._open.journal is not None
                inbox._open.journal._file._execute("PRAGMA query_only = 1")

        async with inbox:
            await post(inbox, delivery(), "d1")
            await until(lambda: caplog.records)
        assert "the inbox's file cannot be written: what is handled stays in it for now" in caplog.text
        async with inbox:
            await until(lambda: len(got) == 2)
        assert got == [False, True]

    async def test_a_delivery_cancelled_on_its_way_to_the_disk_is_handled(self, path: Path) -> None:
        inbox, got = Inbox(TOKEN, durable=path, settle=0), list[str]()

        @inbox.on(TextMessage)
        async def take(message: TextMessage) -> None:
            got.append(message.text)

        async with inbox:
            with anyio.CancelScope() as scope:
                scope.cancel()
                await post(inbox, delivery("a"), "d1")
            assert scope.cancelled_caught
            await post(inbox, delivery("a"), "d1")  # Landbot's next attempt
            await until(lambda: got)
            await inbox.idle()
            assert repr(inbox) == "Inbox(source='platform', waiting=0)"
        assert got == ["a"]

    async def test_an_unreadable_message_does_not_stop_the_start(
        self, path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        def ignore(_: object) -> None: ...

        journal, _ = await open_journal(path, "platform", window=60)
        async with anyio.create_task_group() as group:
            group.start_soon(journal.run)
            for body in (b"a secret text", delivery("b")):
                await journal.add([], None, body, ignore)
            group.cancel_scope.cancel()
        await journal.aclose()
        inbox, got = Inbox(TOKEN, durable=path), list[str]()

        @inbox.on(TextMessage)
        async def take(message: TextMessage) -> None:
            got.append(message.text)

        async with inbox:
            await until(lambda: got)
        assert got == ["b"]
        (record,) = caplog.records
        assert record.getMessage().startswith("message 1 in the inbox's file cannot be read, and stays there: ")
        assert "secret" not in caplog.text
        assert _rows(path) == 1

    async def test_one_process_owns_the_file_and_it_opens_after_a_failure(self, path: Path) -> None:
        one, other = Inbox(TOKEN, durable=str(path)), Inbox(TOKEN, durable=path, owner_wait=0)
        async with one:
            for _ in range(2):
                with pytest.raises(ConfigurationError, match="is in use"):
                    await other.__aenter__()
            assert await other.receive(delivery(), headers()) == 503
        async with other:
            await post(other, delivery())

    async def test_the_next_process_waits_for_the_owner(self, path: Path) -> None:
        one, other = Inbox(TOKEN, durable=path), Inbox(TOKEN, durable=path, owner_wait=30)

        async def takes_over() -> None:
            async with other:
                await post(other, delivery())

        async with anyio.create_task_group() as group, one:
            group.start_soon(takes_over)
            await sleep(0.2)
            assert repr(other) == "Inbox(source='platform', closed)"

    async def test_claims_and_a_file_go_together(self, path: Path) -> None:
        """Two processes share claims, and each has a file: a message is handled by one of them."""
        claims, got = MemoryClaims(), list[str]()
        inboxes = [Inbox(TOKEN, durable=path.with_name(f"{n}.db"), claims=claims, settle=0) for n in range(2)]

        async def take(message: TextMessage) -> None:
            got.append(message.text)

        async with inboxes[0], inboxes[1]:
            for inbox in inboxes:
                inbox.on(TextMessage)(take)
            async with anyio.create_task_group() as group:
                for number in range(40):
                    group.start_soon(post_until_taken, inboxes[number % 2], number // 4)
            for inbox in inboxes:
                await inbox.idle()
            assert sorted(got) == sorted(str(number) for number in range(10))
            with anyio.CancelScope() as scope:
                scope.cancel()
                await post(inboxes[0], delivery("last"), "last")
            await until(lambda: "last" in got)
            await post(inboxes[1], delivery("last"), "last")  # the claim was kept though nobody waited
            await inboxes[1].idle()
            assert got.count("last") == 1

    async def test_claims_learn_of_a_message_whose_process_died_before_they_knew(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Otherwise a copy would be taken once the claim has expired."""
        monkeypatch.setattr(receiver, "_CLAIM", 0.1)
        claims, got = MemoryClaims(), list[str]()
        dies, inbox = (Inbox(TOKEN, durable=path, claims=claims, settle=settle) for settle in (60, 0.3))
        copy = delivery("a"), headers("d1")

        async def take(message: TextMessage) -> None:
            got.append(message.text)

        async def died(*_: object) -> None:
            raise ConnectionError

        inbox.on(TextMessage)(take)
        keep = claims.keep
        monkeypatch.setattr(claims, "keep", died)
        with contextlib.suppress(KeyError):
            async with dies:
                assert await dies.receive(*copy) == 200
                raise KeyError
        # The store is away when it starts again, and then it is not.
        with contextlib.suppress(KeyError):
            async with dies:
                await sleep(0.05)
                raise KeyError
        monkeypatch.setattr(claims, "keep", keep)
        async with inbox:
            await until(lambda: got)
            assert await inbox.receive(*copy) == 200
            await inbox.idle()
        assert got == ["a"]

    async def test_apichat_too(self, path: Path) -> None:
        inbox, got = Inbox(source="apichat", durable=path, settle=0), list[tuple[str, bool]]()

        @inbox.on(TextMessage)
        async def take(message: TextMessage) -> None:
            got.append((message.text, message.redelivered))
            if len(got) == 1:
                await anyio.sleep_forever()

        with contextlib.suppress(KeyError):
            async with inbox:
                assert await inbox.receive(apichat("a"), headers("d1", token=None)) == 200
                await until(lambda: got)
                raise KeyError
        async with inbox:
            await until(lambda: len(got) == 2)
        assert got == [("a", False), ("a", True)]


async def post_until_taken(inbox: Inbox, number: int) -> None:
    statuses = [503]
    while statuses[-1] == 503:
        await sleep(0.01)
        statuses.append(await inbox.receive(delivery(str(number), customer=number), headers(f"d{number}")))
    assert statuses[-1] == 200


def _rows(path: Path) -> int:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        count: int = connection.execute("SELECT count(*) FROM message").fetchone()[0]
        return count
