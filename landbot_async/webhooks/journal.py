"""The file of a durable inbox: messages that were taken and are not yet handled, and the keys of those that were seen.

A message and its keys are written in one transaction, before it is acknowledged; it is deleted when it is handled. What
several tasks ask for at the same time becomes one transaction of few statements, in a thread. So the event loop never
waits for the disk, and the thread seldom for the event loop.

Cancellation: a task that waits for a write may be cancelled; what it asked for is written all the same.

Reasons: docs/decisions.md, "The file of a durable inbox".
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeAlias, TypeVar

import anyio
import anyio.to_thread

from landbot_async._core.errors import ConfigurationError
from landbot_async._core.event_loop import Notifier
from landbot_async._core.log import log
from landbot_async._core.sqlite import FileError, FileInUseError, FileKind, OwnedFile, open_owned
from landbot_async._core.tasks import Opening, uninterrupted

T = TypeVar("T")

_KIND = FileKind(
    "an inbox",
    0x4C42494E,  # "LBIN"
    1,
    (
        "CREATE TABLE source (name TEXT NOT NULL)",
        "CREATE TABLE message (number INTEGER PRIMARY KEY, delivery_id BLOB, body BLOB NOT NULL)",
        "CREATE TABLE seen (key TEXT PRIMARY KEY, until REAL NOT NULL) WITHOUT ROWID",
        "CREATE INDEX seen_until ON seen (until)",
    ),
)
# One statement for many rows: each statement makes room for other threads. What is in brackets is there once a row.
_SEEN = "SELECT key FROM seen WHERE key IN ([?])"
_REMEMBER = "INSERT INTO seen VALUES [(?, ?)]"
_ADD = "INSERT INTO message VALUES [(?, ?, ?)]"
_FINISH = "DELETE FROM message WHERE number IN ([?])"
_UNSEE = "DELETE FROM seen WHERE key = ?"
_FORGET_OLDEST = "DELETE FROM seen WHERE key IN (SELECT key FROM seen ORDER BY until LIMIT ?)"
# Requests in a transaction: far fewer values than SQLite allows in a statement.
_MOST_AT_ONCE = 1000
# Deletions in a transaction while there is little room for one.
_FEW = 10
# Seconds between two looks at a file that another process has.
_LOOK_AGAIN = 0.05


class Entry(NamedTuple):
    """A message on disk."""

    number: int
    delivery_id: str | None
    body: bytes


Outcome: TypeAlias = int | Exception | None
"""The result of adding a message: its number on disk, the error, or None for one that was seen before."""


class Add(NamedTuple):
    """A message to write, unless one with any of its keys was seen."""

    keys: Sequence[str]
    delivery_id: str | None
    body: bytes | bytearray


class Journal:
    """One inbox's file, for any number of tasks. See `open_journal`."""

    def __init__(self, file: File, thread: anyio.CapacityLimiter) -> None:
        self._file = file
        self._thread = thread
        self._adds: list[tuple[Add, Callable[[Outcome], None]]] = []
        self._handled: list[int] = []
        self._moved: list[str] = []
        self._news = Notifier()

    async def run(self) -> None:
        """Write what is asked for, until cancelled."""
        while True:
            if self._adds or self._handled or self._file.unfinished:
                await uninterrupted(self._write)
            elif self._file.untidy:
                await uninterrupted(self._in_thread, self._file.tidy)
            else:
                await self._news.wait()

    async def add(
        self, keys: Sequence[str], delivery_id: str | None, body: bytes | bytearray, on_done: Callable[[Outcome], None]
    ) -> Outcome:
        """Write a message, unless any of its keys was seen.

        `on_done` is called with the result, even if this call is cancelled before.
        """
        result: list[Outcome] = []
        written = anyio.Event()

        def done(outcome: Outcome) -> None:
            result.append(outcome)
            on_done(outcome)
            written.set()

        self._adds.append((Add(keys, delivery_id, body), done))
        self._news.notify()
        await written.wait()
        return result[0]

    def finish(self, number: int) -> None:
        """Delete a message that is handled, with the next write. If it fails, that is logged and tried again."""
        self._handled.append(number)
        self._news.notify()

    def hand_over(self, number: int, keys: Sequence[str]) -> None:
        """Delete a message that another file has now, as `finish` does. Its keys are forgotten, as it may come back."""
        self._moved += keys
        self.finish(number)

    async def aclose(self) -> None:
        """Write what is left, and let the file go."""
        await uninterrupted(self._close)

    async def _close(self) -> None:
        while self._adds or self._handled:
            await self._write()
        await self._in_thread(self._file.close)

    async def _write(self) -> None:
        adds, self._adds = self._adds[:_MOST_AT_ONCE], self._adds[_MOST_AT_ONCE:]
        handled, self._handled = self._handled, []
        moved, self._moved = self._moved, []
        self._file.forget(handled, moved)
        outcomes: Sequence[Outcome]
        try:
            outcomes = await self._in_thread(partial(self._file.write, [add for add, _ in adds]))
        except Exception as error:  # noqa: BLE001  # no thread could be started: each of them has to hear of it
            outcomes = [error] * len(adds)
        for (_, on_done), outcome in zip(adds, outcomes, strict=True):
            on_done(outcome)

    async def _in_thread(self, function: Callable[[], T]) -> T:
        return await anyio.to_thread.run_sync(function, limiter=self._thread)


