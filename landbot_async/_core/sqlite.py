"""Opens the SQLite files of the inbox, the sandbox and the outbox: one owner each, and readers beside it.

A file is looked at before anything about it changes. One that is not ours, or is damaged, stays as it is: its bytes,
its mode, its journal mode.

Ownership is `flock` on a second file, `NAME-lock`. It belongs to the open file: it ends with the process, however that
ends, and not when something else in the process opens and closes the data file (a backup, for example). SQLite's own
locks do end then, and a program that finds none removes the write-ahead log under its owner. So the owner holds a
second set of them where the system has locks that belong to an open file (Linux).

Reasons: docs/decisions.md, "Look first" and "One owner".
"""

from __future__ import annotations

import contextlib
import errno
import math
import os
import shutil
import sqlite3
import stat
import struct
import sys
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


# Bytes of free pages, and of write-ahead log, that a file keeps for its next use.
_KEPT: Final = 1 << 20
_MANY_PAGES: Final = 500
_FEW_PAGES: Final = 5
# Bytes. With less free space than this the log is emptied after each write; below the reserve nothing is added. So
# there is always room to delete what is done, and a full disk does not stay full of it.
_LITTLE_ROOM: Final = 16 << 20
_RESERVE: Final = 128 << 10
# Seconds for which a statement waits for another program that has the file open.
_PATIENCE: Final = 5.0
# Bytes to lock, as (first, how many): those of SQLite's shared lock on a data file, of its lock on a log in use (in the
# -shm file), and one that SQLite does not use.
_SHARED: Final = (0x40000002, 510)
_LOG_IN_USE: Final = (128, 1)
_OWNED: Final = (0x40000400, 1)
# How a connection that changes nothing, not even by a lock or a companion, is asked for.
_UNTOUCHED: Final = "mode=ro&immutable=1"


class FileKind(NamedTuple):
    """A kind of file.

    Attributes:
        noun: the kind in error texts, such as `"an inbox"`.
        application_id: the number by which SQLite files of this kind are known.
        version: the version of the tables.
        statements: make the tables of a new file.
        synchronous: SQLite's setting. With `"FULL"`, what is committed survives a power cut; with `"NORMAL"`, the end
            of the process.
        secure_delete: SQLite's setting. With `"ON"`, what is deleted is overwritten, with `"FAST"` only where that
            needs no page to be written.
    """

    noun: str
    application_id: int
    version: int
    statements: tuple[str, ...]
    synchronous: str = "FULL"
    secure_delete: str = "FAST"


class FileError(Exception):
    """A file that cannot be used. The text goes on from "The file NAME"."""


class FileInUseError(FileError):
    """The file has an owner, in this process or another."""


class ForeignFileError(FileError):
    """The file is not of this kind, of a newer version, or damaged. Nothing about it has changed."""


class FileLostError(FileError):
    """The path leads to another file now, or to none."""


class DiskFullError(FileError):
    """There is no room for more."""


