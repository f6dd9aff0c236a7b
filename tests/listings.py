"""A server's listing that changes while it is read, and which rows a walk must hand out."""

from __future__ import annotations

import bisect
import math
from random import Random
from typing import Literal, NamedTuple, TypeAlias, get_args

from landbot_async._core.pagination import MOST_ROWS, Rows

Order: TypeAlias = Literal["activity", "newest", "oldest", "name", "anywhere"]
ORDERS: tuple[Order, ...] = get_args(Order)


class Row(NamedTuple):
    id: int


class Rates(NamedTuple):
    """Changes of each kind a second."""

    writes: float = 0.0
    arrivals: float = 0.0
    deletions: float = 0.0


STILL = Rates()


class Listing:
    """Rows in Landbot's order or another. Changes happen at random times of the clock that a request passes.

    Attributes:
        asked: the number of requests so far.
        begun: the walk has its first page. Whoever makes the requests sets it.
        owed: the ids of the rows that stood in that page or behind it, and that are still in the listing.
        names: the name of each row, by which a listing by "name" is sorted.
        excused: changes may have hidden each other from any reader ("Pages that shift" in the guide).
    """

    def __init__(
        self,
        random: Random,
        size: int,
        *,
        order: Order = "activity",
        rates: Rates = STILL,
        cap: int = MOST_ROWS,
        tells_total: bool = True,
    ) -> None:
        self.random = random
        self.order = order
        self.cap = cap
        self.tells_total = tells_total
        self.asked = 0
        self.begun = False
        self.owed: set[int] = set()
        self.excused = False
        self.rows = list(range(size))
        self.names = [random.random() for _ in self.rows]
        if order == "name":
            self.rows.sort(key=self.names.__getitem__)
        elif order == "newest":
            self.rows.reverse()
        self._rates = rates
        self._next = self._pause() if sum(rates) else math.inf
        self._lately: list[str] = []  # the kinds of changes since the last request
        self._ever: set[str] = set()
        self._offset = 0  # of the walk's first page

    def page(self, offset: int, limit: int, *, now: float = 0.0) -> Rows:
        """Return a page as it is at `now`."""
        while self._next <= now:
            self.change(self.random.choices(Rates._fields, self._rates)[0])
            self._next += self._pause()
        if not self.begun:
            self.owed = set(self.rows[offset:])
            self._offset = offset
        self.asked += 1
        self._excuse()
        rows = [Row(id_) for id_ in self.rows[offset : offset + min(limit, self.cap)]]
        return Rows(rows, len(self.rows) if self.tells_total else None)

    def change(self, *kinds: str) -> None:
        """Make these changes, each to a random row."""
        for kind in kinds:
            self._change(kind)

    def _change(self, kind: str) -> None:
        self._lately.append(kind)
        self._ever.add(kind)
        if kind == "arrivals":
            self._put(len(self.names))
            return
        if not self.rows:
            return
        row = self.rows.pop(self.random.randrange(len(self.rows)))
        if kind == "deletions":
            self.owed.discard(row)
        else:
            self.write(row)

    def write(self, row: int) -> None:
        """Put a row that was taken out of the listing back in its place."""
        if self.order == "name":
            self.names[row] = self.random.random()
        self._put(row)

    def _put(self, row: int) -> None:
        arrives = row == len(self.names)
        if arrives:
            self.names.append(self.random.random())
        if self.order == "activity" or (self.order == "newest" and arrives):
            place = 0
        elif self.order == "newest":
            place = bisect.bisect_left(self.rows, -row, key=int.__neg__)
        elif self.order == "oldest":
            place = bisect.bisect_left(self.rows, row)
        elif self.order == "name":
            place = bisect.bisect_left(self.rows, self.names[row], key=self.names.__getitem__)
        else:
            place = self.random.randrange(len(self.rows) + 1)
        self.rows.insert(place, row)

    def _pause(self) -> float:
        return self.random.expovariate(sum(self._rates))

    def _excuse(self) -> None:
        moves_elsewhere = self.order in ("name", "anywhere") and "writes" in self._ever
        lately = set(self._lately)
        self.excused |= moves_elsewhere and {"writes", "deletions"} <= lately
        self.excused |= moves_elsewhere and {"arrivals", "deletions"} <= self._ever
        # A row that comes from in front of the walk's offset looks like any other unread row.
        self.excused |= moves_elsewhere and self._offset > 0 and len(self._lately) > 1
        # One row a page leaves no room for an overlap, and without a total an arrival looks like a move.
        self.excused |= self.cap == 1 and (self.order != "activity" or not self.tells_total)
        self.excused |= not self.tells_total and (moves_elsewhere or {"writes", "deletions"} <= lately)
        self._lately.clear()
