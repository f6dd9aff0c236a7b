"""The limit and the claims that several processes share, in Postgres. Extra `[postgres]`.

Postgres from 13 on. Calls go through psycopg's blocking connections in threads, on asyncio and on trio alike, and each
has a time limit of its own. Tables and functions, all called `landbot_…`, are made on first use in the schema that the
connection uses, so its user needs the right to create them once.

    url = "postgresql://…"
    landbot = AsyncLandbot(limiter=PostgresTokenBucket(url, key=limiter_key(token, base_url)))
    inbox = Inbox(hook_token, claims=PostgresClaims(url))

See docs/deployment.md.
"""

from __future__ import annotations

import contextlib
import inspect
import os
import secrets
import socket
import weakref
from collections import deque
from collections.abc import Generator, Sequence
from string import Template
from types import TracebackType
from typing import Any, Final, Literal, Self

from ._core.arguments import methods
from ._core.errors import ConfigurationError
from ._core.extras import extra_required
from ._core.secret import Secret
from ._core.shared_limiter import CONSTANTS, DEADLINE, Operation, SharedTokenBucket, limiter_key, store_key
from ._core.shared_store import StoreAwayError, Threads, within
from ._core.tasks import uninterrupted
from .webhooks.claims import Claim

with extra_required("landbot_async.postgres", "postgres"):
    import psycopg
    from psycopg import errors
    from psycopg.conninfo import conninfo_to_dict

__all__ = ["PostgresClaims", "PostgresTokenBucket", "limiter_key"]

# Seconds that a call about a claim may take. A delivery has more time than a call of the API.
_CLAIMS_DEADLINE: Final = 2.0
# Connections that a bucket or a memory of claims makes at most, if it was given a URL.
_CONNECTIONS: Final = 2

VERSION: Final = 1
"""The version of tables and functions."""

