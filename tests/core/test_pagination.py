"""The walk against listings that change between any two requests, and against servers that make things up."""

from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from landbot_async._core.pagination import MOST_OVERLAP, MOST_RETREATS, MOST_ROWS, MOST_VAIN, Ask, Walk


class Row(NamedTuple):
    id: int


def rows(*ids: int) -> list[Row]:
    return [Row(id_) for id_ in ids]


class Listing:
    """An honest server: offset, limit and total mean what they say. Changes keep the order of what stays."""

    def __init__(self, size: int, *, tells_total: bool) -> None:
        self.rows = rows(*range(size))
        self.stayed = {row.id for row in self.rows}
        self.tells_total = tells_total
        self.asked: list[Ask] = []
        self._next_id = size

    def change(self, place: int, count: int, *, adds: bool) -> None:
        place %= len(self.rows) + 1
        if adds:
            self.rows[place:place] = rows(*range(self._next_id, self._next_id + count))
            self._next_id += count
        else:
            self.stayed -= {row.id for row in self.rows[place : place + count]}
            del self.rows[place : place + count]

    def page(self, ask: Ask) -> tuple[list[Row], int | None]:
        self.asked.append(ask)
        page = self.rows[ask.offset : ask.offset + min(ask.limit, MOST_ROWS)]
        return page, len(self.rows) if self.tells_total else None


Change = tuple[int, int, bool]  # place, count, adds
changes = st.lists(st.tuples(st.integers(0, 60), st.integers(1, 8), st.booleans()), max_size=2)


def walked(walk: Walk, listing: Listing, between: list[list[Change]]) -> list[int]:
    """The ids that a walk hands out, with changes before each request but the first as long as there are any."""
    handed: list[int] = []
    while not walk.ended:
        ask = walk.needed
        page, total = listing.page(ask)
        handed += [row.id for row in walk.take(ask.offset, page, total) or ()]
        for place, count, adds in between.pop() if between else ():
            listing.change(place, count, adds=adds)
    return handed


@settings(max_examples=300)
@given(st.integers(0, 40), st.integers(1, 7), st.booleans(), st.lists(changes, max_size=12), st.integers(0, 9))
def test_rows_that_stay_are_handed_out_once(
    size: int, page_size: int, tells_total: bool, between: list[list[Change]], start: int
) -> None:
    listing = Listing(size, tells_total=tells_total)
    handed = walked(Walk(page_size, start), listing, between)
    assert len(handed) == len(set(handed))
    owed = [id_ for id_ in sorted(listing.stayed) if id_ >= start]
    assert [id_ for id_ in handed if id_ in owed] == owed


@settings(max_examples=150)
@given(
    st.integers(0, 40), st.integers(1, 7), st.booleans(), st.lists(changes, max_size=12), st.integers(0, 9), st.data()
)
def test_prefetched_pages_may_be_old(
    size: int, page_size: int, tells_total: bool, between: list[list[Change]], start: int, data: st.DataObject
) -> None:
    """Pages asked for ahead show the listing as it was then, some before and some after a change."""
    listing = Listing(size, tells_total=tells_total)
    walk = Walk(page_size, start)
    handed: list[int] = []
    landed: dict[Ask, tuple[list[Row], int | None]] = {}
    while not walk.ended:
        asks = walk.asks(4)
        landed = {ask: landed[ask] for ask in asks if ask in landed}
        missing = [ask for ask in asks if ask not in landed]
        if missing:
            ask = data.draw(st.sampled_from(missing))
            landed[ask] = listing.page(ask)
        if walk.needed in landed:
            page, total = landed.pop(walk.needed)
            handed += [row.id for row in walk.take(walk.needed.offset, page, total) or ()]
        for place, count, adds in between.pop() if between else ():
            listing.change(place, count, adds=adds)
    assert len(handed) == len(set(handed))
    owed = [id_ for id_ in sorted(listing.stayed) if id_ >= start]
    assert [id_ for id_ in handed if id_ in owed] == owed


@given(st.integers(0, 350), st.integers(1, MOST_ROWS), st.booleans(), st.integers(0, 350))
def test_a_listing_that_stands_still(size: int, page_size: int, tells_total: bool, start: int) -> None:
    listing = Listing(size, tells_total=tells_total)
    walk = Walk(page_size, start)
    assert walked(walk, listing, []) == list(range(start, size))
    assert walk.drift == 0
    assert walk.total == (size if tells_total else None)
    # One request a page, and at most two more: the overlap adds up, and without a total the end has to be seen.
    assert len(listing.asked) <= max(0, size - start) / min(page_size, MOST_ROWS - 1) + 2
    assert all(ask.limit <= MOST_ROWS and ask.offset >= start for ask in listing.asked)


@settings(max_examples=150)
@given(st.data(), st.integers(1, 5), st.integers(0, 20))
def test_it_ends_whatever_the_server_says(data: st.DataObject, page_size: int, start: int) -> None:
    """As long as ids are finite. What no server does, a broken cache in front of it may."""
    walk = Walk(page_size, start)
    pages = data.draw(
        st.lists(
            st.tuples(st.lists(st.integers(0, 6), min_size=1, max_size=9), st.none() | st.integers(0, 10**9)),
            min_size=1,
            max_size=8,
        )
    )
    handed: list[int] = []
    turn = 0
    while not walk.ended:
        ids, total = pages[turn % len(pages)]
        handed += [row.id for row in walk.take(walk.needed.offset, rows(*ids), total) or ()]
        turn += 1
        assert turn < 3000
    assert len(handed) == len(set(handed))


