"""The arithmetic of the rate limit: when the next request may start. It takes the time as an argument and never waits.

Landbot documents ten requests a second per token, and not how its window is counted, so a start must be legal for a
fixed window, a sliding window and a leaky bucket (GCRA) alike (dev.landbot.io, "Rate limits"):

* At most `rate` starts lie in any stretch of `per` seconds. A textbook bucket of ten lets nineteen through in its
  first second; this schedule remembers the last `rate` starts instead.
* Starts are spaced evenly unless `burst` says otherwise, because a burst is what the strictest servers refuse.
* A start counts from the moment its request is written, if the caller reports that (`write`, `finish_writing`),
  otherwise from the moment its slot was granted. Between the two a new connection may be made, which can take a second
  and more.
* The server counts arrivals, and a network delivers unevenly. A margin on top of `per` absorbs this. It is learned:
  each refusal widens it, each response narrows it a little.

The constants were chosen in simulations of all conditions that benchmarks/limiter.py measures.

Reasons: docs/decisions.md, "One learned margin" and "The refusals of one burst".
"""

from __future__ import annotations

import math
from collections import OrderedDict
from itertools import islice
from typing import Final

# The margin is a share of `per`: the smallest, which covers timers and clocks, and the largest.
LEAST_MARGIN: Final = 0.016
MOST_MARGIN: Final = 0.25
# A refusal widens the margin by this much, or by this share of itself, whichever is more.
WIDEN: Final = 0.018
WIDEN_SHARE: Final = 1 / 3
# A response takes this share of what exceeds the smallest margin.
NARROW: Final = 0.0015
# The time from the slot to the end of the writing is learned with this weight, and counts up to this share of the gap:
# a new connection takes much longer, and says nothing about the next request.
DELAY_WEIGHT: Final = 1 / 8
MOST_DELAY: Final = 0.05


class Start:
    """One start in the window.

    Attributes:
        at: the time from which it counts, in seconds of the event loop's clock.
        granted: the time at which its slot was granted.
        written: true once its request was reported as written.
        done: true once its response has arrived.
    """

    __slots__ = ("at", "done", "granted", "written")

    def __init__(self, granted: float) -> None:
        self.granted: float = granted
        self.at: float = granted
        self.written: bool = False
        self.done: bool = False


class Schedule:
    """The times at which requests may start, computed from the starts so far, the refusals, the pauses and the time.

    A slot that was granted for a start is valid for a limited time: `valid` tells. If every request is written while
    its slot is valid, at most `rate` are written in any stretch of `per` seconds. Proof: among the writes of such a
    stretch, look at the one whose slot was granted last. At that moment each other one was either written less than
    `per` ago or granted and still valid. All of these count, so there were at most `rate - 1`.
    """

    def __init__(self, rate: int, per: float, burst: int) -> None:
        self._rate = rate
        self._gap = per / rate
        self._per = per
        self._burst = burst
        self._slack = (burst - 1) * self._gap * (1 + LEAST_MARGIN)
        self._starts: OrderedDict[Start, None] = OrderedDict()  # the last `rate`, in the order from which they count
        self._margin = LEAST_MARGIN
        self._delay = 0.0  # seconds from a slot to the end of the writing, on average
        self._next = -math.inf
        self._paused_until = -math.inf
        self._learned_at = -math.inf
        self._responded: Start | None = None  # the start whose response arrived last
        self._latest = -math.inf

    def look(self, now: float) -> None:
        """Note the time. If the clock went back, as when a test stops to freeze it, no time has passed meanwhile."""
        back = self._latest - now
        self._latest = now
        if 0 < back < math.inf:
            for start in self._starts:
                start.at -= back
                start.granted -= back
            self._next -= back
            self._paused_until -= back
            self._learned_at -= back

    def earliest(self, now: float) -> float:
        """Return the earliest time at which a start is allowed, as far as is known at `now`."""
        slot = max(self._paused_until, self._next - self._slack)
        if len(self._starts) >= self._burst:
            # A request that was written late moves those behind it, by as much as it was later than usual.
            latest = next(islice(reversed(self._starts), self._burst - 1, None)).at
            slot = max(slot, latest + self._gap * (1 + self._margin / 2) - self._delay)
        if len(self._starts) == self._rate:
            slot = max(slot, next(iter(self._starts)).at + self._window)
        return slot

    def earliest_behind(self, ahead: int, now: float) -> float:
        """Return a lower bound for the time of a start that has `ahead` others before it."""
        return max(self.earliest(now), self._grid(now) - self._slack + ahead * self._gap * (1 + LEAST_MARGIN))

    def start(self, now: float) -> Start:
        """Grant the slot at `now`. A start that is a little late keeps the grid, a stalled one moves it."""
        self._next = self._grid(now) + self._gap * (1 + self._margin)
        start = Start(now)
        self._append(start)
        return start

    def valid(self, start: Start, now: float) -> bool:
        """Return true if the request may still be written with its slot: no pause has begun, and it is not too old."""
        return now < start.granted + self._per and now >= self._paused_until

    def write(self, start: Start, now: float) -> None:
        """Count `start` from `now`, the moment its request is written. A second call changes nothing."""
        if start.written or start.done:
            return
        start.written = True
        self._count_from(start, now)

    def finish_writing(self, start: Start, now: float) -> None:
        """Count `start` from `now`, the moment its request has been written. It changes nothing after the response."""
        if not start.done:
            self._count_from(start, now)

    def respond(self, start: Start) -> None:
        """Note that the response to `start` has arrived. A second call changes nothing."""
        if not start.done:
            start.done = True
            self._responded = start
            self._margin -= NARROW * (self._margin - LEAST_MARGIN)
            delay = min(start.at - start.granted, MOST_DELAY * self._gap)
            self._delay += DELAY_WEIGHT * (delay - self._delay)

    def pause(self, now: float, seconds: float) -> None:
        """Let nothing start for `seconds`, and learn from the refusal. A shorter pause never shortens a longer one.

        The refusal is taken for that of the response noted last. One whose request started before the last lesson
        teaches nothing new: it was on its way already. Without any response, this holds for a pause during a pause.
        """
        refused, self._responded = self._responded, None
        echo = now < self._paused_until if refused is None else refused.at <= self._learned_at
        if not echo:
            self._learned_at = now
            self._margin = min(MOST_MARGIN, self._margin + max(WIDEN, WIDEN_SHARE * self._margin))
        self._paused_until = max(self._paused_until, now + seconds)

    def idle(self, now: float) -> bool:
        """Return true if forgetting this schedule at `now` would let nobody start too early."""
        if self._paused_until > now:
            return False
        return not self._starts or next(reversed(self._starts)).at + self._window < now

    def _count_from(self, start: Start, now: float) -> None:
        start.at = now
        self._append(start)

    def _append(self, start: Start) -> None:
        self._starts[start] = None
        self._starts.move_to_end(start)
        if len(self._starts) > self._rate:
            self._starts.popitem(last=False)

    @property
    def _window(self) -> float:
        # Half of the margin: the even spacing has the whole of it already.
        return self._per * (1 + self._margin / 2)

    def _grid(self, now: float) -> float:
        return self._next if now - self._next < self._gap / 2 else now
