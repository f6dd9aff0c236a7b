"""The journal in Postgres, which several processes may share.

It is used in one thread, over psycopg's blocking connection, and so on trio too. A message that is *taken* or *sending*
for longer than an attempt can last, by the server's clock, belongs to no process any more. The first is queued again,
and the second is unknown: time alone never has it sent again.

Cancellation: what was begun is written to its end, whoever waits for it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

import anyio
import anyio.from_thread
import anyio.to_thread
import psycopg
from psycopg.rows import tuple_row

from landbot_async._core.errors import ConfigurationError, JournalMismatchError, OutboxError
from landbot_async._core.tasks import Opening, uninterrupted
from landbot_async.outbox.receipts import Added
from landbot_async.postgres.database import make
from landbot_async.postgres.statements import Part

from .journal import Account, new_salt, no_thread
from .rows import Connection, Cursor
from .session import TURNS, Session, Url
from .statements import POSTGRES, tables
from .store import Store

if TYPE_CHECKING:  # it brings all that sends, and a look into a journal is to be quick
    from landbot_async.outbox.outgoing import Outgoing

T = TypeVar("T")

PART: Final = Part("outbox", "; ".join((*tables(POSTGRES), TURNS)), "")
# Seconds after the end of an attempt from which nobody works on it any more.
_MARGIN: Final = 5.0
# Seconds for which a call waits for Postgres to be back.
_PATIENCE: Final = 20.0
# Seconds between two looks whether the server hangs.
_WATCH: Final = 5.0
_CLOCK: Final = "SELECT extract(epoch FROM clock_timestamp())::float8"
_IS_THERE: Final = "SELECT to_regclass('landbot_message') IS NOT NULL"


class PostgresJournal:
    """An open journal in Postgres: see `Journal`. Other processes may have it open too."""

    def __init__(self, session: Session, store: Store, age: float, thread: anyio.CapacityLimiter) -> None:
        self._session = session
        self._store = store
        self._age = age
        self._thread = thread
        self._results: list[Callable[[Store], object]] = []  # what could not be written yet

    @property
    def look_again(self) -> float:
        """A second, because other processes add messages and do not tell this one."""
        return 1.0

    def clock(self) -> float:
        """Return the server's time, in Unix seconds."""
        return time.time() + self._session.ahead

    async def do(self, function: Callable[[Store], T], *, room: int = 0) -> T:
        """Make one transaction, and return its result."""
        del room  # the server's business
        return await self._in_thread(partial(self._done, function))

    async def look(self, function: Callable[[Store], T]) -> T:
        """Return what the function reads."""
        return await self.do(function)

    async def settle(self, function: Callable[[Store], T]) -> T:
        """Write the result of an attempt. If that cannot be done now, it is done with a later transaction."""
        try:
            return await self.do(function)
        except OutboxError:
            self._results.append(function)
            raise

    async def recover(self) -> int:
        """Decide about messages on which no process works any more. Return how many there were."""
        return await self.do(partial(Store.recover, age=self._age))

    async def forget(self, before: float | None) -> int:
        """Delete the contents of ended messages. Return how many."""
        return await self.do(partial(Store.forget, before=before))

    async def add_within(self, connection: object, message: Outgoing) -> Added:
        """Queue a message in the transaction of somebody else's connection."""
        if isinstance(connection, psycopg.Connection):
            borrowed: Connection = _Borrowed(connection)
        elif isinstance(connection, psycopg.AsyncConnection):
            borrowed = _BorrowedAsync(connection)
        else:
            raise TypeError(
                f"connection must be a psycopg.Connection or AsyncConnection, not {type(connection).__name__}"
            )
        add = partial(_add_within, borrowed, self._store.name, self._store.account, message)
        return await uninterrupted(anyio.to_thread.run_sync, add)

    async def aclose(self) -> None:
        """Write what could not be written before, if that can be done now, and close the connection."""
        try:
            if self._results:
                await self._in_thread(self._catch_up)
        except OutboxError:
            pass  # these messages will be unknown
        finally:
            await self._in_thread(self._session.leave)

    async def _in_thread(self, function: Callable[[], T]) -> T:
        return await uninterrupted(partial(_watched, self._session, self._thread, function))

    def _done(self, function: Callable[[Store], T]) -> T:
        self._catch_up()
        return self._session.run(partial(function, self._store))

    def _catch_up(self) -> None:
        while self._results:
            self._session.run(partial(self._results[0], self._store))
            del self._results[0]


async def _watched(session: Session, thread: anyio.CapacityLimiter, function: Callable[[], T]) -> T:
    """Call a function in the thread, and cut the connection if the server hangs."""
    results: list[T] = []
    errors: list[Exception] = []
    async with anyio.create_task_group() as group:
        group.start_soon(_watch, session)
        try:
            results.append(await anyio.to_thread.run_sync(function, limiter=thread))
        except RuntimeError as error:
            errors.append(no_thread(session.url, error))
        except Exception as error:  # noqa: BLE001  # raised below: the group would wrap it
            errors.append(error)
        group.cancel_scope.cancel()
    if errors:
        raise errors[0]
    return results[0]


