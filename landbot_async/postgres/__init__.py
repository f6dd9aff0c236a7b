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

import os
import secrets
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Final, Literal, Self

from landbot_async._core.extras import extra_required
from landbot_async._core.shared_limiter import DEADLINE, Operation, SharedTokenBucket, limiter_key, store_key
from landbot_async._core.tasks import uninterrupted
from landbot_async.webhooks.claims import Claim

from .statements import CLAIMS_PART, LIMITS_PART

with extra_required("landbot_async.postgres", "postgres"):
    from .database import Database

__all__ = ["PostgresClaims", "PostgresTokenBucket", "limiter_key"]

# Seconds that a call about a claim may take. A delivery has more time than a call of the API.
_CLAIMS_DEADLINE: Final = 2.0
_CLAIMS: Final = (Claim.NEW, Claim.HELD, Claim.SEEN)


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
        self._database = Database(url_or_pool, CLAIMS_PART, _CLAIMS_DEADLINE)
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
        self._database = Database(url_or_pool, LIMITS_PART, DEADLINE)

    async def ask(self, operation: Operation, *numbers: int) -> Sequence[int]:
        """Return the three numbers of the outcome."""
        return await self._database.call(operation, self._key, *numbers)

    async def aclose(self) -> None:
        """Close the connections made for a URL."""
        await self._database.aclose()