@pytest.mark.parametrize("total", [None, 10**9])
def test_a_server_that_ignores_the_offset(total: int | None) -> None:
    walk = Walk(100, 0)
    first = walk.take(0, rows(*range(100)), total)
    assert first is not None
    assert len(first) == 100
    asks = 0
    while not walk.ended:
        assert walk.take(walk.needed.offset, rows(*range(100)), total) == []
        asks += 1
    assert asks == MOST_VAIN + 2


def test_each_page_overlaps_the_one_before_by_a_row() -> None:
    walk = Walk(3, 0)
    assert walk.asks(5) == [Ask(0, 3)]  # how far it reaches is not known yet
    assert walk.take(0, rows(0, 1, 2), 10) == rows(0, 1, 2)
    assert walk.asks(2) == [Ask(2, 4), Ask(5, 4)]
    assert walk.asks(9) == [Ask(2, 4), Ask(5, 4), Ask(8, 4)]  # not beyond the total
    assert walk.take(2, rows(2, 3, 4, 5), 10) == rows(3, 4, 5)
    assert walk.drift == 0


def test_a_page_of_the_most_rows_overlaps_too() -> None:
    walk = Walk(MOST_ROWS, 0)
    walk.take(0, rows(*range(MOST_ROWS)), 150)
    assert walk.asks(3) == [Ask(99, MOST_ROWS)]


def test_one_row_a_page() -> None:
    """The overlap is all of the first page: asked for as it was, it would show nothing new for ever."""
    walk = Walk(1, 0)
    walk.take(0, rows(0), 3)
    assert walk.asks(4) == [Ask(0, 2), Ask(1, 2)]


def test_rows_deleted_behind_hide_none_in_front() -> None:
    walk = Walk(3, 0)
    walk.take(0, rows(0, 1, 2), 6)
    # 0 and 1 are gone, so 4 stands where 2 was.
    assert walk.take(2, rows(4, 5), 4) is None
    assert (walk.needed.offset, walk.drift, walk.ended) == (0, 1, False)
    assert walk.take(0, rows(2, 3, 4, 5), 4) == rows(3, 4, 5)
    assert (walk.drift, walk.ended) == (1, True)


def test_it_steps_back_a_page_at_a_time_and_counts_one_drift() -> None:
    walk = Walk(3, 0)
    walk.take(0, rows(0, 1, 2), None)
    walk.take(2, rows(2, 3, 4, 5), None)
    walk.take(5, rows(5, 6, 7, 8), None)
    assert walk.take(8, rows(14, 15), None) is None
    assert walk.needed.offset == 5
    assert walk.take(5, rows(11, 12, 13, 14), None) is None
    assert walk.needed.offset == 2
    assert walk.take(2, rows(8, 9, 10, 11), None) == rows(9, 10, 11)
    assert (walk.needed.offset, walk.drift) == (5, 1)


def test_where_rows_go_pages_overlap_by_more_until_it_is_quiet_again() -> None:
    listing, walk = Listing(20_000, tells_total=True), Walk(100, 0)

    def take(*, deletes: int = 0) -> bool:
        listing.change(0, deletes, adds=False)
        ask = walk.needed
        return walk.take(ask.offset, *listing.page(ask)) is not None

    assert take()
    assert walk.needed == Ask(99, 100)
    assert not take(deletes=3)  # the row it knows and two more stand in front of the page now
    assert walk.needed == Ask(0, 100)
    assert take()
    assert walk.needed == Ask(99, 100)  # as planned before
    assert take()
    assert walk.needed == Ask(199 - 7, 100)
    for _ in range(10):
        assert take(deletes=3), "what went is met by the overlap"
    before = walk.needed
    for _ in range(130):
        before = walk.needed
        assert take()
        assert walk.needed.offset > before.offset
    assert walk.needed.offset == before.end - 1
    assert walk.drift == 11


def test_the_overlap_has_its_bound() -> None:
    listing, walk = Listing(3000, tells_total=True), Walk(100, 0)
    while not walk.ended:
        *_, one, other = [Ask(0, 1), *walk.asks(9)]
        assert one.end - other.offset <= MOST_OVERLAP
        ask = walk.needed
        walk.take(ask.offset, *listing.page(ask))
        listing.change(0, 40, adds=False)
    assert walk._known >= listing.stayed
    assert len(listing.asked) > 50


def test_pages_on_the_way_stay_wanted_while_the_overlap_grows() -> None:
    walk = Walk(10, 0)
    walk.take(0, rows(*range(10)), 100)
    asks = walk.asks(4)
    assert asks == [Ask(9, 11), Ask(19, 11), Ask(29, 11), Ask(39, 11)]
    assert walk.take(9, rows(*range(11, 22)), 98) is None
    assert walk.asks(5) == [Ask(0, 11), *asks]
    assert walk.take(0, rows(*range(2, 13)), 98) == rows(10, 11, 12)
    # One behind them all overlaps by four rows more.
    assert walk.asks(5) == [*asks, Ask(50 - 5, 15)]


def test_rows_added_behind_are_a_drift_and_no_duplicate() -> None:
    walk = Walk(3, 0)
    walk.take(0, rows(0, 1, 2), 6)
    assert walk.take(2, rows(1, 2, 3, 4), 7) == rows(3, 4)
    assert walk.drift == 1


def test_a_total_once_told_is_kept() -> None:
    walk = Walk(2, 0)
    walk.take(0, rows(0, 1), 3)
    walk.take(1, rows(1, 2), None)
    assert (walk.total, walk.ended) == (3, True)


def test_it_steps_back_in_vain_only_so_often() -> None:
    walk = Walk(2, 0)
    assert walk.take(0, rows(0, 1), None) == rows(0, 1)
    for _ in range(MOST_RETREATS):
        assert walk.take(walk.needed.offset, rows(7), None) is None
        assert walk.take(walk.needed.offset, rows(0, 1), None) == []
    assert walk.take(walk.needed.offset, rows(7), None) == rows(7)
