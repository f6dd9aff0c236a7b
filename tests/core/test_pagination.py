"""The walk against listings that change between any two requests."""

import itertools
import math
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from landbot_async._core import pagination
from landbot_async._core.pagination import (
    LEAST_PROOF,
    MOST_FRUITLESS,
    MOST_PASSES,
    MOST_ROWS,
    PROOF,
    Ask,
    Walk,
    _Overlap,
)
from tests.listings import ORDERS, Listing, Order, Rates

from .walks import Reader, ids, listing, requests, rows


@pytest.mark.parametrize("order", ["newest", "oldest", "name"])
def test_the_listings_of_these_tests_stand_in_their_order(order: Order) -> None:
    """Rows that write move nowhere by id. In a listing by "newest" they once moved anywhere."""
    there = listing(100, order=order)
    there.change(*Rates._fields * 50)
    keys = [there.names[id_] if order == "name" else id_ for id_ in there.rows]
    assert keys == sorted(keys, reverse=order == "newest")


class TestQuiet:
    @given(st.integers(0, 350), st.integers(1, MOST_ROWS), st.booleans(), st.integers(0, 350), st.integers(0, 6))
    def test_a_listing_that_stands_still(self, size: int, page_size: int, total: bool, start: int, ahead: int) -> None:
        reader = Reader(listing(size, order="oldest", total=total), page_size, start, ahead=ahead)
        assert reader.read() == list(range(start, size))
        walk = reader.walk
        assert (walk.drift, walk.incomplete, walk.total) == (0, None, size if total else None)
        # Without a total, the end has to be seen.
        assert len(reader.asks) <= requests(max(0, size - start), page_size) + (not total)
        assert all(ask.limit <= MOST_ROWS and ask.offset >= start for ask in reader.asks)

    @pytest.mark.parametrize("cap", [1, 2, 3, 20, 25, 50, 99])
    @pytest.mark.parametrize("total", [True, False])
    @pytest.mark.parametrize("ahead", [0, 6])
    def test_a_server_that_gives_less_than_it_is_asked_for(self, cap: int, total: bool, ahead: int) -> None:
        size = 120 if cap < 20 else 1000
        reader = Reader(listing(size, order="oldest", cap=cap, total=total), ahead=ahead)
        assert reader.read() == list(range(size))
        # Of pages that cannot overlap, nothing but the total could tell that they belong together.
        assert reader.walk.incomplete == (None if total or cap > 1 else "order")
        assert len(reader.asks) <= 1 + math.ceil((size - cap) / max(1, cap - 1)) + (not total)

    def test_pages_overlap_by_a_row(self) -> None:
        walk = Walk(3, 0)
        assert walk.ask(0) == Ask(0, 3)
        assert walk.ask(1) is None, "how far it reaches is not known yet"
        assert ids(walk.take(rows(0, 1, 2, total=10), 1)) == [0, 1, 2]
        assert [walk.ask(number) for number in range(4)] == [Ask(2, 4), Ask(5, 4), Ask(8, 4), None]
        assert walk.needed == Ask(2, 4)
        assert ids(walk.take(rows(2, 3, 4, 5, total=10), 2)) == [3, 4, 5]
        assert walk.drift == 0

    def test_a_page_of_the_most_rows_overlaps_too(self) -> None:
        walk = Walk(MOST_ROWS, 0)
        walk.take(rows(*range(MOST_ROWS), total=150), 1)
        assert walk.needed == Ask(99, MOST_ROWS)

    def test_one_row_a_page(self) -> None:
        walk = Walk(1, 0)
        walk.take(rows(0, total=3), 1)
        assert [walk.ask(0), walk.ask(1)] == [Ask(0, 2), Ask(1, 2)]

    def test_a_total_once_told_is_kept(self) -> None:
        walk = Walk(2, 0)
        walk.take(rows(0, 1, total=3), 1)
        walk.take(rows(1, 2), 2)
        assert walk.total == 3
        assert not walk.ended, "that page did not say that it is the last"
        walk.take(rows(2), 3)
        assert (walk.total, walk.ended, walk.incomplete) == (3, True, None)

    def test_the_only_row_of_a_server_that_ignores_the_offset(self) -> None:
        walk = Walk(100, 0)
        assert ids(walk.take(rows(7), 1)) == [7]
        assert walk.take(rows(7), 2) == []
        assert (walk.ended, walk.incomplete) == (True, None)