# The same algorithm stands in landbot_async/redis.py and in tests/shared/model.py. Times are whole microseconds of the
# server's clock, which is read once the row is locked. Losing the last moments in a crash is detected, so a commit need
# not wait for the disk. A row that is changed ten times a second finds room for its next version on its own page.
LIMIT: Final = """
CREATE TABLE landbot_limits (
  key text PRIMARY KEY,
  rate integer NOT NULL,
  per bigint NOT NULL,
  seen bigint NOT NULL,
  next bigint NOT NULL DEFAULT 0,
  paused bigint NOT NULL DEFAULT 0,
  learned bigint NOT NULL DEFAULT 0,
  total bigint NOT NULL DEFAULT 0,
  margin float8 NOT NULL DEFAULT $LEAST_MARGIN,
  starts bigint[] NOT NULL DEFAULT '{}'
) WITH (fillfactor = 10);

CREATE FUNCTION landbot_limit(
  operation text, name text, its_rate integer, its_per bigint, known bigint, first bigint, second bigint,
  OUT outcome bigint, OUT value bigint, OUT count bigint
) LANGUAGE plpgsql AS $$$$
DECLARE
  it landbot_limits%ROWTYPE;
  gap float8 := its_per::float8 / its_rate;
  moment bigint;
  back bigint;
  place integer;
  earliest float8;
  echo boolean;
BEGIN
  PERFORM set_config('synchronous_commit', 'off', true);
  LOOP
    SELECT * INTO it FROM landbot_limits WHERE key = name FOR UPDATE;
    EXIT WHEN FOUND;
    INSERT INTO landbot_limits (key, rate, per, seen) VALUES (name, its_rate, its_per, 0) ON CONFLICT DO NOTHING;
  END LOOP;
  moment := floor(extract(epoch FROM clock_timestamp()) * 1000000);

  IF moment > greatest(it.seen, it.next, it.paused) + 2 * its_per + $KEPT THEN
    -- Nobody has used it for long, or it is new.
    it.rate := its_rate;
    it.per := its_per;
    it.seen := moment;
    it.next := 0;
    it.paused := 0;
    it.learned := 0;
    it.total := 0;
    it.margin := $LEAST_MARGIN;
    it.starts := '{}';
  ELSIF it.rate <> its_rate OR it.per <> its_per THEN
    outcome := 2;
    value := it.rate;
    count := it.per;
    RETURN;
  END IF;
  -- The clock went back: so do all times, or nobody would start until it is there again.
  back := greatest(0, it.seen - moment);
  it.seen := moment;
  it.next := it.next - back;
  it.paused := it.paused - back;
  it.learned := it.learned - back;
  it.starts := ARRAY(SELECT start - back FROM unnest(it.starts) AS start ORDER BY start);
  -- Starts were forgotten.
  IF known > it.total THEN
    it.total := known;
    it.paused := greatest(it.paused, moment + its_per);
  END IF;

  outcome := 0;
  value := 0;
  IF operation = 'reserve' THEN
    earliest := greatest(moment, it.paused);
    value := greatest(earliest, it.next);
    it.next := ceil(value + gap * (1 + it.margin));
    value := value - moment;
  ELSIF operation = 'confirm' THEN
    earliest := greatest(moment, it.paused);
    IF cardinality(it.starts) > 0 THEN
      earliest := greatest(earliest, it.starts[cardinality(it.starts)] + gap);
    END IF;
    IF cardinality(it.starts) = its_rate THEN
      earliest := greatest(earliest, it.starts[1] + its_per * (1 + $WINDOW_SHARE * it.margin));
    END IF;
    earliest := ceil(earliest);
    IF earliest <= moment THEN
      outcome := 1;
      value := moment;
      it.total := it.total + 1;
      it.margin := it.margin - $NARROW * (it.margin - $LEAST_MARGIN);
    ELSIF earliest - moment <= gap THEN
      value := earliest - moment;
    ELSE
      value := greatest(earliest, it.next);
      it.next := ceil(value + gap * (1 + it.margin));
      value := value - moment;
    END IF;
  ELSIF operation = 'renew' THEN
    IF moment < first + its_per AND moment >= it.paused THEN
      outcome := 1;
      value := moment;
    ELSE
      outcome := 3;
    END IF;
  ELSIF operation = 'written' THEN
    outcome := 1;
    value := moment - second;
  ELSE
    echo := CASE WHEN second > 0 THEN second <= it.learned ELSE moment < it.paused END;
    IF NOT echo THEN
      it.learned := moment;
      it.margin := least($MOST_MARGIN, it.margin + greatest($WIDEN, $WIDEN_SHARE * it.margin));
    END IF;
    it.paused := greatest(it.paused, moment + first);
  END IF;
  IF outcome = 1 THEN
    -- A start that was counted before counts from its new time.
    IF operation <> 'confirm' AND first = ANY (it.starts) THEN
      place := array_position(it.starts, first);
      it.starts := it.starts[: place - 1] || it.starts[place + 1 :];
    END IF;
    it.starts := ARRAY(
      SELECT start FROM (SELECT unnest(it.starts || value) AS start ORDER BY start DESC LIMIT its_rate) AS last
      ORDER BY start
    );
  END IF;

  UPDATE landbot_limits SET rate = it.rate, per = it.per, seen = it.seen, next = it.next, paused = it.paused,
    learned = it.learned, total = it.total, margin = it.margin, starts = it.starts
  WHERE key = name;
  count := it.total;
END $$$$;
"""

# The keys of messages: seen, if nobody owns them, or held. Of the processes that ask for the same keys, one goes first.
CLAIMS: Final = """
CREATE TABLE landbot_claims (key bytea PRIMARY KEY, owner text, expires timestamptz NOT NULL);

CREATE INDEX landbot_claims_expires ON landbot_claims (expires);

CREATE FUNCTION landbot_claim(operation text, keys bytea[], process text, seconds float8) RETURNS integer
LANGUAGE plpgsql AS $$$$
DECLARE
  lock bigint;
  found_as integer;
BEGIN
  FOR lock IN SELECT DISTINCT hashtextextended(encode(each, 'hex'), 0) FROM unnest(keys) AS each ORDER BY 1 LOOP
    PERFORM pg_advisory_xact_lock(lock);
  END LOOP;
  IF operation = 'release' THEN
    DELETE FROM landbot_claims WHERE key = ANY (keys) AND owner = process;
    RETURN 0;
  END IF;
  IF operation = 'claim' THEN
    SELECT CASE WHEN bool_or(owner IS NULL) THEN 2 WHEN bool_or(true) THEN 1 ELSE 0 END INTO found_as
    FROM landbot_claims WHERE key = ANY (keys) AND expires > clock_timestamp();
    IF found_as > 0 THEN RETURN found_as; END IF;
  END IF;
  INSERT INTO landbot_claims (key, owner, expires)
  SELECT each, CASE operation WHEN 'claim' THEN process END, clock_timestamp() + seconds * interval '1 second'
  FROM (SELECT DISTINCT unnest(keys) AS each) AS once
  ON CONFLICT (key) DO UPDATE SET owner = excluded.owner, expires = excluded.expires;
  -- Each claim takes a few expired ones away.
  DELETE FROM landbot_claims WHERE key IN (
    SELECT key FROM landbot_claims WHERE expires < now() ORDER BY expires LIMIT 10 FOR UPDATE SKIP LOCKED
  );
  RETURN 0;
END $$$$;
"""
_CLAIMS: Final = (Claim.NEW, Claim.HELD, Claim.SEEN)