class OwnedFile:
    """An open file and its owner's connection. One thread may use it at a time."""

    def __init__(self, path: str, connection: sqlite3.Connection, ownership: _Ownership) -> None:
        self.connection = connection
        self._path = path
        self._ownership = ownership
        self._identity = _identity(path)
        self._log = _identity(f"{path}-wal")  # None where SQLite cannot have one
        self._page_size: int = self._value("page_size")

    def check(self) -> None:
        """Raise `FileLostError` unless the path leads to the file that is open, and its log is in its place.

        It takes a few microseconds. What is committed stands in the log alone for a while.
        """
        file = _status(self._path)
        is_there = file is not None and _number(file) == self._identity and file.st_size > 0
        if not is_there or (self._log is not None and _identity(f"{self._path}-wal") != self._log):
            raise FileLostError("was moved, replaced or deleted while it was in use: what is written to it may be lost")

    def check_room(self, size: int) -> None:
        """Raise `DiskFullError` unless the disk has room for `size` bytes more, and for deleting what is there."""
        if self._room() < 2 * size + _RESERVE:
            raise DiskFullError("cannot grow: the disk is full")

    @property
    def little_room(self) -> bool:
        """True if the disk is nearly full."""
        return self._room() < _LITTLE_ROOM

    def relieve(self) -> None:
        """Empty the log if there is little room."""
        if self.little_room:
            self._empty_log()

    @property
    def inode(self) -> int:
        """The file's number on its disk. A copy has another one."""
        return 0 if self._identity is None else self._identity[1]

    @property
    def untidy(self) -> bool:
        """True if `tidy` has something to do."""
        try:
            return self._spare_pages() > 0 or os.stat(f"{self._path}-wal").st_size > _KEPT
        except (OSError, sqlite3.Error):
            return False

    def tidy(self) -> None:
        """Return space to the disk, in a step of some milliseconds. For as long as the file is `untidy`."""
        with contextlib.suppress(sqlite3.Error):
            little_room = self.little_room
            if pages := self._spare_pages():
                self._run(f"PRAGMA incremental_vacuum({min(pages, _FEW_PAGES if little_room else _MANY_PAGES)})")
            # The data file itself shrinks when the log is written back to it.
            if little_room or not self._spare_pages():
                self._empty_log()

    def compact(self) -> None:
        """Return all free space to the disk now, and leave nothing in the log."""
        with contextlib.suppress(sqlite3.Error):
            self._run("PRAGMA incremental_vacuum")
        self._empty_log()

    def close(self) -> None:
        """Let the file go: without companions, and without free pages, unless somebody is reading it."""
        if self._ownership.inherited:
            return
        with contextlib.suppress(sqlite3.Error):
            self._run("PRAGMA busy_timeout = 0")
            self.compact()
            self._ownership.let_sqlite_alone()
            self._run("PRAGMA journal_mode = DELETE")
        self.connection.close()
        self._ownership.end()

    def _run(self, statement: str) -> None:
        # As a script: Python 3.11 takes one step only of a statement without columns, such as incremental_vacuum.
        self.connection.executescript(statement)

    def _value(self, pragma: str) -> int:
        value: int = self.connection.execute(f"PRAGMA {pragma}").fetchone()[0]
        return value

    def _empty_log(self) -> None:
        with contextlib.suppress(sqlite3.Error):
            self._run("PRAGMA wal_checkpoint(TRUNCATE)")

    def _room(self) -> float:
        try:
            return shutil.disk_usage(os.path.dirname(self._path)).free
        except OSError:
            return math.inf  # `check` tells

    def _spare_pages(self) -> int:
        """Return how many free pages to return to the disk: all but some, and none while half of the file is in use.

        While there is little room, all of them.
        """
        free = self._value("freelist_count")
        if self.little_room:
            return free
        spare = free - _KEPT // self._page_size
        return spare if spare > 0 and 2 * spare > self._value("page_count") else 0


def open_owned(
    path: str | os.PathLike[str], kind: FileKind, *, check: Callable[[sqlite3.Connection], object] | None = None
) -> OwnedFile:
    """Open a file as its owner, in WAL mode and for nobody else to read (0600). Make it if it is missing or empty.

    `check` looks at an existing file before anything about it changes; it raises ValueError if it is damaged.

    Raises:
        FileInUseError: it has an owner.
        ForeignFileError: it is something else, of a newer version, or damaged. It was not changed.
        FileError: SQLite cannot use it.
        OSError: the system cannot open it.
    """
    real = os.path.realpath(path)
    empty = _is_empty(real)
    with contextlib.ExitStack() as undo:
        ownership = _Ownership(real)
        undo.callback(ownership.end)
        if not empty:
            _look(real, kind, check)
        ownership.take()
        try:
            connection = sqlite3.connect(real, timeout=_PATIENCE, isolation_level=None, check_same_thread=False)
            undo.callback(connection.close)
            _prepare(connection, kind)
            ownership.protect()
            owned = OwnedFile(real, connection, ownership)
        except sqlite3.Error as error:
            raise FileError(f"cannot be used: {error}") from None
        undo.pop_all()
    return owned