class TestLatestActivityFirst:
    """Landbot's order: whoever writes moves to the front."""

    @pytest.mark.parametrize("ahead", [0, 6])
    @pytest.mark.parametrize("size", [2000, 20_000])
    def test_one_writes_between_two_pages(self, size: int, ahead: int) -> None:
        """The finding: 12 of 2,000 and 97 of 20,000 were lost without a word."""
        there = listing(size)
        reader = Reader(there, ahead=ahead)
        assert set(reader.read(lambda _: there.change("writes"))) == set(range(size))
        reader.check()
        assert reader.walk.incomplete is None
        assert len(reader.asks) <= 1.05 * requests(size)

    @pytest.mark.parametrize("ahead", [0, 6])
    @pytest.mark.parametrize("size", [2000, 20_000])
    def test_one_writes_one_arrives_and_one_goes(self, size: int, ahead: int) -> None:
        there = listing(size)
        reader = Reader(there, ahead=ahead)
        reader.read(lambda _: there.change(*Rates._fields))
        assert there.owed <= set(reader.handed)
        reader.check()
        assert reader.walk.incomplete is None
        assert len(reader.asks) <= 1.05 * requests(size) + 1

    @pytest.mark.parametrize("cap", [20, 25, 50])
    @pytest.mark.parametrize("ahead", [0, 6])
    def test_in_short_pages(self, cap: int, ahead: int) -> None:
        there = listing(1000, cap=cap)
        reader = Reader(there, ahead=ahead)
        reader.read(lambda number: there.change(Rates._fields[number % 3]))
        assert there.owed <= set(reader.handed)
        reader.check()
        assert reader.walk.incomplete is None
        assert len(reader.asks) <= 1.25 * (1 + 980 / (cap - 1))

    def test_the_last_one_always_writes(self) -> None:
        there = listing(1000)
        reader = Reader(there)
        assert set(reader.read(lambda _: there.write(there.rows.pop()))) == set(range(1000))
        assert reader.walk.incomplete is None

    def test_who_walks_writes_to_everybody_who_was_handed_out(self) -> None:
        """All known rows move to the front, none jumps: nothing is read again."""
        there, reader = listing(1000), Reader(listing(0))
        reader.listing = there
        written: set[int] = set()

        def write(_: int) -> None:
            for id_ in reader.handed:
                if id_ not in written:
                    there.rows.remove(id_)
                    there.write(id_)
                    written.add(id_)

        assert reader.read(write) == list(range(1000))
        assert len(reader.asks) == requests(1000)
        assert (reader.walk.incomplete, reader.walk.drift) == (None, len(reader.asks) - 1)

    def test_the_same_customers_write_in_turn(self) -> None:
        """So the front stands in the order of old, and others who have jumped stand behind it."""
        there = listing(1000)
        reader = Reader(there)
        regulars = list(range(30))

        def write(number: int) -> None:
            if number == 3:
                there.write(there.rows.pop())
            for id_ in reversed(regulars):
                there.rows.remove(id_)
                there.write(id_)

        assert set(reader.read(write)) == set(range(1000))
        assert reader.walk.incomplete is None

    def test_every_time_the_front_is_read_somebody_arrives(self) -> None:
        there = listing(3000)
        reader = Reader(there)
        reader.read(lambda _: there.change("arrivals"))
        assert there.owed <= set(reader.handed)
        assert len(reader.asks) <= requests(3000) + 4

    @settings(max_examples=120)
    @given(
        seed=st.integers(0, 10**6),
        size=st.integers(0, 600),
        page_size=st.sampled_from([10, 20, 50, 100]),
        cap=st.sampled_from([20, 25, 50, 100]),
        rates=st.tuples(*[st.sampled_from([0.0, 0.1, 0.5])] * 3),
        ahead=st.integers(0, 4),
    )
    def test_nobody_is_lost(
        self, seed: int, size: int, page_size: int, cap: int, rates: tuple[float, float, float], ahead: int
    ) -> None:
        there = Listing(Random(seed), size, rates=Rates(*rates), cap=cap)
        reader = Reader(there, page_size, ahead=ahead)
        reader.read()
        reader.check()
        assert there.owed <= set(reader.handed)
        assert reader.walk.incomplete is None