_VERSIONS: Final = "CREATE TABLE IF NOT EXISTS landbot_version (part text PRIMARY KEY, version integer NOT NULL)"
_VERSION_OF: Final = "SELECT version FROM landbot_version WHERE part = %s"
# One process makes the tables, and the others wait.
_LOCK: Final = "SELECT pg_advisory_xact_lock(hashtextextended('landbot_version', 0))"
_READ_COMMITTED: Final = "SET TRANSACTION ISOLATION LEVEL READ COMMITTED"
_ALWAYS_READ_COMMITTED: Final = "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED"

# What may be over soon: no connection, no room for one, a standby, tables that somebody has dropped.
_AWAY: Final = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    psycopg.InternalError,
    errors.UndefinedFunction,
    errors.UndefinedTable,
    OSError,
)


class _Part:
    """A table with its function.

    Attributes:
        name: its name among the versions.
        statements: what makes it.
        call: the statement that calls its function.
    """

    def __init__(self, name: str, statements: str, call: str) -> None:
        self.name = name
        self.statements = Template(statements).substitute(CONSTANTS)
        self.call = call


LIMITS_PART: Final = _Part("limits", LIMIT, "SELECT * FROM landbot_limit(%s, %s, %s, %s, %s, %s, %s)")
CLAIMS_PART: Final = _Part("claims", CLAIMS, "SELECT landbot_claim(%s, %s, %s, %s)")


class PostgresTokenBucket(SharedTokenBucket):
    """At most `rate` starts in any stretch of `per` seconds, in all processes that use the same database and key.

    First come, first served within a process, and fair between processes. It connects when it is first used, works
    without `async with`, and belongs to the event loop of its first use.

    Args:
        url_or_pool: a URL such as `postgresql://user:password@host/database`, or a `psycopg_pool.ConnectionPool`, which
            is never closed. A URL makes two connections at most.
        key: the name of the limit, one for each token and API: `limiter_key(token, base_url)`.
        rate: starts allowed in a window, a whole number up to 1,000.
        per: the window, in seconds.
        on_store_error: `"raise"` a `LimiterError` within half a second while Postgres is away, which suits web
            handlers; or `"wait"` until it is back, which suits batch jobs.

    Raises:
        TypeError: an argument has the wrong type.
        ValueError: an argument is out of range, or the URL is none of Postgres.
    """

    def __init__(
        self,
        url_or_pool: Any,
        *,
        key: str,
        rate: int = 10,
        per: float = 1.0,
        on_store_error: Literal["raise", "wait"] = "raise",
    ) -> None:
        super().__init__(_Limits(url_or_pool, key), rate=rate, per=per, on_store_error=on_store_error)