async def open_journal(
    path: Path, source: str, *, window: float, owner_wait: float = 0.0
) -> tuple[Journal, list[Entry]]:
    """Open an inbox's file; one inbox of one process owns it.

    Args:
        path: the file; a new one can be read by its owner alone (0600).
        source: what the inbox takes; a file of the other source is refused.
        window: seconds for which a message is remembered as seen. Only time in which the file is open counts, so no
            change of a clock shortens it.
        owner_wait: seconds to wait for another inbox to let the file go.

    Returns:
        The journal, and the messages that were not handled when it was last closed, in the order of their arrival.

    Raises:
        ConfigurationError: another inbox has it, or it is not a file of an inbox of this source.
    """
    give_up_at = anyio.current_time() + owner_wait
    while True:
        try:
            return await open_if_free(path, source, window=window)
        except FileInUseError:
            if anyio.current_time() >= give_up_at:
                break
            await anyio.sleep(_LOOK_AGAIN)
    raise ConfigurationError(f"The inbox's file {path} is in use: one inbox owns it, so give each its own.")


async def open_if_free(path: Path, source: str, *, window: float) -> tuple[Journal, list[Entry]]:
    """Do what `open_journal` does, without waiting.

    Raises:
        FileInUseError: another inbox has it.
        ConfigurationError: it is not a file of an inbox of this source.
    """
    # A thread of its own: an application's busy threads must not hold up acknowledgements.
    thread = anyio.CapacityLimiter(1)
    opening = Opening(partial(_open, path, source, window=window), _close)
    try:
        await anyio.to_thread.run_sync(opening.run, limiter=thread)
    except FileInUseError:
        raise
    except OSError as error:
        fault = f"cannot be opened: {error.strerror}"
    except (FileError, ValueError) as error:  # the path may have a null character in it
        fault = str(error)
    except BaseException:
        opening.leave()
        raise
    else:
        file, entries = opening.opened
        return Journal(file, thread), entries
    raise ConfigurationError(f"The inbox's file {path} {fault}.")


def _open(path: Path, source: str, *, window: float) -> tuple[File, list[Entry]]:
    owned = open_owned(path, _KIND)
    try:
        file = File(owned, source, window=window)
        return file, file.entries()
    except BaseException as error:
        owned.close()
        if isinstance(error, sqlite3.Error):
            raise FileError(f"cannot be used: {error}") from None
        raise


def _close(opened: tuple[File, list[Entry]]) -> None:
    opened[0].close()


