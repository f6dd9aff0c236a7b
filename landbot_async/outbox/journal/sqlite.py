"""The journal in an SQLite file: opened for one owner, and used in one thread, so that the event loop never waits for
the disk.

Cancellation: what was begun is written to its end, whoever waits for it.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Callable, Generator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

import anyio
import anyio.to_thread

from landbot_async._core.errors import JournalFullError, JournalInUseError, JournalMismatchError, OutboxError
from landbot_async._core.sqlite import (
    DiskFullError,
    FileError,
    FileInUseError,
    FileKind,
    FileLostError,
    ForeignFileError,
    OwnedFile,
    open_owned,
)
from landbot_async._core.tasks import Opening, uninterrupted

from .journal import Account, no_thread
from .statements import SQLITE, tables
from .store import Store

if TYPE_CHECKING:  # they bring all that sends, and a look into a journal is to be quick
    from landbot_async.outbox.outgoing import Outgoing
    from landbot_async.outbox.receipts import Added

T = TypeVar("T")

KIND: Final = FileKind(
    "an outbox",
    0x4C424F42,  # "LBOB"
    1,
    tables(SQLITE),
    # The contents of forgotten messages are overwritten, and not only no longer found.
    secure_delete="ON",
)


class SqliteJournal:
    """An open journal in a file: see `Journal`. It has one owner."""

    def __init__(self, path: Path, owned: OwnedFile, store: Store, thread: anyio.CapacityLimiter) -> None:
        self._path = path
        self._owned = owned
        self._store = store
        self._thread = thread
        self._results: list[Callable[[Store], object]] = []  # what could not be written yet

    async def do(self, function: Callable[[Store], T], *, room: int = 0) -> T:
        """Make one transaction, and return its result."""
        return await self._in_thread(partial(self._checked, function, room))

    async def look(self, function: Callable[[Store], T]) -> T:
        """Return what the function reads. It changes nothing, so a full disk does not matter."""
        return await self._in_thread(partial(self._looked, function))

    async def add_within(self, connection: object, message: Outgoing) -> Added:
        """Raise a TypeError: a file has no connections that others use."""
        raise TypeError("connection= is for an Outbox on Postgres, and this one is in a file")

    async def settle(self, function: Callable[[Store], T]) -> T:
        """Write the result of an attempt. If that cannot be done now, it is done with a later transaction."""
        try:
            return await self._in_thread(partial(self._settled, function))
        except OutboxError as error:
            if isinstance(error.__cause__, RuntimeError):  # there was no thread that could have kept it
                self._results.append(function)
            raise

    async def recover(self) -> int:
        """Return 0: what another process has left was decided about when the file was opened."""
        return 0

    @property
    def look_again(self) -> float:
        """Half a minute, because only this process adds messages, and then it looks at once."""
        return 30.0

    def clock(self) -> float:
        """Return the time, in Unix seconds."""
        return time.time()

    async def forget(self, before: float | None) -> int:
        """Delete the contents of ended messages, and have nothing of them left in the file. Return how many."""
        return await self._in_thread(partial(self._forgotten, before))

    async def aclose(self) -> None:
        """Write what could not be written before, if that can be done now, and let the file go."""
        await self._in_thread(self._closed)

    async def _in_thread(self, function: Callable[[], T]) -> T:
        try:
            return await uninterrupted(partial(anyio.to_thread.run_sync, function, limiter=self._thread))
        except RuntimeError as error:
            raise no_thread(self._path, error) from error

    def _checked(self, function: Callable[[Store], T], room: int) -> T:
        with told(self._path):
            self._catch_up()
            self._owned.check()
            if room:
                self._owned.check_room(room)
            return function(self._store)

    def _looked(self, function: Callable[[Store], T]) -> T:
        with told(self._path):
            with contextlib.suppress(sqlite3.Error):
                self._catch_up()
            self._owned.check()
            return function(self._store)

    def _settled(self, function: Callable[[Store], T]) -> T:
        try:
            with told(self._path):
                self._catch_up()
                return function(self._store)
        except OutboxError:
            self._results.append(function)
            raise
        finally:
            self._owned.relieve()

    def _forgotten(self, before: float | None) -> int:
        with told(self._path):
            count = self._store.forget(before)
            self._owned.compact()
            return count

    def _closed(self) -> None:
        with contextlib.suppress(sqlite3.Error):
            self._catch_up()
        self._owned.close()

    def _catch_up(self) -> None:
        while self._results:
            self._results[0](self._store)
            del self._results[0]


async def open_journal(path: Path, name: str, account: Account, *, moved: bool) -> SqliteJournal:
    """Open a journal as its owner, and decide what becomes of the messages that its last owner left.

    Args:
        path: the file; a new one is made.
        name: the outbox in it.
        account: the account of the client.
        moved: accept a file that is a copy.

    Raises:
        JournalInUseError: it is open already, here or elsewhere.
        JournalMismatchError: it belongs to another account, is a copy, or is not the file of an outbox.
        OutboxError: it cannot be opened.
    """
    # A thread of its own: an application's busy threads must not hold up what is sent.
    thread = anyio.CapacityLimiter(1)
    opening = Opening(partial(_open, path, name, account, moved=moved), _close)
    try:
        # To its end, so that the file is free again once a cancelled caller goes on.
        await uninterrupted(partial(anyio.to_thread.run_sync, limiter=thread), opening.run)
    except BaseException as error:
        opening.leave()
        if isinstance(error, RuntimeError):
            raise no_thread(path, error) from error
        raise
    return SqliteJournal(path, *opening.opened, thread)


def _open(path: Path, name: str, account: Account, *, moved: bool) -> tuple[OwnedFile, Store]:
    with told(path):
        owned = open_owned(path, KIND)
        try:
            store = Store(owned.connection, SQLITE, name, time.time)
            about, inode = store.about(), str(owned.inode)
            if not about:
                store.set_about({**account.about(), "inode": inode})
            else:
                account.check(about)
                if about["inode"] != inode and not moved:
                    raise JournalMismatchError(
                        f"The journal {path} is a copy, or was put back from one. What was sent since the copy was made"
                        " would be sent again. Use the original; or, if no other copy will be used, say moved=True."
                    )
                if about["inode"] != inode:
                    store.set_about({"inode": inode})
            store.recover()
        except BaseException:
            owned.close()
            raise
    return owned, store


@contextlib.contextmanager
def told(path: Path) -> Generator[None]:
    """Raise errors of the file as an `OutboxError`."""
    try:
        yield
    except FileInUseError:
        raise JournalInUseError(
            f"The journal {path} is in use, by another process or elsewhere in this one: one Outbox owns it at a time."
        ) from None
    except (ForeignFileError, FileLostError) as error:
        raise JournalMismatchError(f"The journal {path} {error}.") from None
    except DiskFullError as error:
        raise JournalFullError(f"The journal {path} {error}.") from None
    except FileError as error:
        raise OutboxError(f"The journal {path} {error}.") from None
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL:
            raise JournalFullError(f"The journal {path} cannot grow: the disk is full.") from error
        raise OutboxError(f"The journal {path} cannot be used: {error}.") from error
    except OSError as error:
        raise OutboxError(f"The journal {path} cannot be opened: {error.strerror}.") from None


def _close(opened: tuple[OwnedFile, Store]) -> None:
    opened[0].close()