class PostgresClaims:
    """A memory of messages that the inboxes of several processes share: `Inbox(token, claims=PostgresClaims(url))`.

    It connects when it is first used, and works without `async with`.

    Args:
        url_or_pool: a URL such as `postgresql://user:password@host/database`, or a `psycopg_pool.ConnectionPool`, which
            is never closed. A URL makes two connections at most.
        key: the name of the memory. Programs that each have to handle the same messages need a name of their own.

    Raises:
        TypeError, ValueError: an argument cannot be right.
    """

    def __init__(self, url_or_pool: Any, *, key: str = "inbox") -> None:
        self._database = _Database(url_or_pool, CLAIMS_PART, _CLAIMS_DEADLINE)
        self._prefix = f"{store_key(key)}:"
        self._name = secrets.token_hex(8)

    def __repr__(self) -> str:
        return "PostgresClaims()"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections made for a URL. Using it again makes new ones."""
        await uninterrupted(self._database.aclose)

    async def claim(self, keys: Sequence[str], seconds: float) -> Claim:
        """Claim the message with these keys for `seconds`, unless any of them is seen or held.

        Raises:
            ConnectionError: Postgres is away.
            ConfigurationError: Postgres refuses this user, or has tables of a later version.
        """
        return _CLAIMS[await self._run("claim", keys, seconds)]

    async def keep(self, keys: Sequence[str], seconds: float) -> None:
        """Note that the message was taken: its keys are seen for `seconds`, whoever holds the claim by now.

        Raises:
            ConnectionError: Postgres is away.
            ConfigurationError: Postgres refuses this user, or has tables of a later version.
        """
        await self._run("keep", keys, seconds)

    async def release(self, keys: Sequence[str]) -> None:
        """Give up a claim, because the message was not taken. Keys that are seen, or claimed by another process, stay.

        Raises:
            ConnectionError: Postgres is away.
            ConfigurationError: Postgres refuses this user, or has tables of a later version.
        """
        await self._run("release", keys, 0)

    async def _run(self, operation: str, keys: Sequence[str], seconds: float) -> int:
        # Half a character, which JSON can bring, has to be a key as well.
        names = [(self._prefix + key).encode("utf-8", "surrogatepass") for key in keys]
        # The process's number, because a server may have forked after this was made.
        [found] = await self._database.call(operation, names, f"{self._name}:{os.getpid()}", float(seconds))
        return int(found)


class _Limits:
    """Limits in Postgres, as `SharedTokenBucket` needs them."""

    def __init__(self, url_or_pool: Any, key: str) -> None:
        self._key = store_key(key)
        self._database = _Database(url_or_pool, LIMITS_PART, DEADLINE)

    async def ask(self, operation: Operation, *numbers: int) -> Sequence[int]:
        """Return the three numbers of the outcome."""
        return await self._database.call(operation, self._key, *numbers)

    async def aclose(self) -> None:
        """Close the connections made for a URL."""
        await self._database.aclose()


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
            # libpq takes whole seconds, and two at the least. The caller has left by then.
            connection = psycopg.connect(
                self._url.reveal(), autocommit=True, connect_timeout=max(2, round(timeout)), prepare_threshold=None
            )
            connection.execute(_ALWAYS_READ_COMMITTED)
        try:
            yield connection
        except BaseException:
            connection.close()
            raise
        self._free.append(connection)

    def close(self) -> None:
        """Close those that are not in use."""
        _close_all(self._free)


class _Database:
    """Calls of one part's function, each in a transaction of its own with a time limit of `seconds`."""

    def __init__(self, url_or_pool: Any, part: _Part, seconds: float) -> None:
        self._part = part
        self._seconds = seconds
        self._own = _Connections(_checked_url(Secret(url_or_pool))) if isinstance(url_or_pool, str) else None
        self._pool: Any = self._own or _checked_pool(url_or_pool)
        self._threads = Threads(_CONNECTIONS)
        self._made = False  # true once the tables are known to be there

    async def call(self, *arguments: Any) -> Sequence[Any]:
        """Return the row that the function returns.

        Raises:
            StoreAwayError: the server is away, or cannot do it now.
            ConfigurationError: the server refuses this user, or has tables of a later version.
        """
        call = _Call(self._pool, self._seconds, self._part, arguments, made=self._made, own=self._own is not None)
        try:
            row: Sequence[Any] = await within(self._seconds, self._threads.run, call.run)
        except _AWAY as error:
            self._made = False
            if self._own is not None:
                call.cut()
            if _has_asked_for_a_password(error):
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
        self, pool: Any, seconds: float, part: _Part, arguments: Sequence[Any], *, made: bool, own: bool
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
                    _make(connection, self._part)
            # A statement of our own connections is a transaction by itself, which saves three round trips.
            with contextlib.nullcontext() if self._own else connection.transaction():
                if not self._own:
                    connection.execute(_READ_COMMITTED)
                row = connection.execute(self._part.call, self._arguments).fetchone()
            self._connection = None
            return row or ()

    def cut(self) -> None:
        """End the connection under a thread that still waits for a server that hangs."""
        connection = self._connection
        if connection is not None:
            with contextlib.suppress(psycopg.Error, OSError), socket.socket(fileno=os.dup(connection.fileno())) as same:
                same.shutdown(socket.SHUT_RDWR)


def _has_asked_for_a_password(error: Exception) -> bool:
    """Return true if a connection failed after the server had asked for a password: it was wrong."""
    connection = error.pgconn if isinstance(error, psycopg.OperationalError) else None
    return connection is not None and bool(connection.used_password or connection.needs_password)


def _refused(error: Exception) -> ConfigurationError:
    return ConfigurationError(
        f"Postgres refuses this user ({type(error).__name__}): check its name, password, database, schema and rights."
    )


def _make(connection: psycopg.Connection[Any], part: _Part) -> None:
    """Make the tables and functions of a part, if they are not there.

    Raises:
        ConfigurationError: they are there, in a later version.
    """
    connection.execute(_READ_COMMITTED)
    connection.execute(_LOCK)
    connection.execute(_VERSIONS)
    row = connection.execute(_VERSION_OF, [part.name]).fetchone()
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