class File:
    """The file itself.

    One thread uses it at a time. The lock is for the end of the event loop, which may cancel the task that waits for a
    thread, and then closes the file while that thread is still writing.
    """

    def __init__(
        self,
        owned: OwnedFile,
        source: str,
        *,
        window: float,
        most: int = 100_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._owned = owned
        self._lock = threading.Lock()
        self._window = window
        self._most = most
        self._handled: list[int] = []  # to be deleted
        self._moved: list[str] = []  # keys of messages that another file has now
        self._failing = False
        known: list[str] = [name for (name,) in self._execute("SELECT name FROM source")]
        if not known:
            self._execute("INSERT INTO source VALUES (?)", source)
        elif known != [source]:
            raise FileError("is that of an inbox with another source: give it another one")
        self._remembered: int = self._execute("SELECT count(*) FROM seen").fetchone()[0]
        self._last: int = self._execute("SELECT ifnull(max(number), 0) FROM message").fetchone()[0]
        # Seconds for which this file has been open in its life, about: keys expire, and are forgotten, in the order in
        # which they came, whatever the clock on the wall does.
        newest: float | None = self._execute("SELECT max(until) FROM seen").fetchone()[0]
        self._clock = clock
        self._zero = clock() - (0.0 if newest is None else newest - window)
        self.untidy: bool = owned.untidy
        """True if `tidy` has something to do."""
        self.unfinished: bool = False
        """True if the last write went well, and has left something to delete."""

    def entries(self) -> list[Entry]:
        """Return the messages that are not handled, in the order of their arrival."""
        rows = self._execute("SELECT number, delivery_id, body FROM message ORDER BY number")
        return [
            Entry(number, None if id_ is None else id_.decode("utf-8", "surrogatepass"), body)
            for number, id_, body in rows
        ]

    def forget(self, numbers: Sequence[int], moved: Sequence[str] = ()) -> None:
        """Note handled messages, and the keys of those that another file has. They are deleted with the next write."""
        self._handled += numbers
        self._moved += moved

    def write(self, adds: Sequence[Add]) -> Sequence[Outcome]:
        """Add messages, all or none, and delete handled ones. Return the result of each that was to be added.

        Where the disk is nearly full, or the path leads to another file by now, nothing is added. Messages that could
        not be deleted are deleted by a later call.
        """
        with self._lock:
            return self._write(adds)

    def tidy(self) -> None:
        """Return some space to the disk. For as long as the file is `untidy`."""
        with self._lock:
            self._owned.tidy()
            self.untidy = self._owned.untidy

    def close(self) -> None:
        """Delete what is handled, as far as that can be done, and let the file go."""
        with self._lock:
            self.unfinished = bool(self._handled)
            while self.unfinished:
                self._write([])
            self._owned.close()

    def _write(self, adds: Sequence[Add]) -> Sequence[Outcome]:
        before = self._remembered, self._last
        outcomes: Sequence[Outcome]
        try:
            refusal = self._refusal(adds) if adds else None
            self._execute("BEGIN IMMEDIATE")
            outcomes = [refusal] * len(adds) if refusal else self._add(adds)
            # Keys go before the bodies do, or with them: a key without a body keeps a message from coming back.
            moved = [(key,) for key in self._moved]
            self._remembered -= self._owned.connection.executemany(_UNSEE, moved).rowcount if moved else 0
            gone = self._handled[: _FEW if self._owned.little_room else _MOST_AT_ONCE]
            self._execute(_many(_FINISH, len(gone)), *gone)
            self._execute("COMMIT")
        except Exception as error:  # noqa: BLE001  # whatever it is: nothing was written
            self._remembered, self._last = before
            with contextlib.suppress(sqlite3.Error):
                self._execute("ROLLBACK")
            outcomes = [error] * len(adds)
            self._fail(error)
        else:
            del self._moved[: len(moved)]
            del self._handled[: len(gone)]
            self.unfinished, self._failing = bool(self._handled), False
        self._owned.relieve()
        self.untidy = self._owned.untidy
        return outcomes

    def _fail(self, error: Exception) -> None:
        self.unfinished = False
        if self._handled and not self._failing:
            self._failing = True
            log.error("the inbox's file cannot be written: what is handled stays in it for now", exc_info=error)

    def _refusal(self, adds: Sequence[Add]) -> FileError | None:
        """Return why these messages cannot be added, or None if they can."""
        try:
            self._owned.check()
            self._owned.check_room(sum(len(each.body) for each in adds))
        except FileError as error:
            return error
        return None

    def _add(self, adds: Sequence[Add]) -> list[int | None]:
        now = self._clock() - self._zero
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
        return self._owned.connection.execute(statement, values)


def _many(statement: str, rows: int) -> str:
    before, _, rest = statement.partition("[")
    row, _, after = rest.partition("]")
    return before + ", ".join([row] * rows) + after
