"""The algorithm of a shared limit in Python: what the scripts of all stores have to do, and a store for virtual time."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence

import anyio
from anyio.lowlevel import checkpoint

from landbot_async._core.schedule import MOST_MARGIN, WIDEN_SHARE
from landbot_async._core.shared_limiter import CONSTANTS, Operation, Outcome
from landbot_async._core.shared_store import StoreAwayError

LEAST_MARGIN, WINDOW_SHARE = float(CONSTANTS["LEAST_MARGIN"]), float(CONSTANTS["WINDOW_SHARE"])
AHEAD = round(CONSTANTS["AHEAD"])
NARROW, WIDEN = float(CONSTANTS["NARROW"]), float(CONSTANTS["WIDEN"])
GAP_SHARE = float(CONSTANTS["GAP_SHARE"])


class Limit:
    """One limit. All times are whole microseconds of the store's clock."""

    def __init__(self, rate: int, per: int, now: int) -> None:
        self.rate, self.per, self.seen = rate, per, now
        self.next = self.paused = self.learned = self.count = 0
        self.margin = LEAST_MARGIN
        self.starts: list[int] = []

    @property
    def gap(self) -> float:
        return self.per / self.rate

    def apply(self, operation: Operation, now: int, known: int, first: int, second: int) -> tuple[int, int, int, int]:
        back = max(0, self.seen - now)
        self.seen = now
        self.next, self.paused, self.learned = self.next - back, self.paused - back, self.learned - back
        self.starts = [start - back for start in self.starts]
        if known > self.count:
            self.count, self.paused = known, max(self.paused, now + self.per)
        outcome, wait, start = getattr(self, operation)(now, first, second)
        return outcome, wait, start, self.count

    def reserve(self, now: int, *_: int) -> tuple[int, int, int]:
        return Outcome.WAIT, self._slot(max(now, self.paused)) - now, 0

    def confirm(self, now: int, first: int, _: int) -> tuple[int, int, int]:
        at = max(self._earliest(now), now + first)
        if at <= now + AHEAD:
            self._count(at)
            self.count += 1
            self.margin -= NARROW * (self.margin - LEAST_MARGIN)
            return Outcome.COUNTED, at - now, at
        return Outcome.WAIT, (at if at - now <= self.gap else self._slot(at)) - now, 0

    def renew(self, now: int, first: int, _: int) -> tuple[int, int, int]:
        if now >= first + self.per or now < self.paused:
            return Outcome.INVALID, 0, 0
        self._uncount(first)
        self._count(now)
        return Outcome.COUNTED, 0, now

    def written(self, now: int, first: int, second: int) -> tuple[int, int, int]:
        self._uncount(first)
        self._count(now - second)
        return Outcome.COUNTED, 0, now - second

    def pause(self, now: int, first: int, second: int) -> tuple[int, int, int]:
        if not (second <= self.learned if second else now < self.paused):
            self.learned = now
            self.margin = min(MOST_MARGIN, self.margin + max(WIDEN, WIDEN_SHARE * self.margin))
        self.paused = max(self.paused, now + first)
        return Outcome.WAIT, max(0, self.starts[-1] - now) if self.starts else 0, 0

    def _earliest(self, now: int) -> int:
        at: float = max(now, self.paused)
        if self.starts:
            at = max(at, self.starts[-1] + self.gap * GAP_SHARE)
        if len(self.starts) == self.rate:
            at = max(at, self.starts[0] + self.per * (1 + WINDOW_SHARE * self.margin))
        return math.ceil(at)

    def _slot(self, at: int) -> int:
        slot = max(at, self.next)
        self.next = math.ceil(slot + self.gap * (1 + self.margin))
        return slot

    def _count(self, at: int) -> None:
        self.starts = sorted([*self.starts, at])[-self.rate :]

    def _uncount(self, at: int) -> None:
        if at in self.starts:
            self.starts.remove(at)


class Model:
    """Limits by their keys, with a clock of their own."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self.clock = clock
        self.limits: dict[str, Limit] = {}

    def ask(self, key: str, operation: Operation, *numbers: int) -> tuple[int, int, int, int]:
        rate, per, known, first, second = numbers
        now = self.clock()
        limit = self.limits.setdefault(key, Limit(rate, per, now))
        if (limit.rate, limit.per) != (rate, per):
            return Outcome.CONFLICT, limit.rate, limit.per, 0
        return limit.apply(operation, now, known, first, second)


class Remote:
    """The store itself, somewhere else: several `MemoryStore`s are connections to it.

    Attributes:
        delay: seconds that a call takes, half of it on the way there.
        noise: seconds by which each way takes longer, on average.
        away: true while calls fail; they take `delay` for it.
        skew: microseconds by which its clock differs.
        calls: the operations that reached it.
    """

    def __init__(self, delay: float = 0.001) -> None:
        self.delay = delay
        self.noise = 0.0
        self._chance = random.Random(1)
        self.away = False
        self.skew = 10**15
        self.calls: list[Operation] = []
        self.model = Model(lambda: round(anyio.current_time() * 1e6) + self.skew)

    async def way(self) -> None:
        """Take the time of one way, there or back."""
        await anyio.sleep(self.delay / 2 + self._chance.expovariate(1) * self.noise)

    def forget(self) -> None:
        """Come back empty."""
        self.model.limits.clear()


class MemoryStore:
    """A connection to a store in virtual time."""

    def __init__(self, remote: Remote, key: str = "k") -> None:
        self.remote, self.key = remote, key
        self.closed = 0

    async def ask(self, operation: Operation, *numbers: int) -> Sequence[int]:
        remote = self.remote
        await remote.way()
        if remote.away:
            await remote.way()
            raise StoreAwayError("it is away")
        remote.calls.append(operation)
        reply = remote.model.ask(self.key, operation, *numbers)
        await remote.way()
        return reply

    async def aclose(self) -> None:
        await checkpoint()
        self.closed += 1
