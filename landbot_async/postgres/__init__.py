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

from collections.abc import Sequence
from typing import Any, Literal

from landbot_async._core.extras import extra_required
from landbot_async._core.secret import Secret
from landbot_async._core.shared_limiter import (
    DEADLINE,
    Operation,
    SharedTicket,
    SharedTokenBucket,
    limiter_key,
    store_key,
)
from landbot_async.webhooks.shared_claims import DEADLINE as CLAIMS_DEADLINE
from landbot_async.webhooks.shared_claims import Operation as ClaimOperation
from landbot_async.webhooks.shared_claims import SharedClaims

from .statements import CLAIMS_PART, LIMITS_PART

with extra_required("landbot_async.postgres", "postgres"):
    from .database import Database

__all__ = ["PostgresClaims", "PostgresTokenBucket", "SharedTicket", "limiter_key"]


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
        given, url_or_pool = Secret(url_or_pool), None  # no frame of a traceback shows a password in it
        super().__init__(_Limits(given, key), rate=rate, per=per, on_store_error=on_store_error)


class PostgresClaims(SharedClaims):
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
        given, url_or_pool = Secret(url_or_pool), None  # as above
        super().__init__(_ClaimStore(given), f"{store_key(key)}:")


class _ClaimStore:
    """Claims in Postgres, as `SharedClaims` needs them."""

    def __init__(self, given: Secret) -> None:
        self._database = Database(given, CLAIMS_PART, CLAIMS_DEADLINE)

    async def ask(self, operation: ClaimOperation, keys: Sequence[bytes], owner: str, seconds: float) -> int:
        """Return the outcome."""
        [found] = await self._database.call(operation, [*keys], owner, float(seconds))
        return int(found)

    async def aclose(self) -> None:
        """Close the connections made for a URL."""
        await self._database.aclose()


class _Limits:
    """Limits in Postgres, as `SharedTokenBucket` needs them."""

    def __init__(self, given: Secret, key: str) -> None:
        self._key = store_key(key)
        self._database = Database(given, LIMITS_PART, DEADLINE)

    async def ask(self, operation: Operation, *numbers: int) -> Sequence[int]:
        """Return the four numbers of the outcome."""
        return await self._database.call(operation, self._key, *numbers)

    async def aclose(self) -> None:
        """Close the connections made for a URL."""
        await self._database.aclose()
