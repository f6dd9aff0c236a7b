"""A connection to Postgres as the journal's statements use it: made when it is needed, and anew after it was lost.

A transaction that was interrupted is made again. If there was no response to its COMMIT, the next connection looks if
it happened, so each is made exactly once: every transaction writes its number into the session's row of `landbot_turn`.
The server's own numbers (`pg_xact_status`) do not tell, because it gives them anew after a crash.

No error keeps a frame of psycopg's that has the URL in it, and none has a row's content in its text.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any, Final, TypeVar

import psycopg
from psycopg.conninfo import conninfo_to_dict

from landbot_async._core.errors import JournalFullError, OutboxError
from landbot_async._core.secret import MASK, Secret

from . import statements as sql
from .journal import NoOutboxError
from .rows import Cursor

T = TypeVar("T")

# Seconds between two attempts to reach Postgres.
_PAUSE: Final = 0.1
# Seconds after which a server that hangs is taken for one that is away.
_STUCK: Final = 60.0
# Seconds. A peer that is gone without a word is noticed so.
_DEFAULTS: Final[Mapping[str, Any]] = {
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,  # milliseconds
}
# What may be over soon: shut down, starting, no room for a connection, a standby.
_AWAY: Final = ("57P01", "57P02", "57P03", "53300", "25006")
# Two transactions were in each other's way.
_AGAIN: Final = ("40001", "40P01")
_FULL: Final = "53100"
_LOCKED: Final = "55P03"
_NO_TABLE: Final = "42P01"
# libpq tells no code if a connection is refused.
_REFUSALS: Final = ("password authentication failed", "does not exist", "no pg_hba.conf entry")

# One round trip. Transactions of an outbox go one after another, as in a file, and a process that is suspended in one
# lets the others go on. The clock is looked at once the turn has come. With less than `on`, a crash of the server could
# lose a mark, and then the message is sent twice; an empty lock is none.
_BEGIN: Final = """
BEGIN ISOLATION LEVEL READ COMMITTED;
SET LOCAL idle_in_transaction_session_timeout = '10s';
SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') IN ('off', 'local');
SET LOCAL lock_timeout = 0;
{lock};
SET LOCAL lock_timeout = '3s';
INSERT INTO landbot_turn VALUES ('{session}', {number}, extract(epoch FROM now()))
ON CONFLICT (session) DO UPDATE SET number = excluded.number, at = excluded.at;
SELECT extract(epoch FROM clock_timestamp())::float8
"""
_LOCK: Final = (
    "SELECT pg_advisory_xact_lock(hashtextextended("
    "'landbot_outbox ' || 'landbot_message'::regclass::oid || ' ' || {outbox}, 0))"
)
# It waits for a transaction that the server still works on.
_LAST_TURN: Final = "SELECT number FROM landbot_turn WHERE session = %s FOR UPDATE"
TURNS: Final = (
    "CREATE TABLE landbot_turn (session TEXT PRIMARY KEY, number bigint NOT NULL, at double precision NOT NULL)"
)
# Seconds after which the row of a session that has not ended by itself is deleted.
_KEPT: Final = 30 * 86_400
_FORGET_TURNS: Final = "DELETE FROM landbot_turn WHERE at < extract(epoch FROM now()) - %s"
_FIRST_TURN: Final = "INSERT INTO landbot_turn VALUES (%s, 0, extract(epoch FROM now()))"
_END_TURNS: Final = "DELETE FROM landbot_turn WHERE session = %s"


class AwayError(OutboxError):
    """Postgres cannot be reached now, or has lost the connection."""


class Url:
    """The URL of a database. Its text has no password.

    Args:
        url: such as `postgresql://user:password@host/database`.

    Raises:
        ValueError: libpq cannot read it. The text shows nothing of it.
    """

    def __init__(self, url: Secret) -> None:
        self.parts: Secret = Secret({})
        with contextlib.suppress(psycopg.Error):
            self.parts = Secret(conninfo_to_dict(url.reveal()))
        if not self.parts.reveal():
            # What psycopg says may show the password.
            raise ValueError("journal is no URL such as postgresql://user:password@host/database")
        given = self.parts.reveal()
        user = given.get("user", "")
        name = f"{user}:{MASK}@" if "password" in given else f"{user}@" if user else ""
        port = f":{given['port']}" if "port" in given else ""
        self._shown = f"postgresql://{name}{given.get('host', '')}{port}/{given.get('dbname', '')}"

    def __str__(self) -> str:
        return self._shown

    def connect(self) -> psycopg.Connection[Any]:
        """Make a connection.

        Raises:
            AwayError: there is none to be had now.
            OutboxError: the server refuses this user, or has no such database.
        """
        try:
            return psycopg.connect(
                **{**_DEFAULTS, **self.parts.reveal()},
                autocommit=True,
                client_encoding="UTF8",
                prepare_threshold=None,
            )
        except psycopg.Error as error:
            # Its frames hold the password, so nothing of it is kept but the text, which does not.
            text = self._redacted(" ".join(str(error).split()))
            refused = error.pgconn is not None and (
                bool(error.pgconn.needs_password) or any(each in text for each in _REFUSALS)
            )
        raise (OutboxError if refused else AwayError)(f"The journal {self} cannot be opened: {text}")

    def _redacted(self, text: str) -> str:
        for name in ("password", "sslpassword"):
            text = Secret(self.parts.reveal().get(name, "")).redact(text) if name in self.parts.reveal() else text
        return text


class Session:
    """A connection for one thread at a time."""

    def __init__(self, url: Url) -> None:
        self.url: Url = url
        self.patience: float = 0.0
        """Seconds for which a call waits for Postgres to be back."""
        self.ahead: float = 0.0
        """Seconds by which the server's clock is ahead of this machine's."""
        self._connection: psycopg.Connection[Any] | None = None
        self._lock = "SELECT"
        self._name = secrets.token_hex(8)
        self._began_at = 0.0
        self._number = 0  # of the newest transaction
        self._away_since: float | None = None
        self._busy_since: float | None = None

    def introduce(self) -> None:
        """Make the row of this session. Tables have to be there, and `telling` around it."""
        self.execute(_FORGET_TURNS, (_KEPT,))
        self.execute(_FIRST_TURN, (self._name,))

    def belong_to(self, outbox: int) -> None:
        """Have transactions take turns with those of other processes in this outbox."""
        self._lock = _LOCK.format(outbox=outbox)

    def now(self) -> float:
        """Return the server's time at the beginning of the transaction, in Unix seconds."""
        return self._began_at

    def execute(self, statement: str, values: Sequence[Any] = ()) -> Cursor:
        """Run a statement.

        Raises:
            AwayError: the connection is lost, and with it the transaction.
            OutboxError: the server refuses it.
            JournalFullError: it has no room.
            ValueError: a text has a null character.
        """
        if statement == sql.BEGIN:
            return self._begin()
        if statement == sql.COMMIT:
            return self._commit()
        return self._execute(statement, values)

    def run(self, function: Callable[[], T]) -> T:
        """Call a function of which each part is a transaction, or a question. If Postgres is away, wait for it.

        Raises:
            OutboxError: Postgres is away for too long, or refuses what is asked.
        """
        self._busy_since = time.monotonic()
        try:
            while True:
                try:
                    self._open()
                    result = function()
                except AwayError as error:
                    self._wait(error)
                else:
                    self._away_since = None
                    return result
        finally:
            self._busy_since = None

    def cut_if_stuck(self) -> None:
        """End the connection under the thread that uses it, if the server hangs. Any thread may call this."""
        since, connection = self._busy_since, self._connection
        if since is None or connection is None or time.monotonic() - since < _STUCK:
            return
        with contextlib.suppress(psycopg.Error, OSError), socket.socket(fileno=os.dup(connection.fileno())) as same:
            same.shutdown(socket.SHUT_RDWR)

    def leave(self) -> None:
        """Delete the row of this session, if that can be done now, and close the connection."""
        self._busy_since = time.monotonic()
        with contextlib.suppress(OutboxError):
            self.execute(_END_TURNS, (self._name,))
        self._busy_since = None
        self.close()

    def close(self) -> None:
        """Close the connection. Using it again makes a new one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _open(self) -> None:
        if self._connection is None:
            self._connection = self.url.connect()

    def _wait(self, error: AwayError) -> None:
        now = time.monotonic()
        if self._away_since is None:
            self._away_since = now
        if now - self._away_since >= self.patience:
            raise OutboxError(str(error)) from None
        # The time at which the server was away does not count as a hang of it.
        self._busy_since = now
        time.sleep(_PAUSE)

    def _begin(self) -> Cursor:
        self._busy_since = time.monotonic()  # many short transactions are no hang
        asked_at = time.time()
        self._number += 1
        cursor = self._execute(_BEGIN.format(lock=self._lock, session=self._name, number=self._number), ())
        while cursor.nextset():
            pass
        [self._began_at] = cursor.fetchone() or (0.0,)
        self.ahead = self._began_at - (asked_at + time.time()) / 2
        return cursor

    def _commit(self) -> Cursor:
        try:
            return self._execute(sql.COMMIT, ())
        except AwayError as error:
            lost = error
        while True:
            try:
                self._open()
                asked = self._execute(_LAST_TURN, (self._name,))
            except AwayError as error:
                self._wait(error)
                continue
            if asked.fetchone() != (self._number,):
                raise lost
            return asked

    def _execute(self, statement: str, values: Sequence[Any]) -> psycopg.Cursor[Any]:
        with self.telling(adding=statement.startswith(sql.ADDING)) as connection:
            return connection.execute(statement.encode(), values or None)

    @contextlib.contextmanager
    def telling(self, *, adding: bool = False) -> Generator[psycopg.Connection[Any]]:
        """Yield the open connection, and tell its errors as `execute` does. `adding`: it is used to queue messages."""
        if self._connection is None:
            raise AwayError(f"The journal {self.url} cannot be used: the connection was lost.")
        try:
            yield self._connection
        except psycopg.Error as error:
            raise self._problem(error, adding=adding) from None

    def _problem(self, error: psycopg.Error, *, adding: bool) -> Exception:
        """Return what is raised for an error of psycopg, without a row's content."""
        state = error.sqlstate or ""
        said = error.diag.message_primary or type(error).__name__
        text = f"The journal {self.url} cannot be used: {said}."
        if self._connection is None or self._connection.closed or state in _AWAY:
            self.close()
            return AwayError(text)
        if state in _AGAIN or (state == _LOCKED and not adding):
            return AwayError(text)
        if state == _FULL:
            return JournalFullError(f"The journal {self.url} cannot grow: the server's disk is full.")
        if state == _LOCKED:
            return OutboxError(
                f"The journal {self.url} cannot be used: a transaction that is still open has queued one of these keys."
            )
        if state == _NO_TABLE:
            return NoOutboxError(text)
        if isinstance(error, psycopg.DataError) and not state:
            return ValueError("Postgres takes no text with a null character: look at key, note and name.")
        return OutboxError(text)
