"""The file of a durable inbox: what was taken and is not yet handled, and what was seen.

A message and the keys it is known by are written in one transaction, before it is acknowledged; it goes when it is
handled. What several tasks ask for at once is one transaction of few statements, in a thread: so the event loop never
waits for the disk, and the thread seldom for the loop.

Cancellation: who waits for a write may be cancelled; what was asked for is written all the same.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeAlias

import anyio
import anyio.to_thread

from landbot_async._core.errors import ConfigurationError

# Told to sqlite, so that no other program's file is taken for one of ours: "LBIN".
_APPLICATION = 0x4C42494E
_VERSION = 1
_SCHEMA = (
    "CREATE TABLE source (name TEXT NOT NULL)",
    "CREATE TABLE message (number INTEGER PRIMARY KEY, delivery_id BLOB, body BLOB NOT NULL)",
    "CREATE TABLE seen (key TEXT PRIMARY KEY, until REAL NOT NULL) WITHOUT ROWID",
    "CREATE INDEX seen_until ON seen (until)",
)
# A statement for many rows, because each gives way to the other threads; what is in brackets comes once a row.
_SEEN = "SELECT key FROM seen WHERE key IN ([?])"
_REMEMBER = "INSERT INTO seen VALUES [(?, ?)]"
_ADD = "INSERT INTO message VALUES [(?, ?, ?)]"
_FINISH = "DELETE FROM message WHERE number IN ([?])"
_FORGET_OLDEST = "DELETE FROM seen WHERE key IN (SELECT key FROM seen ORDER BY until LIMIT ?)"
# Requests in a transaction: far fewer values than a statement of sqlite's may have.
_MOST_AT_ONCE = 1000


class Entry(NamedTuple):
    """A message on disk."""

    number: int
    delivery_id: str | None
    body: bytes


Outcome: TypeAlias = int | Exception | None
"""What became of a message: its number on the disk, the error, or None if it was seen before."""


class Add(NamedTuple):
    """A message to be written, unless one with any of its keys was seen."""

    keys: Sequence[str]
    delivery_id: str | None
    body: bytes | bytearray


class _Request:
    """Something to be written: a message to add, or the number of one that is handled; and what became of it."""

    __slots__ = ("done", "on_done", "outcome", "what")

    def __init__(self, what: Add | int, on_done: Callable[[Outcome], None]) -> None:
        self.what = what
        self.on_done = on_done
        self.outcome: Outcome = None
        self.done = anyio.Event()


class Journal:
    """One inbox's file, for any number of tasks. See `open_journal`."""

    def __init__(self, file: File, thread: anyio.CapacityLimiter) -> None:
        self._file = file
        self._thread = thread
        self._requests: list[_Request] = []
        self._news = anyio.Event()

    async def run(self) -> None:
        """Write what is asked for, until cancelled."""
        while True:
            if not self._requests:
                self._news = anyio.Event()
                await self._news.wait()
            await self._write_all()

    async def add(
        self, keys: Sequence[str], delivery_id: str | None, body: bytes | bytearray, on_done: Callable[[Outcome], None]
    ) -> Outcome:
        """Write a message, unless any of its keys was seen.

        `on_done` is called with what became of it, even if this call is cancelled meanwhile.
        """
        return await self._ask(Add(keys, delivery_id, body), on_done)

    async def finish(self, number: int) -> Outcome:
        """The message is handled: it goes from the disk. Returns the error if that failed."""
        return await self._ask(number, _nobody)

    async def aclose(self) -> None:
        """Write what is left, and let the file go."""
        with anyio.CancelScope(shield=True):
            while self._requests:
                await self._write_all()
            await anyio.to_thread.run_sync(self._file.close, limiter=self._thread)

    async def _ask(self, what: Add | int, on_done: Callable[[Outcome], None]) -> Outcome:
        request = _Request(what, on_done)
        self._requests.append(request)
        self._news.set()
        await request.done.wait()
        return request.outcome

    async def _write_all(self) -> None:
        requests, self._requests = self._requests[:_MOST_AT_ONCE], self._requests[_MOST_AT_ONCE:]
        # Whoever is cancelled here has the thread end first, and knows what became of it.
        with anyio.CancelScope(shield=True):
            outcomes = await anyio.to_thread.run_sync(
                self._file.write, [each.what for each in requests], limiter=self._thread
            )
            for request, outcome in zip(requests, outcomes, strict=True):
                request.outcome = outcome
                request.on_done(outcome)
                request.done.set()


def _nobody(_: Outcome) -> None:
    """Whom to tell where nobody asked."""


async def open_journal(path: Path, source: str, *, window: float) -> tuple[Journal, list[Entry]]:
    """Take an inbox's file; one inbox of one process owns it.

    Args:
        path: where it is; it is made for the owner alone (0600) if there is none.
        source: what the inbox takes; a file of the other source is refused.
        window: seconds for which a message is remembered as seen.

    Returns:
        The journal, and what was not handled when it was last left, in the order of its arrival.

    Raises:
        ConfigurationError: another inbox has it, or it is no file of an inbox of this source.
    """
    # A thread of its own: an application's busy ones must not hold up acknowledgements.
    thread = anyio.CapacityLimiter(1)
    file, entries = await anyio.to_thread.run_sync(partial(_open, path, source, window=window), limiter=thread)
    return Journal(file, thread), entries