def open_reader(path: str | os.PathLike[str], kind: FileKind) -> sqlite3.Connection:
    """Open a file for reading, owned or not. Close the connection soon: it keeps the owner's log from shrinking.

    Raises:
        ForeignFileError: it is something else, of a newer version, or empty.
        FileError: SQLite cannot use it.
        OSError: there is no such file, or the system cannot open it.
    """
    real = os.path.realpath(path)
    if not os.path.lexists(real):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), os.fspath(path))
    if _is_empty(real):
        raise ForeignFileError("is empty")
    _look_at_header(real, kind)
    return _connect(real, "mode=ro")


# Looking


def _is_empty(path: str) -> bool:
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return True
    if not stat.S_ISREG(status.st_mode):
        raise ForeignFileError("is not a regular file")
    return not status.st_size


def _look(path: str, kind: FileKind, check: Callable[[sqlite3.Connection], object] | None) -> None:
    """Raise `ForeignFileError` unless the file is of this kind and whole. Only a transaction cut short is undone."""
    _look_at_header(path, kind)
    if os.path.exists(f"{path}-journal"):
        mode = "mode=rw"
    else:
        mode = "mode=ro" if os.path.exists(f"{path}-wal") else _UNTOUCHED
    with contextlib.closing(_connect(path, mode)) as connection:
        try:
            if not connection.execute("PRAGMA page_count").fetchone()[0]:
                return  # making it was cut short
            tables = {sql for (sql,) in connection.execute("SELECT sql FROM sqlite_schema")}
            fault: str = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        except sqlite3.OperationalError as error:
            raise FileError(f"cannot be used: {error}") from None
        except sqlite3.DatabaseError as error:
            raise ForeignFileError(f"is damaged: {error}") from None
        if fault != "ok":
            raise ForeignFileError(f"is damaged: {' '.join(fault.split())}")
        if not tables.issuperset(kind.statements):
            raise ForeignFileError("is damaged: a table is missing")
        if check is not None:
            try:
                check(connection)
            except ValueError as error:
                raise ForeignFileError(str(error)) from None


def _look_at_header(path: str, kind: FileKind) -> None:
    with contextlib.closing(_connect(path, _UNTOUCHED)) as connection:
        try:
            application, version = (
                connection.execute(f"PRAGMA {each}").fetchone()[0] for each in ("application_id", "user_version")
            )
        except sqlite3.DatabaseError:
            application, version = _damaged_header(path)
    if application != kind.application_id or version < 1:
        raise ForeignFileError(f"is not the file of {kind.noun}")
    if version > kind.version:
        raise ForeignFileError(f"is the file of {kind.noun} of a newer version of landbot_async: upgrade this one")


def _damaged_header(path: str) -> tuple[int, int]:
    """Return application id and version of a file that SQLite cannot read without undoing a transaction, or not at all.

    Only then: to open and close a file drops the locks that anybody else in this process has on it.
    """
    with open(path, "rb") as file:
        magic, version, application = struct.unpack(">16s44xi4xi28x", file.read(100).ljust(100, b"\0"))
    return (application, version) if magic == b"SQLite format 3\0" else (0, 0)


def _connect(path: str, mode: str) -> sqlite3.Connection:
    uri = f"{Path(path).as_uri()}?{mode}"
    try:
        return sqlite3.connect(uri, uri=True, timeout=_PATIENCE, isolation_level=None, check_same_thread=False)
    except sqlite3.Error as error:
        raise FileError(f"cannot be used: {error}") from None


# Owning


def _prepare(connection: sqlite3.Connection, kind: FileKind) -> None:
    run = connection.execute
    if not run("PRAGMA page_count").fetchone()[0]:
        run("BEGIN")
        run("PRAGMA auto_vacuum = INCREMENTAL")
        for statement in kind.statements:
            run(statement)
        run(f"PRAGMA application_id = {kind.application_id}")
        run(f"PRAGMA user_version = {kind.version}")
        run("COMMIT")
    run("PRAGMA journal_mode = WAL")
    run(f"PRAGMA synchronous = {kind.synchronous}")
    run(f"PRAGMA journal_size_limit = {_KEPT}")
    # Some systems make SQLite overwrite every page that becomes free, which needs room where there is none.
    run(f"PRAGMA secure_delete = {kind.secure_delete}")
    # Now SQLite makes the log's companion, if there was none.
    run("SELECT count(*) FROM sqlite_schema").fetchone()


