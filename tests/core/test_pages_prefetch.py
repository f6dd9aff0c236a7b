"""Pages that are asked for ahead."""

import asyncio
import math
from collections.abc import Iterable
from random import Random
from typing import Any

import anyio
import pytest
from anyio import create_task_group, current_time, sleep
from hypothesis import given, settings
from hypothesis import strategies as st

from landbot_async import Pages
from landbot_async._core.pagination import Ask, Rows
from tests import listings
from tests.conftest import BACKENDS

from .paging import Listing, Row, fails, ids, rest

pytestmark = pytest.mark.anyio


class TestPrefetching:
    @pytest.mark.parametrize("page_size", [1, 10])
    @pytest.mark.parametrize("later", [0.1, 1.0])
    async def test_beside_a_bare_walk_it_loses_nothing(self, page_size: int, later: float) -> None:
        """A page that lands when the other has gone on is not mistaken for the end."""
        listing = Listing(60, latency=1.0)
        pages = listing.pages(page_size=page_size, prefetch=3)
        seen: list[int] = []

        async def walk() -> None:
            seen.extend(await rest(pages))

        async with create_task_group() as tasks:
            tasks.start_soon(walk)
            await sleep(0.5)
            listing.latency = later
            seen.extend(ids(await pages.collect()))
        assert sorted(seen) == list(range(60))

    async def test_what_is_given_back_comes_before_a_page_half_used(self) -> None:
        pages = Listing(45).pages()
        first = await pages._next_page()
        second = [(await anext(pages)).id for _ in range(3)]
        pages._give_back([first])
        assert pages.offset == 0
        assert await rest(pages) == ids(first) + list(range(second[-1] + 1, 45))

    async def test_the_block_s_own_error_comes_out_when_it_is_cancelled_too(self) -> None:
        with anyio.CancelScope() as scope, pytest.raises(ZeroDivisionError):
            async with Listing(500, latency=1.0).pages(prefetch=6) as pages:
                await anext(pages)
                scope.cancel()
                raise ZeroDivisionError

    async def test_so_many_pages_on_the_way_and_no_more(self) -> None:
        listing = Listing(500, latency=1.0)
        begun = current_time()
        async with listing.pages(prefetch=6) as pages:
            assert await rest(pages) == list(range(500))
        assert listing.most_flying == 6
        assert current_time() - begun <= 1 + math.ceil(500 / 10 / 6) + 2
        assert len(listing.asked) == len(set(listing.asked))

    async def test_it_works_while_you_work_but_not_without_bound(self) -> None:
        listing = Listing(1000, latency=1.0)
        async with listing.pages(prefetch=3) as pages:
            await anext(pages)
            await sleep(100)
            assert listing.flying == 0
            assert len(listing.asked) == 6
            assert await rest(pages) == list(range(1, 1000))

    async def test_a_bare_loop_fetches_one_page_at_a_time(self) -> None:
        listing = Listing(95, latency=1.0)
        assert await rest(listing.pages(prefetch=6)) == list(range(95))
        assert listing.most_flying == 1

    async def test_no_task_outlives_the_block(self) -> None:
        listing = Listing(500, latency=1.0)
        async with listing.pages(prefetch=6) as pages:
            assert [(await anext(pages)).id for _ in range(4)] == [0, 1, 2, 3]
            await sleep(0.5)
            assert listing.flying > 0
        assert listing.flying == 0
        assert listing.cancelled > 0
        assert await rest(pages) == list(range(4, 500)), "what it holds is kept, the rest asked for again"

    async def test_the_block_s_own_error_comes_out_as_it_is(self) -> None:
        with pytest.raises(ZeroDivisionError):
            async with Listing(500, latency=1.0).pages(prefetch=6) as pages:
                await anext(pages)
                raise ZeroDivisionError

    async def test_cancelling_the_block(self) -> None:
        listing = Listing(500, latency=1.0)
        with anyio.move_on_after(3.5) as scope:
            async with listing.pages(prefetch=6) as pages:
                await rest(pages)
        assert scope.cancelled_caught
        assert listing.flying == 0

    @pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
    async def test_one_task_opens_it_and_another_closes_it(self) -> None:
        listing = Listing(500, latency=1.0)
        pages = listing.pages(prefetch=6)
        assert await asyncio.create_task(pages.__aenter__()) is pages
        assert (await asyncio.create_task(rest(pages)))[:2] == [0, 1]
        again = listing.pages(prefetch=6)
        await asyncio.create_task(again.__aenter__())
        await anext(again)
        await asyncio.create_task(again.__aexit__(None, None, None))
        assert listing.flying == 0
        assert await rest(again) == list(range(1, 500))
        await asyncio.create_task(pages.__aexit__(None, None, None))

    @pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
    @pytest.mark.parametrize("seconds", [0.0, 0.5])
    async def test_a_page_whose_task_somebody_cancels_is_asked_for_again(self, seconds: float) -> None:
        """Before the task has begun, and while it waits for the response."""
        listing = Listing(500, latency=1.0)
        async with listing.pages(prefetch=6) as pages:
            tasks = pages._tasks
            assert tasks is not None
            if seconds:
                await sleep(seconds)
            for task in [*tasks._running][::2]:
                task.cancel()
            assert await rest(pages) == list(range(500))
            assert not tasks.ending

    @pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
    async def test_if_all_tasks_are_cancelled_it_goes_on_page_by_page(self) -> None:
        """As `asyncio.run` does at its end, to a task that takes no notice."""
        listing = Listing(500, latency=1.0)
        async with listing.pages(prefetch=6) as pages:
            assert (await anext(pages)).id == 0
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                if "Background" in repr(task) or "_forever" in repr(task):
                    task.cancel()
            await sleep(0.1)
            listing.most_flying = 0
            assert await rest(pages) == list(range(1, 500))
        assert listing.most_flying == 1
        assert listing.flying == 0

    async def test_a_request_that_fails_with_no_exception_is_an_error_of_its_page(self) -> None:
        class Odd(BaseException):
            pass

        def before(ask: Ask) -> None:
            if ask.offset >= 100 and not failed:
                failed.append(ask)
                raise Odd

        listing, failed, seen = Listing(500, latency=1.0), list[Ask](), list[int]()
        listing.before = before
        async with listing.pages(prefetch=6) as pages:
            with pytest.raises(RuntimeError, match="it raised Odd"):
                async for row in pages:
                    seen.append(row.id)
            assert 100 <= len(seen) < 500
            assert seen + await rest(pages) == list(range(500))

    @pytest.mark.parametrize("failing", [(1,), (2,), (3, 4, 5), (2, 4, 6, 8)])
    async def test_an_error_comes_in_its_turn_and_the_page_is_asked_for_again(self, failing: tuple[int, ...]) -> None:
        listing = Listing(95, latency=0.1)
        listing.before = fails(*failing)
        seen: list[int] = []
        errors = 0
        async with listing.pages(prefetch=4) as pages:
            while True:
                try:
                    seen.append((await anext(pages)).id)
                except ConnectionError:
                    errors += 1
                except StopAsyncIteration:
                    break
        assert seen == list(range(95))
        assert errors == len(failing)

    async def test_several_tasks_share_it(self) -> None:
        listing = Listing(300, latency=0.5)
        seen: list[int] = []
        async with listing.pages(prefetch=5) as pages:

            async def work() -> None:
                async for row in pages:
                    seen.append(row.id)
                    await sleep(0.05)

            async with create_task_group() as tasks:
                for _ in range(5):
                    tasks.start_soon(work)
        assert sorted(seen) == list(range(300))

    async def test_one_still_waiting_outside_goes_on_when_the_block_ends(self) -> None:
        listing = Listing(25, latency=1.0)
        pages = listing.pages(prefetch=2)
        seen: list[int] = []

        async def work() -> None:
            seen.extend(await rest(pages))

        async with create_task_group() as tasks, pages:
            tasks.start_soon(work)
            await sleep(0.5)
        assert seen == list(range(25))

    async def test_without_prefetch_the_block_does_nothing(self) -> None:
        async with Listing(25).pages() as pages:
            assert await rest(pages) == list(range(25))

    async def test_pages_are_asked_for_in_their_order(self) -> None:
        """Trio starts tasks in random order; pages of another order would each show an older listing than the last."""
        for _ in range(10):
            listing = Listing(200, latency=1.0)
            await listing.pages(prefetch=6).collect()
            assert listing.asked == sorted(listing.asked)

    async def test_it_opens_once(self) -> None:
        async with Listing(25).pages(prefetch=2) as pages:
            with pytest.raises(RuntimeError, match="open already"):
                await pages.__aenter__()
            assert len(await pages.collect()) == 25

    async def test_churn_loses_and_doubles_nothing(self) -> None:
        """Rows come and go in front of the walk and behind it, several times a second."""
        listing = Listing(3000, latency=0.3)
        stayed = set(range(3000))
        fresh = iter(range(10_000, 20_000))
        done = anyio.Event()

        async def churn() -> None:
            step = 0
            while not done.is_set():
                await sleep(0.17)
                step += 1
                place = (step * 7919) % len(listing.rows)
                if step % 2:
                    listing.rows.insert(place, Row(next(fresh)))
                else:
                    stayed.discard(listing.rows.pop(place).id)

        seen: list[int] = []
        pages = listing.pages(page_size=50, prefetch=6)
        async with create_task_group() as tasks:
            tasks.start_soon(churn)
            async with pages:
                seen.extend(await rest(pages))
            done.set()
        assert len(seen) == len(set(seen))
        assert stayed <= set(seen)
        assert pages.drift > 0


