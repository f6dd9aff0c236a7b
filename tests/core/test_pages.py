"""Pages of a listing: walked, collected, and whether rows may be missing."""

import asyncio
from typing import Any

import anyio
import pytest
from anyio import create_task_group, sleep

from landbot_async import Page

from .paging import Listing, Row, fails, ids, rest

pytestmark = pytest.mark.anyio


class TestPage:
    def test_it_is_a_sequence(self) -> None:
        page = Page(("a", "b", "c"), 30, 10)
        assert (len(page), page[0], page[-1], page[1:], list(page), "b" in page) == (
            3,
            "a",
            "c",
            ("b", "c"),
            ["a", "b", "c"],
            True,
        )
        assert (page.items, page.total, page.offset) == (("a", "b", "c"), 30, 10)


class TestArguments:
    @pytest.mark.parametrize(
        "arguments",
        [{"page_size": 0}, {"page_size": 101}, {"page_size": -1}, {"offset": -1}, {"prefetch": -1}],
    )
    def test_out_of_range(self, arguments: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match=next(iter(arguments))):
            Listing(0).pages(**arguments)

    @pytest.mark.parametrize("arguments", [{"page_size": "10"}, {"offset": 1.5}, {"prefetch": True}])
    def test_wrong_type(self, arguments: dict[str, Any]) -> None:
        with pytest.raises(TypeError, match=next(iter(arguments))):
            Listing(0).pages(**arguments)


class TestWalking:
    @pytest.mark.parametrize("size", [0, 1, 9, 10, 11, 19, 20, 95])
    @pytest.mark.parametrize("tells_total", [True, False])
    async def test_every_item_once(self, size: int, tells_total: bool) -> None:
        listing = Listing(size, tells_total=tells_total)
        pages = listing.pages()
        assert await rest(pages) == list(range(size))
        assert await rest(pages) == [], "it is its own iterator"
        assert (pages.offset, pages.total, pages.drift) == (size, size if tells_total else None, 0)

    async def test_awaiting_it_gives_the_first_page_and_does_not_move_the_walk(self) -> None:
        pages = Listing(25).pages(offset=5)
        assert await anext(pages) == Row(5)
        first = await pages
        assert (ids(first), first.total, first.offset) == (list(range(5, 15)), 25, 5)
        assert await rest(pages) == list(range(6, 25))

    async def test_where_it_stands(self) -> None:
        pages = Listing(25).pages(offset=5)
        assert (pages.offset, pages.total, pages.drift) == (5, None, 0)
        await anext(pages)
        assert (pages.offset, pages.total) == (6, 25)
        assert repr(pages) == "Pages(offset=6, total=25, drift=0)"

    async def test_after_a_break_it_goes_on_with_what_it_holds(self) -> None:
        listing = Listing(25)
        pages = listing.pages()
        assert [(await anext(pages)).id for _ in range(4)] == [0, 1, 2, 3]
        asked = len(listing.asked)
        assert await anext(pages) == Row(4)
        assert len(listing.asked) == asked
        assert await rest(pages) == list(range(5, 25))

    async def test_after_an_error_it_asks_for_the_failed_page_again(self) -> None:
        listing = Listing(25)
        listing.before = fails(2, 3)
        pages = listing.pages()
        seen: list[int] = []
        errors = 0
        while True:
            try:
                seen.append((await anext(pages)).id)
            except ConnectionError:
                errors += 1
            except StopAsyncIteration:
                break
        assert (seen, errors) == (list(range(25)), 2)
        assert listing.asked[1] == listing.asked[2] == listing.asked[3]

    async def test_cancelled_in_a_request_it_loses_nothing(self) -> None:
        listing = Listing(25, latency=1.0)
        pages = listing.pages()
        seen: list[int] = []
        for _ in range(40):
            with anyio.move_on_after(0.9 if len(seen) in (0, 10, 19) and _ % 2 == 0 else 2.0):
                seen.append((await anext(pages, Row(-1))).id)
        assert [id_ for id_ in seen if id_ >= 0] == list(range(25))

    @pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
    @pytest.mark.parametrize("prefetch", [0, 3])
    @pytest.mark.parametrize("seconds", [0.0, 0.5, 1.0, 1.5, 2.5])
    async def test_asyncio_s_own_cancellation_loses_nothing(self, seconds: float, prefetch: int) -> None:
        listing = Listing(455, latency=1.0)
        pages = listing.pages(prefetch=prefetch)
        seen: list[int] = []

        async def take() -> None:
            async with pages:
                async for row in pages:
                    seen.append(row.id)  # noqa: PERF401  # it is cancelled midway

        for _ in range(3):
            task = asyncio.create_task(take())
            await sleep(seconds)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert listing.flying == 0
        assert len(seen) < 455
        await take()
        assert seen == list(range(455))

    async def test_a_first_page_between_two_attempts_does_not_begin_the_walk(self) -> None:
        """What moved before the walk has its first page cannot be missed: it begins at the offset as it is then."""
        listing = Listing(58)
        listing.before = fails(1)
        pages = listing.pages(page_size=100, offset=40)
        with pytest.raises(ConnectionError):
            await rest(pages)
        assert ids(await pages) == list(range(40, 58))
        del listing.rows[:3]
        assert await rest(pages) == list(range(43, 58))
        assert pages.complete is True

    async def test_several_tasks_share_one(self) -> None:
        listing = Listing(95, latency=0.5)
        pages = listing.pages()
        seen: dict[int, list[int]] = {}

        async def work(number: int) -> None:
            async for row in pages:
                seen.setdefault(number, []).append(row.id)
                await sleep(0.1)

        async with create_task_group() as tasks:
            for number in range(4):
                tasks.start_soon(work, number)
        assert sorted(id_ for each in seen.values() for id_ in each) == list(range(95))
        assert len(seen) == 4
        assert listing.most_flying == 1

    async def test_iter_pages(self) -> None:
        pages = Listing(25).pages()
        await anext(pages)
        walked = [page async for page in pages.iter_pages()]
        assert [ids(page) for page in walked] == [list(range(1, 10)), list(range(10, 20)), list(range(20, 25))]
        assert [page.offset for page in walked] == [1, 10, 20]
        assert {page.total for page in walked} == {25}
        assert pages.offset == 25

    async def test_iter_pages_over_a_step_back(self) -> None:
        listing = Listing(40)
        pages = listing.pages().iter_pages()
        seen = ids(await anext(pages))
        del listing.rows[2:8]
        assert seen + [id_ async for page in pages for id_ in ids(page)] == list(range(40))

    async def test_rows_deleted_behind_hide_none(self) -> None:
        listing = Listing(40)
        pages = listing.pages()
        seen = [(await anext(pages)).id for _ in range(10)]
        del listing.rows[2:8]
        assert seen + await rest(pages) == list(range(40))
        assert pages.drift == 1


