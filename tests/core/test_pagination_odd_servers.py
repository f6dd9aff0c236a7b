"""The walk against servers that make things up: their pages, totals and order."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from landbot_async._core.pagination import (
    MOST_EMPTY,
    MOST_FRUITLESS,
    MOST_GROWTH,
    MOST_PASSES,
    MOST_SHORT,
    MOST_SWEEPS,
    Ask,
    Rows,
    Walk,
)

from .walks import Reader, ids, listing, rows


class TestServersThatMakeThingsUp:
    @settings(max_examples=200)
    @given(st.data(), st.integers(1, 5), st.integers(0, 20), st.integers(0, 3))
    def test_it_ends_whatever_the_server_says(
        self, data: st.DataObject, page_size: int, start: int, ahead: int
    ) -> None:
        """The walk ends while ids are finite. No server does such a thing, but a broken cache in front of one may."""
        page = st.tuples(st.lists(st.integers(0, 6), max_size=9), st.none() | st.integers(0, 30) | st.just(10**9))
        pages = data.draw(st.lists(page, min_size=1, max_size=8))
        walk = Walk(page_size, start)
        handed: list[int] = []
        turn = 0
        while not walk.ended:
            got, total = pages[turn % len(pages)]
            age = data.draw(st.integers(0, 3)) if turn < 10 else 0
            handed += [row.id for row in walk.take(rows(*got, total=total), turn - age) or ()]
            walk.ask(ahead)
            turn += 1
            assert turn < 3000
        assert len(handed) == len(set(handed))

    @pytest.mark.parametrize("total", [None, 10**9])
    def test_a_server_that_ignores_the_offset(self, total: int | None) -> None:
        walk = Walk(100, 0)
        asks = 0
        while not walk.ended:
            assert ids(walk.take(rows(*range(100), total=total), asks)) == ([] if asks else list(range(100)))
            asks += 1
        assert (asks, walk.incomplete) == (1 + MOST_FRUITLESS + MOST_PASSES + 1, "unsettled")

    @pytest.mark.parametrize("total", [1000, None])
    def test_an_empty_page_in_the_middle(self, total: int | None) -> None:
        walk = Walk(100, 0)
        walk.take(rows(*range(100), total=1000), 1)
        asks = 0
        while not walk.ended and asks < 3:
            walk.take(rows(total=total), 2 + asks)
            asks += 1
        if total:
            assert (asks, walk.incomplete) == (MOST_EMPTY, "empty page")
        else:
            assert not walk.ended, "known rows must be behind it"

    def test_an_empty_page_that_is_full_the_next_time(self) -> None:
        walk = Walk(100, 0)
        walk.take(rows(*range(100), total=150), 1)
        assert walk.take(rows(total=150), 2) is None
        assert walk.needed == Ask(99, 100)
        assert ids(walk.take(rows(*range(99, 150), total=150), 3)) == list(range(100, 150))
        assert (walk.ended, walk.incomplete) == (True, None)

    def test_a_total_above_what_there_is(self) -> None:
        reader = Reader(listing(150, order="oldest"))
        page = reader.listing.page

        def more(offset: int, limit: int, *, now: float = 0.0) -> Rows:
            return page(offset, limit, now=now)._replace(total=1000)

        reader.listing.page = more  # type: ignore[method-assign]  # a server that differs
        assert reader.read() == list(range(150))
        assert reader.walk.incomplete == "empty page"
        assert len(reader.asks) == 2 + MOST_EMPTY

    @pytest.mark.parametrize("told", [0, 50, 120])
    def test_a_total_that_the_rows_disprove(self, told: int) -> None:
        reader = Reader(listing(1000, order="oldest"))
        page = reader.listing.page

        def less(offset: int, limit: int, *, now: float = 0.0) -> Rows:
            return page(offset, limit, now=now)._replace(total=told)

        reader.listing.page = less  # type: ignore[method-assign]  # a server that differs
        assert reader.read() == list(range(1000))
        assert reader.walk.incomplete is None

    def test_the_same_row_twice_in_a_page(self) -> None:
        walk = Walk(100, 0)
        assert ids(walk.take(rows(1, 2, 2, 1, 3, total=5), 1)) == [1, 2, 3]
        assert (walk.ended, walk.incomplete) == (True, None)

    def test_more_rows_than_it_is_asked_for_that_say_less(self) -> None:
        walk = Walk(2, 0)
        assert ids(walk.take(rows(1, 1, 2, 2, total=4), 1)) == [1, 2]
        assert (walk.ended, walk.incomplete) == (True, "empty page")

    def test_a_total_that_only_an_earlier_page_has(self) -> None:
        walk = Walk(10, 0)
        walk.take(rows(*range(10), total=100), 1)
        assert ids(walk.take(rows(*range(9, 15), total=None), 2)) == list(range(10, 15))
        walk.take(rows(14, total=None), 3)
        assert (walk.ended, walk.total, walk.incomplete) == (True, 100, "empty page")

    def test_pages_that_come_twice(self) -> None:
        """A cache gives the page before in place of the one that was asked for."""
        walk, last, handed, asks = Walk(20, 0), rows(), list[int](), 0
        while not walk.ended:
            ask = walk.needed
            last = last if asks in (1, 2, 7) else rows(*range(200)[ask.offset : ask.offset + ask.limit], total=200)
            asks += 1
            handed += ids(walk.take(last, asks)) or []
        assert len(handed) == 110, "the first sweep was misled, and the second has met a known order"
        assert walk.incomplete == "empty page"

    def test_pages_that_leave_rows_out(self) -> None:
        """A filter behind the page: each is shorter than it says, and the next begins where it should."""
        there = listing(1000, order="oldest")
        reader = Reader(there, ahead=4)
        page = there.page

        def filtered(offset: int, limit: int, *, now: float = 0.0) -> Rows:
            found = page(offset, limit, now=now)
            return found._replace(items=[row for row in found.items if row.id % 10])

        there.page = filtered  # type: ignore[method-assign]  # a server that differs
        assert reader.read() == [id_ for id_ in range(1000) if id_ % 10]

    @pytest.mark.parametrize("cap", [20, 100])
    def test_rows_appended_while_the_end_is_read_without_a_total(self, cap: int) -> None:
        """A finding: it went on for as long as every page brought a row."""
        there = listing(250, order="oldest", cap=cap, total=False)
        reader = Reader(there)
        reader.read(lambda _: there.change("arrivals"))
        assert set(range(250)) <= set(reader.handed)
        assert reader.walk.incomplete == "unsettled"
        assert len(reader.asks) <= 1 + (250 + 20) // (cap - 1) + MOST_SHORT

    def test_short_pages_that_are_half_full_may_be_all_that_the_server_returns(self) -> None:
        """Without a total; half of the rows are left out of the pages."""
        there = listing(4000, order="oldest", total=False)
        reader = Reader(there)
        page = there.page

        def filtered(offset: int, limit: int, *, now: float = 0.0) -> Rows:
            found = page(offset, limit, now=now)
            return Rows([row for row in found.items if row.id < 100 or row.id % 2], None)

        there.page = filtered  # type: ignore[method-assign]  # a server that differs
        assert reader.read() == [id_ for id_ in range(4000) if id_ < 100 or id_ % 2]

    def test_rows_appended_as_fast_as_they_are_read(self) -> None:
        there = listing(100, order="oldest", cap=1)
        reader = Reader(there)
        reader.read(lambda _: there.change("arrivals"), most=20_000)
        assert set(range(100)) <= set(reader.handed)
        assert reader.walk.incomplete == "unsettled"
        assert len(reader.handed) == MOST_PASSES * 101 + MOST_GROWTH + 1

    def test_a_large_import_while_it_reads(self) -> None:
        there = listing(20)
        reader = Reader(there, 10)
        reader.read(lambda number: there.change(*["arrivals"] * 5000) if number == 1 else None)
        assert set(range(20)) <= set(reader.handed)
        assert reader.walk.incomplete is None

    def test_a_listing_that_never_settles(self) -> None:
        """Ten rows a page, and five that come in before each: the front grows nearly as fast as it is read."""
        there = listing(100, cap=10)
        reader = Reader(there)
        reader.read(lambda _: there.change(*["arrivals"] * 5))
        assert reader.walk.incomplete == "unsettled"
        assert max(ask.sweep for ask in reader.asks) <= MOST_SWEEPS
        reader.check()