class TestAnyOrder:
    @settings(max_examples=250)
    @given(
        seed=st.integers(0, 10**6),
        size=st.integers(0, 150),
        page_size=st.sampled_from([1, 2, 3, 7, 20, 100]),
        order=st.sampled_from(ORDERS),
        cap=st.sampled_from([1, 2, 3, 7, 50, 100, 100]),
        rates=st.tuples(*[st.sampled_from([0.0, 0.05, 0.3, 1.0])] * 3),
        total=st.booleans(),
        start=st.sampled_from([0, 0, 0, 1, 9]),
        ahead=st.integers(0, 4),
    )
    def test_where_rows_may_be_missing_it_says_so(
        self,
        seed: int,
        size: int,
        page_size: int,
        order: Order,
        cap: int,
        rates: tuple[float, float, float],
        total: bool,
        start: int,
        ahead: int,
    ) -> None:
        scale = min(cap, page_size) / 4
        there = Listing(
            Random(seed),
            size,
            order=order,
            rates=Rates(*(min(rate, scale / 3) for rate in rates)),
            cap=cap,
            tells_total=total,
        )
        reader = Reader(there, page_size, start, ahead=ahead)
        reader.read(most=80 * (size // min(cap, page_size) + 20))
        reader.check()

    @pytest.mark.parametrize("order", ["oldest", "newest", "name"])
    def test_rows_that_only_come_and_go(self, order: Order) -> None:
        there = listing(2000, order=order)
        reader = Reader(there)
        reader.read(lambda number: there.change(["arrivals", "deletions"][number % 2]))
        assert there.owed <= set(reader.handed)
        assert reader.walk.incomplete is None
        assert len(reader.asks) <= 1.1 * requests(2000) + 2

    def test_one_that_comes_and_another_that_goes_at_the_same_moment(self) -> None:
        """In front of the boundary and behind it, that looks like a jump; elsewhere, like the opposite of one."""
        there = listing(20_000, order="anywhere", seed=3)
        reader = Reader(there)
        reader.read(lambda _: there.change("deletions", "arrivals"))
        assert there.owed <= set(reader.handed)
        assert reader.walk.incomplete is None
        assert len(reader.asks) <= 1.05 * requests(20_000)

    def test_a_row_that_jumps_to_the_middle_is_found_by_reading_everything_again(self) -> None:
        there = listing(1000, order="anywhere")
        reader = Reader(there)

        def jump(number: int) -> None:
            if number == 5:
                there.rows.insert(200, there.rows.pop(800))

        assert set(reader.read(jump)) == set(range(1000))
        assert reader.walk.incomplete is None
        assert len(reader.asks) == requests(1000) + 3, "up to the place where it stands"

    def test_a_row_that_moves_behind_the_walk_shows_that_others_may_have_moved_too(self) -> None:
        there = listing(500, order="anywhere")
        reader = Reader(there)

        def move(number: int) -> None:
            if number == 2:
                there.rows.insert(300, there.rows.pop(50))

        assert set(reader.read(move)) == set(range(500))
        assert reader.walk.incomplete is None
        assert [ask.sweep for ask in reader.asks].count(2) == requests(500), "everything is read again"

    def test_rows_that_move_all_the_time(self) -> None:
        there = listing(1000, order="anywhere")
        reader = Reader(there)
        reader.read(lambda _: there.change(*["writes"] * 3))
        reader.check()
        assert reader.walk.incomplete == "order"
        assert len(reader.asks) <= (1 + MOST_PASSES) * requests(1000) + MOST_FRUITLESS


class TestShifts:
    def test_rows_deleted_behind_hide_none_in_front(self) -> None:
        walk = Walk(3, 0)
        walk.take(rows(0, 1, 2, total=9), 1)
        # 0 and 1 are gone, so 4 stands where 2 was.
        assert walk.take(rows(4, 5, 6, 7, total=7), 2) is None
        assert (walk.needed, walk.wants(Ask(2, 4)), walk.drift) == (Ask(0, 100), True, 1)
        assert ids(walk.take(rows(2, 3, 4, 5, 6, 7, 8, total=7), 3)) == [3, 4, 5, 6, 7, 8]
        assert walk.drift == 1
        # Something has moved, so the front is read again, at one moment.
        assert walk.needed == Ask(0, 100, 2)
        assert walk.take(rows(2, 3, 4, 5, 6, 7, 8, total=7), 4) == []
        assert (walk.ended, walk.incomplete) == (True, None)

    def test_it_steps_back_until_it_meets_a_row_that_it_knows(self) -> None:
        """Without a total, which would tell how far that is."""
        walk = Walk(10, 0)
        for turn in range(9):
            walk.take(rows(*range(max(0, 10 * turn - 1), 10 * turn + 10)), turn)
        assert walk.needed == Ask(89, 11)
        assert walk.take(rows(*range(140, 151)), 9) is None
        assert walk.needed == Ask(84, 100)
        assert walk.take(rows(*range(135, 235)), 10) is None
        assert walk.needed == Ask(74, 100)
        assert walk.take(rows(*range(125, 225)), 11) is None
        assert walk.needed == Ask(64, 100)
        assert walk.take(rows(*range(115, 215)), 12) is None
        assert walk.take(rows(*range(105, 205)), 13) is None
        assert walk.take(rows(*range(95, 195)), 14) is None
        assert walk.needed == Ask(34, 100)
        assert ids(walk.take(rows(*range(85, 185)), 15)) == list(range(90, 185))
        assert walk.drift == 1

    def test_a_page_that_was_kept_is_taken_later(self) -> None:
        there = listing(200, order="oldest")
        reader = Reader(there, 50)
        reader.step()
        reader.step()
        del there.rows[:3]
        reader.step()
        assert reader.handed == list(range(100))
        reader.step()
        assert reader.asks[1:] == [Ask(49, 51), Ask(99, 51), Ask(99 - 3 - 25, 100)]
        assert reader.handed == list(range(174)), "up to the end of the page ahead of it, which has more"
        assert not reader.walk.wants(Ask(99, 51)), "it has nothing more to tell"

    def test_pages_on_the_way_stay_wanted(self) -> None:
        walk = Walk(10, 0)
        walk.take(rows(*range(10), total=100), 1)
        ahead = [walk.ask(number) for number in range(4)]
        assert ahead == [Ask(9, 11), Ask(19, 11), Ask(29, 11), Ask(39, 11)]
        assert walk.take(rows(*range(11, 22), total=98), 2) is None
        assert walk.ask(0) == Ask(2, 100)
        assert [walk.ask(number) for number in range(1, 5)] == ahead
        # The page ahead of it is newer, and it shows an older listing: that is no jump.
        assert ids(walk.take(rows(*range(4, 17), total=98), 6)) == list(range(10, 17))
        assert ids(walk.take(rows(*range(11, 22), total=98), 2)) == list(range(17, 22))
        assert [walk.ask(number) for number in range(3)] == ahead[1:]
        assert walk.drift == 1

    def test_a_kept_page_that_is_met_by_none_is_asked_for_again(self) -> None:
        walk = Walk(10, 0)
        walk.take(rows(*range(10), total=100), 1)
        assert walk.take(rows(*range(11, 22), total=98), 2) is None
        kept = Ask(9, 11)
        assert walk.wants(kept)
        # Meanwhile rows came in, so that the page ahead of it ends before it begins.
        assert ids(walk.take(rows(*range(50, 60), *range(2, 6), total=108), 3)) == [*range(50, 60)]
        assert walk.needed == kept
        assert walk.take(rows(*range(11, 22), total=98), 2) is None
        assert not walk.wants(kept)
        assert walk.drift == 1

    def test_it_steps_back_by_as_many_rows_as_are_gone(self) -> None:
        there = listing(300, order="oldest")
        reader = Reader(there)
        reader.step()
        reader.step()
        del there.rows[20:120]
        reader.step()
        assert reader.walk.needed == Ask(198 - 100 - 50, 100)
        assert reader.read() == list(range(300))
        assert reader.walk.incomplete is None

    def test_rows_that_came_in_are_skipped_where_they_fill_whole_pages(self) -> None:
        there = listing(1000)
        reader = Reader(there)

        def rush(number: int) -> None:
            if number == 5:
                there.change(*["arrivals"] * 250)

        reader.read(rush)
        assert there.owed <= set(reader.handed)
        # The page shows rows 245 and on. The boundary is 250 rows behind; the next begins a little before, lest it moved.
        assert [ask.offset for ask in reader.asks[4:7]] == [396, 495, 735]
        assert reader.walk.incomplete is None

    def test_so_many_that_the_page_has_old_rows_only(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Their ranks are forgotten, so the walk goes on page by page."""
        monkeypatch.setattr(pagination, "RECENT", 100)
        there = listing(2000)
        reader = Reader(there)

        def rush(number: int) -> None:
            if number == 12:
                there.change(*["arrivals"] * 600)

        reader.read(rush)
        assert there.owed <= set(reader.handed)
        assert reader.walk.incomplete is None
        offsets = [ask.offset for ask in reader.asks[12:18]]
        assert all(0 < other - one < MOST_ROWS for one, other in itertools.pairwise(offsets))

    def test_rows_that_came_in_may_be_seen_before_the_front_is_read_again(self) -> None:
        there = listing(40)
        reader = Reader(there, 1)
        reader.step()
        there.change("arrivals")
        reader.step()
        assert reader.handed == [0, 40]
        assert reader.read() == [0, 40, *range(1, 40)]
        assert reader.walk.incomplete is None
        assert [ask.sweep for ask in reader.asks].count(2) == 1

    def test_the_overlap_grows_with_the_shifts_and_fades(self) -> None:
        overlap = _Overlap()
        assert overlap.rows == 1
        overlap.learn(-3)
        assert overlap.rows == 3
        for _ in range(100):
            overlap.learn(-3)
        assert overlap.rows == 4
        for _ in range(200):
            overlap.learn(0)
        assert overlap.rows == 1
        for _ in range(30):
            overlap.learn(5)
        assert overlap.rows == 1, "rows that come in cost no overlap"

    def test_the_overlap_is_at_most_half_a_page(self) -> None:
        there = listing(3000, order="oldest")
        reader = Reader(there)

        def delete(_: int) -> None:
            there.owed -= set(there.rows[:40])
            del there.rows[:40]

        reader.read(delete)
        assert there.owed <= set(reader.handed)
        assert reader.walk._overlap.rows > 40
        assert all(ask.limit == MOST_ROWS for ask in reader.asks)
        assert reader.walk._behind(500) == Ask(
            500 - min(50, reader.walk._overlap.rows), MOST_ROWS, reader.asks[-1].sweep
        )

    def test_a_kept_page_shows_that_something_moved(self) -> None:
        """Without a total: a row is deleted before that page, another jumps after it, and the two shifts cancel."""
        there = listing(150, cap=25, total=False)
        reader = Reader(there)

        def move(number: int) -> None:
            if number == 2:
                there.owed.discard(there.rows.pop(8))
            if number == 3:
                there.write(there.rows.pop(140))

        reader.read(move)
        assert there.owed <= set(reader.handed)
        assert reader.walk.incomplete is None

    def test_findings_of_a_capped_server(self) -> None:
        """961 of 1,000 rows were lost when 11 were deleted: the overlap filled the page."""
        there = listing(1000, order="oldest", cap=20)
        reader = Reader(there)

        def delete(number: int) -> None:
            if number == 5:
                there.owed -= set(there.rows[:11])
                del there.rows[:11]

        reader.read(delete)
        assert there.owed <= set(reader.handed)
        assert reader.walk.incomplete is None
        assert len(reader.asks) <= 1.2 * (1 + 980 / 19) + 3

    def test_a_capped_server_with_pages_ahead(self) -> None:
        """578 requests were made instead of 101."""
        reader = Reader(listing(5000, order="oldest", cap=50), ahead=6)
        assert reader.read() == list(range(5000))
        assert len(reader.asks) <= 104


class TestOneRowAPage:
    def test_only_a_total_that_fell_tells_of_a_gap(self) -> None:
        there = listing(100, order="oldest", cap=1)
        reader = Reader(there)

        def delete(number: int) -> None:
            if number in (10, 40, 41):
                there.owed.discard(there.rows[3])
                del there.rows[3]

        reader.read(delete)
        assert there.owed <= set(reader.handed)
        assert reader.walk.incomplete is None

    def test_in_another_order_nothing_tells(self) -> None:
        there = listing(100, order="oldest", cap=1)
        reader = Reader(there)
        reader.read(lambda number: there.change("arrivals") if number == 20 else None)
        assert reader.walk.incomplete == "order"

    def test_behind_an_offset(self) -> None:
        there = listing(30, order="oldest", cap=1, total=False)
        reader = Reader(there, start=5)
        assert reader.read() == list(range(5, 30))
        assert reader.walk.incomplete == "offset"


class TestOffset:
    @pytest.mark.parametrize("ahead", [0, 6])
    def test_what_stands_in_front_of_it_is_not_handed_out(self, ahead: int) -> None:
        """The finding: with `offset=10`, rows 0 to 9 came out once the known rows had been deleted."""
        there = listing(300, order="oldest")
        reader = Reader(there, 10, 10, ahead=ahead)

        def delete(number: int) -> None:
            if number == 1:
                there.owed -= set(there.rows[10:20])
                del there.rows[10:20]

        assert reader.read(delete) == list(range(10, 300))
        assert reader.walk.incomplete == "offset"

    def test_rows_in_front_are_read_to_find_known_ones(self) -> None:
        there = listing(100, order="oldest")
        reader = Reader(there, 5, 9)
        reader.step()
        del there.rows[:8]
        assert reader.read() == list(range(9, 100))
        assert (reader.walk.incomplete, reader.walk.drift) == ("offset", 1)
        assert max(ask.sweep for ask in reader.asks) == 1

    def test_without_drift_it_is_complete(self) -> None:
        there = listing(100)
        reader = Reader(there, start=40)
        assert reader.read() == list(range(40, 100))
        assert reader.walk.incomplete is None

    def test_beyond_the_end(self) -> None:
        reader = Reader(listing(5), start=40)
        assert reader.read() == []
        assert (reader.walk.incomplete, reader.walk.total, len(reader.asks)) == (None, 5, 1)


def test_a_listing_that_moves_is_read_so_many_times_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pagination, "MOST_SWEEPS", 1)
    there = listing(500)
    reader = Reader(there)
    reader.read(lambda _: there.change("arrivals", "writes"))
    assert {ask.sweep for ask in reader.asks} == {1}
    assert reader.walk.incomplete == "unsettled"
    reader.check()


def test_a_listing_without_rows_does_not_change() -> None:
    there = listing(0)
    there.change("writes", "deletions")
    assert Reader(there).read() == []


def test_the_proof_is_shorter_where_pages_are() -> None:
    for cap, proof in ((20, LEAST_PROOF), (32, 8), (100, PROOF)):
        there = listing(500, cap=cap)
        reader = Reader(there)
        reader.step()
        there.change("writes")
        while not reader.walk.needed.sweep > 1:
            reader.step()
        assert reader.walk._sweep._run.maxlen == proof
