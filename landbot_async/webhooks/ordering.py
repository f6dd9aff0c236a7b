"""The order in which messages are handled: one customer's messages by their own time, customers side by side.

Bursts arrive out of order by 10 to 50 ms, so a message first waits for earlier ones: it settles. When its settling time
is over, every message of its customer that belongs before it has had as long to arrive, and goes before it. Pure: the
time is an argument.

Source: dev.landbot.io, "Message hooks": sort by `timestamp`, ties by `_raw.seq`.

Reasons: docs/decisions.md, "Settling" and "A customer's share".
"""

from __future__ import annotations

import heapq
from collections import OrderedDict, deque
from collections.abc import Hashable
from typing import Generic, NamedTuple, TypeAlias, TypeVar

T = TypeVar("T")

Place: TypeAlias = tuple[float, int]
"""A message's place among those of its customer: its time in Unix seconds, and its `seq`."""

_FIRST: Place = (float("-inf"), 0)
# Customers whose last place is remembered, to tell which messages come late.
_REMEMBERED = 10_000


class CustomerQueue(Generic[T]):
    """The waiting messages of one customer."""

    __slots__ = ("busy", "customer", "last", "settled", "waiting")

    def __init__(self, customer: Hashable) -> None:
        self.customer: Hashable = customer
        self.waiting: list[tuple[Place, int, T]] = []  # a heap
        self.settled: Place = _FIRST  # up to this place nothing settles any more
        self.last: Place = _FIRST  # the latest place that had its turn
        self.busy: bool = False  # has its turn, or is queued for one


class Turn(NamedTuple, Generic[T]):
    """A message whose turn it is; `late` if a later one of its customer had its turn before."""

    queue: CustomerQueue[T]
    item: T
    late: bool


class Ordering(Generic[T]):
    """All messages that wait for their turn.

    Args:
        settle: seconds that a message waits for earlier ones.
    """

    def __init__(self, settle: float) -> None:
        self._settle = settle
        self._count = 0
        self._queues: dict[Hashable, CustomerQueue[T]] = {}
        self._idle: OrderedDict[Hashable, CustomerQueue[T]] = OrderedDict()
        self._settling: deque[tuple[float, CustomerQueue[T], Place]] = deque()
        self._ready: deque[CustomerQueue[T]] = deque()

    @property
    def next_due(self) -> float | None:
        """The time when the next message has settled; None if none settles."""
        return self._settling[0][0] if self._settling else None

    def put(self, customer: Hashable, place: Place, item: T, now: float) -> None:
        """Add a message. `now` never goes back."""
        queue = self._queues.get(customer)
        if queue is None:
            queue = self._idle.pop(customer) if customer in self._idle else CustomerQueue(customer)
            self._queues[customer] = queue
        self._count += 1
        heapq.heappush(queue.waiting, (place, self._count, item))
        self._settling.append((now + self._settle, queue, place))

    def settle(self, now: float) -> None:
        """Let every message that has settled by `now` have its turn; `inf` settles all."""
        while self._settling and self._settling[0][0] <= now:
            _, queue, place = self._settling.popleft()
            if queue.waiting and place >= queue.waiting[0][0]:
                queue.settled = max(queue.settled, place)
                if not queue.busy:
                    queue.busy = True
                    self._ready.append(queue)

    def take(self) -> Turn[T] | None:
        """Return the next message whose turn it is, or None. Its customer has no other turn before `done`."""
        if not self._ready:
            return None
        queue = self._ready.popleft()
        place, _, item = heapq.heappop(queue.waiting)
        late = place < queue.last
        queue.last = max(queue.last, place)
        return Turn(queue, item, late)

    def done(self, queue: CustomerQueue[T]) -> None:
        """End a customer's turn. Their next settled message queues for its own behind those of other customers."""
        if queue.waiting and queue.waiting[0][0] <= queue.settled:
            self._ready.append(queue)
            return
        queue.busy = False
        queue.settled = _FIRST
        if not queue.waiting:
            del self._queues[queue.customer]
            self._idle[queue.customer] = queue
            if len(self._idle) > _REMEMBERED:
                self._idle.popitem(last=False)
