"""The rate limit that several processes share: reserve a slot in a store, wait for it, then confirm the start.

All arithmetic is done in the store, by its clock, in one script for all operations (`Operation`). This module does the
waiting, which is the same for every store:

1. The head of a process's queue *reserves* the next slot. A process holds at most one, and it belongs to the process:
   if the head is cancelled, the next task takes the slot over. So processes take turns, however many tasks each has.
2. It sleeps until shortly before (`LEAD`).
3. It *confirms* the start. The store knows the last `rate` real starts and the pause, and either counts the start at
   its time or says how long to wait. A slot alone would be worth nothing: after a stall, old slots would all start at
   once, and a pause would not hold for slots given before.
4. It sleeps until the start. So neither the way to the store nor a busy machine moves the starts of the others.

What comes next is a function of the state (`_due`). The turn itself is taken when the start has come, so a normal task
still goes before a low one that waits.

Store calls run to their end, whoever is cancelled, and leave what they brought (a slot or a start) to the process. So
cancellation loses nothing; it waits for the call, at most `DEADLINE`.

Memory that is lost, because the store was restarted or replaced by a copy: each process tells how many starts it knows
of. If the store knows of fewer, nobody starts for one `per`. A process whose calls failed starts nothing for one `per`
after the first one that succeeds.
"""

from __future__ import annotations

import enum
import hashlib
import math
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final, Literal, Protocol, TypeAlias, cast

import anyio
from anyio.lowlevel import checkpoint_if_cancelled

from .arguments import choice, filled_text, finite_number, whole_number
from .errors import ConfigurationError, LimiterError
from .event_loop import LoopBinding
from .log import log
from .priority import Priority, PrioritySemaphore
from .schedule import MOST_MARGIN, WIDEN_SHARE
from .secret import Secret, checked_token
from .shared_store import Closable, StoreAwayError, StoreUser
from .tasks import uninterrupted
from .urls import normalised_base_url

Operation: TypeAlias = Literal["reserve", "confirm", "renew", "written", "pause"]

# Seconds that a call of the store may take.
DEADLINE: Final = 0.4
# Seconds before its slot at which a process confirms its start: more than a call takes on a busy machine.
LEAD: Final = 0.02
# Seconds that a start may lie ahead when the store counts it. It is more than `LEAD`, for starts that were late.
AHEAD: Final = 0.05
# Seconds between two attempts to reach a store that is away.
RETRY: Final = 0.1
# Seconds for which a store keeps what it knows, beyond the last start and pause.
KEPT: Final = 60
# A start that is written within this share of `per` after it was counted needs no correction: the margin covers it.
_SOON: Final = 0.007
_MOST_RATE: Final = 1_000

# What the scripts of the stores compute with; the values come from simulations of busy machines. The window is wider by
# nine tenths of the margin (the even spacing has the whole of it already). A start that comes late moves the next ones
# only by what exceeds 8 % of a gap, or many small delays would add up. The margin is learned in smaller steps than in
# one process, because processes that begin, or that have no processor for a moment, cause refusals that say little
# about the network.
CONSTANTS: Final = {
    "LEAST_MARGIN": 0.018,
    "MOST_MARGIN": MOST_MARGIN,
    "NARROW": 0.002,
    "WIDEN": 0.006,
    "WIDEN_SHARE": WIDEN_SHARE,
    "WINDOW_SHARE": 0.9,
    "GAP_SHARE": 0.92,
    "KEPT": KEPT * 1_000_000,
    "AHEAD": round(AHEAD * 1e6),
}


class Outcome(enum.IntEnum):
    """The first of the four numbers that a store replies. Each member says what the others are; 0 if it does not.

    The second is a wait in microseconds, the third a time in microseconds of the store's clock, and the fourth the
    number of starts so far.
    """

    WAIT = 0
    """Wait and ask again. After a pause, the last start that was counted before it is over by then."""
    COUNTED = 1
    """The start is counted: wait until it comes; its time."""
    CONFLICT = 2
    """Another rate is in use under this key: that rate, and its window in microseconds."""
    INVALID = 3
    """The start is too old, or there is a pause."""


