"""The Outbox on a real Postgres: several processes, somebody else's transaction, and a server that goes away."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import psycopg
import pytest
from psycopg.rows import dict_row

from landbot_async import AsyncLandbot, JournalFullError, JournalMismatchError, KeyConflictError, OutboxError
from landbot_async._core.extras import MissingExtraError
from landbot_async._core.secret import Secret
from landbot_async.outbox import Added, Outbox, OutboxReader, Outgoing
from landbot_async.outbox.journal import postgres as postgres_journal
from landbot_async.outbox.journal import session
from landbot_async.outbox.journal import statements as sql
from landbot_async.outbox.journal.postgres import PostgresJournal
from landbot_async.outbox.journal.rows import Claimed
from landbot_async.outbox.journal.session import AwayError, Session, Url
from landbot_async.outbox.journal.store import Store
from landbot_async.sandbox import Sandbox
from tests.helpers import shown
from tests.shared.servers import Postgres, fresh, schema_of

from .helpers import counts, keys, receipts, said, texts

pytestmark = [pytest.mark.anyio, pytest.mark.real_time]

BY_NAME: Any = {"row_factory": dict_row}
PASSWORD = "a-password-of-some-length"
ASYNCIO = pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)


@pytest.fixture
def direct(database: str) -> Iterator[psycopg.Connection[Any]]:
    """Return a connection of the test's own."""
    with psycopg.connect(database, autocommit=True) as connection:
        yield connection


@pytest.fixture
async def outbox(database: str, landbot: AsyncLandbot) -> AsyncIterator[Outbox]:
    async with Outbox(database, landbot) as outbox:
        yield outbox


def journal_of(outbox: Outbox) -> PostgresJournal:
    journal = outbox._open.journal
    assert isinstance(journal, PostgresJournal)
    return journal


async def claimed(journal: PostgresJournal) -> Claimed:
    found = await journal.do(Store.claim)
    assert found is not None
    return found


