"""What the resources have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from .engine import Engine
from .pages import Pages
from .readers import Rows, rows_of
from .routes import Route
from .walk import Ask

T = TypeVar("T")


class Resource:
    """A group of operations, bound to a client."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def _pages(
        self,
        route: Route,
        model: type[T],
        params: Mapping[str, object],
        *,
        ids: Mapping[str, int | str] | None = None,
        page_size: int,
        offset: int,
        prefetch: int = 0,
    ) -> Pages[T]:
        read = rows_of(model)

        async def fetch(ask: Ask) -> Rows:
            place = {"offset": ask.offset, "limit": ask.limit}
            return await self._engine.call(route, ids or {}, params={**params, **place}, read=read)

        return Pages(fetch, page_size=page_size, offset=offset, prefetch=prefetch)
