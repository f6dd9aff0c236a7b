"""Ten a second, exactly: the token bucket that all tasks of a token share.

`Schedule` is the arithmetic: it takes the time as an argument and never waits. `TokenBucket` is the waiting:
a first-come-first-served queue in which only the head sleeps, so a cancelled waiter loses nobody's place.

Landbot documents ten requests a second per token and not how its window is counted, so a start has to be legal for
a fixed window, a sliding one and a leaky bucket alike (dev.landbot.io, "Rate limits"):

* At most `rate` starts lie in any stretch of `per` seconds. A textbook bucket of ten lets nineteen through in its
  first second; this one remembers the last `rate` starts instead.
* The server counts arrivals, not starts. A request whose answer came late may have arrived late, so a start is held
  to have arrived as late as its answer allows: when that was received, less the shortest round trip of late.
* That doubt costs speed where it is the server that takes its time and not the network. So it shrinks while nothing
  is refused and grows when something is.
* Starts are spaced evenly unless `burst` says otherwise, because a burst is what the strictest servers refuse.
"""

from __future__ import annotations

import hashlib
import math
from collections import deque
from typing import Protocol, runtime_checkable
from weakref import WeakValueDictionary

import anyio
from anyio.lowlevel import RunVar, checkpoint_if_cancelled

from .arguments import finite_number, whole_number
from .event_loop import LoopBinding, Notifier
from .secret import Secret

# A share of `per`, kept free because clocks, timers and networks are not exact.
MARGIN = 0.004
# How many seconds after its start a request is at most held to arrive: at first, at the least, at the most.
DOUBT, LEAST_DOUBT, MOST_DOUBT = 0.1, 0.015, 0.3
# What an answer and a refusal make of it. Measured in benchmarks/limiter.py: about one refusal in 700 remains.
RELIEF, ALARM = 0.999, 2.0


class Start:
    """One start in the window, and when its answer came (both in seconds of the event loop's clock)."""

    __slots__ = ("answered", "at")

    def __init__(self, at: float) -> None:
        self.at: float = at
        self.answered: float | None = None


class Schedule:
    """When the next start may happen: a function of the starts so far, their answers, the pauses and the time."""

    def __init__(self, rate: int, per: float, burst: int) -> None:
        self.gap: float = per / rate
        self._slack = (burst - 1) * self.gap
        self._window = per * (1 + MARGIN)
        self._starts: deque[Start] = deque(maxlen=rate)
        self._round_trips: deque[float] = deque(maxlen=2 * rate)
        self._shortest_trip = math.inf
        self._doubt = DOUBT
        self._next = -math.inf
        self._paused_until = -math.inf

    def earliest(self, now: float) -> float:
        """The earliest time at which a start is allowed, as far as is known at `now`."""
        slot = max(self._paused_until, self._next - self._slack)
        if len(self._starts) == self._starts.maxlen:
            slot = max(slot, self._arrived(self._starts[0], now) + self._window)
        return slot

    def earliest_behind(self, ahead: int, now: float) -> float:
        """A lower bound for a start that has `ahead` others before it."""
        return max(self.earliest(now), max(self._next, now) - self._slack + ahead * self.gap)

    def start(self, now: float) -> Start:
        """Take the slot at `now`. A start that is a little late keeps the grid, a stalled one moves it."""
        grid = self._next if now - self._next < self.gap / 2 else now
        self._next = grid + self.gap
        start = Start(now)
        self._starts.append(start)
        return start

    def answer(self, start: Start, now: float) -> bool:
        """Note the answer to `start`; true if the next slot hangs on it. A second answer changes nothing."""
        if start.answered is not None:
            return False
        start.answered = now
        self._round_trips.append(now - start.at)
        self._shortest_trip = min(self._round_trips)
        self._doubt = max(LEAST_DOUBT, self._doubt * RELIEF)
        return bool(self._starts) and start is self._starts[0]

    def pause(self, now: float, seconds: float) -> None:
        """Nothing starts for `seconds`; a shorter pause never shortens a longer one.

        A pause during a pause is an echo: the refusal of a request that was already on its way.
        """
        if now >= self._paused_until:
            self._doubt = min(MOST_DOUBT, self._doubt * ALARM)
        self._paused_until = max(self._paused_until, now + seconds)

    def idle(self, now: float) -> bool:
        """Whether forgetting this schedule at `now` would let nobody start too early."""
        if self._paused_until > now:
            return False
        return not self._starts or self._starts[-1].at + MOST_DOUBT + self._window < now

    def _arrived(self, start: Start, now: float) -> float:
        received = now if start.answered is None else start.answered
        return max(start.at, min(received - self._shortest_trip, start.at + self._doubt))