KINDS = {
    "none": (0, 0, 0),
    "writes": (1, 0, 0),
    "arrivals": (0, 1, 0),
    "deletions": (0, 0, 1),
    "comes and goes": (0, 1, 1),
    "all": (1, 1, 1),
}


WAYS = ("first", "items", "pages", "collect", "open", "open pages")


class Walked:
    """A `Pages` that is used in any way, while its listing changes and its requests fail.

    Attributes:
        there: the listing.
        failing: the share of requests that fail. Half of them have reached the server.
        handed: the ids that were handed out.
        told: the reasons of `WalkIncomplete`.
    """

    def __init__(
        self, there: listings.Listing, random: Random, *, page_size: int, offset: int, prefetch: int, failing: float
    ) -> None:
        self.there = there
        self.handed: list[int] = []
        self.told: list[str] = []
        self._random = random
        self._failing = failing
        self._walking = False
        self._began = 0.0
        self._most = 80 * (len(there.rows) // min(page_size, there.cap) + 20)
        self._offset = offset
        self.pages: Pages[Any] = Pages(
            self._fetch, page_size=page_size, offset=offset, prefetch=prefetch, on_incomplete=self.told.append
        )

    async def run(self, steps: Iterable[tuple[str, int, float | None]]) -> None:
        """Use it in these ways, and then read it to its end. A step takes so many items and so many seconds at most."""
        self._began = current_time()
        script = iter(steps)
        while self.pages.complete is None:
            way, most, cut = next(script, ("items", 10**6, None))
            self._walking = way != "first"
            try:
                with anyio.move_on_after(math.inf if cut is None else cut):
                    await self._use(way, most)
            except ConnectionError:
                continue
        assert await self.pages.collect() == []

    def check(self) -> None:
        """Assert that each item was handed out once, unless the walk has said that items may be missing."""
        assert len(self.handed) == len(set(self.handed))
        assert self.pages.complete is (self.told == [])
        assert len(self.told) <= 1
        assert self.told or self.there.excused or self.there.owed <= set(self.handed)

    async def _fetch(self, offset: int, limit: int) -> Rows:
        walking, random = self._walking, self._random
        await sleep(0.3 * random.random())
        fails = random.random() < self._failing
        if fails and random.random() < 0.5:
            raise ConnectionError
        page = self.there.page(offset, limit, now=current_time() - self._began)
        assert self.there.asked < self._most, "it does not end"
        await sleep(0.3 * random.random())
        if fails:
            raise ConnectionError
        self.there.begun = self.there.begun or walking
        return page

    async def _use(self, way: str, most: int) -> None:
        """Take some items."""
        if way == "first":
            assert (await self.pages).offset == self._offset
        elif way == "collect":
            self.handed.extend(ids(await self.pages.collect()))
        elif way.startswith("open"):
            async with self.pages:
                await self._use(way.removeprefix("open").strip() or "items", most)
        elif way == "pages":
            async for page in self.pages.iter_pages():
                assert len(page) > 0
                self.handed.extend(ids(page))
                most -= len(page)
                if most <= 0:
                    break
        else:
            async for row in self.pages:
                self.handed.append(row.id)
                most -= 1
                if not most:
                    break


@settings(max_examples=250)
@given(
    seed=st.integers(0, 10**6),
    backend=st.sampled_from(list(BACKENDS)),
    size=st.integers(0, 250),
    page_size=st.sampled_from([1, 5, 20, 100]),
    offset=st.sampled_from([0, 0, 0, 0, 1, 40]),
    order=st.sampled_from((*listings.ORDERS, "activity", "activity")),
    cap=st.sampled_from([1, 3, 20, 25, 50, 100, 100]),
    tells_total=st.sampled_from([True, True, False]),
    kind=st.sampled_from(list(KINDS)),
    pace=st.sampled_from([1, 1, 3, 10]),
    prefetch=st.sampled_from([0, 1, 4]),
    failing=st.sampled_from([0.0, 0.1, 0.3]),
    steps=st.lists(
        st.tuples(st.sampled_from(WAYS), st.integers(1, 60), st.none() | st.floats(0.01, 3.0)),
        max_size=8,
    ),
)
def test_whatever_is_done_with_it_it_hands_out_everything_once(
    seed: int,
    backend: str,
    size: int,
    page_size: int,
    offset: int,
    order: listings.Order,
    cap: int,
    tells_total: bool,
    kind: str,
    pace: int,
    prefetch: int,
    failing: float,
    steps: list[tuple[str, int, float | None]],
) -> None:
    """Against the truth: any order, changes, short pages, errors, breaks, cancellations, prefetch opened and closed."""
    random = Random(seed)
    # Up to a change of each kind in ten rows and a second. A page takes 0.3 seconds.
    rates = listings.Rates(*(pace * min(cap, page_size) / 100 * each for each in KINDS[kind]))
    there = listings.Listing(random, size, order=order, cap=cap, tells_total=tells_total, rates=rates)
    walked = Walked(there, random, page_size=page_size, offset=offset, prefetch=prefetch, failing=failing)
    name, options = BACKENDS[backend]()
    anyio.run(walked.run, steps, backend=name, backend_options=options)
    walked.check()
