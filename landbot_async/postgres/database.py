"""Calls of functions in Postgres, over blocking connections in threads, each with a time limit of its own."""

from __future__ import annotations

import contextlib
import inspect
import os
import socket
import weakref
from collections import deque
from collections.abc import Generator, Sequence
from typing import Any, Final

import psycopg
from psycopg import errors
from psycopg.conninfo import conninfo_to_dict

from landbot_async._core.arguments import methods
from landbot_async._core.errors import ConfigurationError
from landbot_async._core.secret import Secret
from landbot_async._core.shared_store import StoreAwayError, Turns, in_thread

from .statements import IS_THERE, LOCK, READ_COMMITTED, READ_COMMITTED_ALWAYS, VERSION, VERSION_OF, VERSIONS, Part

# Connections that a bucket or a memory of claims makes at most, if it was given a URL.
_CONNECTIONS: Final = 2
# What may be over soon: no connection, no room for one, a standby, tables that somebody has dropped.
_AWAY: Final = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    psycopg.InternalError,
    errors.UndefinedFunction,
    errors.UndefinedTable,
    OSError,
)


class _Connections:
    """The connections made for a URL, with the one method of a pool that is needed. Threads may share it."""

    def __init__(self, url: Secret) -> None:
        self._url = url
        self._free: deque[psycopg.Connection[Any]] = deque()
        # An object that nobody closed takes its connections with it.
        weakref.finalize(self, _close_all, self._free)

    @contextlib.contextmanager
    def connection(self, timeout: float) -> Generator[psycopg.Connection[Any]]:
        """Yield a connection. If the block fails, the connection is closed."""
        try:
            connection = self._free.pop()
        except IndexError:
            connection = self._connect(timeout)
            connection.execute(READ_COMMITTED_ALWAYS)
        try:
            yield connection
        except BaseException:
            connection.close()
            raise
        self._free.append(connection)

    def _connect(self, timeout: float) -> psycopg.Connection[Any]:
        try:
            # libpq takes whole seconds, and two at the least. The caller has left by then.
            return psycopg.connect(
                self._url.reveal(), autocommit=True, connect_timeout=max(2, round(timeout)), prepare_threshold=None
            )
        except psycopg.Error as error:
            # Without the frames of psycopg, in which the URL stands, and the errors that came before.
            error.__context__ = None
            raise error.with_traceback(None) from None

    def close(self) -> None:
        """Close those that are not in use."""
        _close_all(self._free)


class Database:
    """Calls of one part's function, each in a transaction of its own with a time limit of `seconds`."""

    def __init__(self, given: Secret, part: Part, seconds: float) -> None:
        self._part = part
        self._seconds = seconds
        self._own = _Connections(_checked_url(given)) if isinstance(given.reveal(), str) else None
        self._pool: Any = self._own or _checked_pool(given.reveal())
        self._turns = Turns(_CONNECTIONS, seconds)
        self._made = False  # true once the tables are known to be there

    async def call(self, *arguments: Any) -> Sequence[Any]:
        """Return the row that the function returns.

        Raises:
            StoreAwayError: the server is away, or cannot do it now.
            ConfigurationError: the server refuses this user, or has tables of a later version.
        """
        call = _Call(self._pool, self._seconds, self._part, arguments, made=self._made, own=self._own is not None)
        try:
            row: Sequence[Any] = await self._turns.call(in_thread, call.run)
        except _AWAY as error:
            self._made = False
            if self._own is not None:
                call.cut()
            if _is_wrong_password(error):
                raise _refused(error) from error
            raise StoreAwayError(f"Postgres: {type(error).__name__}") from error
        except psycopg.Error as error:
            raise _refused(error) from error
        self._made = True
        return row

    async def aclose(self) -> None:
        """Close the connections made for a URL."""
        if self._own is not None:
            self._own.close()


class _Call:
    """One call, which runs in a thread."""

    def __init__(
        self, pool: Any, seconds: float, part: Part, arguments: Sequence[Any], *, made: bool, own: bool
    ) -> None:
        self._pool = pool
        self._seconds = seconds
        self._part = part
        self._arguments = arguments
        self._made = made
        self._own = own
        self._connection: psycopg.Connection[Any] | None = None

    def run(self) -> Sequence[Any]:
        """Return the row, after the tables were made if they have to be."""
        with self._pool.connection(timeout=self._seconds) as connection:
            self._connection = connection
            if not self._made:
                with connection.transaction():
                    make(connection, self._part)
            # A statement of our own connections is a transaction by itself, which saves three round trips.
            with contextlib.nullcontext() if self._own else connection.transaction():
                if not self._own:
                    connection.execute(READ_COMMITTED)
                row = connection.execute(self._part.call, self._arguments).fetchone()
            self._connection = None
            return row or ()

    def cut(self) -> None:
        """End the connection under a thread that still waits for a server that hangs."""
        connection = self._connection
        if connection is not None:
            with contextlib.suppress(psycopg.Error, OSError), socket.socket(fileno=os.dup(connection.fileno())) as same:
                same.shutdown(socket.SHUT_RDWR)


def _is_wrong_password(error: Exception) -> bool:
    """Return true if a connection failed for want of the right password. libpq tells no code for it."""
    connection = error.pgconn if isinstance(error, psycopg.OperationalError) else None
    return connection is not None and (connection.needs_password or "password authentication" in str(error))


def _refused(error: Exception) -> ConfigurationError:
    return ConfigurationError(
        f"Postgres refuses this user ({type(error).__name__}): check its name, password, database, schema and rights."
    )


def make(connection: psycopg.Connection[Any], part: Part) -> None:
    """Make the tables and functions of a part, if they are not there.

    Raises:
        ConfigurationError: they are there, in a later version.
    """
    connection.execute(READ_COMMITTED)
    connection.execute(LOCK)
    if connection.execute(IS_THERE).fetchone() == (False,):
        connection.execute(VERSIONS)  # even where it is there, this needs the right to create tables
    row = connection.execute(VERSION_OF, [part.name]).fetchone()
    if row is None:
        connection.execute(part.statements.encode())
        connection.execute("INSERT INTO landbot_version (part, version) VALUES (%s, %s)", [part.name, VERSION])
    elif row[0] > VERSION:
        raise ConfigurationError(
            f"The tables in Postgres are of version {row[0]}; this landbot_async knows version {VERSION}: update it."
        )


def _close_all(connections: deque[psycopg.Connection[Any]]) -> None:
    while connections:
        connections.pop().close()


def _checked_url(url: Secret) -> Secret:
    with contextlib.suppress(psycopg.Error):
        if url.reveal().startswith(("postgresql://", "postgres://")) and conninfo_to_dict(url.reveal()):
            return url
    # What psycopg says may show the password.
    raise ValueError("url_or_pool must be a pool, or a URL such as postgresql://user:password@host/database")


def _checked_pool(pool: Any) -> Any:
    if pool is None or inspect.iscoroutinefunction(getattr(pool, "getconn", None)):
        raise TypeError(
            "url_or_pool must be a psycopg_pool.ConnectionPool, whose connections block, or a URL,"
            f" not {type(pool).__name__}"
        )
    methods("url_or_pool", pool, "connection", "getconn")
    return pool
