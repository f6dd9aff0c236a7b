"""The decisions of a walk over the offset pages of a listing that changes while it is read. Pure: it never waits.

Landbot documents neither the order of a listing nor what concurrent changes do to it (dev.landbot.io, "Pagination").
`GET /customers/` lists the latest activity first. So between two requests rows arrive at the front, rows are deleted
anywhere, and rows *jump* to the front from pages that the walk has not read yet.

* The walk reads the listing in *sweeps* from its beginning. Each page overlaps the one before. The *boundary* between
  read and unread rows lies behind the row that was read last. Its movement between two pages is the *shift*: rows that
  arrive in front of it or jump there push it back, rows deleted in front of it pull it forward. If a page has no row
  that the sweep knows, unread rows may stand before it. The page is kept until pages with smaller offsets have reached
  known rows.
* A sweep ends with a page that ends at its own total. Without a total, it ends with a short page that brings no row.
  Rows may also be appended as fast as they are read. Then the walk ends incomplete after a while.
* If anything moved during a sweep, another one follows, because rows that jumped stand at the front. It may stop early,
  at rows that stand in the order in which they were read before: all rows that jumped stand in front of those. By then
  it must have found as many rows as the shifts say have jumped. Otherwise it reads everything again. It also does so if
  a row stands where this order cannot put it.
* The walk is complete after a sweep in which nothing moved. A sweep of one request sees the listing at one moment.
* A walk that makes too many requests without new rows ends incomplete.

Reasons: docs/decisions.md, "The end of a walk" and "Walks from an offset".
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable
from operator import attrgetter
from typing import Any, Final, Literal, NamedTuple, TypeAlias

# The most rows that a page can have.
MOST_ROWS: Final = 100
# The largest shift that the overlap takes into account: a rush of new rows says nothing about deletions to come.
MOST_RISE: Final = 10
# How often to request a page that brings no row although the total says that more follow.
MOST_EMPTY: Final = 3
# How many requests may bring no new row: this number, and as many as it takes to read the listing that many times.
MOST_FRUITLESS: Final = 10
MOST_PASSES: Final = 3
# Without a total, how many short pages in a row may bring rows. Each of them shows the end of the listing at its time,
# unless the server leaves rows out of its pages, so pages that are at least half full do not count.
MOST_SHORT: Final = 10
# How many rows may be appended during a walk, besides as many as it takes to read the listing that many times.
MOST_GROWTH: Final = 10_000
# The most sweeps. If the front changes faster than it can be read, each sweep takes few requests and none is the last.
MOST_SWEEPS: Final = 16
# The number of rows whose ranks the first sweep keeps. All ranks would take a third of a walk's memory. Those
# of older rows are needed only when another sweep begins, which ranks all rows again.
RECENT: Final = 4096
# How many rows in the order in which they were read before prove that all rows behind them are known. Fewer must do if
# pages are short.
PROOF: Final = 10
LEAST_PROOF: Final = 5

Incomplete: TypeAlias = Literal["offset", "empty page", "order", "unsettled"]
"""The reasons for which rows may be missing."""


class Rows(NamedTuple):
    """One page as it came: the items, and the length of the whole listing if the response says it."""

    items: list[Any]
    total: int | None


class Ask(NamedTuple):
    """A page to request. `sweep` tells it from the same page of an earlier sweep, which may show an older listing."""

    offset: int
    limit: int
    sweep: int = 1


class _Page:
    """A page as a sweep sees it. `ranks` are the ranks of its rows in the listing, -1 for a row never seen before."""

    __slots__ = ("ask", "boundary", "end", "known", "last", "ranks", "total", "turn")

    def __init__(self, ask: Ask, total: int | None, turn: int, ranks: list[int], base: int) -> None:
        self.ask = ask
        self.turn = turn
        self.ranks = ranks
        self.known = [index for index, rank in enumerate(ranks) if rank >= base]
        # The index of the known row that was read last. Among rows without a rank it is the last one of the page.
        self.last = max(self.known, key=lambda index: (ranks[index], index), default=-1)
        self.boundary = ask.offset + self.last + 1
        self.end = ask.offset + len(ranks)
        self.total = None if ranks and total is not None and self.end > total else total  # unless its rows disprove it

    def growth_since(self, total: int | None) -> int | None:
        """Return by how much the total has grown, or None if it is not known."""
        return None if total is None or self.total is None else self.total - total


class _Overlap:
    """The number of rows by which each page overlaps the one before.

    A row of overlap costs one row of every page; a shift that exceeds the overlap costs a request. So the overlap
    covers the usual shifts, by their mean and their mean deviation, as TCP computes its time-out. The constants were
    measured in simulated walks with up to ten changes of each kind a second.
    """

    def __init__(self) -> None:
        self._mean = 0.0
        self._deviation = 0.0

    def learn(self, shift: int) -> None:
        error = max(-MOST_ROWS, min(shift, MOST_RISE)) - self._mean
        weight = 1 / 16 if shift > -self.rows else 1 / 8
        self._mean += error * weight
        self._deviation += (abs(error) - self._deviation) * weight

    @property
    def rows(self) -> int:
        return 1 + max(0, math.ceil(2.5 * self._deviation - self._mean - 0.1))


class _Shifts:
    """The shifts of a sweep: how many rows it may have missed, and how many of them were found since."""

    def __init__(self) -> None:
        self.rises = 0  # rows that have come in front of the boundary
        self.jumps = 0  # those of them that a growing total does not explain
        self.reverse_jumps = 0  # rows that have left the front, which a shrinking total does not explain
        self.growth = 0  # the sum of all increases of the total
        self.shrinkage = 0  # the sum of all decreases of the total
        self.has_moved = False
        self.total: int | None = None  # at the end of the sweep
        self.unread_rows = 0  # rows that earlier sweeps have read, and this one has not
        self.found_rows = 0  # rows that this sweep has missed, and that were found at the front
        self.unexpected_row = False  # a new row stands where Landbot's order cannot put it
        self.out_of_order = False  # so does a row read before
        self.no_overlap = False  # pages of one row have no room for an overlap
        self.unexplained = False  # rows have come in behind the boundary, or there is no total

    def note(self, shift: int, growth: int | None) -> None:
        """Record by how much the boundary and the total have moved between two pages."""
        self.rises += max(shift, 0)
        self.jumps += max(min(shift, shift - (growth or 0)), 0)
        self.reverse_jumps += max(min(-shift, (growth or 0) - shift), 0)
        self.growth += max(growth or 0, 0)
        self.shrinkage += max(-(growth or 0), 0)
        self.has_moved = self.has_moved or bool(shift or growth)
        self.unexplained = self.unexplained or growth is None or shift < growth

    def explained(self, sweep: _Shifts, total: int | None) -> bool:
        """Return True if all rows that jumped have been found, as far as sums can tell.

        `sweep` has read the front since, and `total` is the total now. Rows that rose during that sweep are left to the
        next one; rows that arrived since do not count. If rows arrive and are deleted in the same walk, an arrival in
        front of the boundary and a deletion behind it look like a jump, even if the total never shows either. A row
        that jumped may also have been deleted before it was found.
        """
        later = 0 if total is None or self.total is None else max(total - self.total, 0)
        all_found = max(self.found_rows - later, 0)
        found = 0 if self.unexpected_row else all_found
        missing = (self.rises if found else self.jumps) - found
        if self.growth and not self.shrinkage:
            missing = max(missing, self.rises - all_found)  # an arrival behind the boundary may have hidden a jump
        spare = max(min(self.growth, self.shrinkage), min(found // 4, self.shrinkage), 4 * self.reverse_jumps)
        return not self.out_of_order and missing <= spare + (sweep.rises if sweep.found_rows else 0)


class _Sweep:
    """One reading of the listing from its beginning."""

    def __init__(self, base: int, edge: int, previous: _Shifts, *, proof: int) -> None:
        self.base = base  # rows of this rank and above were read in this sweep, all others before it
        self.edge = edge  # the place behind the page taken last
        self.size = 0  # rows read
        self.repeats = 0  # rows that stand twice in one page, about
        self.shifts = _Shifts()
        self.previous = previous  # those of the latest sweep that read everything
        self.empty = 0  # how often in a row the needed page brought no row against the total
        self.newest = -1  # the turn of the newest page
        self.total: int | None = None  # its total
        self._distance = 0  # the sum of all shifts
        self._newest_distance = 0  # the same, up to the newest page
        # To find rows in the order in which they were read before:
        self._read_before = base - previous.unread_rows  # the latest full sweep has read rows below this rank
        self._run: deque[int] = deque(maxlen=proof)  # the latest of their ranks, while they ascend
        self._passed: list[int] = []  # all of their ranks, sorted
        self._met_known_order = False

    @property
    def newest_rank(self) -> int:
        return self.base + self.size - 1

    def continues(self, page: _Page) -> bool:
        """Return True if no unread row can stand between the pages read before and this one."""
        if not self.size or not page.ask.offset:
            return True
        if page.known:
            return page.known[0] == 0 or page.ranks[page.last] > self.newest_rank - MOST_ROWS
        return False

    def measure(self, page: _Page) -> int | None:
        """Return how far the boundary has moved since the newest page, or None if this page is older than that one.

        An older page shows where the boundary was, not what has moved since.
        """
        begun, is_newest = self.size > 0, page.turn > self.newest
        self._distance += page.boundary - self.edge if begun else 0
        if page.ask.offset and page.known:
            read = [page.ranks[index] for index in page.known]
            self.shifts.out_of_order = self.shifts.out_of_order or read != sorted(read)
            self.shifts.unexpected_row = self.shifts.unexpected_row or (is_newest and len(read) != page.known[-1] + 1)
        if not is_newest:
            self.shifts.has_moved = self.shifts.has_moved or self._distance != self._newest_distance
            return None
        shift = self._distance - self._newest_distance
        growth = page.growth_since(self.total)
        self._newest_distance = self._distance
        self.newest, self.total = page.turn, page.total
        if begun:
            self.shifts.note(shift, growth)
        return shift if begun else None

    def compare(self, rank: int) -> None:
        """Compare the rank of a row that is new to this sweep with the order in which earlier sweeps read the rows."""
        previous, run = self.previous, self._run
        if not 0 <= rank < self._read_before:
            previous.unexpected_row = previous.unexpected_row or self._met_known_order
            previous.found_rows += 1
            self.shifts.found_rows += 1
            previous.unread_rows -= rank >= 0
            run.clear()
            return
        if run and rank < run[-1]:
            previous.out_of_order = previous.out_of_order or self._met_known_order
            run.clear()
        run.append(rank)
        insort(self._passed, rank)
        self._met_known_order = self._met_known_order or self.has_met_known_order()

    def has_met_known_order(self) -> bool:
        """Return True if the rows read last stand in their known order, and all that jumped stand in front of them.

        Unless the first of them has moved, all rows that stood in front of it still do, except for deleted ones.
        """
        run = self._run
        if len(run) != run.maxlen or not self.previous.explained(self.shifts, self.total):
            return False
        absent = run[0] - bisect_left(self._passed, run[0])
        return absent <= run[0] // 4


class Walk:
    """The state of a walk: the rows it has handed out, the pages it needs next. `key` returns a row's identity."""

    def __init__(self, page_size: int, start: int, key: Callable[[Any], object] = attrgetter("id")) -> None:
        self.total: int | None = None
        self.drift = 0
        self.ended = False
        self.incomplete: Incomplete | None = None
        self._page_size = page_size
        self._start = start
        self._key = key
        self._ranks: dict[object, int] = {}  # of every row that was read; ascending, they are the order of the listing
        self._recent: deque[object] = deque()  # the rows of the first sweep that have a rank
        self._overlap = _Overlap()
        self._longest = 0  # rows of the longest page so far
        self._most = MOST_ROWS  # rows that the server returns at most, as far as is known
        self._sweeps = 1
        self._sweep = _Sweep(0, start, _Shifts(), proof=PROOF)
        self._first_size = 0  # rows read in the first sweep
        self._first_total: int | None = None  # the total when the walk began
        self._short = 0  # short pages in a row that brought rows
        self._fruitless = 0  # requests that brought nothing new, and all those of later sweeps
        self._plan = [Ask(start, page_size)]  # the pages that come next, in order
        self._kept: set[Ask] = set()  # planned pages that have come in, and wait for pages with smaller offsets
        self._stepping_back = False

    @property
    def needed(self) -> Ask:
        """The page without which the walk cannot go on."""
        return self._plan[0]

    def ask(self, number: int) -> Ask | None:
        """Return the page `number` pages behind the needed one, or None if it lies beyond the total.

        A page that was returned once stays planned while it fits, so that its request is not wasted.
        """
        while len(self._plan) <= number:
            end = self._end(self._plan[-1])
            if not self._plans_ahead or self.total is None or end >= self.total:
                return None
            self._plan.append(self._behind(end))
        return self._plan[number]

    def wants(self, ask: Ask) -> bool:
        """Return True if a page is planned."""
        return ask in self._plan

    def take(self, rows: Rows, turn: int) -> list[Any] | None:
        """Return the rows of the needed page that were not handed out before, or None if the walk cannot use it yet.

        After None, if the same page is still the needed one, it has to be requested again. Otherwise the caller keeps
        it and passes it again when it is needed. `turn` counts the pages in the order in which they came in: a page
        with a smaller turn shows an older listing.
        """
        ask, sweep = self._plan[0], self._sweep
        self.total = self.total if rows.total is None else rows.total
        keys = [self._key(item) for item in rows.items]
        ranks = [self._ranks.get(key, -1) for key in keys]
        if rows.total is None and sweep.size == 1 and ranks == [sweep.base]:
            ranks = []  # the only row once more, from a server that ignores the offset: the listing ends here
        page = _Page(ask, rows.total, turn, ranks, sweep.base)
        if self._is_empty(page):
            sweep.empty += 1
            return self._close("empty page") if sweep.empty == MOST_EMPTY else None
        sweep.empty = 0
        if not sweep.continues(page) and not self._continues_without_overlap(page):
            return self._step_back(page)
        self._measure(page)
        size = sweep.size
        sweep.repeats += max(0, min(len(keys), ask.limit) - len(set(keys)))
        new = [item for index, item in enumerate(rows.items) if self._read(page, keys[index], index)]
        self._plan_next(page, brought=sweep.size > size, new=bool(new))
        return new

    @property
    def _plans_ahead(self) -> bool:
        """True if the sweep will read the whole listing. Its first page is requested alone, to learn the total."""
        return self._sweep.size > 0 and (self._sweeps == 1 or self._sweep.previous.out_of_order)

    def _is_empty(self, page: _Page) -> bool:
        """Return True if a page brings no row and ends the listing, although the total says that more rows follow."""
        length = len(page.ranks)
        short = not length or length < min(page.ask.limit, self._longest)
        return short and len(page.known) == length and page.total is not None and page.end < page.total

    def _continues_without_overlap(self, page: _Page) -> bool:
        """Return True if pages of one row follow each other. They cannot overlap; only a smaller total shows a gap."""
        shrank = (page.growth_since(self._sweep.total) or 0) < 0
        follows = self._most == 1 and page.ask.offset == self._sweep.edge and not shrank
        self._sweep.shifts.no_overlap |= follows and bool(page.ranks)
        return follows

    def _step_back(self, page: _Page) -> list[Any] | None:
        """Plan a page with a smaller offset, because unread rows may stand before this one."""
        ask = page.ask
        self._fruitless += 1
        if self._exhausted:
            return self._close(self._reason_to_give_up)
        if ask in self._kept:
            # The pages before it did not reach it: too much has changed since it came in.
            self._kept.clear()
            self._plan = [self._behind(self._sweep.edge)]
            return None
        offset, half = ask.offset, self._longest // 2
        if self._stepping_back:
            offset -= max(1, self._longest - min(self._overlap.rows, half))
        else:
            self.drift += 1
            # In Landbot's order, the boundary cannot have moved by more rows than the total has shrunk by.
            offset += min(page.growth_since(self._sweep.total) or 0, 0)
            offset = min(min(offset, offset if page.total is None else page.total) - half, ask.offset - 1)
        self._stepping_back = True
        if self._most == 1:
            self._plan.clear()
        else:
            self._kept.add(ask)
        self._plan.insert(0, Ask(max(0, offset), MOST_ROWS, self._sweeps))
        return None

    def _measure(self, page: _Page) -> None:
        sweep = self._sweep
        shift = sweep.measure(page)
        if shift is not None:
            begins = page.boundary == sweep.edge and (not page.known or page.ranks[page.last] == sweep.newest_rank)
            self.drift += not begins and not self._stepping_back
            self._overlap.learn(shift)

    def _read(self, page: _Page, key: object, index: int) -> bool:
        """Add a row of a page to the sweep. Return True if it was not handed out before."""
        sweep = self._sweep
        rank = self._ranks.get(key, -1)
        if rank >= sweep.base:
            return False
        if self._start and (index < page.last if page.known else page.ask.offset + index < self._start):
            return False  # a row in front of the offset at which the walk began
        self._ranks[key] = sweep.base + sweep.size
        sweep.size += 1
        if self._sweeps == 1:
            self._recent.append(key)
            if len(self._recent) > RECENT:
                self._ranks[self._recent.popleft()] = 0
        elif not sweep.previous.out_of_order:
            sweep.compare(rank)
        if self._sweeps == 1 and index < page.last and not page.ask.offset:
            sweep.shifts.found_rows += 1
        return rank < 0

    def _plan_next(self, page: _Page, *, brought: bool, new: bool) -> None:
        """Plan the page behind this one, or end the sweep."""
        sweep, length = self._sweep, len(page.ranks)
        if self._sweeps == 1:
            self._first_size = sweep.size
        self._fruitless += not new or self._sweeps > 1
        if page.total is None:
            # A page as long as the longest so far may be all that the server returns at a time.
            short = length < min(page.ask.limit, self._longest)
            ends = not length or (short and not brought and not self._stepping_back)
            self._short = self._short + 1 if short and 2 * length < self._longest else 0
        else:
            ends = page.end >= page.total
            self._first_total = page.total if self._first_total is None else self._first_total
        self._longest = max(self._longest, length)
        if length < page.ask.limit and not ends:
            self._most = self._longest
        sweep.edge = page.end
        self._stepping_back = False
        self._kept.discard(page.ask)
        if ends:
            self._end_sweep(full=True)
        elif self._sweeps > 1 and sweep.has_met_known_order():
            self._end_sweep(full=False)
        elif self._exhausted or self._grows_without_end(page):
            self._close(self._reason_to_give_up)
        else:
            end = page.end
            if not brought and page.last == length - 1:
                # The boundary lies behind this page, by as many rows as were read after its last row.
                ahead = sweep.newest_rank - page.ranks[page.last]
                end += ahead - ahead // 16 if ahead < RECENT else 0
            plan = [ask for ask in self._plan[1:] if self._end(ask) > end]
            fits = plan and end - self._size <= plan[0].offset < end + (self._most == 1)
            self._plan = plan if fits else [self._behind(end)]

    def _grows_without_end(self, page: _Page) -> bool:
        """Return True if rows are appended as fast as the first sweep reads them."""
        if page.total is None:
            return self._sweeps == 1 and self._short == MOST_SHORT
        return self._sweeps == 1 and self._first_size > MOST_PASSES * (self._first_total or 0) + MOST_GROWTH

    def _end_sweep(self, *, full: bool) -> None:
        """End the sweep, and begin another one if one is needed."""
        sweep = self._sweep
        latest = sweep.shifts if full else sweep.previous
        if full:
            latest.unread_rows = len(self._ranks) - sweep.size
            latest.total = sweep.total
        is_still = not sweep.shifts.has_moved and not sweep.shifts.out_of_order
        unproven = any(each.no_overlap and each.unexplained for each in (latest, sweep.shifts))
        total = self.total or 0
        came = latest.growth + max(0, total - (latest.total or 0))  # rows, since the latest full sweep began
        read = self._start + sweep.size + sweep.repeats if full else len(self._ranks) + came
        if is_still and read < total:
            self._close("empty page")
        elif self._start:
            self._close(None if is_still and not self.drift and not unproven else "offset")
        elif is_still:
            self._close("order" if unproven else None)
        elif self._exhausted or self._sweeps == MOST_SWEEPS:
            sweep.previous = latest
            self._close(self._reason_to_give_up)
        else:
            self._rerank()
            self._fruitless = 0 if self._sweeps == 1 else self._fruitless
            self._sweeps += 1
            proof = max(LEAST_PROOF, min(PROOF, self._most // 4))
            self._sweep = _Sweep(len(self._ranks), 0, latest, proof=proof)
            self._plan = [Ask(0, MOST_ROWS, self._sweeps)]

    def _rerank(self) -> None:
        """Rank the rows of this sweep first, and behind them all others in their known order."""
        ranks, base = self._ranks, self._sweep.base
        if base:
            read = sorted((key for key, rank in ranks.items() if rank >= base), key=ranks.__getitem__)
            ranks = dict.fromkeys(read, 0) | ranks
        self._ranks = {key: rank for rank, key in enumerate(ranks)}

    def _close(self, incomplete: Incomplete | None) -> list[Any]:
        self.ended = True
        self.incomplete = incomplete
        return []

    @property
    def _exhausted(self) -> bool:
        return self._fruitless > MOST_FRUITLESS + MOST_PASSES * self._first_size // min(self._size, self._most)

    @property
    def _reason_to_give_up(self) -> Incomplete:
        return "order" if self._sweep.previous.out_of_order else "unsettled"

    @property
    def _size(self) -> int:
        """Rows to request at a time. Later sweeps use the longest pages, so that less changes between two of them."""
        return self._page_size if self._sweeps == 1 else MOST_ROWS

    def _behind(self, end: int) -> Ask:
        overlap = min(self._overlap.rows, self._size, self._most // 2)
        return Ask(max(0, end - overlap), min(self._size + overlap, MOST_ROWS), self._sweeps)

    def _end(self, ask: Ask) -> int:
        return ask.offset + min(ask.limit, self._most)
