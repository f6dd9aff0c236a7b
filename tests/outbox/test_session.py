"""The connection of a journal on Postgres: a server that goes away, and transactions whose outcome nobody told."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from functools import partial
from typing import Any

import anyio
import psycopg
import pytest

from landbot_async import AsyncLandbot, JournalFullError, OutboxError
from landbot_async._core.secret import Secret
from landbot_async.outbox import Outbox, OutboxReader, Outgoing
from landbot_async.outbox.journal import postgres as postgres_journal
from landbot_async.outbox.journal import session
from landbot_async.outbox.journal import statements as sql
from landbot_async.outbox.journal.session import AwayError, Session, Url
from landbot_async.outbox.journal.store import Store
from landbot_async.sandbox import Sandbox
from tests.shared.servers import Postgres

from .helpers import claimed, counts, journal_of, keys, open_once, receipts, texts

pytestmark = [pytest.mark.anyio, pytest.mark.real_time]


@pytest.mark.once
class TestAway:
    async def test_one_that_is_killed_and_back_in_the_middle_of_a_run(
        self, stoppable: Postgres, database: str, sandbox: Sandbox, landbot: AsyncLandbot
    ) -> None:
        async with Outbox(database, landbot) as outbox:
            await outbox.add_many(texts(*range(1, 51)))

            async def come_back() -> None:
                await anyio.sleep(0.5)
                stoppable.start()

            seen = 0
            async with anyio.create_task_group() as group:
                async for _ in outbox.run():
                    seen += 1
                    if seen == 10:
                        stoppable.kill()
                        group.start_soon(come_back)
            assert await counts(outbox) == {"sent": 50}
            assert await outbox.text(1, "Hi", key="k1") is False
        assert sorted(each.customer_id for each in sandbox.sent) == list(range(1, 51))

    async def test_one_that_stays_away_is_told(
        self, stoppable: Postgres, database: str, landbot: AsyncLandbot, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with Outbox(database, landbot) as outbox:
            await outbox.add_many(texts(1, 2))
            journal_of(outbox)._session.patience = 0.2
            stoppable.kill()
            with pytest.raises(OutboxError, match=r"cannot be (opened|used): "):
                await receipts(outbox)
            with pytest.raises(OutboxError, match=r"cannot be opened: .*refused"):
                await outbox.counts()
            stoppable.start()
            assert await keys(outbox) == ["k1", "k2"]

    async def test_a_result_that_cannot_be_written_is_written_later(
        self, stoppable: Postgres, database: str, landbot: AsyncLandbot
    ) -> None:
        async with Outbox(database, landbot) as outbox:
            await outbox.add_many(texts(1, 2, 3))
            journal = journal_of(outbox)
            journal._session.patience = 0.1
            taken = [await claimed(journal) for _ in range(3)]
            for each in taken:
                await journal.do(partial(Store.mark, taken=each))
            stoppable.kill()
            for each in taken[:2]:
                with pytest.raises(OutboxError):
                    await journal.settle(partial(Store.sent, taken=each))
            stoppable.start()
            assert await counts(outbox) == {"sent": 2, "sending": 1}
            stoppable.kill()
            with pytest.raises(OutboxError):
                await journal.settle(partial(Store.sent, taken=taken[2]))
        stoppable.start()
        assert (await OutboxReader(database).counts())["sending"] == 1

    async def test_one_that_is_written_at_the_end(
        self, stoppable: Postgres, database: str, landbot: AsyncLandbot
    ) -> None:
        async with Outbox(database, landbot) as outbox:
            await outbox.add_many(texts(1))
            journal = journal_of(outbox)
            journal._session.patience = 0.1
            taken = await claimed(journal)
            stoppable.kill()
            with pytest.raises(OutboxError):
                await journal.settle(partial(Store.not_sent, taken=taken))
            stoppable.start()
        assert (await OutboxReader(database).counts())["queued"] == 1
        async with Outbox(database, landbot) as outbox:
            assert await keys(outbox) == ["k1"]

    async def test_one_that_hangs(
        self, stoppable: Postgres, database: str, landbot: AsyncLandbot, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with Outbox(database, landbot) as outbox:
            patience, journal_of(outbox)._session.patience = journal_of(outbox)._session.patience, 0.0
            stoppable.signal(signal.SIGSTOP)
            try:
                with monkeypatch.context() as patch, pytest.raises(OutboxError, match="cannot be used"):
                    patch.setattr(session, "_STUCK", 0.2)
                    patch.setattr(postgres_journal, "_WATCH", 0.05)
                    await outbox.text(1, "Hi", key="a")
            finally:
                stoppable.signal(signal.SIGCONT)
            journal_of(outbox)._session.patience = patience
            await outbox.text(1, "Hi", key="a")
            assert await counts(outbox) == {"queued": 1}
            journal_of(outbox)._session.cut_if_stuck()  # it is not busy

    async def test_one_that_hangs_at_the_end(
        self, stoppable: Postgres, database: str, landbot: AsyncLandbot, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        try:
            with anyio.fail_after(60):
                async with Outbox(database, landbot):
                    stoppable.signal(signal.SIGSTOP)
                    monkeypatch.setattr(session, "_STUCK", 0.2)
                    monkeypatch.setattr(postgres_journal, "_WATCH", 0.05)
        finally:
            stoppable.signal(signal.SIGCONT)

    async def test_no_thread(self, database: str, landbot: AsyncLandbot, monkeypatch: pytest.MonkeyPatch) -> None:
        async def run(*_: Any, **__: Any) -> None:
            raise RuntimeError("can't start new thread")

        async with Outbox(database, landbot) as outbox:
            with monkeypatch.context() as patch:
                patch.setattr(anyio.to_thread, "run_sync", run)
                with pytest.raises(OutboxError, match="no thread could be started"):
                    await outbox.counts()

    @pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
    async def test_an_opening_that_is_cancelled_leaves_no_connection(
        self, anyio_backend: Any, database: str, landbot: AsyncLandbot, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sessions: list[Session] = []
        open_journal, loop = postgres_journal._open, asyncio.get_running_loop()

        def slow(session: Session, *arguments: Any) -> Store:
            sessions.append(session)
            store = open_journal(session, *arguments)
            loop.call_soon_threadsafe(task.cancel)
            time.sleep(0.1)
            return store

        monkeypatch.setattr(postgres_journal, "_open", slow)
        task = asyncio.create_task(open_once(database, landbot))
        with pytest.raises(asyncio.CancelledError):
            await task
        assert [each._connection for each in sessions] == [None]


class TestTransactions:
    """A COMMIT whose response is lost is asked about; one that did not happen is made again."""

    @pytest.fixture
    def store(self, empty_session: Session) -> Store:
        empty_session.patience = 5.0
        store = Store(empty_session, sql.POSTGRES, "default", empty_session.now)
        empty_session.belong_to(store.id)
        empty_session.introduce()
        return store

    @pytest.mark.parametrize("happened", [True, False])
    def test_a_commit_without_a_response(
        self, happened: bool, store: Store, empty_session: Session, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        execute, commits = Session._execute, list[str]()

        def lossy(self: Session, statement: str, values: Any) -> Any:
            if statement == sql.COMMIT and not commits:
                if happened:
                    execute(self, statement, values)
                commits.append(statement)
                self.close()
                raise AwayError("lost")
            return execute(self, statement, values)

        monkeypatch.setattr(Session, "_execute", lossy)
        added = empty_session.run(lambda: store.add(texts(1)))
        assert (added.new, added.same) == (1, 0)
        assert store.counts()["queued"] == 1

    def test_one_that_is_asked_about_while_the_server_is_away(
        self, store: Store, empty_session: Session, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        execute, asked = Session._execute, list[int]()

        def lossy(self: Session, statement: str, values: Any) -> Any:
            if statement == sql.COMMIT:
                execute(self, statement, values)
                raise AwayError("lost")
            if statement == session._LAST_TURN:
                asked.append(1)
                if len(asked) == 1:
                    raise AwayError("lost again")
            return execute(self, statement, values)

        monkeypatch.setattr(Session, "_execute", lossy)
        assert empty_session.run(lambda: store.add(texts(1))).new == 1
        assert len(asked) == 2

    def test_the_server_still_works_on_it(
        self, store: Store, empty_session: Session, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The connection is lost, and the transaction goes on without it for a moment."""
        execute = Session._execute
        hidden: list[psycopg.Connection[Any]] = []
        timers: list[threading.Timer] = []

        def lossy(self: Session, statement: str, values: Any) -> Any:
            if statement == sql.COMMIT and not hidden:
                connection = self._connection
                assert connection is not None
                hidden.append(connection)
                self._connection = None
                timers.append(threading.Timer(0.2, connection.execute, ["COMMIT"]))
                timers[0].start()
                raise AwayError("lost")
            return execute(self, statement, values)

        monkeypatch.setattr(Session, "_execute", lossy)
        # Made again, it would find the key.
        assert empty_session.run(lambda: store.add(texts(1))).new == 1
        timers[0].join()
        hidden[0].close()

    @pytest.mark.parametrize("code", ["40001", "40P01", "57P03", "25006"])
    def test_what_is_over_soon_is_tried_again(self, code: str, empty_session: Session) -> None:
        tries: list[int] = []

        def ask() -> Any:
            tries.append(1)
            if len(tries) == 1:
                fail(empty_session, code)
            return empty_session.execute("SELECT 5").fetchone()

        empty_session.patience = 5.0
        assert empty_session.run(ask) == (5,)

    def test_a_beginning_that_fails_leaves_no_transaction_open(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(session, "_BEGIN", f"{session._BEGIN}; SELECT 1 / 0")
            with pytest.raises(OutboxError, match="division by zero"):
                store.add(texts(1))
        assert store.add(texts(1)).new == 1

    def test_a_full_disk(self, empty_session: Session) -> None:
        with pytest.raises(JournalFullError, match="the server's disk is full"):
            empty_session.run(lambda: fail(empty_session, "53100"))

    def test_nothing_of_a_row_is_in_an_error(self, store: Store, empty_session: Session) -> None:
        store.add([Outgoing.text(1, "a secret", key="a")])
        with pytest.raises(OutboxError, match="null value in column") as raised:
            store._run("UPDATE landbot_message SET key = NULL")
        assert "a secret" not in str(raised.value)

    def test_a_lost_connection_is_not_made_anew_in_mid_transaction(self, store: Store, empty_session: Session) -> None:
        empty_session.close()
        with pytest.raises(AwayError, match="the connection was lost"):
            store.counts()

    def test_commits_reach_the_disk_whatever_the_server_s_setting(self, database: str) -> None:
        weak = Session(Url(Secret(f"{database}%20-c%20synchronous_commit%3Doff")))

        def setting() -> Any:
            weak.execute(sql.BEGIN)
            found = weak.execute("SHOW synchronous_commit").fetchone()
            weak.execute(sql.ROLLBACK)
            return found

        assert weak.run(setting) == ("on",)
        weak.close()

    def test_a_process_that_is_suspended_in_a_transaction_lets_others_go_on(
        self, store: Store, empty_session: Session, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        other = Session(empty_session.url)
        other.run(lambda: None)
        other.belong_to(store.id)
        with monkeypatch.context() as patch:
            patch.setattr(session, "_BEGIN", session._BEGIN.replace("'10s'", "'50ms'"))
            other.execute(sql.BEGIN)
        assert store.add(texts(1)).new == 1
        with pytest.raises(AwayError):
            other.execute(sql.COMMIT)
        other.close()


def fail(session: Session, code: str) -> None:
    session.execute(f"DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '{code}', MESSAGE = 'x'; END $$")
