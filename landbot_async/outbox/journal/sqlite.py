"""The journal in an SQLite file: opened for one owner, and used in one thread, so that the event loop never waits for
the disk.

Cancellation: what was begun is written to its end, whoever waits for it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import sqlite3
import time
from collections.abc import Callable, Generator
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

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

from .statements import SQLITE, tables
from .store import Store

T = TypeVar("T")

KIND: Final = FileKind(
    "an outbox",
    0x4C424F42,  # "LBOB"
    1,
    tables(SQLITE),
    # The contents of forgotten messages are overwritten, and not only no longer found.
    secure_delete="ON",
)


_URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


class Account:
    """The account that a journal belongs to: its messages go to no other."""

    def __init__(self, token: str, base_url: str) -> None:
        self._token = token
        self._base_url = base_url

    def check(self, about: dict[str, str]) -> None:
        """Raise `JournalMismatchError` if the journal belongs to another one."""
        if about["base_url"] != self._base_url:
            raise JournalMismatchError(
                f"The journal belongs to {about['base_url']}, and this client to {self._base_url}."
                " Use the client that it was begun with, or another journal."
            )
        if about["token"] != self._hash(about["salt"]):
            raise JournalMismatchError(
                "The journal belongs to another token. Customers have other ids in another workspace, so nothing is"
                " sent. Use the token that it was begun with, or another journal."
            )

    def about(self) -> dict[str, str]:
        """Return what a new journal says of the account. The token itself is not in it."""
        salt = secrets.token_hex(16)
        return {"base_url": self._base_url, "salt": salt, "token": self._hash(salt)}

    def _hash(self, salt: str) -> str:
        return hashlib.sha256(f"{salt} {self._token}".encode()).hexdigest()


class SqliteJournal:
    """An open journal, for any number of tasks."""

    def __init__(self, path: Path, owned: OwnedFile, store: Store, thread: anyio.CapacityLimiter) -> None:
        self._path = path
        self._owned = owned
        self._store = store
        self._thread = thread
        self._results: list[Callable[[Store], object]] = []  # what could not be written yet

    async def do(self, function: Callable[[Store], T], *, room: int = 0) -> T:
        """Make one transaction, and return its result.

        Args:
            function: makes it.
            room: the bytes by which the file will grow, about.

        Raises:
            JournalFullError: there is no room for it.
            JournalMismatchError: the file was moved, replaced or deleted.
            OutboxError: the file cannot be used.
        """
        return await self._in_thread(partial(self._checked, function, room))

    async def look(self, function: Callable[[Store], T]) -> T:
        """Return what the function reads. It changes nothing, so a full disk does not matter.

        Raises:
            JournalMismatchError: the file was moved, replaced or deleted.
            OutboxError: the file cannot be used.
        """
        return await self._in_thread(partial(self._looked, function))

    async def settle(self, function: Callable[[Store], T]) -> T:
        """Write the result of an attempt. If that cannot be done now, it is done with a later transaction.

        Raises:
            OutboxError: it cannot be written now.
        """
        try:
            return await self._in_thread(partial(self._settled, function))
        except OutboxError as error:
            if isinstance(error.__cause__, RuntimeError):  # there was no thread that could have kept it
                self._results.append(function)
            raise

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
            raise OutboxError(
                f"The journal {self._path} cannot be used now, because no thread could be started ({error})."
            ) from error

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
    except BaseException:
        opening.leave()
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


def journal_path(journal: object) -> Path:
    """Return the path of a journal, if it can be one."""
    text = os.fspath(journal) if isinstance(journal, str | os.PathLike) else b""
    if not isinstance(text, str) or not text:
        raise TypeError("journal must be the path of a file")
    if _URL.match(text):
        # Without what follows: it may hold a password.
        raise ValueError(f"journal must be the path of a file, not a URL that begins with {text.partition(':')[0]}://")
    if "\0" in text:
        raise ValueError("journal must not contain a null character")
    return Path(text).absolute()


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