class TestComplete:
    async def test_it_is_not_known_before_the_end(self) -> None:
        told: list[str] = []
        pages = Listing(25).pages(told=told)
        assert pages.complete is None
        for _ in range(24):
            await anext(pages)
            assert pages.complete is None
        await anext(pages)
        assert await rest(pages) == []
        assert pages.complete is True
        assert told == []

    async def test_of_pages_that_are_held_it_is_not_known(self) -> None:
        async with Listing(25).pages(prefetch=3) as pages:
            await anext(pages)
            await sleep(10)
            assert pages.complete is None
            await rest(pages)
        assert pages.complete is True

    @pytest.mark.parametrize("prefetch", [0, 3])
    async def test_where_rows_may_be_missing_it_is_told_once(self, prefetch: int) -> None:
        listing, told = Listing(60), list[str]()
        pages = listing.pages(offset=10, prefetch=prefetch, told=told)
        listing.before = lambda ask: listing.rows.insert(0, Row(100)) if ask.offset == 29 else None
        assert ids(await pages.collect()) == list(range(10, 60))
        assert (pages.complete, told) == (False, ["offset"])
        assert await pages.collect() == []
        assert (pages.complete, told) == (False, ["offset"])

    async def test_what_is_handed_back_is_not_complete(self) -> None:
        pages = Listing(25).pages()
        first = await pages._next_page()
        await rest(pages)
        pages._give_back([first])
        assert pages.complete is None

    async def test_pages_that_come_in_after_the_end_are_left_alone(self) -> None:
        """The listing has become shorter than what was asked for ahead."""
        listing, told = Listing(100, latency=1.0), list[str]()
        async with listing.pages(offset=5, prefetch=4, told=told) as pages:
            await anext(pages)
            del listing.rows[20:]
            seen = await rest(pages)
            await sleep(5)
        assert seen == list(range(6, 20))
        assert (pages.complete, told) == (False, ["offset"])


class TestCollecting:
    @pytest.mark.parametrize("prefetch", [0, 1, 3, 20])
    @pytest.mark.parametrize("size", [0, 1, 10, 95])
    async def test_everything_that_is_left(self, size: int, prefetch: int) -> None:
        pages = Listing(size).pages(prefetch=prefetch)
        first = [row.id for row in [await anext(pages, None)] if row]
        assert first + ids(await pages.collect()) == list(range(size))
        assert await pages.collect() == []

    @pytest.mark.parametrize("prefetch", [0, 3])
    @pytest.mark.parametrize("failing", [1, 4])
    async def test_what_was_read_survives_an_error(self, prefetch: int, failing: int) -> None:
        listing = Listing(45, latency=0.1)
        listing.before = fails(failing)
        pages = listing.pages(prefetch=prefetch)
        with pytest.raises(ConnectionError):
            await pages.collect()
        assert pages.offset < 45
        assert ids(await pages.collect()) == list(range(45))

    async def test_a_cancelled_one_goes_on_where_it_was(self) -> None:
        listing = Listing(45, latency=1.0)
        pages = listing.pages(prefetch=2)
        with anyio.move_on_after(2.5):
            await pages.collect()
        assert listing.flying == 0
        assert ids(await pages.collect()) == list(range(45))
