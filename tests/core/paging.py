"""A listing in memory, and pages of it."""

from collections.abc import Callable
from typing import Any

from anyio import sleep
from attrs import frozen

from landbot_async import Pages
from landbot_async._core.pagination import Ask, Rows


@frozen
class Row:
    id: int


class Listing:
    """Rows 0, 1, 2, … by offset and limit; what goes wrong is told by `before`."""

    def __init__(self, size: int, *, latency: float = 0.0, tells_total: bool = True) -> None:
        self.rows = [Row(number) for number in range(size)]
        self.latency = latency
        self.tells_total = tells_total
        self.asked: list[Ask] = []
        self.flying = self.most_flying = self.cancelled = 0
        self.before: Callable[[Ask], None] = lambda _: None

    async def __call__(self, offset: int, limit: int) -> Rows:
        ask = Ask(offset, limit)
        self.asked.append(ask)
        self.flying += 1
        self.most_flying = max(self.flying, self.most_flying)
        try:
            await sleep(self.latency)
            self.before(ask)
            return Rows(self.rows[ask.offset : ask.offset + ask.limit], len(self.rows) if self.tells_total else None)
        except BaseException as error:
            self.cancelled += not isinstance(error, Exception)
            raise
        finally:
            self.flying -= 1

    def pages(
        self, page_size: int = 10, offset: int = 0, prefetch: int = 0, told: list[str] | None = None
    ) -> Pages[Any]:
        tell: Callable[[str], None] = (told if told is not None else []).append
        return Pages(self, page_size=page_size, offset=offset, prefetch=prefetch, on_incomplete=tell)


def fails(*times: int) -> Callable[[Ask], None]:
    """Fail at these requests, counted from 1."""
    count = 0

    def before(_: Ask) -> None:
        nonlocal count
        count += 1
        if count in times:
            raise ConnectionError(count)

    return before


def ids(rows: Any) -> list[int]:
    return [row.id for row in rows]


async def rest(pages: Pages[Any]) -> list[int]:
    return [row.id async for row in pages]