class _Ownership:
    """The locks of one owner, and the open files that they belong to."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._process = os.getpid()
        self._descriptors = [_open_lock(f"{path}-lock")]
        self._shared: list[tuple[int, tuple[int, int]]] = []
        _ownerships.add(self)

    @property
    def inherited(self) -> bool:
        """True in a child process, which is not the owner."""
        return self._process != os.getpid()

    def take(self) -> None:
        """Own the data file itself too: it may have other names. Make it if it is missing."""
        data = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        self._descriptors.append(data)
        try:
            _lock_bytes(data, "F_WRLCK", _OWNED)
        except (BlockingIOError, PermissionError):
            raise _in_use() from None

    def protect(self) -> None:
        """Let nobody else read the file and its companions, and hold SQLite's shared locks a second time."""
        for companion in ("", "-wal", "-shm", "-lock"):
            with contextlib.suppress(FileNotFoundError):
                os.chmod(f"{self._path}{companion}", 0o600)
        self._shared = [(self._descriptors[1], _SHARED)]
        with contextlib.suppress(FileNotFoundError):  # where SQLite cannot have a log
            self._descriptors.append(os.open(f"{self._path}-shm", os.O_RDWR))
            self._shared.append((self._descriptors[2], _LOG_IN_USE))
        for descriptor, which in self._shared:
            _lock_bytes(descriptor, "F_RDLCK", which)

    def let_sqlite_alone(self) -> None:
        """Release SQLite's locks: the files stay open, or SQLite would lose its own locks now."""
        for descriptor, which in self._shared:
            _lock_bytes(descriptor, "F_UNLCK", which)

    def end(self) -> None:
        """Release everything. SQLite's connection must have been closed."""
        if not self._descriptors:
            return
        lock, *others = self._descriptors
        for descriptor in others:
            os.close(descriptor)
        # Whoever opened it before it goes looks again after locking it.
        with contextlib.suppress(OSError):
            if _identity(f"{self._path}-lock") == _identity(lock) and not os.fstat(lock).st_size:
                os.unlink(f"{self._path}-lock")
        os.close(lock)
        self._descriptors = []

    def forget(self) -> None:
        """Close what a child process has of its parent's."""
        for descriptor in self._descriptors:
            os.close(descriptor)
        self._descriptors = []


_ownerships: weakref.WeakSet[_Ownership] = weakref.WeakSet()


def _forget_all() -> None:
    for each in _ownerships:
        each.forget()


# A child has its parent's open files, and would keep their locks.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)


def _open_lock(path: str) -> int:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600)
        try:
            _lock(descriptor)
            # Its last owner may have removed it meanwhile, and somebody may have made another.
            if _identity(path) == _identity(descriptor):
                return descriptor
        except (BlockingIOError, PermissionError):
            os.close(descriptor)
            raise _in_use() from None
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _lock_bytes(descriptor: int, kind: str, which: tuple[int, int]) -> None:
    """Lock bytes of a file for this one open file, where the system can. It fails at once if another has them."""
    if sys.platform == "linux":
        first, how_many = which
        request = struct.pack("hhqqi", getattr(fcntl, kind), os.SEEK_SET, first, how_many, 0)
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, request)


def _in_use() -> FileInUseError:
    return FileInUseError("is in use, by another process or elsewhere in this one")


def _identity(file: str | int) -> tuple[int, int] | None:
    """Return the device and number of a file, which no other has, or None if there is none."""
    status = _status(file)
    return None if status is None else _number(status)


def _number(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _status(file: str | int) -> os.stat_result | None:
    try:
        return os.stat(file)
    except OSError:
        return None
