"""The rate limit that all tasks of a token share: at most ten requests a second, first come, first served.

`TokenBucket` does the waiting, `schedule.Schedule` the arithmetic. Only the head of the bucket's queue sleeps, so a
cancelled task costs nobody a turn.

`Limiter` is the protocol of whatever may take its place. Its optional parts are protocols as well, and
`tests/conformance/limiters.py` checks any limiter against all of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Protocol, runtime_checkable
from weakref import WeakValueDictionary

import anyio
from anyio.lowlevel import RunVar, checkpoint_if_cancelled

from .arguments import finite_number, whole_number
from .event_loop import LoopBinding
from .priority import Priority, PrioritySemaphore
from .schedule import Schedule, Start
from .secret import Secret


@runtime_checkable
class Limiter(Protocol):
    """A rate limiter for the client, such as `TokenBucket`, or a bucket in Redis that several processes share.

    The protocols `PriorityLimiter` and `PredictingLimiter` are optional parts of it. What `acquire` returns may have
    the optional parts `StartableTicket`, `WrittenTicket`, `FinishableTicket` and `RenewableTicket`.
    """

    async def acquire(self) -> object:
        """Wait for the right to start one request."""

    async def pause(self, seconds: float) -> None:
        """Let nobody start for `seconds` from now: the message of one 429 to every task."""


class PriorityLimiter(Protocol):
    """A limiter that lets normal calls go before low ones. The client keeps two queues for any other."""

    async def acquire(self, priority: Priority = "normal") -> object:
        """Wait for the right to start one request."""


@runtime_checkable
class PredictingLimiter(Protocol):
    """A limiter that tells waiting times, so that calls with a total time-out fail at once instead of in vain."""

    def expected_wait(self, ahead: int = 0) -> float:
        """Return the seconds that a caller has to wait at the least, with `ahead` more before it."""
        ...


@runtime_checkable
class StartableTicket(Protocol):
    """A ticket that wants to know when its request is written, because the limit counts from then."""

    def started(self) -> None:
        """Report that the request is being written now."""


@runtime_checkable
class WrittenTicket(Protocol):
    """A ticket that also wants to know when its request has been written, which a busy event loop may delay."""

    def written(self) -> None:
        """Report that the whole request has been written."""


@runtime_checkable
class FinishableTicket(Protocol):
    """A ticket that wants to know when its response has arrived."""

    def done(self) -> None:
        """Report that the response has arrived. May be called any number of times."""


@runtime_checkable
class RenewableTicket(Protocol):
    """A ticket that becomes too old if its request is not written soon, for example because a connection is slow."""

    async def renew(self) -> None:
        """Return at once if the request may be written now, otherwise wait for another turn."""


class Ticket:
    """The right to send one request. `TokenBucket.acquire` returns it; its methods are optional."""

    __slots__ = ("_bucket", "_priority", "_start")

    def __init__(self, bucket: TokenBucket, start: Start, priority: Priority) -> None:
        self._bucket = bucket
        self._start = start
        self._priority: Priority = priority

    def started(self) -> None:
        """Report that the request is being written now. The limit counts from here, otherwise from `acquire`."""
        self._bucket._schedule.write(self._start, anyio.current_time())  # noqa: SLF001  # one mechanism

    def written(self) -> None:
        """Report that the whole request has been written. From now on the limit counts from here."""
        self._bucket._schedule.finish_writing(self._start, anyio.current_time())  # noqa: SLF001  # one mechanism

    def done(self) -> None:
        """Report that the response has arrived. A refusal is reported by `TokenBucket.pause` directly after."""
        self._bucket._schedule.respond(self._start)  # noqa: SLF001  # one mechanism

    async def renew(self) -> None:
        """Return at once while the request may be written, otherwise wait in the queue for another turn.

        A ticket becomes invalid when a whole `per` has passed since it was acquired, because the limit no longer counts
        it, and during a pause. Writing the request all the same may exceed the limit.

        Raises:
            RuntimeError: the bucket belongs to another event loop.
        """
        if not self._bucket._schedule.valid(self._start, anyio.current_time()):  # noqa: SLF001  # one mechanism
            fresh = await self._bucket.acquire(self._priority)
            self._start = fresh._start  # noqa: SLF001  # the other is not in use


class TokenBucket:
    """At most `rate` starts in any stretch of `per` seconds, first come, first served.

    A bucket belongs to the event loop in which it is first used. Clients that share a bucket share its limit.

    Args:
        rate: starts allowed in a window, a whole number (2.5 a second is `rate=5, per=2`).
        per: the window, in seconds.
        burst: the number of requests that may start at once after an idle spell. 1 spaces all starts evenly, which
            every kind of window accepts; more is for servers known to be patient.

    Raises:
        TypeError: an argument has the wrong type.
        ValueError: an argument is out of range.
    """

    def __init__(self, rate: int = 10, per: float = 1.0, burst: int = 1) -> None:
        self.rate: int = whole_number("rate", rate, at_least=1)
        """The starts allowed in a window."""
        self.per: float = finite_number("per", per, above=0)
        """The window, in seconds."""
        self.burst: int = whole_number("burst", burst, at_least=1, at_most=rate)
        """The number of requests that may start at once after an idle spell."""
        self._schedule = Schedule(rate, per, burst)
        self._queue = PrioritySemaphore(1)
        self._loop = LoopBinding("This TokenBucket")
        self._warm: dict[TokenBucket, None] | None = None  # where it is kept from being forgotten, if it is shared

    def __repr__(self) -> str:
        return f"TokenBucket(rate={self.rate}, per={self.per}, burst={self.burst})"

    async def acquire(self, priority: Priority = "normal") -> Ticket:
        """Wait for a turn. Cancelled at any moment, it takes no turn and leaves no gap in the queue.

        Args:
            priority: `"low"` lets all normal calls go first; while both wait, every tenth turn is a low one.

        Raises:
            RuntimeError: the bucket belongs to another event loop.
            ValueError: the priority is unknown.
        """
        self._loop.bind()
        await checkpoint_if_cancelled()
        async with self._queue.turn(priority, self._due):
            self._keep_warm()
            return Ticket(self, self._schedule.start(anyio.current_time()), priority)

    async def pause(self, seconds: float) -> None:
        """Let nobody start before `seconds` from now, those already waiting included.

        Raises:
            RuntimeError: the bucket belongs to another event loop.
            TypeError, ValueError: `seconds` is no finite number from 0.
        """
        self._loop.bind()
        seconds = finite_number("seconds", seconds, at_least=0)
        self._keep_warm()
        self._schedule.pause(self._now(), seconds)

    def expected_wait(self, ahead: int = 0) -> float:
        """Return the seconds that a normal caller has to wait at the least.

        Args:
            ahead: calls that go before it, besides those that wait for this bucket now.
        """
        now = self._now()
        ahead += self._queue.ahead()
        return max(0.0, self._schedule.earliest_behind(ahead, now) - now)

    def _due(self) -> Callable[[], Awaitable[object]] | None:
        """Return what waits for the next start, or None if it may be now."""
        now = self._now()
        slot = self._schedule.earliest(now)
        return partial(anyio.sleep_until, slot) if now < slot else None

    def _now(self) -> float:
        now = anyio.current_time()
        self._schedule.look(now)
        return now

    def _keep_warm(self) -> None:
        if self._warm is not None:
            self._warm[self] = None


class _SharedBuckets:
    """The buckets of one event loop, by token and base URL.

    References are weak, so that a bucket goes with its last client. A bucket whose window is still open is kept, or a
    program that makes a client for each request would have no limit at all (docs/decisions.md, "Lifetime of a bucket").
    """

    def __init__(self) -> None:
        self._buckets: WeakValueDictionary[tuple[str, str], TokenBucket] = WeakValueDictionary()
        self._warm: dict[TokenBucket, None] = {}

    def get(self, key: tuple[str, str]) -> TokenBucket:
        """Return the bucket for a key, and forget those that nobody uses."""
        now = anyio.current_time()
        for bucket in [bucket for bucket in self._warm if bucket._schedule.idle(now)]:  # noqa: SLF001  # one mechanism
            del self._warm[bucket]
        found = self._buckets.get(key)
        if found is None:
            found = self._buckets[key] = TokenBucket()
            found._warm = self._warm  # noqa: SLF001  # as above
        return found


_shared: RunVar[_SharedBuckets] = RunVar("landbot_async_buckets")


def shared_bucket(token: Secret, base_url: str) -> TokenBucket:
    """Return the running event loop's bucket for this token and (normalised) base URL."""
    try:
        buckets = _shared.get()
    except LookupError:
        buckets = _SharedBuckets()
        _shared.set(buckets)
    return buckets.get((hashlib.sha256(token.reveal().encode()).hexdigest(), base_url))
