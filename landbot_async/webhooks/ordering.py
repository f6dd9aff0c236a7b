"""The order in which messages are handled: one customer's one after another by their own time, customers side by side.

Bursts arrive out of order by 10 to 50 ms, so a message settles first. When its settling time is over, everything of
its customer that belongs before it has had as long to arrive, and goes before it. Pure: the time is an argument.

Source: dev.landbot.io, "Message hooks": sort by `timestamp`, ties by `_raw.seq`.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict, deque
from collections.abc import Hashable
from typing import Generic, NamedTuple, TypeAlias, TypeVar

T = TypeVar("T")

Place: TypeAlias = tuple[float, int]
"""Where a message belongs among those of its customer: its time in Unix seconds, and its `seq`."""

_FIRST: Place = (float("-inf"), 0)
# Customers whose last message is remembered, to tell which comes late.
_REMEMBERED = 10_000


class Lane(Generic[T]):
    """One customer's messages."""

    __slots__ = ("busy", "customer", "held", "last", "ripe")

    def __init__(self, customer: Hashable) -> None:
        self.customer: Hashable = customer
        self.held: list[tuple[Place, int, T]] = []  # a heap
        self.ripe: Place = _FIRST  # up to here nothing waits any more
        self.last: Place = _FIRST  # the latest that was taken
        self.busy: bool = False  # taken from, or in the queue of those to take from


class Taken(NamedTuple, Generic[T]):
    """A message whose turn it is; `late` if a later one of its customer had its turn before."""

    lane: Lane[T]
    item: T
    late: bool


class Lanes(Generic[T]):
    """All that was put in and not yet taken.

    Args:
        settle: seconds that a message waits for earlier ones.
    """

    def __init__(self, settle: float) -> None:
        self._settle = settle
        self._count = 0
        self._lanes: dict[Hashable, Lane[T]] = {}
        self._idle: OrderedDict[Hashable, Lane[T]] = OrderedDict()
        self._settling: deque[tuple[float, Lane[T], Place]] = deque()
        self._ready: deque[Lane[T]] = deque()

    @property
    def ready(self) -> bool:
        """Whether there is a message to take."""
        return bool(self._ready)

    @property
    def next_due(self) -> float | None:
        """When the next message has settled; None if nothing settles."""
        return self._settling[0][0] if self._settling else None

    def put(self, customer: Hashable, place: Place, item: T, now: float) -> None:
        """Add a message. `now` never goes back."""
        lane = self._lanes.get(customer)
        if lane is None:
            lane = self._idle.pop(customer) if customer in self._idle else Lane(customer)
            self._lanes[customer] = lane
        self._count += 1
        heapq.heappush(lane.held, (place, self._count, item))
        self._settling.append((now + self._settle, lane, place))

    def ripen(self, now: float) -> None:
        """Let everything that has settled by now be taken; `inf` lets everything."""
        while self._settling and self._settling[0][0] <= now:
            _, lane, place = self._settling.popleft()
            if lane.held and place >= lane.held[0][0]:
                lane.ripe = max(lane.ripe, place)
                if not lane.busy:
                    lane.busy = True
                    self._ready.append(lane)

    def take(self) -> Taken[T] | None:
        """The next message, if any has its turn. Its lane gives no other one before `done`."""
        if not self._ready:
            return None
        lane = self._ready.popleft()
        place, _, item = heapq.heappop(lane.held)
        late = place < lane.last
        lane.last = max(lane.last, place)
        return Taken(lane, item, late)

    def done(self, lane: Lane[T]) -> None:
        """The message taken from this lane is handled: its next one has its turn, behind the other lanes'."""
        if lane.held and lane.held[0][0] <= lane.ripe:
            self._ready.append(lane)
            return
        lane.busy = False
        lane.ripe = _FIRST
        if not lane.held:
            del self._lanes[lane.customer]
            self._idle[lane.customer] = lane
            if len(self._idle) > _REMEMBERED:
                self._idle.popitem(last=False)
