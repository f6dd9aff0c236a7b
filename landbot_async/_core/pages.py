"""`Pages`: a listing to walk through. Where to go is decided in `walk`; here is the waiting."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Sequence
from operator import attrgetter
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, overload

import anyio
from attrs import frozen

from .arguments import whole_number
from .pagination import MOST_ROWS, Ask, Rows, Walk
from .record import Record

if TYPE_CHECKING:
    from anyio.abc import TaskGroup

T = TypeVar("T")


@frozen(eq=False, repr=False)
class Page(Record, Sequence[T]):
    """Some items of a listing, in order.

    Attributes:
        items: the items.
        total: how many the whole listing had when this page was made, or None where Landbot does not say.
        offset: the place of the first item in the listing.
    """

    items: tuple[T, ...]
    total: int | None
    offset: int

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[T, ...]: ...
    def __getitem__(self, index: int | slice) -> T | tuple[T, ...]:
        return self.items[index]

    def __len__(self) -> int:
        return len(self.items)


class Pages(Generic[T]):
    """A listing, page by page: `await` it for the first page, or walk it with `async for`.

    It is an object and no generator, and its own iterator: after an error it asks for the failed page again, after a
    `break` it goes on with what it holds. Several tasks may share one; each item goes to one of them. No item is
    handed out twice, and none that was there all the time is left out while rows come and go around it. Rows that
    jump from ahead of the walk to behind it cannot be seen: `drift` counts the disturbances that were, and where your
    own work changes the order, `collect()` first.

    Raises, from whatever asks Landbot: every `LandbotError` of a call.

    Source: dev.landbot.io, "Pagination" (`offset`, `limit` up to 100, `total`).
    """

    def __init__(
        self,
        fetch: Callable[[Ask], Awaitable[Rows]],
        *,
        page_size: int,
        offset: int,
        prefetch: int = 0,
        key: Callable[[T], object] = attrgetter("id"),
    ) -> None:
        self._fetch = fetch
        self._first = Ask(
            whole_number("offset", offset, at_least=0),
            whole_number("page_size", page_size, at_least=1, at_most=MOST_ROWS),
        )
        self._prefetch = whole_number("prefetch", prefetch, at_least=0)
        self._walk = Walk(page_size, offset, key)
        self._offset = offset
        self._held: deque[Page[T]] = deque()  # pages that nobody has asked for yet
        self._used = 0  # how many items of the first of them are handed out
        self._turn = anyio.Lock(fast_acquire=True)
        # Of the prefetch alone:
        self._group: TaskGroup | None = None
        self._flying: set[Ask] = set()
        self._landed: dict[Ask, Rows | Exception] = {}
        self._news = anyio.Event()

    def __repr__(self) -> str:
        return f"Pages(offset={self.offset}, total={self.total}, drift={self.drift})"

    @property
    def total(self) -> int | None:
        """How many items there are, by the page taken last; None before the first."""
        return self._walk.total

    @property
    def offset(self) -> int:
        """The place in the listing behind the item handed out last."""
        return self._offset

    @property
    def drift(self) -> int:
        """How many pages did not begin where the one before had ended: rows came or went meanwhile."""
        return self._walk.drift

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
            self._let_go()
        return item

    def iter_pages(self) -> AsyncIterator[Page[T]]:
        """The same walk, page by page: each with the items that were not handed out before, never empty."""
        return _ByPage(self)

    async def collect(self) -> list[T]:
        """All items that were not handed out before, as a list. With `prefetch`, several pages are fetched at a time.

        If it fails or is cancelled, what was read so far is kept, and the next one goes on from there.
        """
        if self._prefetch and self._group is None:
            async with self:
                return await self._collect()
        return await self._collect()

    async def __aenter__(self) -> Self:
        if self._group is not None:
            raise RuntimeError("These pages are open already.")
        if self._prefetch:
            group = anyio.create_task_group()
            await group.__aenter__()
            self._group = group
            self._top_up()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        group, self._group = self._group, None
        if group is None:
            return
        group.cancel_scope.cancel()
        cancelled = anyio.get_cancelled_exc_class()
        try:
            # Without the body's exception, which the group would wrap into another.
            await group.__aexit__(None, None, None)
        except cancelled:
            # The body's own exception comes first.
            if exc is None or isinstance(exc, cancelled):
                raise
        finally:
            self._flying.clear()
            self._landed.clear()
            self._tell()

    async def _collect(self) -> list[T]:
        collected: list[Page[T]] = []
        try:
            async for page in self.iter_pages():
                collected.append(page)  # noqa: PERF401  # what was read must survive an error
        except BaseException:
            self._give_back(collected)
            raise
        return [item for page in collected for item in page]

    async def _first_page(self) -> Page[T]:
        rows = await self._fetch(self._first)
        return Page(tuple(rows.items), rows.total, self._first.offset)

    def _give_back(self, pages: list[Page[T]]) -> None:
        """Hand them out again, before what is held now."""
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
        self._let_go()
        return page

    def _split(self) -> None:
        """Let the first page held begin with what is not handed out of it."""
        if self._used:
            page = self._held[0]
            self._held[0] = Page(page.items[self._used :], page.total, page.offset + self._used)
            self._used = 0

    async def _more(self) -> bool:
        """Hold at least one more page, or say that there is none. May return True with none held: ask again."""
        if self._walk.ended:
            return bool(self._held)
        if self._group is None:
            async with self._turn:
                if not self._held and not self._walk.ended:
                    ask = self._walk.needed
                    rows = await self._fetch(ask)
                    # Somebody else may have gone on with a prefetch meanwhile.
                    if ask == self._walk.needed and not self._walk.ended:
                        self._take(ask.offset, rows)
            return True
        failed = self._landed.get(self._walk.needed)
        if isinstance(failed, Exception):
            del self._landed[self._walk.needed]
            raise failed
        self._top_up()
        await self._news.wait()
        return True

    def _take(self, offset: int, rows: Rows) -> None:
        new = self._walk.take(offset, rows.items, rows.total)
        if new:
            place = next(index for index, row in enumerate(rows.items) if row is new[0])
            self._held.append(Page(tuple(new), rows.total, offset + place))

    def _let_go(self) -> None:
        self._held.popleft()
        self._used = 0
        self._top_up()

    def _top_up(self) -> None:
        """Put pages on the way, up to the number asked for; as many again may wait for the caller."""
        if self._group is None or self._walk.ended:
            return
        asks = self._walk.asks(2 * self._prefetch)
        self._landed = {ask: page for ask, page in self._landed.items() if ask in asks}
        for ask in asks:
            if ask in self._flying or ask in self._landed:
                continue
            waiting = len(self._flying) + len(self._landed) + len(self._held)
            full = len(self._flying) >= self._prefetch or waiting >= 2 * self._prefetch
            if full and (self._held or ask != asks[0]):
                break
            self._flying.add(ask)
            self._group.start_soon(self._fly, ask)

    async def _fly(self, ask: Ask) -> None:
        landed: Rows | Exception
        try:
            landed = await self._fetch(ask)
        except Exception as error:  # noqa: BLE001  # the caller's, when its turn comes
            landed = error
        finally:
            self._flying.discard(ask)
        self._landed[ask] = landed
        while not self._walk.ended and isinstance(page := self._landed.get(needed := self._walk.needed), Rows):
            del self._landed[needed]
            self._take(needed.offset, page)
        self._top_up()
        self._tell()

    def _tell(self) -> None:
        """Wake all that wait for news; who waits from now on waits for the next."""
        self._news.set()
        self._news = anyio.Event()


class _ByPage(Generic[T]):
    """The walk of a `Pages`, page by page. An object and no generator: there is nothing to close."""

    def __init__(self, pages: Pages[T]) -> None:
        self._pages = pages

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Page[T]:
        return await self._pages._next_page()  # noqa: SLF001  # the other half of it
