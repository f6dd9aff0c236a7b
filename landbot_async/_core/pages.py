"""`Pages`: a listing to walk through. `pagination` decides where to go, this module does the waiting."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Sequence
from functools import partial
from operator import attrgetter
from types import TracebackType
from typing import Any, Generic, NamedTuple, Self, TypeVar, overload

import anyio
from attrs import frozen

from .arguments import whole_number
from .background import Background, End, Result
from .event_loop import Notifier
from .pagination import MOST_ROWS, Ask, Incomplete, Rows, Walk
from .record import Record

T = TypeVar("T")


@frozen(eq=False, repr=False)
class Page(Record, Sequence[T]):
    """Some items of a listing, in order."""

    items: tuple[T, ...]
    """The items."""
    total: int | None
    """The length of the whole listing when this page was made, or None if Landbot does not say."""
    offset: int
    """The place of the first item in the listing."""

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[T, ...]: ...
    def __getitem__(self, index: int | slice) -> T | tuple[T, ...]:
        return self.items[index]

    def __len__(self) -> int:
        return len(self.items)


class _Received(NamedTuple):
    """A page that has come in, and its number in the order in which pages came in."""

    rows: Rows
    turn: int


class Pages(Generic[T]):
    """A listing, page by page: `await` it for the first page, or walk it with `async for`.

    It is an object, not a generator, and its own iterator: after an error it asks for the failed page again, after a
    `break` it goes on with what it holds. Several tasks may share one; each item goes to one of them.

    No item is handed out twice. In Landbot's order (latest activity first), every item that is in the listing the whole
    time is handed out, while others come, go and move to the front. `complete` says so at the end; where items may
    be missing it is False, and a `WalkIncomplete` event and a warning in the log tell why.

    Whatever asks Landbot raises every `LandbotError` of a call.

    Source: dev.landbot.io, "Pagination" (`offset`, `limit` up to 100, `total`).
    """

    def __init__(
        self,
        fetch: Callable[[int, int], Awaitable[tuple[list[T], int | None]]],
        *,
        page_size: int,
        offset: int,
        prefetch: int = 0,
        key: Callable[[T], object] = attrgetter("id"),
        on_incomplete: Callable[[Incomplete], None] = lambda _: None,
    ) -> None:
        self._fetch = fetch
        self._first = Ask(
            whole_number("offset", offset, at_least=0),
            whole_number("page_size", page_size, at_least=1, at_most=MOST_ROWS),
        )
        self._prefetch = whole_number("prefetch", prefetch, at_least=0)
        self._walk = Walk(page_size, offset, key)
        self._on_incomplete = on_incomplete
        self._offset = offset
        self._held: deque[Page[T]] = deque()  # pages that the caller has not asked for yet
        self._used = 0  # number of items of the first of them that were handed out
        self._lock = anyio.Lock(fast_acquire=True)
        self._received_count = 0  # number of pages that have come in
        self._received: dict[Ask, _Received | Exception] = {}  # pages that the walk cannot use yet
        # For prefetching only:
        self._tasks: Background | None = None
        self._in_progress: set[Ask] = set()
        self._queue: deque[Ask] = deque()
        self._progress = Notifier()

    def __repr__(self) -> str:
        return f"Pages(offset={self.offset}, total={self.total}, drift={self.drift})"

    @property
    def total(self) -> int | None:
        """The length of the listing, by the page read last; None before the first, and if Landbot does not say."""
        return self._walk.total

    @property
    def offset(self) -> int:
        """The place in the listing behind the item handed out last."""
        return self._offset

    @property
    def drift(self) -> int:
        """The number of pages that did not begin at the end of the one before, as rows came, went or moved."""
        return self._walk.drift

    @property
    def complete(self) -> bool | None:
        """None until the walk has ended; then True, or False if items may be missing."""
        return self._walk.incomplete is None if self._walk.ended and not self._held else None

    def __await__(self) -> Generator[Any, Any, Page[T]]:
        return self._first_page().__await__()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        while not self._held:
            if not await self._more():
                raise StopAsyncIteration
        page = self._held[0]
        item = page.items[self._used]
        self._used += 1
        self._offset = page.offset + self._used
        if self._used == len(page):
            self._drop_used_page()
        return item

    def iter_pages(self) -> AsyncIterator[Page[T]]:
        """Return the same walk, page by page: each with the items that were not handed out before, never empty."""
        return _ByPage(self)

    async def collect(self) -> list[T]:
        """Return all items that were not handed out before. With `prefetch`, several pages are fetched at a time.

        If it fails or is cancelled, what was read so far is kept, and the next call continues from there.
        """
        if self._prefetch and self._tasks is None:
            async with self:
                return await self._collect()
        return await self._collect()

    async def __aenter__(self) -> Self:
        if self._tasks is not None:
            raise RuntimeError("These pages are open already.")
        if self._prefetch:
            tasks = Background()
            await tasks.open()
            self._tasks = tasks
            self._request_ahead()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        tasks, self._tasks = self._tasks, None
        if tasks is None:
            return
        try:
            await tasks.close()
        finally:
            self._in_progress.clear()
            self._queue.clear()
            self._received.clear()
            self._progress.notify()

    async def _collect(self) -> list[T]:
        collected: list[Page[T]] = []
        try:
            async for page in self.iter_pages():
                collected.append(page)  # noqa: PERF401  # pages read before an error are kept
        except BaseException:
            self._give_back(collected)
            raise
        return [item for page in collected for item in page]

    async def _first_page(self) -> Page[T]:
        items, total = await self._fetch(self._first.offset, self._first.limit)
        return Page(tuple(items), total, self._first.offset)

    def _give_back(self, pages: list[Page[T]]) -> None:
        """Hold these pages again, before those that are held now."""
        if pages:
            self._split()
            self._held.extendleft(reversed(pages))
            self._offset = pages[0].offset

    async def _next_page(self) -> Page[T]:
        while not self._held:
            if not await self._more():
                raise StopAsyncIteration
        self._split()
        page = self._held[0]
        self._offset = page.offset + len(page)
        self._drop_used_page()
        return page

    def _split(self) -> None:
        """Let the first held page begin with the first item that was not handed out."""
        if self._used:
            page = self._held[0]
            self._held[0] = Page(page.items[self._used :], page.total, page.offset + self._used)
            self._used = 0

    async def _more(self) -> bool:
        """Try to hold one more page. Return False at the end of the walk; after True, there may still be none."""
        if self._walk.ended:
            return bool(self._held)
        if self._tasks is None or self._tasks.ending:
            async with self._lock:
                if not self._held and not self._walk.ended:
                    ask = self._walk.needed
                    self._receive(ask, Rows(*await self._fetch(ask.offset, ask.limit)))
            return True
        failed = self._received.get(self._walk.needed)
        if isinstance(failed, Exception):
            del self._received[self._walk.needed]
            raise failed
        self._request_ahead()
        await self._progress.wait()
        return True

    def _receive(self, ask: Ask, result: Rows | Exception) -> None:
        """Keep a page that has come in, and pass all pages to the walk that it can use now."""
        walk = self._walk
        if walk.ended:
            return
        self._received_count += 1
        self._received[ask] = result if isinstance(result, Exception) else _Received(result, self._received_count)
        while not walk.ended and isinstance(page := self._received.get(needed := walk.needed), _Received):
            del self._received[needed]
            new = walk.take(*page)
            if new:
                place = next(index for index, row in enumerate(page.rows.items) if row is new[0])
                self._held.append(Page(tuple(new), page.rows.total, needed.offset + place))
            elif new is None and walk.needed != needed:
                self._received[needed] = page
        self._received = {ask: page for ask, page in self._received.items() if walk.wants(ask)}
        if walk.ended and walk.incomplete is not None:
            self._on_incomplete(walk.incomplete)

    def _drop_used_page(self) -> None:
        self._held.popleft()
        self._used = 0
        self._request_ahead()

    def _request_ahead(self) -> None:
        """Request pages up to the number given as `prefetch`; as many again may wait for the caller."""
        number = 0
        while self._tasks is not None and not self._tasks.ending and not self._walk.ended:
            ask = self._walk.ask(number)
            if ask is None:
                return
            number += 1
            if ask in self._in_progress or ask in self._received:
                continue
            waiting = len(self._in_progress) + len(self._received) + len(self._held)
            full = len(self._in_progress) >= self._prefetch or waiting >= 2 * self._prefetch
            if full and (self._held or number > 1):
                return
            self._in_progress.add(ask)
            self._queue.append(ask)
            asked = list[Ask]()
            self._tasks.start(self._fetch_ahead, asked, on_end=partial(self._fetched, asked))

    async def _fetch_ahead(self, asked: list[Ask]) -> None:
        # The page is chosen when the task starts. Trio starts tasks in random order, and pages must be requested in
        # their order: otherwise each might show an older listing than the one before.
        ask = self._queue.popleft()
        asked.append(ask)
        result: Rows | Exception
        try:
            result = Rows(*await self._fetch(ask.offset, ask.limit))
        except Exception as error:  # noqa: BLE001  # raised when the caller needs this page
            result = error
        self._in_progress.discard(ask)
        self._receive(ask, result)
        self._request_ahead()
        self._progress.notify()

    def _fetched(self, asked: list[Ask], end: Result) -> None:
        """Note that a task has ended. If somebody has cancelled it, its page is asked for again."""
        if end is not End.RETURNED:
            ask = asked[0] if asked else self._queue.popleft()
            self._in_progress.discard(ask)
            if isinstance(end, Exception):
                self._receive(ask, end)
            self._request_ahead()
            self._progress.notify()


class _ByPage(Generic[T]):
    """The walk of a `Pages`, page by page. It is an object, not a generator, so there is nothing to close."""

    def __init__(self, pages: Pages[T]) -> None:
        self._pages = pages

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Page[T]:
        return await self._pages._next_page()  # noqa: SLF001  # part of the same class