class Ticket:
    """The right to send one request now."""

    __slots__ = ("_bucket", "_start")

    def __init__(self, bucket: TokenBucket, start: Start) -> None:
        self._bucket = bucket
        self._start = start

    def done(self) -> None:
        """Say that the answer has arrived. Optional, and harmless when repeated.

        It tells the bucket that the server has counted the request by now, which is what keeps the next window
        from overlapping this one when the network is uneven.
        """
        self._bucket._answered(self._start)  # noqa: SLF001  # ticket and bucket are one mechanism


@runtime_checkable
class Limiter(Protocol):
    """What the client needs of a rate limiter; `TokenBucket` is one, a bucket in Redis another.

    One that also has `TokenBucket.expected_wait` lets calls with a total time-out fail at once instead of in vain.
    """

    async def acquire(self) -> object:
        """Wait for the right to start one request. A returned object's `done()` is called when its answer came."""

    async def pause(self, seconds: float) -> None:
        """Let nobody start for `seconds` from now: what one 429 tells every task."""


class TokenBucket:
    """At most `rate` starts in any stretch of `per` seconds, first come first served.

    Args:
        rate: starts allowed in a window, a whole number (2.5 a second is `rate=5, per=2`).
        per: the window, in seconds.
        burst: how many may start at once after an idle spell. 1 spaces all starts evenly, which is what survives
            every kind of window; more is for servers known to be patient.

    A bucket belongs to the event loop it is first used in and tells so if another one uses it. Sharing one between
    clients is how they share a limit.
    """

    def __init__(self, rate: int = 10, per: float = 1.0, burst: int = 1) -> None:
        self.rate: int = whole_number("rate", rate, at_least=1)
        self.per: float = finite_number("per", per, above=0)
        self.burst: int = whole_number("burst", burst, at_least=1, at_most=rate)
        self._schedule = Schedule(rate, per, burst)
        self._queue = anyio.Lock(fast_acquire=True)
        self._changed = Notifier()
        self._loop = LoopBinding("This TokenBucket")
        self._warm: dict[TokenBucket, None] | None = None  # where it is kept from being forgotten, if it is shared

    def __repr__(self) -> str:
        return f"TokenBucket(rate={self.rate}, per={self.per}, burst={self.burst})"

    async def acquire(self) -> Ticket:
        """Wait for your turn. Cancelled at any moment, it takes no token and leaves no gap in the queue.

        Raises:
            RuntimeError: the bucket belongs to another event loop.
        """
        self._loop.bind()
        await checkpoint_if_cancelled()
        async with self._queue:
            while (now := anyio.current_time()) < (slot := self._schedule.earliest(now)):
                with anyio.CancelScope(deadline=slot):
                    await self._changed.wait()
            self._keep_warm()
            return Ticket(self, self._schedule.start(now))

    async def pause(self, seconds: float) -> None:
        """Let nobody start before `seconds` from now, those already waiting included.

        Raises:
            RuntimeError: the bucket belongs to another event loop.
        """
        self._loop.bind()
        self._keep_warm()
        self._schedule.pause(anyio.current_time(), finite_number("seconds", seconds, at_least=0))

    def expected_wait(self, ahead: int = 0) -> float:
        """Seconds that a caller has to wait at the least, with `ahead` more before it than those already waiting."""
        now = anyio.current_time()
        waiting = self._queue.statistics()
        ahead += waiting.tasks_waiting + waiting.locked
        return max(0.0, self._schedule.earliest_behind(ahead, now) - now)

    def _keep_warm(self) -> None:
        if self._warm is not None:
            self._warm[self] = None

    def _answered(self, start: Start) -> None:
        if self._schedule.answer(start, anyio.current_time()):
            self._changed.notify()


class _SharedBuckets:
    """The buckets of one event loop, by token and base URL.

    References are weak, so that a bucket goes with its last client; but one whose window is still open is kept, or a
    program that makes a client for each request would have no limit at all.
    """

    def __init__(self) -> None:
        self._buckets: WeakValueDictionary[tuple[str, str], TokenBucket] = WeakValueDictionary()
        self._warm: dict[TokenBucket, None] = {}

    def get(self, key: tuple[str, str]) -> TokenBucket:
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
    """The running event loop's bucket for this token and (normalised) base URL."""
    try:
        buckets = _shared.get()
    except LookupError:
        buckets = _SharedBuckets()
        _shared.set(buckets)
    return buckets.get((hashlib.sha256(token.reveal().encode()).hexdigest(), base_url))