class LimitStore(Closable, Protocol):
    """A store that keeps limits. It is asked for one operation at a time or several, in any order."""

    async def ask(self, operation: Operation, *numbers: int) -> Sequence[int]:
        """Return the four numbers of the outcome.

        Args:
            operation: `reserve` the next slot, `confirm` a start, `renew` one that is about to be written late, report
                one that was `written` late, or `pause`.
            numbers: the rate; the window in microseconds; the number of starts that this process knows of; then, of
                `confirm` the microseconds before which it shall not be, of `renew` and `written` the time of the start
                and the microseconds since it was written, of `pause` the microseconds and the time of the start that
                was refused (0 if unknown), and 0 otherwise.

        Raises:
            StoreAwayError: it is away.
            ConfigurationError: it refuses this user.
        """
        ...


class SharedStart:
    """A start that the store has counted.

    Attributes:
        at: its time in the store, in microseconds.
        counted: the time from which it counts, in seconds of the event loop's clock, at the latest.
        earliest: that time at the earliest, because the reply of the store takes some time.
    """

    __slots__ = ("at", "counted", "earliest")

    def __init__(self, at: int, counted: float, earliest: float) -> None:
        self.at: int = at
        self.counted: float = counted
        self.earliest: float = earliest


class SharedTicket:
    """The right to send one request, from a bucket that several processes share. Its methods are optional."""

    __slots__ = ("_bucket", "_done", "_priority", "_start", "_written")

    def __init__(self, bucket: SharedTokenBucket, start: SharedStart, priority: Priority) -> None:
        self._bucket = bucket
        self._start = start
        self._priority: Priority = priority
        self._written = False
        self._done = False

    def started(self) -> None:
        """Report that the request is being written now. The limit counts from here, otherwise from `acquire`.

        Other processes learn of a late one with this process's next start. `renew` tells them before.
        """
        if not (self._written or self._done):
            self._written = True
            self._bucket._note_written(self._start)  # noqa: SLF001  # one mechanism

    def written(self) -> None:
        """Report that the whole request has been written. From now on the limit counts from here."""
        if not self._done:
            self._bucket._note_written(self._start)  # noqa: SLF001  # one mechanism

    def done(self) -> None:
        """Report that the response has arrived. A refusal is reported by the bucket's `pause` directly after."""
        if not self._done:
            self._done = True
            self._bucket._responded = self._start  # noqa: SLF001  # one mechanism

    async def renew(self) -> None:
        """Return at once if the ticket is fresh. Otherwise count the start from now, or wait for another turn.

        Raises:
            LimiterError: the store is away.
            RuntimeError: the bucket belongs to another event loop.
        """
        if not await self._bucket._renewed(self._start):  # noqa: SLF001  # one mechanism
            fresh = await self._bucket.acquire(self._priority)
            self._start = fresh._start  # noqa: SLF001  # the other is not in use