async def _watch(session: Session) -> None:
    while True:
        await anyio.sleep(_WATCH)
        session.cut_if_stuck()


async def open_postgres(url: Url, name: str, account: Account, *, send_timeout: float) -> PostgresJournal:
    """Open a journal, making its tables if there are none.

    Args:
        url: of the database.
        name: the outbox in it.
        account: the account of the client.
        send_timeout: seconds that an attempt lasts, at most.

    Raises:
        JournalMismatchError: the outbox belongs to another account, or the tables are of a later version.
        OutboxError: the database cannot be used.
    """
    thread = anyio.CapacityLimiter(1)
    session, age = Session(url), send_timeout + _MARGIN

    def opened() -> Store:
        try:
            return session.run(partial(_open, session, name, account, age))
        except BaseException:
            session.close()
            raise

    opening = Opening(opened, lambda _: session.close())
    try:
        await uninterrupted(partial(_watched, session, thread, opening.run))
    except BaseException:
        opening.leave()
        raise
    return PostgresJournal(session, opening.opened, age, thread)


def _open(session: Session, name: str, account: Account, age: float) -> Store:
    with session.telling() as connection, connection.transaction():
        try:
            make(connection, PART)
        except ConfigurationError as error:
            raise JournalMismatchError(f"The journal {session.url} cannot be used. {error}") from None
        connection.execute("INSERT INTO landbot_about VALUES ('salt', %s) ON CONFLICT (name) DO NOTHING", [new_salt()])
        session.introduce()
    probe = Store(session, POSTGRES, name, session.now, make=False)
    ours = account.about(probe.about()["salt"])
    store = Store(session, POSTGRES, name, session.now, account=f"{ours['token']} {ours['base_url']}")
    token, _, base_url = store.account.partition(" ")
    account.check({**ours, "token": token, "base_url": base_url})
    session.belong_to(store.id)
    store.recover(age)
    session.patience = _PATIENCE
    return store


def read(url: Url, name: str, function: Callable[[Store], T]) -> T:
    """Return what a function reads of an outbox, over a connection of its own. It makes nothing."""
    session = Session(url)
    try:
        return session.run(lambda: function(Store(session, POSTGRES, name, session.now, make=False)))
    finally:
        session.close()


class _Rows:
    """A result that has been read."""

    def __init__(self, rowcount: int, rows: list[Any]) -> None:
        self.rowcount: int = rowcount
        self._rows = rows

    def fetchone(self) -> Any:
        return self._rows[0] if self._rows else None

    def fetchall(self) -> list[Any]:
        return self._rows


class _Borrowed:
    """Somebody else's connection, whose transaction is neither begun nor ended here. It is used in a thread."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    def execute(self, statement: str, values: Any = ()) -> Cursor:
        with self._connection.cursor(row_factory=tuple_row) as cursor:
            cursor.execute(statement.encode(), values or None)
            if self._connection.pgconn.pipeline_status:
                with self._connection.pipeline():
                    pass  # the end of this inner block brings the result
            return _Rows(cursor.rowcount, cursor.fetchall() if cursor.description else [])


class _BorrowedAsync:
    """Somebody else's connection of asyncio's, which is used in its event loop; otherwise like `_Borrowed`."""

    def __init__(self, connection: psycopg.AsyncConnection[Any]) -> None:
        self._connection = connection

    def execute(self, statement: str, values: Any = ()) -> Cursor:
        rows: Cursor = anyio.from_thread.run(self._execute, statement, values)
        return rows

    async def _execute(self, statement: str, values: Any) -> Cursor:
        async with self._connection.cursor(row_factory=tuple_row) as cursor:
            await cursor.execute(statement.encode(), values or None)
            if self._connection.pgconn.pipeline_status:
                async with self._connection.pipeline():
                    pass  # the end of this inner block brings the result
            return _Rows(cursor.rowcount, await cursor.fetchall() if cursor.description else [])


def _add_within(connection: Connection, name: str, account: str, message: Outgoing) -> Added:
    def now() -> float:
        moment: float = connection.execute(_CLOCK).fetchone()[0]
        return moment

    # Asked first: an error would end the transaction.
    there = connection.execute(_IS_THERE).fetchone()[0]
    store = Store(connection, POSTGRES, name, now, make=False) if there else None
    if store is None or not store.id or store.account != account:
        raise OutboxError(
            f"The outbox {name!r} is not where this connection leads: use one to the database and schema of the Outbox."
        )
    return store.add_within(message)