class TestSomebodyElsesTransaction:
    async def test_the_message_is_queued_if_it_commits(
        self, database: str, outbox: Outbox, sandbox: Sandbox, direct: psycopg.Connection[Any]
    ) -> None:
        direct.execute("CREATE TABLE IF NOT EXISTS orders (number integer)")
        for number, commits in ((1, True), (2, False)):
            with psycopg.connect(database, **BY_NAME) as connection:
                connection.execute("INSERT INTO orders VALUES (%s)", [number])
                assert await outbox.text(number, "Paid", key=f"paid-{number}", connection=connection)
                assert await counts(outbox) == ({} if number == 1 else {"queued": 1})
                # Nobody waits for it.
                assert not await receipts(outbox, first=1) or number == 2
                if not commits:
                    connection.rollback()
        assert await keys(outbox) in (["paid-1"], [])
        assert await counts(outbox) == {"sent": 1}
        assert direct.execute("SELECT number FROM orders").fetchall() == [(1,)]
        direct.execute("DROP TABLE orders")

    async def test_it_takes_its_place_among_those_of_its_customer(
        self, database: str, outbox: Outbox, sandbox: Sandbox
    ) -> None:
        await outbox.text(1, "one", key="a")
        with psycopg.connect(database) as connection:
            await outbox.text(1, "two", key="b", connection=connection)
        await outbox.text(1, "three", key="c")
        assert await keys(outbox) == ["a", "b", "c"]
        assert said(sandbox) == ["one", "two", "three"]

    async def test_every_kind_takes_a_connection(self, database: str, outbox: Outbox) -> None:
        with psycopg.connect(database) as connection:
            given: Any = {"connection": connection}
            await outbox.text(1, "Hi", key="a", **given)
            await outbox.image(1, "https://x.example/1.png", key="b", **given)
            await outbox.location(1, 1.0, 2.0, key="c", **given)
            await outbox.template(1, 5, "en", key="d", **given)
            connection.rollback()
        assert await counts(outbox) == {}

    async def test_a_known_key(self, database: str, outbox: Outbox) -> None:
        await outbox.text(1, "Hi", key="a")
        with psycopg.connect(database) as connection:
            assert not await outbox.text(1, "Hi", key="a", connection=connection)
            with pytest.raises(KeyConflictError):
                await outbox.text(1, "Other", key="a", connection=connection)
            # The transaction can go on.
            assert await outbox.text(1, "Other", key="b", connection=connection)
        assert await counts(outbox) == {"queued": 2}

    @ASYNCIO
    async def test_a_connection_of_asyncio_s(self, anyio_backend: Any, database: str, outbox: Outbox) -> None:
        async with await psycopg.AsyncConnection.connect(database, **BY_NAME) as connection:
            assert await outbox.text(1, "Hi", key="a", connection=connection)
            await connection.rollback()
            assert await outbox.text(1, "Hi", key="b", connection=connection)
        assert await keys(outbox) == ["b"]

    async def test_a_connection_to_another_database(self, postgres: Postgres, outbox: Outbox, schema: str) -> None:
        with psycopg.connect(postgres.url) as connection:
            connection.execute("SELECT 1")
            with pytest.raises(OutboxError, match="is not where this connection leads"):
                await outbox.text(1, "Hi", key="a", connection=connection)
            assert connection.execute("SELECT 1").fetchone() == (1,)
        elsewhere = schema_of(postgres)
        with psycopg.connect(elsewhere, autocommit=True) as connection:
            for statement in sql.tables(sql.POSTGRES):
                connection.execute(statement.encode())
            with pytest.raises(OutboxError, match="'default' is not where"):
                await outbox.text(1, "Hi", key="a", connection=connection)

    async def test_anything_else_is_no_connection(self, outbox: Outbox, path: Path, landbot: AsyncLandbot) -> None:
        wrong: Any = object()
        with pytest.raises(TypeError, match=r"must be a psycopg.Connection or AsyncConnection, not object"):
            await outbox.text(1, "Hi", key="a", connection=wrong)
        async with Outbox(path, landbot) as other:
            with pytest.raises(TypeError, match="for an Outbox on Postgres, and this one is in a file"):
                await other.text(1, "Hi", key="a", connection=wrong)

    async def test_a_key_that_an_open_transaction_has_queued(
        self, database: str, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(session, "_BEGIN", session._BEGIN.replace("'3s'", "'50ms'"))
        with psycopg.connect(database) as connection:
            await outbox.text(1, "Hi", key="a", connection=connection)
            with pytest.raises(OutboxError, match="a transaction that is still open has queued one of these keys"):
                await outbox.text(1, "Hi", key="a")
        assert not await outbox.text(1, "Hi", key="a")

    def test_one_that_is_added_by_another_between_the_question_and_the_insert(
        self, empty_session: Session, direct: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = Store(empty_session, sql.POSTGRES, "default", empty_session.now)
        other = Session(empty_session.url)
        unknown, added = Store._unknown, list[int]()

        def slow(self: Store, messages: Any) -> Any:
            found = unknown(self, messages)
            if not added:
                added.append(1)
                other.run(lambda: Store(other, sql.POSTGRES, "default", time.time).add_within(messages[0]))
            return found

        monkeypatch.setattr(Store, "_unknown", slow)
        assert store.add(texts(1, 2)) == Added(1, 1)
        other.close()


@pytest.mark.once
class TestSeveralProcesses:
    async def test_they_share_a_campaign_and_a_customer_s_order(
        self, database: str, sandbox: Sandbox, landbot: AsyncLandbot
    ) -> None:
        async def work() -> None:
            async with Outbox(database, landbot) as outbox:
                while await receipts(outbox):
                    pass

        async with Outbox(database, landbot) as outbox:
            await outbox.add_many(Outgoing.text(n % 5 + 1, f"{n}", key=f"k{n}") for n in range(60))
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(work)
        assert (await OutboxReader(database).counts())["sent"] == 60
        for customer in range(1, 6):
            assert said(sandbox, customer) == [f"{n}" for n in range(60) if n % 5 + 1 == customer]

    async def test_they_share_the_customers_of_a_day(
        self, database: str, sandbox: Sandbox, landbot: AsyncLandbot
    ) -> None:
        async def work() -> None:
            async with Outbox(database, landbot) as outbox:
                await receipts(outbox, per_day=7)

        async with Outbox(database, landbot) as outbox:
            await outbox.add_many([*texts(*range(1, 31)), *(Outgoing.text(n, "2", key=f"2-{n}") for n in range(1, 31))])
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(work)
        await work()
        found = await OutboxReader(database).counts()
        assert (found["sent"], found["queued"]) == (14, 46)
        assert len({each.customer_id for each in sandbox.sent}) == 7

    @pytest.mark.parametrize("how", ["run", "reconcile", "open"])
    async def test_what_one_has_left_is_decided_about_by_the_others(
        self, how: str, database: str, outbox: Outbox, direct: psycopg.Connection[Any], landbot: AsyncLandbot
    ) -> None:
        """Not before an attempt must have ended: until then its process may be at work."""
        await outbox.add_many([*texts(1, 2), Outgoing.text(1, "Next", key="next")])
        journal = journal_of(outbox)
        assert await journal.do(partial(Store.mark, taken=await claimed(journal)))
        await claimed(journal)
        assert await receipts(outbox) == []
        assert (await outbox.reconcile()).unknown == {}
        assert await counts(outbox) == {"sending": 1, "queued": 2}
        direct.execute("UPDATE landbot_message SET taken_at = taken_at - 66, started_at = started_at - 66")
        if how == "run":
            assert await keys(outbox) == ["k2", "next"]
            assert await counts(outbox) == {"sent": 2, "unknown": 1}
        elif how == "reconcile":
            assert sum((await outbox.reconcile()).unknown.values()) == 1
            assert await counts(outbox) == {"queued": 2, "unknown": 1}
        else:
            async with Outbox(database, landbot):
                assert await counts(outbox) == {"queued": 2, "unknown": 1}

    async def test_a_run_that_follows_finds_what_others_queue(
        self, database: str, outbox: Outbox, landbot: AsyncLandbot
    ) -> None:
        found: list[str] = []

        async def follow() -> None:
            async for receipt in outbox.run(follow=True):
                found.append(receipt.key)
                outbox.stop()

        async with anyio.create_task_group() as group, Outbox(database, landbot) as other:
            group.start_soon(follow)
            await anyio.sleep(0.3)
            await other.text(1, "Hi", key="a")
        assert found == ["a"]

    async def test_a_run_goes_on_with_what_others_leave_meanwhile(
        self, outbox: Outbox, direct: psycopg.Connection[Any]
    ) -> None:
        found: list[str] = []

        async def follow() -> None:
            async for receipt in outbox.run(follow=True):
                found.append(receipt.key)
                outbox.stop()

        async with anyio.create_task_group() as group:
            group.start_soon(follow)
            await anyio.sleep(0.1)
            with direct.transaction():
                await outbox.text(1, "Hi", key="a", connection=direct)
                direct.execute("UPDATE landbot_message SET state = 'taken', taken_at = 1")
        assert found == ["a"]

    async def test_a_moment_of_the_server_s_clock(self, outbox: Outbox) -> None:
        assert abs(journal_of(outbox).clock() - time.time()) < 5


class TestTheUrl:
    @pytest.mark.parametrize("make", [Outbox, lambda url, _: OutboxReader(url)])
    @pytest.mark.parametrize(
        ("url", "text"),
        [
            (f"postgresql://u:{PASSWORD}@[::1/x", "journal is no URL such as postgresql://"),
            (f"redis://u:{PASSWORD}@x", "begins with redis://"),
            ("postgresql://", "journal is no URL"),
        ],
    )
    async def test_one_that_cannot_be(
        self, url: str, text: str, make: Callable[[str, Any], Any], landbot: AsyncLandbot
    ) -> None:
        with pytest.raises(ValueError, match=text) as raised:
            make(url, landbot)
        assert PASSWORD not in shown(raised.value)

    async def test_nothing_shows_the_password(self, landbot: AsyncLandbot) -> None:
        url = f"postgres://u:{PASSWORD}@127.0.0.1:1/x?sslpassword={PASSWORD}"
        assert repr(Outbox(url, landbot)) == "Outbox('postgresql://u:***@127.0.0.1:1/x', name='default', closed)"
        assert "u:***@127.0.0.1" in repr(OutboxReader(url))
        for name in ("localhost/x", "h", "h:5/"):
            assert str(Url(Secret(f"postgresql://{name}"))).startswith("postgresql://")
        with pytest.raises(TypeError, match="send_timeout") as wrong:
            Outbox(url, landbot, send_timeout="1")  # type: ignore[arg-type]  # what is wrong is the test
        with pytest.raises(OutboxError, match=r"cannot be opened: .*refused") as away:
            await Outbox(url, landbot).__aenter__()
        with pytest.raises(OutboxError, match="cannot be opened") as read:
            await OutboxReader(url).counts()
        for raised in (wrong, away, read):
            assert PASSWORD not in shown(raised.value)

    async def test_a_server_that_refuses(self, postgres: Postgres, landbot: AsyncLandbot) -> None:
        for url in (f"{postgres.url}-which-is-none", postgres.url.replace("//postgres@", f"//{fresh()}:{PASSWORD}@")):
            with pytest.raises(OutboxError, match="does not exist") as raised:
                await Outbox(url, landbot).__aenter__()
            assert not isinstance(raised.value, AwayError)
            assert PASSWORD not in shown(raised.value)

    async def test_psycopg_is_an_extra(self, landbot: AsyncLandbot, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(__import__("sys").modules, "landbot_async.outbox.journal.session", None)
        monkeypatch.delattr("landbot_async.outbox.journal.session")
        with pytest.raises(ModuleNotFoundError):
            Outbox("postgresql://h/x", landbot)
        assert issubclass(MissingExtraError, ModuleNotFoundError)


class TestTables:
    async def test_those_of_a_later_version(
        self, database: str, landbot: AsyncLandbot, direct: psycopg.Connection[Any]
    ) -> None:
        direct.execute("UPDATE landbot_version SET version = 2")
        try:
            with pytest.raises(JournalMismatchError, match="are of version 2"):
                await Outbox(database, landbot).__aenter__()
        finally:
            direct.execute("UPDATE landbot_version SET version = 1")

    async def test_a_schema_without_any(self, postgres: Postgres, landbot: AsyncLandbot) -> None:
        url = schema_of(postgres)
        with pytest.raises(OutboxError, match='relation "landbot_outbox" does not exist'):
            await OutboxReader(url).counts()
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(open_once, url, landbot)
        assert (await OutboxReader(url).counts())["queued"] == 0

    async def test_what_a_user_needs_later(
        self, database: str, postgres: Postgres, schema: str, landbot: AsyncLandbot, direct: psycopg.Connection[Any]
    ) -> None:
        async with Outbox(database, landbot):
            pass
        user, name = fresh(), schema.rpartition("%3D")[2]
        direct.execute(f"CREATE ROLE {user} LOGIN".encode())
        direct.execute(f"GRANT USAGE ON SCHEMA {name} TO {user}".encode())
        direct.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {name} TO {user}".encode())
        async with Outbox(database.replace("//postgres@", f"//{user}@"), landbot) as outbox:
            await outbox.text(1, "Hi", key="a")
            assert await keys(outbox) == ["a"]

    async def test_a_null_character(self, outbox: Outbox) -> None:
        with pytest.raises(ValueError, match="no text with a null character"):
            await outbox.text(1, "Hi", key="a\0b")
        assert await counts(outbox) == {}


async def open_once(url: str, landbot: AsyncLandbot) -> None:
    async with Outbox(url, landbot):
        pass


@pytest.mark.once
class TestAway:
    async def test_one_that_is_killed_and_back_in_the_middle_of_a_run(
        self, postgres: Postgres, database: str, sandbox: Sandbox, landbot: AsyncLandbot
    ) -> None:
        async with Outbox(database, landbot) as outbox:
            await outbox.add_many(texts(*range(1, 51)))

            async def come_back() -> None:
                await anyio.sleep(0.5)
                postgres.start()

            seen = 0
            async with anyio.create_task_group() as group:
                async for _ in outbox.run():
                    seen += 1
                    if seen == 10:
                        postgres.kill()
                        group.start_soon(come_back)
            assert await counts(outbox) == {"sent": 50}
            assert await outbox.text(1, "Hi", key="k1") is False
        assert sorted(each.customer_id for each in sandbox.sent) == list(range(1, 51))

    async def test_one_that_stays_away_is_told(
        self, postgres: Postgres, database: str, landbot: AsyncLandbot, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with Outbox(database, landbot) as outbox:
            await outbox.add_many(texts(1, 2))
            journal_of(outbox)._session.patience = 0.2
            postgres.kill()
            with pytest.raises(OutboxError, match=r"cannot be (opened|used): "):
                await receipts(outbox)
            with pytest.raises(OutboxError, match=r"cannot be opened: .*refused"):
                await outbox.counts()
            postgres.start()
            assert await keys(outbox) == ["k1", "k2"]

    async def test_a_result_that_cannot_be_written_is_written_later(
        self, postgres: Postgres, database: str, landbot: AsyncLandbot
    ) -> None:
        async with Outbox(database, landbot) as outbox:
            await outbox.add_many(texts(1, 2, 3))
            journal = journal_of(outbox)
            journal._session.patience = 0.1
            taken = [await claimed(journal) for _ in range(3)]
            for each in taken:
                await journal.do(partial(Store.mark, taken=each))
            postgres.kill()
            for each in taken[:2]:
                with pytest.raises(OutboxError):
                    await journal.settle(partial(Store.sent, taken=each))
            postgres.start()
            assert await counts(outbox) == {"sent": 2, "sending": 1}
            postgres.kill()
            with pytest.raises(OutboxError):
                await journal.settle(partial(Store.sent, taken=taken[2]))
        postgres.start()
        assert (await OutboxReader(database).counts())["sending"] == 1

    async def test_one_that_is_written_at_the_end(
        self, postgres: Postgres, database: str, landbot: AsyncLandbot
    ) -> None:
        async with Outbox(database, landbot) as outbox:
            await outbox.add_many(texts(1))
            journal = journal_of(outbox)
            journal._session.patience = 0.1
            taken = await claimed(journal)
            postgres.kill()
            with pytest.raises(OutboxError):
                await journal.settle(partial(Store.not_sent, taken=taken))
            postgres.start()
        assert (await OutboxReader(database).counts())["queued"] == 1
        async with Outbox(database, landbot) as outbox:
            assert await keys(outbox) == ["k1"]

    async def test_one_that_hangs(
        self, postgres: Postgres, database: str, landbot: AsyncLandbot, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with Outbox(database, landbot) as outbox:
            patience, journal_of(outbox)._session.patience = journal_of(outbox)._session.patience, 0.0
            postgres.signal(signal.SIGSTOP)
            try:
                with monkeypatch.context() as patch, pytest.raises(OutboxError, match="cannot be used"):
                    patch.setattr(session, "_STUCK", 0.2)
                    patch.setattr(postgres_journal, "_WATCH", 0.05)
                    await outbox.text(1, "Hi", key="a")
            finally:
                postgres.signal(signal.SIGCONT)
            journal_of(outbox)._session.patience = patience
            await outbox.text(1, "Hi", key="a")
            assert await counts(outbox) == {"queued": 1}
            journal_of(outbox)._session.cut_if_stuck()  # it is not busy

    async def test_one_that_hangs_at_the_end(
        self, postgres: Postgres, database: str, landbot: AsyncLandbot, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        try:
            with anyio.fail_after(60):
                async with Outbox(database, landbot):
                    postgres.signal(signal.SIGSTOP)
                    monkeypatch.setattr(session, "_STUCK", 0.2)
                    monkeypatch.setattr(postgres_journal, "_WATCH", 0.05)
        finally:
            postgres.signal(signal.SIGCONT)

    async def test_no_thread(self, outbox: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
        async def run(*_: Any, **__: Any) -> None:
            raise RuntimeError("can't start new thread")

        with monkeypatch.context() as patch:
            patch.setattr(anyio.to_thread, "run_sync", run)
            with pytest.raises(OutboxError, match="no thread could be started"):
                await outbox.counts()

    @ASYNCIO
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
