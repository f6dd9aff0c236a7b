"""The arithmetic of a walk over offset pages that shift while it walks. Pure: it says what to ask, and is told.

Sort order and behaviour under concurrent changes are undocumented (dev.landbot.io, "Pagination"), so each page
overlaps the one before. As long as rows only come and go and keep their order:

* A page with a known row continues what came before, wherever it stands now: its unknown rows are next.
* A page without one may have hidden rows in front: rows behind the walk were deleted, or the known rows themselves. The
  walk then steps back, page by page, until it meets a known row or the beginning.

The overlap is one row as long as nothing is deleted. A step back costs more than a page, so where rows were missing in
the overlap, the pages planned from then on overlap by twice as many more.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any, NamedTuple

# The most rows a page can have.
MOST_ROWS = 100
# The most of them that overlap.
MOST_OVERLAP = 25
# What each page that misses less leaves of the slack in the overlap.
_FADING = 0.98
# How often in a row the walk steps back in vain before it takes what the server says.
MOST_RETREATS = 10
# How many pages without a new row the walk takes in a row, beyond those that hold the rows it knows. Rows that come in
# behind it push known ones ahead again; but a server that ignores the offset would keep it walking for ever.
MOST_VAIN = 10


class Rows(NamedTuple):
    """One page as it came: the items, and how many there are in all if the answer says so."""

    items: list[Any]
    total: int | None


class Ask(NamedTuple):
    """A page to ask for."""

    offset: int
    limit: int

    @property
    def end(self) -> int:
        """Where the page behind it begins."""
        return self.offset + self.limit


class Walk:
    """Where a walk stands: what it has handed out, what it needs next, what it may ask for ahead.

    `key` tells rows apart.
    """

    def __init__(self, page_size: int, start: int, key: Callable[[Any], object] = attrgetter("id")) -> None:
        self.total: int | None = None
        self.drift = 0
        self.ended = False
        self._plan = [Ask(start, page_size)]  # the pages that come next, in order
        self._start = start
        self._page_size = page_size
        self._key = key
        self._known: set[object] = set()
        self._last: object = None  # the key of the last row of the page taken last
        self._edge = start  # where that page ended
        self._slack = 0.0  # how many rows may be deleted between two pages without a step back
        self._stepping_back = False
        self._retreats = 0
        self._vain = 0

    @property
    def needed(self) -> Ask:
        """The page without which the walk cannot go on."""
        return self._plan[0]

    def asks(self, count: int) -> list[Ask]:
        """The needed page and the ones behind it, up to `count`, as far as the total is known to reach.

        What was said once stays while it fits, so that no page is on its way in vain.
        """
        while len(self._plan) < count and self.total is not None and self._plan[-1].end < self.total:
            self._plan.append(self._behind(self._plan[-1].end))
        return self._plan[:count]

    def take(self, offset: int, rows: list[Any], total: int | None) -> list[Any] | None:
        """The rows of the needed page that were not handed out before; None if the walk has to step back first."""
        self.total = self.total if total is None else total
        keys = [self._key(row) for row in rows]
        known_at = [index for index, key in enumerate(keys) if key in self._known]
        if self._known:
            overlap = self._edge - offset
            continues = overlap <= len(rows) and keys[overlap - 1] == self._last
            self.drift += not (continues or self._stepping_back)
            if not known_at and offset > 0 and self._step_back(offset):
                return None
            missing = overlap - len(known_at)
            self._slack = max(min(2.0 * missing, MOST_OVERLAP - 1), self._slack * _FADING)
        # In front of a known row stands nothing that the walk has missed: rows that are new there, or that lie before
        # the place it began at.
        new: list[Any] = []
        for index in range(known_at[0] if self._start and known_at else 0, len(rows)):
            if keys[index] not in self._known:
                self._known.add(keys[index])
                new.append(rows[index])
        self._move_on(offset + len(rows), keys, new)
        return new

    def _move_on(self, end: int, keys: list[object], new: list[Any]) -> None:
        """Plan what comes behind a page that ended at `end`, or end the walk."""
        out_of_reach = self.total is not None and end >= self.total
        nothing_more = not self._stepping_back and not new and end <= self._edge
        self._vain = 0 if new else self._vain + 1
        in_vain = self._vain > MOST_VAIN + len(self._known) // min(self._page_size, MOST_ROWS - MOST_OVERLAP)
        self.ended = not keys or out_of_reach or nothing_more or in_vain
        # What is planned fits if it overlaps this page and reaches beyond it.
        plan = [ask for ask in self._plan[1:] if ask.end > end]
        self._plan = plan if plan and plan[0].offset < end else [self._behind(end)]
        self._last = keys[-1] if keys else self._last
        self._edge = end
        self._stepping_back = False
        self._retreats = 0 if new else self._retreats

    def _step_back(self, offset: int) -> bool:
        if not self._stepping_back:
            self._retreats += 1
        if self._retreats > MOST_RETREATS:
            return False
        self._stepping_back = True
        self._plan.insert(0, Ask(max(0, offset + self._overlap - self._limit), self._limit))
        return True

    def _behind(self, end: int) -> Ask:
        return Ask(max(0, end - self._overlap), self._limit)

    @property
    def _overlap(self) -> int:
        return 1 + round(self._slack)

    @property
    def _limit(self) -> int:
        # A page is asked for with its overlap: where it has one row, it would show nothing new otherwise.
        return min(self._page_size + self._overlap, MOST_ROWS)