def _open(path: Path, source: str, *, window: float) -> tuple[File, list[Entry]]:
    connection: sqlite3.Connection | None = None
    try:
        # Made here, because sqlite would make it for everybody, also behind a link; what it puts beside it has the same
        # mode. One that is there is not opened: closing it again would take away the locks of another inbox here.
        real = os.path.realpath(path)
        with contextlib.suppress(FileExistsError):
            os.close(os.open(real, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        connection = sqlite3.connect(real, timeout=0, isolation_level=None, check_same_thread=False)
        _take(connection, source)
        file = File(connection, window=window)
        return file, file.entries()
    except OSError as error:
        fault = f"cannot be opened: {error.strerror}"
    except sqlite3.Error as error:
        in_use = getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY
        fault = "is in use: one inbox owns it, so give each its own" if in_use else f"cannot be used: {error}"
    except _ForeignFileError as error:
        fault = str(error)
    if connection is not None:
        connection.close()
    raise ConfigurationError(f"The inbox's file {path} {fault}.")


def _take(connection: sqlite3.Connection, source: str) -> None:
    """Own the file until the connection is closed, by whatever end of the process."""
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    connection.execute("BEGIN EXCLUSIVE")
    _check(connection, source)
    connection.execute("COMMIT")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")


class _ForeignFileError(Exception):
    """It is no file for this inbox."""


def _check(connection: sqlite3.Connection, source: str) -> None:
    """Whether it is ours; a new one becomes ours. Any other is left as it is."""
    application, version, tables = (
        connection.execute(question).fetchone()[0]
        for question in ("PRAGMA application_id", "PRAGMA user_version", "SELECT count(*) FROM sqlite_schema")
    )
    if not application and not tables:
        for statement in _SCHEMA:
            connection.execute(statement)
        connection.execute("INSERT INTO source VALUES (?)", (source,))
        connection.execute(f"PRAGMA application_id = {_APPLICATION}")
        connection.execute(f"PRAGMA user_version = {_VERSION}")
    elif application != _APPLICATION or version != _VERSION:
        raise _ForeignFileError("is no file of this version's inbox: give it another one")
    elif connection.execute("SELECT name FROM source").fetchone()[0] != source:
        raise _ForeignFileError("is that of an inbox with another source: give it another one")


class File:
    """The file itself, used in one thread at a time."""

    def __init__(self, connection: sqlite3.Connection, *, window: float, most: int = 100_000) -> None:
        self._connection = connection
        self._window = window
        self._most = most
        self._owed: list[int] = []  # what is handled and could not be taken away
        self._remembered: int = self._execute("SELECT count(*) FROM seen").fetchone()[0]
        self._last: int = self._execute("SELECT ifnull(max(number), 0) FROM message").fetchone()[0]

    def entries(self) -> list[Entry]:
        """What is not handled, in the order of its arrival."""
        rows = self._execute("SELECT number, delivery_id, body FROM message ORDER BY number")
        return [
            Entry(number, None if id_ is None else id_.decode("utf-8", "surrogatepass"), body)
            for number, id_, body in rows
        ]

    def write(self, requests: Sequence[Add | int]) -> Sequence[Outcome]:
        """Add messages and take handled ones away: all, or none if that fails. Return what became of each.

        What could not be taken away is so with a later call.
        """
        before = self._remembered
        finished = [each for each in requests if isinstance(each, int)]
        try:
            self._execute("BEGIN IMMEDIATE")
            outcomes = self._add([each for each in requests if isinstance(each, Add)])
            gone = [*self._owed[:_MOST_AT_ONCE], *finished]
            self._execute(_many(_FINISH, len(gone)), *gone)
            self._execute("COMMIT")
        except sqlite3.Error as error:
            self._remembered = before
            self._owed += finished
            with contextlib.suppress(sqlite3.Error):
                self._execute("ROLLBACK")
            return [error] * len(requests)
        del self._owed[:_MOST_AT_ONCE]
        found = iter(outcomes)
        return [next(found) if isinstance(each, Add) else None for each in requests]

    def close(self) -> None:
        """Let it go."""
        if self._owed:
            self.write([])
        self._connection.close()

    def _add(self, adds: list[Add]) -> list[int | None]:
        now = time.time()
        self._remembered -= self._execute("DELETE FROM seen WHERE until <= ?", now).rowcount
        asked = [key for add in adds for key in add.keys]
        seen = {key for (key,) in self._execute(_many(_SEEN, len(asked)), *asked)}
        rows, fresh, outcomes = list[object](), list[object](), list[int | None]()
        for add in adds:
            if not seen.isdisjoint(add.keys):
                outcomes.append(None)
                continue
            seen.update(add.keys)
            for key in add.keys:
                fresh += (key, now + self._window)
            self._last += 1
            id_ = None if add.delivery_id is None else add.delivery_id.encode("utf-8", "surrogatepass")
            rows += (self._last, id_, add.body)
            outcomes.append(self._last)
        if rows:
            self._execute(_many(_ADD, len(rows) // 3), *rows)
        if fresh:
            self._execute(_many(_REMEMBER, len(fresh) // 2), *fresh)
        self._remembered += len(fresh) // 2
        if self._remembered > self._most:
            self._remembered -= self._execute(_FORGET_OLDEST, self._remembered - self._most).rowcount
        return outcomes

    def _execute(self, statement: str, *values: object) -> sqlite3.Cursor:
        return self._connection.execute(statement, values)


def _many(statement: str, rows: int) -> str:
    before, _, rest = statement.partition("[")
    row, _, after = rest.partition("]")
    return before + ", ".join([row] * rows) + after
