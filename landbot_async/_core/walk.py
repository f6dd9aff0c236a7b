"""The arithmetic of a walk over offset pages that shift while it walks. Pure: it says what to ask, and is told.

Sort order and behaviour under concurrent changes are undocumented (dev.landbot.io, "Pagination"), so each page
overlaps the one before by a row. As long as rows only come and go and keep their order:

* A page with a known row continues what came before, wherever it stands now: its unknown rows are next.
* A page without one may have hidden rows in front: rows behind the walk were deleted, or the known row itself. The
  walk then steps back, page by page, until it meets a known row or the beginning.
"""

from __future__ import annotations

from typing import Any, NamedTuple

# The most rows a page can have.
MOST_ROWS = 100
# How often in a row the walk steps back in vain before it takes what the server says.
MOST_RETREATS = 10
# How many pages without a new row the walk takes in a row, beyond those that hold the rows it knows. Rows that come in
# behind it push known ones ahead again; but a server that ignores the offset would keep it walking for ever.
MOST_VAIN = 10


class Ask(NamedTuple):
    """A page to ask for."""

    offset: int
    limit: int


class Walk:
    """Where a walk stands: what it has handed out, what it needs next, what it may ask for ahead."""

    def __init__(self, page_size: int, start: int) -> None:
        self.total: int | None = None
        self.drift = 0
        self.ended = False
        self._needs = start  # the offset of the page that comes next
        self._start = start
        self._page_size = page_size
        self._known: set[Any] = set()
        self._last: Any = None  # the id that should open the next page
        self._edge = start  # where the page taken last ended
        self._stepping_back = False
        self._retreats = 0
        self._vain = 0

    @property
    def needed(self) -> Ask:
        """The page without which the walk cannot go on."""
        return self._ask(self._needs)

    def asks(self, count: int) -> list[Ask]:
        """The needed page and the ones behind it, up to `count`, as far as the total is known to reach."""
        asks = [self.needed]
        while len(asks) < count and self.total is not None and asks[-1].offset + asks[-1].limit < self.total:
            asks.append(self._ask(asks[-1].offset + asks[-1].limit - 1))
        return asks

    def take(self, offset: int, rows: list[Any], total: int | None) -> list[Any] | None:
        """The rows of the needed page that were not handed out before; None if the walk has to step back first."""
        self.total = self.total if total is None else total
        known_at = next((index for index, row in enumerate(rows) if row.id in self._known), None)
        if self._known:
            if not self._stepping_back and (not rows or rows[0].id != self._last):
                self.drift += 1
            if known_at is None and offset > 0 and self._step_back(offset):
                return None
        # In front of a known row stands nothing that the walk has missed: rows that are new there, or that lie before
        # the place it began at.
        new: list[Any] = []
        for row in rows[known_at if self._start else 0 :]:
            if row.id not in self._known:
                self._known.add(row.id)
                new.append(row)
        end = offset + len(rows)
        out_of_reach = self.total is not None and end >= self.total
        nothing_more = not self._stepping_back and not new and end <= self._edge
        self._vain = 0 if new else self._vain + 1
        in_vain = self._vain > MOST_VAIN + len(self._known) // min(self._page_size, MOST_ROWS - 1)
        self.ended = not rows or out_of_reach or nothing_more or in_vain
        self._needs = max(0, end - 1)
        self._last = rows[-1].id if rows else self._last
        self._edge = end
        self._stepping_back = False
        self._retreats = 0 if new else self._retreats
        return new

    def _ask(self, offset: int) -> Ask:
        # All but the first page have a row of the one before. With one row a page, that is the place it began at.
        return Ask(offset, min(self._page_size + 1, MOST_ROWS) if self._known else self._page_size)

    def _step_back(self, offset: int) -> bool:
        if not self._stepping_back:
            self._retreats += 1
        if self._retreats > MOST_RETREATS:
            return False
        self._stepping_back = True
        self._needs = max(0, offset - self._ask(offset).limit + 1)
        return True
