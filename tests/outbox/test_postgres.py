"""The Outbox on a real Postgres: somebody else's transaction, several processes, the URL and the tables."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.from_thread
import psycopg
import pytest
from psycopg.pq import TransactionStatus
from psycopg.rows import dict_row

from landbot_async import AsyncLandbot, JournalMismatchError, KeyConflictError, OutboxError
from landbot_async._core.extras import MissingExtraError
from landbot_async._core.secret import Secret
from landbot_async.outbox import Added, Outbox, OutboxReader, Outgoing
from landbot_async.outbox.journal import postgres as postgres_journal
from landbot_async.outbox.journal import session
from landbot_async.outbox.journal import statements as sql
from landbot_async.outbox.journal.session import AwayError, Session, Url
from landbot_async.outbox.journal.store import Store
from landbot_async.sandbox import Sandbox
from tests.helpers import cancelled, shown_by
from tests.shared.servers import Postgres, fresh, schema_of

from .helpers import claimed, counts, journal_of, keys, open_once, receipts, said, texts

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


async def follow(outbox: Outbox, found: list[str]) -> None:
    """Follow the Outbox until a message has ended, and note its key."""
    async for receipt in outbox.run(follow=True):
        found.append(receipt.key)
        outbox.stop()


async def cancelled_within(outbox: Outbox, connection: Any, patch: pytest.MonkeyPatch, *, natively: bool) -> None:
    """Cancel a caller while their message is queued in the transaction of their connection, which then goes on."""
    add, cancels = postgres_journal._add_within, list[Callable[[], object]]()

    def cancelling(*args: Any) -> Added:
        anyio.from_thread.run_sync(cancels[0])
        return add(*args)

    with patch.context() as within:
        within.setattr(postgres_journal, "_add_within", cancelling)
        await cancelled(lambda: outbox.text(1, "Hi", key="a", connection=connection), cancels, natively=natively)
    assert connection.info.transaction_status is TransactionStatus.INTRANS
    assert await outbox.text(1, "Hi", key="b", connection=connection)


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
            assert not await outbox.text(1, "Other", key="b", connection=connection)
        assert await counts(outbox) == {"queued": 2}

    @ASYNCIO
    async def test_a_connection_of_asyncio_s(self, anyio_backend: Any, database: str, outbox: Outbox) -> None:
        async with await psycopg.AsyncConnection.connect(database, **BY_NAME) as connection:
            assert await outbox.text(1, "Hi", key="a", connection=connection)
            await connection.rollback()
            assert await outbox.text(1, "Hi", key="b", connection=connection)
        assert await keys(outbox) == ["b"]

    async def test_a_connection_in_pipeline_mode(self, database: str, outbox: Outbox) -> None:
        """Its results come later, unless they are asked for."""
        with psycopg.connect(database) as connection:
            for commits in (False, True):
                with connection.pipeline():
                    assert await outbox.text(1, "Hi", key="a", connection=connection)
                    assert not await outbox.text(1, "Hi", key="a", connection=connection)
                    with pytest.raises(KeyConflictError):
                        await outbox.text(1, "Other", key="a", connection=connection)
                    assert await outbox.text(2, "Hi", key="b", connection=connection)
                if not commits:
                    connection.rollback()
                    assert await counts(outbox) == {}
        assert await keys(outbox) == ["a", "b"]

    @ASYNCIO
    async def test_one_of_asyncio_s_in_pipeline_mode(self, anyio_backend: Any, database: str, outbox: Outbox) -> None:
        async with await psycopg.AsyncConnection.connect(database) as connection:
            for commits in (False, True):
                async with connection.pipeline():
                    assert await outbox.text(1, "Hi", key="a", connection=connection)
                    assert not await outbox.text(1, "Hi", key="a", connection=connection)
                if not commits:
                    await connection.rollback()
                    assert await counts(outbox) == {}
        assert await keys(outbox) == ["a"]

    @pytest.mark.once
    async def test_a_thousand_in_one_transaction(self, database: str, outbox: Outbox) -> None:
        with psycopg.connect(database) as connection:
            for number in range(1, 1001):
                assert await outbox.text(number % 50 + 1, "Hi", key=f"{number}", connection=connection)
            assert await counts(outbox) == {}
        assert await counts(outbox) == {"queued": 1000}
        assert len(await receipts(outbox, first=60)) == 60

    async def test_an_error_of_the_connection_comes_out_as_it_is(self, database: str, outbox: Outbox) -> None:
        with psycopg.connect(database) as connection:
            with pytest.raises(psycopg.errors.DivisionByZero):
                connection.execute("SELECT 1/0")
            with pytest.raises(psycopg.errors.InFailedSqlTransaction):
                await outbox.text(1, "Hi", key="a", connection=connection)
            connection.rollback()
            connection.close()
            with pytest.raises(psycopg.OperationalError, match="closed"):
                await outbox.text(1, "Hi", key="a", connection=connection)
        assert await counts(outbox) == {}

    @pytest.mark.parametrize("natively", [False, True])
    async def test_a_caller_that_is_cancelled_has_the_connection_back(
        self, natively: bool, database: str, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Nothing uses it any more when the cancellation comes out, and the transaction can go on."""
        with psycopg.connect(database) as connection:
            await cancelled_within(outbox, connection, monkeypatch, natively=natively)
        assert await keys(outbox) == ["a", "b"]

    @ASYNCIO
    @pytest.mark.parametrize("natively", [False, True])
    async def test_so_has_one_with_a_connection_of_asyncio_s(
        self, natively: bool, anyio_backend: Any, database: str, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with await psycopg.AsyncConnection.connect(database) as connection:
            await cancelled_within(outbox, connection, monkeypatch, natively=natively)
        assert await keys(outbox) == ["a", "b"]

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

    async def test_a_message_that_another_transaction_holds_is_waited_for(
        self, database: str, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Such as one of another outbox whose process is suspended while it looks messages up."""
        monkeypatch.setattr(session, "_BEGIN", session._BEGIN.replace("'3s'", "'50ms'"))
        await outbox.text(1, "Hi", key="a")
        with psycopg.connect(database) as connection:
            connection.execute("SELECT 1 FROM landbot_message FOR UPDATE")
            async with anyio.create_task_group() as group:
                group.start_soon(outbox.cancel)
                await anyio.sleep(0.3)
                connection.commit()
        assert await counts(outbox) == {"cancelled": 1}

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
        async with anyio.create_task_group() as group, Outbox(database, landbot) as other:
            group.start_soon(follow, outbox, found)
            await anyio.sleep(0.3)
            await other.text(1, "Hi", key="a")
        assert found == ["a"]

    async def test_a_run_goes_on_with_what_others_leave_meanwhile(
        self, outbox: Outbox, direct: psycopg.Connection[Any]
    ) -> None:
        found: list[str] = []
        async with anyio.create_task_group() as group:
            group.start_soon(follow, outbox, found)
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
        assert PASSWORD not in shown_by(raised.value)

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
            assert PASSWORD not in shown_by(raised.value)

    async def test_a_server_that_refuses(self, postgres: Postgres, landbot: AsyncLandbot) -> None:
        for url in (f"{postgres.url}-which-is-none", postgres.url.replace("//postgres@", f"//{fresh()}:{PASSWORD}@")):
            with pytest.raises(OutboxError, match="does not exist") as raised:
                await Outbox(url, landbot).__aenter__()
            assert not isinstance(raised.value, AwayError)
            assert PASSWORD not in shown_by(raised.value)

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