class SharedTokenBucket(StoreUser[LimitStore]):
    """The base class of buckets that several processes share. See `RedisTokenBucket` and `PostgresTokenBucket`."""

    def __init__(self, store: LimitStore, *, rate: int, per: float, on_store_error: Literal["raise", "wait"]) -> None:
        super().__init__(store)
        self._on_store_error = choice("on_store_error", on_store_error, ("raise", "wait"))
        self.rate: int = whole_number("rate", rate, at_least=1, at_most=_MOST_RATE)
        """The starts allowed in a window, in all processes together."""
        self.per: float = finite_number("per", per, at_least=0.001)
        """The window, in seconds."""
        self._gap = per / rate
        self._queue = PrioritySemaphore(1)
        self._loop = LoopBinding(f"This {type(self).__name__}")
        self._asking = anyio.Lock(fast_acquire=True)  # the heads of both queues ask the store one after the other
        # What the process holds: a slot, in seconds of the event loop's clock, or a start that is counted and that no
        # task has taken yet. At most one of the two is there.
        self._slot: float | None = None
        self._start: SharedStart | None = None
        self._last = -math.inf  # the time of this process's last start
        self._late: list[tuple[SharedStart, float]] = []  # starts that were written late, and when
        self._responded: SharedStart | None = None  # the start whose response arrived last
        self._paused_until = -math.inf  # as far as this process knows
        self._silent_until = -math.inf  # this process itself starts nothing before
        self._count = 0  # starts that this process knows of
        self._counted_at = -math.inf
        self._away = False
        self._failures = 0

    def __repr__(self) -> str:
        return f"{type(self).__name__}(rate={self.rate}, per={self.per})"

    async def acquire(self, priority: Priority = "normal") -> SharedTicket:
        """Wait for a turn. Cancelled at any moment, it takes no turn and leaves no gap in the queue.

        Args:
            priority: `"low"` lets all normal calls of this process go first; while both wait, every tenth turn is a low
                one.

        Raises:
            LimiterError: the store is away, unless the bucket was told to wait for it. Nothing was sent.
            ConfigurationError: another rate is in use under the same key, or the store refuses this user.
            RuntimeError: the bucket belongs to another event loop.
            ValueError: the priority is unknown.
        """
        self._loop.bind()
        await checkpoint_if_cancelled()
        async with self._queue.turn(priority, partial(self._due, self._failures)):
            start, self._start = cast("SharedStart", self._start), None
            return SharedTicket(self, start, priority)

    async def pause(self, seconds: float) -> None:
        """Let nobody start before `seconds` from now, in any process, those already waiting included.

        Raises:
            LimiterError: the store is away. This process makes the pause all the same.
            ConfigurationError: another rate is in use under the same key, or the store refuses this user.
            RuntimeError: the bucket belongs to another event loop.
            TypeError, ValueError: `seconds` is no finite number from 0.
        """
        self._loop.bind()
        seconds = finite_number("seconds", seconds, at_least=0)
        refused, self._responded = self._responded, None
        until = anyio.current_time() + seconds
        self._paused_until = max(self._paused_until, until)
        try:
            _, wait, _ = await uninterrupted(self._ask, "pause", math.ceil(seconds * 1e6), refused.at if refused else 0)
        except StoreAwayError as error:
            self._silent_until = max(self._silent_until, until)
            raise _away() from error
        # Another process may have a start that comes in a moment: when this returns, it is over.
        await anyio.sleep(wait / 1e6)

    def expected_wait(self, ahead: int = 0) -> float:
        """Return the seconds that a normal caller has to wait at the least, as far as this process knows.

        Args:
            ahead: calls that go before it, besides those that wait for this bucket now.
        """
        now = anyio.current_time()
        ahead += self._queue.ahead()
        first = self._last + self._gap if self._slot is None else self._slot
        if self._start is not None:
            first = self._start.counted
        return max(now, first, self._paused_until, self._silent_until) + ahead * self._gap - now

    # The head of the queue

    def _due(self, failures: int) -> Callable[[], Awaitable[object]] | None:
        """Return what waits for the next step on the way to a start, or None if a start is there to be taken.

        Raises:
            LimiterError: there were more than `failures` by now, so the store is away.
        """
        if self._failures > failures:
            # Found out while this task waited: the others need not find out again.
            raise _away()
        at = self._next_at()
        if anyio.current_time() < at:
            return partial(anyio.sleep_until, at)
        return None if self._is_ready() else partial(self._advance, failures)

    def _next_at(self) -> float:
        """Return the time of the next step: when the silence ends, the start comes, or the slot is to be confirmed."""
        at = -math.inf
        if self._start is not None:
            at = self._start.counted
        elif self._slot is not None:
            at = self._slot - LEAD
        return max(at, self._silent_until)

    def _is_ready(self) -> bool:
        """Return true if there is a start whose request may be written now."""
        return self._start is not None and self._is_fresh(self._start)

    async def _advance(self, failures: int) -> None:
        """Ask the store for the next step, unless the head of the other queue has just done so."""
        async with self._asking:
            if self._failures == failures and anyio.current_time() >= self._next_at() and not self._is_ready():
                await self._try(self._ask_next)
        # One who is cancelled by now has no use for a start, and leaves it to the next task.
        await checkpoint_if_cancelled()

    async def _renewed(self, start: SharedStart) -> bool:
        """Return true if the request of `start` may be written now."""
        return self._is_fresh(start) or (self._is_valid(start) and await self._try(self._renew, start))

    def _is_valid(self, start: SharedStart) -> bool:
        now = anyio.current_time()
        return now >= self._paused_until and now < start.counted + self.per

    def _is_fresh(self, start: SharedStart) -> bool:
        return self._is_valid(start) and anyio.current_time() <= start.counted + _SOON * self.per

    async def _try(self, operation: Callable[..., Awaitable[bool]], *args: object) -> bool:
        """Return the result of an operation. Where the store is away, raise, or wait a moment and return false."""
        try:
            return await uninterrupted(operation, *args)
        except StoreAwayError as error:
            if self._on_store_error == "raise":
                self._failures += 1
                raise _away() from error
        await anyio.sleep(RETRY)
        return False

    # Operations, which run to their end

    async def _ask_next(self) -> bool:
        start, slot = self._start, self._slot
        if start is not None:
            # A cancelled task has left it some time ago.
            if not (self._is_valid(start) and await self._renew(start)):
                self._start = None
        elif slot is None or anyio.current_time() >= slot + self.per:
            await self._reserve()
        else:
            await self._confirm(slot)
        return True

    async def _reserve(self) -> None:
        _, wait, _ = await self._ask("reserve")
        if not self._is_silent():
            self._slot = anyio.current_time() + wait / 1e6

    async def _confirm(self, slot: float) -> None:
        while self._late:
            start, at = self._late[0]
            await self._ask("written", start.at, round((anyio.current_time() - at) * 1e6))
            del self._late[0]
        asked = anyio.current_time()
        outcome, wait, at = await self._ask("confirm", max(0, round((slot - asked) * 1e6)))
        then = anyio.current_time() + wait / 1e6
        if self._is_silent():
            pass  # a start that was counted is left unused
        elif outcome == Outcome.COUNTED:
            self._slot, self._start, self._last = None, SharedStart(at, then, asked + wait / 1e6), then
        else:
            self._slot = then

    async def _renew(self, start: SharedStart) -> bool:
        asked = anyio.current_time()
        outcome, _, at = await self._ask("renew", start.at)
        if outcome != Outcome.COUNTED or self._is_silent():
            return False
        start.at, start.counted, start.earliest = at, anyio.current_time(), asked
        return True

    async def _ask(self, operation: Operation, first: int = 0, second: int = 0) -> tuple[int, int, int]:
        known = self._count if anyio.current_time() < self._counted_at + self.per else 0
        try:
            outcome, wait, at, count = await self._store.ask(
                operation, self.rate, round(self.per * 1e6), known, first, second
            )
        except StoreAwayError as error:
            if not self._away:
                log.warning("the store of the shared limit is away (%s)", error)
            self._away = True
            raise
        if outcome == Outcome.CONFLICT:
            raise ConfigurationError(
                f"Two rates under one key: this limiter has rate={self.rate} and per={self.per:g}, another one has"
                f" rate={wait} and per={at / 1e6:g}. Use one rate, or another key; a rate that nobody uses is"
                f" forgotten after {KEPT} seconds."
            )
        now = anyio.current_time()
        self._count, self._counted_at = count, now
        if self._away:
            log.info("the store of the shared limit is back: nothing starts for %g s", self.per)
            self._away = False
            self._silent_until = max(self._silent_until, now + self.per)
            self._slot = self._start = None
        return outcome, wait, at

    def _is_silent(self) -> bool:
        return anyio.current_time() < self._silent_until

    def _note_written(self, start: SharedStart) -> None:
        now = anyio.current_time()
        if now - start.earliest > _SOON * self.per:
            start.counted = start.earliest = now
            self._late.append((start, now))


def limiter_key(token: str, base_url: str) -> str:
    """Return the key of the limit that Landbot has for a token: the same in every process, and not the token itself.

    Args:
        token: the token of the client.
        base_url: the base URL of the client, because each API counts for itself.

    Raises:
        ConfigurationError: the token or the base URL cannot be right.
    """
    given, token = Secret(token), ""
    secret, url = checked_token(given, "LANDBOT_API_TOKEN"), normalised_base_url(base_url)
    return hashlib.sha256(f"{secret.reveal()}\n{url}".encode()).hexdigest()[:32]


def store_key(key: object) -> str:
    """Return the name under which a store keeps a limit. A digest, because a key may be somebody's token.

    Raises:
        TypeError, ValueError: the key is no string, or empty.
    """
    return hashlib.sha256(filled_text("key", key).encode()).hexdigest()[:32]


def _away() -> LimiterError:
    return LimiterError("the store of the shared limit is away: nothing was sent, and a retry is safe")
