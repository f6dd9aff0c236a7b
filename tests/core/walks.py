"""A walk that reads a listing, for the tests of pagination."""

import math
from collections.abc import Callable
from random import Random

from landbot_async._core.pagination import (
    MOST_ROWS,
    Ask,
    Rows,
    Walk,
)
from tests.listings import Listing, Order, Row


def rows(*ids: int, total: int | None = None) -> Rows:
    return Rows([Row(id_) for id_ in ids], total)


def ids(handed: list[Row] | None) -> list[int] | None:
    return None if handed is None else [row.id for row in handed]


class Reader:
    """A walk that reads a listing, a request at a time or several ahead. `changes` is called before each request."""

    def __init__(self, listing: Listing, page_size: int = 100, start: int = 0, *, ahead: int = 0) -> None:
        self.listing = listing
        self.walk = Walk(page_size, start)
        self.ahead = ahead
        self.handed: list[int] = []
        self.asks: list[Ask] = []
        self._landed: dict[Ask, tuple[Rows, int]] = {}

    def read(self, change: Callable[[int], None] = lambda _: None, *, most: int = 5000) -> list[int]:
        """Read on to the end, and return the ids handed out."""
        while not self.walk.ended:
            assert len(self.asks) < most, "it does not end"
            self.step(change)
        return self.handed

    def step(self, change: Callable[[int], None] = lambda _: None) -> list[int] | None:
        """Make one request, and give the walk all pages that it can take."""
        walk = self.walk
        ask = next(ask for number in range(self.ahead + 1) if (ask := walk.ask(number)) and ask not in self._landed)
        change(len(self.asks))
        self._landed[ask] = self.listing.page(ask.offset, ask.limit, now=len(self.asks)), len(self.asks)
        self.listing.begun = True
        self.asks.append(ask)
        while not walk.ended and walk.needed in self._landed:
            needed = walk.needed
            page = self._landed.pop(needed)
            handed = ids(walk.take(*page))
            self.handed += handed or []
            if handed is None and walk.needed != needed:
                self._landed[needed] = page
        self._landed = {ask: page for ask, page in self._landed.items() if walk.wants(ask)}
        return self.handed

    def check(self) -> None:
        """Assert what holds whatever has happened."""
        assert len(self.handed) == len(set(self.handed))
        lost = self.listing.owed - set(self.handed)
        assert not lost or self.walk.incomplete or self.listing.excused


def listing(
    size: int, *, seed: int = 1, order: Order = "activity", cap: int = MOST_ROWS, total: bool = True
) -> Listing:
    return Listing(Random(seed), size, order=order, cap=cap, tells_total=total)


def requests(size: int, page_size: int = 100) -> int:
    """Return the requests for a listing that stands still: each page but the first overlaps by a row."""
    return 1 + math.ceil(max(0, size - page_size) / (min(page_size + 1, MOST_ROWS) - 1))
